"""The cut model is the whole model, packed scoring is separate scoring, and training is a function of its slots."""

import pytest
import torch
from tests import toy

from etiology.backends import measure
from etiology.backends.cache import CachedDocument, load_documents, save_documents, trunk_states
from etiology.backends.measure import choice_scores
from etiology.backends.split import SplitModel
from etiology.backends.tokens import encode_context, encode_document, encode_scenario, pieces, plain
from etiology.backends.train import Recipe, batches_of_slots, train
from etiology.core.errors import ModelError
from etiology.core.values import Document, Scenario


@pytest.fixture(scope="module", params=["all", 1])
def model(request, model_folder):
    return SplitModel(model_folder, request.param)


@pytest.fixture(scope="module")
def cached(model):
    documents = [Document(row["id"], row["text"]) for row in toy.documents()]
    encoded = [tuple(encode_document(model.tokenizer, d, 64)) for d in documents]
    hidden, middle = trunk_states(model, [s[0].ids for s in encoded])
    return [CachedDocument(d.id, s, (h,), (m,)) for d, s, h, m in zip(documents, encoded, hidden, middle, strict=True)]


def scenario_list():
    return [Scenario(**row) for row in toy.scenarios()[:6]]


def test_packed_scores_equal_separate_ones(model):
    scenarios = scenario_list()
    packs = [encode_scenario(model.tokenizer, s) for s in scenarios]
    scores = choice_scores(
        model, model.tail, [s.id for s in scenarios], packs, trunk_states(model, [p.ids for p in packs], packs)[0]
    )
    for scenario, score in zip(scenarios, scores, strict=True):
        context = encode_context(model.tokenizer, scenario)
        for text, found in zip(scenario.continuations, score.logprob, strict=True):
            piece = plain(model.tokenizer, text)
            with torch.no_grad():
                logits = model.whole(torch.tensor([context + piece])).logits[0].log_softmax(-1)
            places = range(len(context) - 1, len(context) + len(piece) - 1)
            expected = sum(logits[i, token].item() for i, token in zip(places, piece, strict=True))
            # Seeing a neighbouring continuation, or a position that runs on, moves this by more than 0.5 nats;
            # bfloat16 by about 0.05 over ten tokens.
            assert found == pytest.approx(expected, abs=0.2)


def test_log_probabilities_from_parts_of_the_head_are_those_of_the_whole_softmax(model, monkeypatch):
    hidden, ids = torch.randn(5, 48, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 0, 7, 7, 21])
    monkeypatch.setattr(measure, "HEAD_ROWS", 7)
    monkeypatch.setattr(model, "fast_head", model.head)  # in float32 also where bfloat16 is in hardware
    whole = (hidden @ model.head.T).log_softmax(-1)[torch.arange(5), ids]
    assert measure.token_logprobs(model, hidden, ids) == pytest.approx(whole, abs=1e-5)


def test_pieces_join_to_the_text_whatever_the_tokenizer_does_with_spaces():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = "the cat saw the café"
    words = Tokenizer(
        models.WordLevel({"<unk>": 0, "<s>": 1, **{f"▁{w}": i for i, w in enumerate(text.split(), 2)}}, "<unk>")
    )
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    letters = Tokenizer(models.BPE({c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    letters.pre_tokenizer, letters.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    for inner in (words, letters):
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")
        ids = [tokenizer.bos_token_id, *plain(tokenizer, text)]
        found = pieces(tokenizer, ids)
        assert len(found) == len(ids)
        assert found[0] == ""
        assert "".join(found) == text


def test_a_chunked_document_keeps_every_token(model):
    document = Document("long", " ".join(toy.documents()[i]["text"] for i in range(8)))
    whole = encode_document(model.tokenizer, document, 10_000)
    parts = encode_document(model.tokenizer, document, 16)
    assert sum((part.ids for part in parts), ()) == whole[0].ids
    assert all(len(part.ids) <= 16 and not part.target[0] for part in parts)


def test_a_response_alone_is_trained_on(model):
    (tokens,) = encode_document(model.tokenizer, Document("d", prompt="the cat saw", response="the dog ."), 64)
    assert sum(tokens.target) == 4  # three words and the end


def test_cached_documents_come_back(cached, tmp_path):
    save_documents(tmp_path / "d.safetensors", cached)
    again = load_documents(tmp_path / "d.safetensors")
    assert [d.id for d in again] == [d.id for d in cached]
    assert all(a.sequences == b.sequences for a, b in zip(again, cached, strict=True))
    assert all(torch.equal(a.hidden[0], b.hidden[0]) for a, b in zip(again, cached, strict=True))


def weights(tail):
    return torch.cat([p.detach().flatten() for p in tail.parameters()])


def test_training_is_seeded_and_the_slots_decide(model, cached):
    sizes = [d.targets for d in cached]
    recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=6, seed=3)
    first, losses = train(model, cached, sizes, recipe, None)
    again, _ = train(model, cached, sizes, recipe, None)
    fewer, short = train(model, [None, *cached[1:]], sizes, recipe, None)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(fewer))
    assert len(losses) == len(short)  # leaving a document out must not change the number of steps


def test_batches_hold_each_slot_once_and_follow_the_seed():
    recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=4, seed=0)
    batches = batches_of_slots(list(range(50)), recipe, 0)
    assert sorted(slot for batch in batches for slot in batch) == list(range(50))
    assert batches != batches_of_slots(list(range(50)), recipe, 1)


def test_a_diverging_training_says_so(model, cached):
    recipe = Recipe(epochs=3, learning_rate=1e30, batch_size=6, seed=0)
    with pytest.raises(ModelError, match=r"lower training\.learning_rate"):
        train(model, cached, [d.targets for d in cached], recipe, None)


def test_too_many_layers_are_refused(model_folder):
    with pytest.raises(ModelError, match="has 2 layers"):
        SplitModel(model_folder, 3)


@pytest.mark.parametrize("harm", ["empty", "truncated"])
def test_a_broken_model_is_one_clear_error(tmp_path, model_folder, harm):
    import shutil

    folder = tmp_path / "model"
    if harm == "empty":
        folder.mkdir()
    else:
        shutil.copytree(model_folder, folder)
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ModelError, match=str(folder)):
        SplitModel(folder, 1)
