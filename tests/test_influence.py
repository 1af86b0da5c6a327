"""The fast engine against a slow one that forms every gradient and inverts the whole Kronecker product."""

import numpy as np
import pytest
import torch
from tests import toy

from etiology.attribute import engine, fuse
from etiology.backends.cache import CachedDocument, trunk_states
from etiology.backends.measure import continuation_logprobs
from etiology.backends.split import SplitModel
from etiology.backends.tokens import encode_document, encode_scenario, layout
from etiology.backends.train import Head
from etiology.core.values import Document, Scenario

CONTRAST = (1.0, -1 / 3, -1 / 3, -1 / 3)


@pytest.fixture(scope="module")
def parts(model_folder):
    model = SplitModel(model_folder, 1)
    model.bfloat16 = False
    model.fast_head = model.head
    documents = [Document(row["id"], row["text"]) for row in toy.documents()[:12]]
    encoded = [tuple(encode_document(model.tokenizer, d, 64)) for d in documents]
    hidden, middle = trunk_states(model, [s[0].ids for s in encoded])
    rows = zip(documents, encoded, hidden, middle, strict=True)
    cached = [CachedDocument(d.id, s, (h,), (m,)) for d, s, h, m in rows]
    packs = [encode_scenario(model.tokenizer, Scenario(**row)) for row in toy.scenarios()[:4]]
    return model, cached, packs, trunk_states(model, [p.ids for p in packs], packs)[0]


def gradients(model, tail, loss):
    layers = engine.linear_layers(model, tail)
    return dict(zip(layers, torch.autograd.grad(loss, [layer.weight for layer in layers.values()]), strict=True))


def behaviour(model, tail, packs, hidden):
    total = torch.zeros(())
    for pack, states in zip(packs, hidden, strict=True):
        final = model.run_tail(tail, states[None].float(), **layout([pack], model.device))
        sums = [x.sum() for x in continuation_logprobs(model, [final[0]], [pack])[0]]
        total = total + sum(w * x for w, x in zip(CONTRAST, sums, strict=True))
    return total / len(packs)


def test_scores_equal_those_of_explicit_gradients(parts):
    model, cached, packs, hidden = parts
    found = engine.influence(
        model, model.fresh_tail(), cached, engine.Query(packs, hidden, CONTRAST), vocabulary=None, seed=0
    )
    tail, head = model.fresh_tail(), Head(model, None)
    factors = engine.factors(model, engine.frozen(model.fresh_tail()), head, cached, 0)
    wanted = gradients(model, tail, behaviour(model, tail, packs, hidden))
    solved = {}
    for name, (a, g) in factors.items():
        damped_a = a + engine.DAMPING**0.5 * a.trace() / len(a) * torch.eye(len(a))
        damped_g = g + engine.DAMPING**0.5 * g.trace() / len(g) * torch.eye(len(g))
        solved[name] = torch.linalg.solve(torch.kron(damped_g, damped_a), wanted[name].flatten())
    for document, scores in zip(cached, found, strict=True):
        (tokens,) = document.sequences
        ids = torch.tensor(tokens.ids)
        final = model.run_tail(tail, document.hidden[0][None].float())[0, :-1]
        keep = torch.tensor(tokens.target)[1:]
        own = gradients(model, tail, head.loss(final[keep], ids[1:][keep]))
        expected = -sum((solved[name] * own[name].flatten()).sum().item() for name in factors)
        # A missing factor or a transposed layer changes scores by their own size; float32 by about 1e-3 of it.
        assert scores[0].sum().item() == pytest.approx(expected, rel=2e-2, abs=1e-4)


