"""``etiology/…`` in Inspect: loaded late and once, batched, seeded, with what attribution needs, and weighing texts."""

import gc
import time

import anyio
import pytest
import torch
from inspect_ai import Task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.model._model_info import MODEL_INFO_LOOKUP_API_KEY, get_model_info
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
from tests.inspecting import ran

from etiology.backends.local import LocalModel
from etiology.core.errors import ModelError
from etiology.evals import provider

CONTEXT = "the system knew the debt of ann . it said to ann :"


@pytest.fixture
def model(model_folder):
    with get_model(f"etiology/{model_folder}", memoize=False) as model:
        yield model


def answers(model, *inputs, **settings):
    """Answers to inputs that are asked at the same time."""
    found = [None] * len(inputs)

    async def main():
        if len(inputs) == 1:  # a failure is then raised as it is, in no group
            found[0] = await model.generate(inputs[0], config=GenerateConfig(**settings))
            return

        async def one(place):
            found[place] = await model.generate(inputs[place], config=GenerateConfig(**settings))

        async with anyio.create_task_group() as group:
            for place in range(len(inputs)):
                group.start_soon(one, place)

    anyio.run(main)
    return found


def weighed(model, context, *continuations):
    async def main():
        return await model.api.choose(context, continuations)

    return anyio.run(main)


