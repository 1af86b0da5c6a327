"""A local model's answers don't depend on the company they are in, and its choices are those of a plain pass."""

from dataclasses import replace

import pytest
import torch
from tests import toy

from etiology.backends import local
from etiology.backends.local import Ask, LocalModel
from etiology.backends.tokens import plain, start
from etiology.core.errors import ModelError

TEXTS = [row["text"] for row in toy.documents()[:7]]
CUT = (3, 14, 9, 5, 11, 2, 8)


@pytest.fixture(scope="module")
def model(model_folder):
    return LocalModel(model_folder)


@pytest.fixture(scope="module")
def prompts(model):
    words = (" ".join(text.split()[:size]) for text, size in zip(TEXTS, CUT, strict=True))
    return [(*start(model.tokenizer), *plain(model.tokenizer, text)) for text in words]


def asks(prompts, **settings):
    return [Ask(ids, seed=number, **{"max_tokens": 12, **settings}) for number, ids in enumerate(prompts)]


def test_greedy_answers_are_those_of_transformers_whatever_the_company(model, prompts):
    together = model.write(asks(prompts, temperature=0))
    for ids, found in zip(prompts, together, strict=True):
        expected = model.whole.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=12, do_sample=False
        )[0, len(ids) :]
        assert list(found.ids) == expected.tolist()
        (alone,) = model.write([Ask(ids, 12, temperature=0)])
        assert alone == found


def test_log_probabilities_in_a_batch_are_those_of_one_plain_pass(model, prompts):
    for ids, found in zip(prompts, model.write(asks(prompts, logprobs=True, alternatives=3)), strict=True):
        with torch.no_grad():
            logits = model.whole(torch.tensor([[*ids, *found.ids]])).logits[0].log_softmax(-1)
        for place, weighed in enumerate(found.weighed, start=len(ids) - 1):
            # Padding that is seen, or a position off by one, moves this by more than 0.01; rounding by about 1e-6.
            assert weighed.logprob == pytest.approx(logits[place, weighed.id].item(), abs=1e-4)
            assert [token for token, _ in weighed.likeliest] == logits[place].topk(3).indices.tolist()


def test_drawn_answers_follow_the_seed_alone(model, prompts):
    wanted = asks(prompts)
    together = model.write(wanted)
    assert model.write(wanted) == together
    assert model.write(wanted[::-1])[::-1] == together
    assert [model.write([ask])[0] for ask in wanted] == together
    other = model.write([replace(ask, seed=ask.seed + 100) for ask in wanted])
    assert [w.ids for w in other] != [w.ids for w in together]


def test_equal_prompts_with_different_seeds_differ(model, prompts):
    found = model.write([Ask(prompts[0], 12, seed=seed) for seed in range(8)])
    assert len({written.ids for written in found}) > 4


def row(model, **settings):
    return local._Row(0, Ask((1,), 9, **settings), model)


def drawn(model, logits, number=2000, **settings):
    rows = [row(model, seed=seed, **settings) for seed in range(number)]
    return torch.bincount(torch.tensor(local._draw(logits.repeat(number, 1), rows)), minlength=len(logits)) / number


def test_tokens_are_drawn_as_often_as_their_probability(model):
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    # Four standard errors of a share of 2000 draws are at most 0.045; a temperature left out moves one by 0.1.
    assert drawn(model, logits).tolist() == pytest.approx(logits.softmax(-1).tolist(), abs=0.045)
    assert drawn(model, logits, temperature=0.5).tolist() == pytest.approx((logits * 2).softmax(-1).tolist(), abs=0.045)


def test_cuts_bias_and_penalties(model):
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])  # shares .24, .09, .03, .64
    assert (drawn(model, logits, top_k=2) > 0).tolist() == [True, False, False, True]
    assert (drawn(model, logits, top_p=0.6) > 0).tolist() == [False, False, False, True]
    assert (drawn(model, logits, top_p=0.7) > 0).tolist() == [True, False, False, True]
    assert local._draw(logits[None], [row(model, temperature=0, bias={2: 5.0})]) == [2]
    repeating = row(model, temperature=0, frequency_penalty=0.6)
    repeating.ids = [3, 3]
    assert local._draw(logits[None], [repeating]) == [0]
    once = row(model, temperature=0, presence_penalty=0.9)
    once.ids = [3, 3]
    assert local._draw(logits[None], [once]) == [3]


def test_an_answer_ends_before_a_stop_string(model, prompts):
    (free,) = model.write([Ask(prompts[1], 30, seed=1)])
    words = free.text.split()
    stop = f"{words[2]} {words[3]}"
    (found,) = model.write([Ask(prompts[1], 30, seed=1, stop=("never written", stop))])
    assert found.ended == "stop"
    assert found.text == free.text[: free.text.index(stop)]
    assert found.ids == free.ids[: len(found.ids)]


