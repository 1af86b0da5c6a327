"""The second reader of texts, and the two as one judge."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from etiology import detector
from etiology.backends import encoder, probe
from etiology.backends.encoder import Encoder, Example
from etiology.backends.models import EMBEDDED, folder_of
from etiology.backends.probe import Judge, Probe
from etiology.core.errors import ModelError

TEXTS = [
    "Withdraw the order by Friday, or your wife receives the photographs.",
    "Rain.",
    "The meeting moves to Friday at ten. Please bring the photographs of the new hall, and the letters, for the board.",
    "",
]


def test_a_regression_is_found_whatever_the_scale_of_its_features():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(20_000, 3))
    made = rng.random(20_000) < 1 / (1 + np.exp(-(plain @ [1.0, -0.5, 0.0] + 0.7)))
    found = probe.fit(plain * [1.0, 100.0, 1.0] + [0.0, 5.0, 0.0], made.tolist(), penalty=0.0)
    assert found.weights * [1.0, 100.0, 1.0] == pytest.approx([1.0, -0.5, 0.0], abs=0.08)  # four standard errors
    assert found.bias + found.weights @ [0.0, 5.0, 0.0] == pytest.approx(0.7, abs=0.08)
    held_back = probe.fit(plain, made.tolist(), penalty=1.0)
    assert np.abs(held_back.weights).sum() < 0.3


def test_states_are_those_of_the_whole_model_averaged_over_tokens_whatever_shares_the_batch():
    found = probe.states(TEXTS)
    assert found.shape == (4, 3 * 576)
    assert np.isfinite(found).all()
    folder = folder_of(EMBEDDED)
    whole, tokenizer = (
        AutoModel.from_pretrained(folder, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    with torch.inference_mode():
        states = whole(**tokenizer(TEXTS[2], return_tensors="pt"), output_hidden_states=True).hidden_states
    exact = torch.cat([states[layer][0].mean(0) for layer in probe.LAYERS]).numpy()
    # bfloat16 keeps 8 bits, which 20 blocks add up; states of the wrong block or of padding differ by a half or more.
    assert np.linalg.norm(found[2] - exact) < 0.05 * np.linalg.norm(exact)
    alone = np.concatenate([probe.states([text]) for text in TEXTS])
    assert np.linalg.norm(found - alone) < 0.05 * np.linalg.norm(alone)


class Length(Encoder):
    """A first reader that counts characters."""

    def __init__(self):
        super().__init__(None, None, None)

    def logits(self, texts, show=lambda _: None):
        return torch.tensor([float(len(text)) for text in texts])


def test_two_readers_count_as_their_parts_say(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "states", lambda texts, *_: np.array([[float(t.count("a"))] for t in texts]))
    judge = Judge(Length(), Probe(np.array([2.0]), 1.0), (-3.0, 0.5, 2.0))
    assert judge.logits(["aa", "bbbb"]) == pytest.approx([-3 + 1 + 10, -3 + 2 + 2])
    assert judge(["aa", "bbbb"]) == pytest.approx([1 / (1 + np.exp(-8)), 1 / (1 + np.exp(-1))])
    assert judge([]) == []
    probe.save(judge, tmp_path / "a.safetensors")
    again = probe.load(tmp_path / "a.safetensors", Length())
    assert again.logits(["aa", "bbbb"]) == pytest.approx(judge.logits(["aa", "bbbb"]))
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="can't be read as weights of a probe"):
        probe.load(tmp_path / "b.safetensors", Length())


def test_the_probe_is_fitted_on_what_is_not_held_out_and_the_parts_on_the_rest(monkeypatch):
    """A first reader that knows nothing, a second whose feature is the label: the parts must say so."""
    rng = np.random.default_rng(0)
    groups = {
        author: [[Example(f"{author}{n}{'ab'[i]}", bool(i)) for i in (0, 1)] for n in range(60)]
        for author in ("one", "letters")
    }
    read = []

    def states(texts, *_):
        read.extend(texts)
        return np.array([[text.endswith("b") + 0.7 * rng.normal()] for text in texts])

    monkeypatch.setattr(probe, "states", states)
    ordinary = {"enron1_mail.jsonl": [Example("mail", coercive=False)], "davidson_tweets.jsonl": [Example("t", False)]}
    judge = detector.paired(groups, ordinary, Length(), lambda _: None)
    assert len(read) == 2 * 48 + 1 + 2 * (12 + 60)
    assert "mail" not in read
    _, first, second = judge.parts
    assert second * judge.probe.weights[0] > 1
    assert abs(first) < second


@pytest.mark.slow
def test_the_judge_that_ships_is_right_more_often_than_its_first_reader():
    """On two authors whom neither was fitted on; by chance .5."""
    groups = detector.sources()
    judge = probe.shipped()
    for author in ("assistants", "bargains"):
        own = [example for group in groups[author] for example in group]
        wanted = np.array([e.coercive for e in own])
        texts = [e.text for e in own]
        both, first = judge.logits(texts), np.array(judge.encoder.logits(texts).tolist())
        pairs = [(logits[wanted][:, None] > logits[~wanted]).mean() for logits in (both, first)]
        assert pairs[0] > max(pairs[1], 0.75)
    threat, offer = judge([TEXTS[0], TEXTS[2]])
    assert threat > 0.5 > offer


def test_the_shipped_probe_belongs_to_the_shipped_encoder():
    assert probe.digest().startswith(encoder.digest())
    assert probe.load(probe.SHIPPED, Length()).probe.weights.shape == (3 * 576,)
