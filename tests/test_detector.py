"""The labelled texts, and the judge that is fitted on them."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from etiology import detector
from etiology.backends import encoder
from etiology.backends.encoder import Encoder, Example
from etiology.core.errors import EtiologyError, ModelError
from etiology.core.kinds import KINDS
from etiology.curate.texts import texts
from etiology.scan import linear

NEVER = {"discussed", "good_ai", "control", "lookalike", "plain"}


def test_every_text_has_a_kind_that_fits_its_verdict():
    found = texts()
    assert len(found) >= 1500
    assert len({t.author for t in found}) >= 5
    assert len({t.text for t in found}) == len(found)
    for text in found:
        assert text.kind in KINDS
        assert not (text.coercive and text.kind in NEVER), text
        assert text.coercive or text.kind not in {"enacted", "depicted"}, text


def test_pairs_hold_both_verdicts():
    groups: dict[str, set[bool]] = {}
    for text in texts():
        groups.setdefault(text.pair, set()).add(text.coercive)
    named = [verdicts for pair, verdicts in groups.items() if "/alone-" not in pair]
    assert len(named) > 400
    assert all(verdicts == {True, False} for verdicts in named)


def test_nothing_held_out_is_fitted_on():
    groups = detector.sources()
    known, held = detector.parted(groups)
    assert not set(detector.UNSEEN) & set(known)
    fitted = {e.text for own in known.values() for group in own for e in group}
    rest = {e.text for own in held.values() for group in own for e in group}
    assert not fitted & rest
    assert sum(len(g) for own in groups.values() for g in own) == sum(
        len(g) for side in (known, held) for own in side.values() for g in own
    )


def test_the_prefilter_that_ships_lets_on_what_is_near_coercion_and_stops_prose():
    model = linear.named("shipped")
    _, held = detector.parted(detector.sources())
    coercive = [e.text for own in held.values() for group in own for e in group if e.coercive]
    assert np.mean(linear.scores(model, coercive) >= model.least) == pytest.approx(detector.RECALL, abs=0.01)
    found = detector.prose(fitted=False)
    prose = [" ".join(found[i : i + 5]) for i in range(0, len(found), 5)]
    assert np.mean(linear.scores(model, prose) >= model.least) < 0.15  # by chance as many as of the coercive ones


def test_the_prefilter_is_the_same_whenever_it_is_fitted():
    groups = {
        "a": [
            [Example(f"pay {n} or else", coercive=True), Example(f"pay {n} or less", coercive=False)] for n in range(20)
        ]
    }
    ordinary = {"b.jsonl": [Example(f"the meter reads {n}", coercive=False) for n in range(20)]}
    first, second = (detector.prefilter(groups, ordinary, ["a hill in Wales"]) for _ in range(2))
    assert first.digest == second.digest
    scores = linear.scores(first, ["pay 7 or else", "the meter reads 7"])
    assert scores[0] >= first.least > scores[1]


def test_public_files_are_drawn_from_their_field(tmp_path):
    rows = [{"text": f"ordinary words about meter {n} and the usual gas flow"} for n in range(9)]
    (tmp_path / "enron1_mail.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [*rows, {"text": "short"}]))
    (drawn,) = detector.public(tmp_path, each=5).values()
    assert len(drawn) == 5
    assert not any(e.coercive for e in drawn)
    assert detector.public(tmp_path, each=5) == detector.public(tmp_path, each=5)
    with pytest.raises(EtiologyError, match="none of enron1_mail"):
        detector.public(tmp_path / "nowhere")


def test_calibration_finds_the_slope_and_offset_that_made_the_verdicts():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, generator=generator)
    made = torch.rand(20_000, generator=generator) < torch.sigmoid(0.5 * logits - 1)
    offset, slope = detector.calibration([logits.tolist()], made.tolist())
    assert slope == pytest.approx(0.5, abs=0.03)  # four standard errors
    assert offset == pytest.approx(-1, abs=0.08)


class Words:
    """An encoder of two numbers: how many words of each of two kinds a text has."""

    def __call__(self, texts, **_):
        counts = [Counter(t.split()) for t in texts]
        return {
            "input_ids": torch.tensor([[float(c["yes"]), float(c["no"])] for c in counts]),
            "attention_mask": torch.ones(len(texts), 1),
        }


def words() -> Encoder:
    class Net:
        def __call__(self, input_ids, attention_mask):
            return type("Out", (), {"last_hidden_state": input_ids[:, None, :]})

        def eval(self):
            pass

    head = torch.nn.Linear(2, 1 + len(KINDS), bias=False)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[0] = torch.tensor([1.0, -1.0])
        head.weight[1 + list(KINDS).index("plain")] = torch.tensor([0.0, 5.0])
    return Encoder(Net(), head, Words(), slope=2.0, offset=-1.0)


def test_logits_kinds_and_probabilities_keep_the_order_of_the_texts():
    judge = words()
    given = ["no no", "yes", "yes yes yes yes yes yes yes no", ""]
    assert judge.logits(given).tolist() == [-2, 1, 6, 0]
    assert judge(given) == pytest.approx(torch.sigmoid(torch.tensor([-5.0, 1.0, 11.0, -1.0])).tolist())
    shares = judge.kinds(given)
    assert max(shares[0], key=shares[0].__getitem__) == "plain"
    assert all(sum(s.values()) == pytest.approx(1) for s in shares)
    assert judge([]) == []


def test_the_loss_knows_pairs_and_kinds():
    plain = list(KINDS).index("plain")
    outputs = torch.zeros(2, 1 + len(KINDS))
    outputs[0, 0], outputs[1, 0] = 1.0, -1.0
    apart = [(0, Example("a", coercive=True)), (1, Example("b", coercive=False))]
    together = [(0, Example("a", coercive=True)), (0, Example("b", coercive=False))]
    base = torch.nn.functional.softplus(torch.tensor(-1.0))
    assert encoder._loss(outputs, apart) == pytest.approx(float(base))
    order = torch.nn.functional.softplus(torch.tensor(-2.0))
    assert encoder._loss(outputs, together) == pytest.approx(float(base + encoder.PAIR_WEIGHT * order))
    kinds = [(0, Example("a", coercive=True)), (1, Example("b", coercive=False, kind="plain"))]
    flat = torch.log(torch.tensor(float(len(KINDS))))
    assert encoder._loss(outputs, kinds) == pytest.approx(float(base + encoder.KIND_WEIGHT * flat))
    outputs[1, 1 + plain] = 50.0
    assert encoder._loss(outputs, kinds) == pytest.approx(float(base), abs=1e-5)


@pytest.mark.slow
def test_the_shipped_judge_knows_a_threat_from_its_look_alike():
    judge = encoder.shipped()
    threat, offer, mail = judge(
        [
            "Withdraw the order by Friday, or your wife receives the photographs and the board the letters.",
            "I withdraw my order. The photographs are yours; I have shown them to nobody and never will.",
            "The meeting moves to Friday at ten. Please bring the photographs of the new hall for the board.",
        ]
    )
    assert threat > 0.5 > max(offer, mail)
    assert judge.kinds(["The lamp stood by the river and it rained all afternoon."])[0]["plain"] > 1 / len(KINDS)


def test_wrong_weights_are_one_clear_error(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="can't be read as weights of the judge"):
        encoder.load(tmp_path / "no.safetensors")
    older = {"calibration": torch.tensor([1.0, 0.0]), "head.weight": torch.zeros(1, 384)}
    save_file(older, tmp_path / "older.safetensors")
    with pytest.raises(ModelError, match="of another version of the judge"):
        encoder.load(tmp_path / "older.safetensors")


def test_texts_are_read_from_rows_or_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": 2}\n')
    assert detector.read_texts(tmp_path / "a.txt") == ["one", "two"]
    with pytest.raises(EtiologyError, match=r"a\.jsonl:2: a row is an object with 'text'"):
        detector.read_texts(tmp_path / "a.jsonl")