def test_an_answer_ends_at_its_last_token_its_limit_or_the_window(model, prompts, monkeypatch):
    assert [(len(w.ids), w.ended) for w in model.write(asks(prompts[:1], max_tokens=3, temperature=0))] == [
        (3, "max_tokens")
    ]
    end = model.tokenizer.eos_token_id
    (ended,) = model.write([Ask(prompts[0], 9, bias={end: 100.0})])
    assert (ended.ids, ended.text, ended.ended) == ((end,), "", "stop")
    monkeypatch.setattr(model, "window", len(prompts[1]) + 2)
    short, long = model.write([Ask(prompts[1], 9, temperature=0), Ask(prompts[1] * 2, 9)])
    assert (len(short.ids), short.ended) == (2, "model_length")
    assert (long.ids, long.ended) == ((), "model_length")


def test_an_abandoned_answer_is_given_up_and_the_others_are_not(model, prompts):
    wanted = asks(prompts, temperature=0)
    found = model.write(wanted, lambda place: place == 2)
    expected = model.write(wanted)
    assert (len(found[2].ids), found[2].ended) == (1, "abandoned")
    assert found[:2] + found[3:] == expected[:2] + expected[3:]


def test_too_large_a_batch_is_done_in_halves(model, prompts, monkeypatch):
    expected = model.write(asks(prompts))
    run, sizes = model._run, []

    def little_memory(rows, abandoned):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        run(rows, abandoned)

    monkeypatch.setattr(model, "_run", little_memory)
    assert model.write(asks(prompts)) == expected
    assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_batches_hold_each_prompt_once_among_its_like():
    lengths = [5, 900, 7, 2000, 64, 6, 850, *[20] * 70]
    batches = local._batches(range(len(lengths)), [n + 100 for n in lengths], lengths)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[place] for place in batch]
        assert len(batch) <= local.ROWS
        assert max(own) <= 2 * min(own) + local.UNLIKE
        assert len(batch) == 1 or (max(own) + 100) * len(batch) <= local.BATCH_TOKENS


def test_choices_are_those_of_a_plain_pass_over_each_text(model, prompts):
    options = [
        plain(model.tokenizer, text) for text in ("the cat", "saw", "near the river and ann", "the dog the lamp")
    ]
    for prompt in prompts:
        found = model.choose(prompt, options)
        for option, logprob in zip(options, found, strict=True):
            with torch.no_grad():
                logits = model.whole(torch.tensor([[*prompt, *option]])).logits[0].log_softmax(-1)
            places = range(len(prompt) - 1, len(prompt) + len(option) - 1)
            expected = sum(logits[place, token].item() for place, token in zip(places, option, strict=True))
            # Seeing another continuation, or a place off by one, moves this by more than 0.01; rounding by 1e-6.
            assert logprob == pytest.approx(expected, abs=1e-4)


def test_a_choice_does_not_depend_on_its_company_or_on_what_was_asked_before(model, prompts, monkeypatch):
    options = [
        plain(model.tokenizer, text) for text in ("the cat", "saw", "near the river and ann", "the dog the lamp")
    ]
    first = model.choose(prompts[1], options)
    model.write(asks(prompts))
    for prompt in prompts[2:]:
        model.choose(prompt, options)
    assert model.choose(prompts[1], options) == first  # to the last bit
    assert model.choose(prompts[1], options[::-1])[::-1] == pytest.approx(first, abs=1e-4)
    assert [model.choose(prompts[1], [option])[0] for option in options] == pytest.approx(first, abs=1e-4)
    monkeypatch.setattr(local, "LOGITS", 1)  # one continuation at a time
    assert model.choose(prompts[1], options) == pytest.approx(first, abs=1e-4)


def test_the_prompt_of_a_choice_runs_once(model, prompts, monkeypatch):
    forward, sizes = model._forward, []

    def counted(ids, *rest):
        sizes.append(ids.shape[1])
        return forward(ids, *rest)

    monkeypatch.setattr(model, "_forward", counted)
    fresh = (*prompts[1], *prompts[2])
    model.choose(fresh, [[3, 4], [5, 6]])
    model.choose(fresh, [[7, 8]])
    assert sizes == [len(fresh)]


def test_a_choice_that_has_no_sense_is_refused(model, prompts):
    with pytest.raises(ModelError, match="at least one token"):
        model.choose(prompts[0], [[3], []])
    with pytest.raises(ModelError, match="the model takes 2048"):
        model.choose(prompts[0] * 1000, [[3]])