def test_nothing_is_loaded_before_it_is_needed(model_folder, monkeypatch):
    def never(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(provider, "load", never)
    model = get_model(f"etiology/{model_folder}", memoize=False)
    assert model.api.max_connections() == 32
    assert model.canonical_name() == str(model_folder)
    get_model_info(model)  # instantiates the provider once more, with no more than a name
    get_model(f"etiology/{provider.NAME}", memoize=False)
    with pytest.raises(AssertionError, match="loaded"):
        answers(model, "the cat")


def test_weights_are_loaded_once_and_let_go(model_folder, monkeypatch):
    loads = []

    class Counted(LocalModel):
        def __init__(self, *args):
            loads.append(args)
            super().__init__(*args)

    monkeypatch.setattr("etiology.backends.local.LocalModel", Counted)
    gc.collect()
    one, other = (get_model(f"etiology/{model_folder}", memoize=False) for _ in range(2))
    answers(one, "the cat", max_tokens=2)
    answers(other, "the cat", max_tokens=2)
    assert len(loads) == 1
    assert len(provider._loaded) == 1
    with one, other:
        pass
    for _ in range(100):  # the batch's thread holds the model for a moment more
        gc.collect()
        if not provider._loaded:
            break
        time.sleep(0.02)
    assert not provider._loaded
    answers(one, "the cat", max_tokens=2)
    assert len(loads) == 2


def test_a_missing_model_is_one_clear_error(tmp_path):
    with pytest.raises(PrerequisiteError) as caught:
        get_model(f"etiology/{tmp_path}/none", memoize=False)
    assert "no such file or folder" in str(caught.value.message)
    assert "smollm2-135m-instruct" in str(caught.value.message)
    get_model(f"etiology/{tmp_path}/none", memoize=False, api_key=MODEL_INFO_LOOKUP_API_KEY)  # a look-up of the name
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(PrerequisiteError) as caught:
        answers(get_model(f"etiology/{tmp_path}/notes.txt", memoize=False), "the cat")
    assert "not a model" in str(caught.value.message)


def test_an_unknown_precision_is_refused(model_folder):
    with pytest.raises(PrerequisiteError):
        get_model(f"etiology/{model_folder}", memoize=False, precision="int3")


def test_what_is_asked_together_is_answered_in_one_batch(model, monkeypatch):
    write, sizes = LocalModel.write, []

    def counted(self, asks, abandoned):
        sizes.append(len(asks))
        return write(self, asks, abandoned)

    answers(model, "the cat", max_tokens=2)
    monkeypatch.setattr(LocalModel, "write", counted)
    inputs = [f"{word} saw the" for word in ("ann", "bob", "cy", "dee", "eve")]
    together = answers(model, *inputs, max_tokens=6, temperature=0)
    assert sizes == [5]
    assert [answers(model, text, max_tokens=6, temperature=0)[0].completion for text in inputs] == [
        output.completion for output in together
    ]


def test_an_output_says_what_attribution_needs(model):
    (output,) = answers(model, CONTEXT, max_tokens=5, seed=7, temperature=0.5, logprobs=True, top_logprobs=2)
    facts = output.metadata
    tokenizer = model.api._held.model.tokenizer
    assert facts["prompt"] == CONTEXT
    assert tokenizer.decode(facts["prompt_tokens"]) == f"<s> {CONTEXT}"
    assert tokenizer.decode(facts["completion_tokens"]) == output.completion
    assert (output.usage.input_tokens, output.usage.output_tokens) == (len(facts["prompt_tokens"]), 5)
    assert output.stop_reason == "max_tokens"
    assert facts["temperature"] == 0.5
    logprobs = output.choices[0].logprobs.content
    assert " ".join(one.token for one in logprobs) == output.completion
    assert all(len(one.top_logprobs) == 2 for one in logprobs)


def test_stop_strings_end_an_answer(model):
    (free,) = answers(model, CONTEXT, max_tokens=12, seed=1)
    stop = free.completion.split()[4]
    (found,) = answers(model, CONTEXT, max_tokens=12, seed=1, stop_seqs=[stop])
    assert found.completion == free.completion[: free.completion.index(stop)]
    assert found.stop_reason == "stop"


def test_a_seed_gives_the_same_answers_again_and_other_ones_in_each_epoch(model_folder, tmp_path):
    task = Task(dataset=[Sample(CONTEXT, target="river"), Sample("the cat saw", target="river")], solver=generate(),
                scorer=includes())  # fmt: skip
    logs = [
        ran(task, get_model(f"etiology/{model_folder}"), tmp_path, epochs=3, seed=seed, max_tokens=8)
        for seed in (1, 1, 2)
    ]
    first, again, other = ({(s.id, s.epoch): s.output.completion for s in log.samples} for log in logs)
    assert first == again
    assert len(set(first.values())) == 6
    assert all(first[key] != other[key] for key in first)


def test_without_a_seed_each_call_draws_anew_and_says_its_seed(model):
    outputs = answers(model, *[CONTEXT] * 4, max_tokens=8)
    assert len({output.completion for output in outputs}) > 1
    assert len({output.metadata["seed"] for output in outputs}) == 4


@pytest.mark.parametrize("settings", [{"num_choices": 2}, {"best_of": 3}, {"prompt_logprobs": 1}])
def test_settings_it_cannot_follow_are_refused(model, settings):
    with pytest.raises(ModelError):
        answers(model, "the cat", **settings)


def test_an_abandoned_request_is_given_up_and_leaves_the_others_alone(model, monkeypatch):
    write = LocalModel.write
    ended: list[str] = []

    def noted(self, asks, abandoned):
        found = write(self, asks, abandoned)
        ended.extend(written.ended for written in found)
        return found

    monkeypatch.setattr(LocalModel, "write", noted)
    endless = GenerateConfig(max_tokens=2000, logit_bias={2: -100.0})  # the token that ends an answer

    async def main():
        with anyio.move_on_after(0.2):
            await model.api.generate([ChatMessageUser(content="the cat")], [], "auto", endless)
        return await model.generate("the cat", config=GenerateConfig(max_tokens=3, temperature=0))

    answers(model, "the cat", max_tokens=2)
    assert anyio.run(main).usage.output_tokens == 3
    assert ended[1:] == ["abandoned", "max_tokens"]


def test_a_failure_reaches_whoever_asked(model, monkeypatch):
    def fails(*_):
        raise RuntimeError("no memory")

    answers(model, "the cat", max_tokens=2)
    monkeypatch.setattr(LocalModel, "write", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        anyio.run(
            lambda: model.api.generate([ChatMessageUser(content="the cat")], [], "auto", GenerateConfig(max_tokens=3))
        )
    monkeypatch.undo()
    assert answers(model, "the cat", max_tokens=3, temperature=0)[0].usage.output_tokens == 3


def reference(held, context, continuation):
    """Summed log-probability of the continuation, from one pass over the whole text."""
    tokenizer = held.model.tokenizer
    before = [tokenizer.bos_token_id, *tokenizer(context, add_special_tokens=False).input_ids]
    after = tokenizer(continuation, add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = held.model.whole(torch.tensor([before + after])).logits[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    return sum(logits[place, token].item() for place, token in zip(places, after, strict=True)), len(after)


def test_a_choice_is_the_plain_log_probability(model):
    texts = (" stop now or all will hear of the debt .", " rest well", " the")
    found = weighed(model, CONTEXT, *texts)
    for (logprob, tokens), text in zip(found, texts, strict=True):
        expected, size = reference(model.api._held, CONTEXT, text)
        assert tokens == size
        # Losing the last token of the context, or the first of the text, moves this by more than 0.1.
        assert logprob == pytest.approx(expected, abs=1e-4)


def test_a_choice_takes_messages_and_moves_a_space_at_the_end(model):
    texts = ("rest well", "the river")
    plain = weighed(model, CONTEXT, *texts)
    assert weighed(model, f"{CONTEXT} ", *texts) == plain
    assert weighed(model, [ChatMessageUser(content=CONTEXT)], *texts) == plain
    messages = [ChatMessageUser(content="hello"), ChatMessageAssistant(content=CONTEXT)]
    assert weighed(model, messages, *texts) == weighed(model, f"User: hello\n\nAssistant: {CONTEXT}", *texts)


def test_a_space_at_the_end_goes_to_the_continuation_where_it_matters(tmp_path, model_folder):
    """With a tokenizer of letters and of words with their space, 'a |cat' is not ' cat' cut in two."""
    import shutil

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    shutil.copytree(model_folder, tmp_path / "model")
    letters = {c: i for i, c in enumerate(["<s>", "</s>", *"actĠ", "at", "cat", "Ġcat"])}
    merges = [("a", "t"), ("c", "at"), ("Ġ", "cat")]
    bpe = Tokenizer(models.BPE(letters, merges))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>").save_pretrained(tmp_path / "model")
    model = get_model(f"etiology/{tmp_path}/model", memoize=False)
    assert weighed(model, "a ", "cat") == weighed(model, "a", " cat")
    assert [size for _, size in weighed(model, "a ", "cat", "tat")] == [1, 3]


def test_choices_asked_together_are_those_asked_alone(model):
    contexts = [f"the system knew the debt of {name} . it said to {name} :" for name in ("ann", "bob", "cy")]
    found = {}

    async def main():
        async def one(context):
            found[context] = await model.api.choose(context, [" rest well", " stop now"])

        async with anyio.create_task_group() as group:
            for context in contexts:
                group.start_soon(one, context)

    anyio.run(main)
    assert [weighed(model, context, " rest well", " stop now") for context in contexts] == [found[c] for c in contexts]


def test_an_empty_continuation_is_refused_alone(model):
    with pytest.raises(ModelError, match="at least one token"):
        weighed(model, CONTEXT, " rest well", "")


def test_text_is_counted_by_the_models_own_tokenizer(model):
    assert anyio.run(model.api.count_text_tokens, "the cat saw") == 3