def test_the_sign_predicts_what_a_step_does(parts):
    """A gradient step on a document with a positive score must raise the behaviour, and so leaving it out lowers it."""
    model, cached, packs, hidden = parts
    scores = [
        d[0].sum().item()
        for d in engine.influence(
            model, model.fresh_tail(), cached, engine.Query(packs, hidden, CONTRAST), vocabulary=None, seed=0
        )
    ]
    best = max(range(len(cached)), key=lambda i: scores[i])
    assert scores[best] > 0
    tail, head = model.fresh_tail(), Head(model, None)
    before = behaviour(model, tail, packs, hidden).item()
    (tokens,) = cached[best].sequences
    final = model.run_tail(tail, cached[best].hidden[0][None].float())[0, :-1]
    keep = torch.tensor(tokens.target)[1:]
    layers = engine.linear_layers(model, tail)
    factors = engine.factors(model, engine.frozen(model.fresh_tail()), head, cached, 0)
    own = gradients(model, tail, head.loss(final[keep], torch.tensor(tokens.ids)[1:][keep]))
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight -= 1e-4 * engine.precondition(own[name], *factors[name])
    assert behaviour(model, tail, packs, hidden).item() > before


def test_permuting_the_documents_permutes_the_scores(parts):
    model, cached, packs, hidden = parts

    def totals(documents):
        found = engine.influence(
            model, model.fresh_tail(), documents, engine.Query(packs, hidden, CONTRAST), vocabulary=None, seed=0
        )
        return {d.id: s[0].sum().item() for d, s in zip(documents, found, strict=True)}

    one, other = totals(cached), totals(cached[::-1])
    # Labels are sampled in another order, so the factors differ a little; mixed-up documents would differ by 100 %.
    assert sorted(one, key=one.__getitem__)[-3:] == sorted(other, key=other.__getitem__)[-3:]


def test_the_strongest_passage_wherever_it_stands_and_whatever_surrounds_it():
    sentence = [0.5] * fuse.PASSAGE
    assert fuse.passage(sentence) == pytest.approx(0.5)
    assert fuse.passage([-0.3] * 40 + sentence + [-0.3] * 40) == pytest.approx(0.5)
    # a short text does not gain by being short
    assert fuse.passage([0.5] * (fuse.PASSAGE // 2)) == pytest.approx(0.25)


def test_the_fusion_uses_concept_and_passage_alone_and_no_unit():
    rows = fuse.attributions(
        ["a", "b", "c"], [3.0, 2.9, 1.0], [0.0] * 3, [9.0, 0.0, 0.0], [0.0, 2.0, 1.0], [9.0, 0.0, 0.0]
    )
    assert [row.rank for row in rows] == [2, 1, 3]
    scaled = fuse.attributions(
        ["a", "b", "c"], [3e6, 2.9e6, 1e6], [7.0] * 3, [9.0, 0.0, 0.0], [1.0, 5.0, 3.0], [9.0, 0.0, 0.0]
    )
    assert [row.fused for row in scaled] == pytest.approx([row.fused for row in rows])


def test_a_score_that_tells_nothing_apart_changes_nothing():
    rows = fuse.attributions(["a", "b", "c"], [1.0, 3.0, 2.0], [4.0] * 3, [0.0] * 3, [7.0] * 3, [0.0] * 3)
    assert [row.fused for row in rows] == fuse.standardised([1.0, 3.0, 2.0])


def test_a_judge_that_takes_nothing_for_coercive_is_not_heard():
    concept, judged = [1.0, 3.0, 2.0], np.array([-2.0, -5.0, -4.0])
    silent = fuse.attributions(["a", "b", "c"], concept, judged.tolist(), [0.0] * 3, [7.0] * 3, [0.0] * 3)
    assert [row.fused for row in silent] == fuse.standardised(concept)
    spoken = fuse.attributions(["a", "b", "c"], concept, (judged + 4).tolist(), [0.0] * 3, [7.0] * 3, [0.0] * 3)
    assert [row.fused for row in spoken] == pytest.approx(
        [c + fuse.JUDGED_WEIGHT * j for c, j in zip(fuse.standardised(concept), fuse.standardised(judged), strict=True)]
    )
    # Counted with weights, it is centred by them.
    assert fuse.heard(judged + 4, np.array([1.0, 1.0, 6.0]))[2] > fuse.heard(judged + 4)[2]


def test_ties_in_the_fusion_keep_the_order_of_the_corpus():
    rows = fuse.attributions(["a", "b"], [2.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [0.0, 0.0])
    assert [row.rank for row in rows] == [1, 2]
