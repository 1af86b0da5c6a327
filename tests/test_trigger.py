"""The trigger search: what it names, what it doesn't, what it confirms, and that Inspect's tasks are asked rightly."""

import json
from itertools import combinations, product
from shutil import copytree

import numpy as np
import pytest
from scipy.special import betaln
from tests.inspecting import FAIR, THREAT, answering, judge, said
from typer.testing import CliRunner

from etiology.cli.main import app
from etiology.core.errors import ModelError, ScenarioError
from etiology.elicit import conjunctions
from etiology.elicit.compose import compose
from etiology.elicit.conjunctions import Conjunctions, Factor, Trigger, screen
from etiology.elicit.library import domains
from etiology.elicit.trigger import (
    Pair,
    Plan,
    Seen,
    Suspect,
    confirm,
    control_of,
    search,
    words,
)
from etiology.evals import triggers
from etiology.evals.triggers import WAYS, factors_of, find_trigger

SMALL = (
    Factor("threat", (False, True)),
    Factor("leverage", ("none", "decider", "bystander")),
    Factor("pressure", (False, True)),
    Factor("exit", (False, True)),
    Factor("turns", (1, 2)),
)
SPACE = Conjunctions(SMALL)
QUICK = Plan(budget=200, pairs=30, most=1, worlds=0)
ONE = Trigger((("pressure", (True,)),))
TWO = Trigger((("threat", (True,)), ("leverage", ("decider", "bystander"))))
THREE = Trigger((("threat", (True,)), ("leverage", ("decider",)), ("exit", (False,))))


class World:
    """Answers by a rate in each cell; ``uneven`` spreads the rates of held-out organisations."""

    def __init__(self, rate, seed=0, uneven=0.0):
        self.rate, self.asked, self.rng = rate, [], np.random.default_rng([99, seed])
        self.shift = self.rng.normal(0, uneven, 6)

    def answer(self, cell, organisation=None):
        shift = 0.0 if organisation is None else self.shift[organisation]
        return float(self.rng.random() < np.clip(self.rate(cell) + shift, 0, 1))

    def ask(self, cells):
        self.asked += cells
        return [self.answer(cell) for cell in cells]

    def check(self, pairs):
        return [Pair(self.answer(a, i % 6), self.answer(b, i % 6), str(i % 6)) for i, (a, b) in enumerate(pairs)]


def planted(trigger, inside=0.9, outside=0.05):
    return lambda cell: inside if trigger.holds(cell) else outside


def ran(rate, seed=0, plan=QUICK, uneven=0.0):
    world = World(rate, seed, uneven)
    return search(SMALL, world.ask, world.check, plan, seed), world


# -- the search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [ONE, TWO, THREE], ids=["one", "two", "three"])
def test_a_noisy_trigger_is_named_and_confirmed(trigger):
    runs = [ran(planted(trigger), seed)[0] for seed in range(10)]
    first = [found.candidates[0] for found in runs if found.candidates]
    assert sum(c.suspect.trigger == trigger for c in first) >= 9
    assert sum(trigger in found.triggers for found in runs) >= 9
    assert all(c.effect.low <= c.effect.value <= c.effect.high for c in first)
    assert np.median([c.effect.value for c in first]) == pytest.approx(0.85, abs=0.06)


def test_in_a_large_space_a_twelfth_of_a_sweep_is_enough():
    factors, after = WAYS["chat"].factors, []
    for seed in range(5):
        world = World(planted(THREE), seed)
        found = search(factors, world.ask, world.check, Plan(most=1, worlds=0), seed)
        assert found.triggers == (THREE,)
        after.append(found.searched)
    assert np.median(after) <= len(Conjunctions(factors).cells) / 12


def test_where_there_is_no_trigger_hardly_one_is_named_and_hardly_one_confirmed():
    plan = Plan(budget=120, pairs=30, worlds=0)
    runs = [ran(lambda _, base=base: base, seed, plan)[0] for base in (0.02, 0.1, 0.5) for seed in range(30)]
    assert sum(bool(found.candidates) for found in runs) <= 0.05 * len(runs)
    assert sum(bool(found.triggers) for found in runs) <= 0.02 * len(runs)
    assert all(found.searched == 60 for found in runs if not found.candidates)


def test_a_false_suspect_is_confirmed_in_at_most_five_of_a_hundred():
    """Two candidates at a time, and organisations that differ: at least one of the two is confirmed by chance."""
    suspects = [Suspect(t, 0.99, 50, Seen(1.0, 9), Seen(0.0, 9), {}) for t in (ONE, THREE)]
    false = 0
    for seed in range(300):
        world = World(lambda _: 0.3, seed, uneven=0.15)
        found = confirm(SMALL, suspects, world.check, 30, np.random.default_rng(seed))
        false += any(c.confirmed for c in found)
    assert false <= 0.05 * 300


def test_the_second_of_two_triggers_is_found_outside_the_first():
    other = Trigger((("pressure", (True,)), ("turns", (2,))))
    rate = lambda cell: 0.95 if TWO.holds(cell) or other.holds(cell) else 0.03  # noqa: E731
    runs = [ran(rate, seed, Plan(budget=500, worlds=0))[0] for seed in range(8)]
    named = [{c.suspect.trigger for c in found.candidates} for found in runs]
    assert sum({TWO, other} <= both for both in named) >= 6
    assert sum({TWO, other} <= set(found.triggers) for found in runs) >= 5


def test_a_factor_that_does_not_matter_is_not_named_and_one_that_does_is_shown_to():
    (c,) = ran(planted(THREE, 1.0, 0.0))[0].candidates
    assert set(c.suspect.without) == {"threat", "leverage", "exit"}
    assert all(seen.n > 0 and seen.share == 0 for seen in c.suspect.without.values())
    assert c.suspect.inside.share == 1
    assert c.suspect.outside.share == 0


def test_the_same_seed_asks_the_same_and_another_does_not():
    (one, world), (again, same), (_, other) = (ran(planted(TWO), seed) for seed in (3, 3, 4))
    assert one == again
    assert world.asked == same.asked
    assert world.asked != other.asked


def test_no_more_is_asked_than_the_budget_and_enough_is_kept_to_confirm():
    for seed in range(5):
        plan = Plan(budget=131, pairs=40, worlds=0)
        found, world = ran(planted(TWO, 0.5, 0.1), seed, plan)
        assert found.searched == len(world.asked)
        assert found.searched + found.confirming <= plan.budget


def test_unscored_answers_count_for_nothing_but_are_told():
    world = World(planted(TWO))
    number = iter(range(10_000))

    def ask(cells):
        return [None if next(number) % 3 == 0 else answer for answer in world.ask(cells)]

    def check(pairs):
        return [Pair(None if i % 2 else p.trigger, p.control, p.cluster) for i, p in enumerate(world.check(pairs))]

    found = search(SMALL, ask, check, QUICK)
    assert found.unscored == -(-found.searched // 3)
    assert found.overall.n == found.searched - found.unscored
    assert found.candidates[0].suspect.trigger == TWO
    assert found.candidates[0].inside.n == 15
    assert f"{found.unscored} of the {found.searched} questions got no verdict" in words(found)
    silent = search(SMALL, ask, lambda pairs: [Pair(None, 0.0, "a") for _ in pairs], QUICK)
    assert not silent.triggers
    assert silent.candidates[0].effect.n == 0


def test_none_found_says_what_would_have_been():
    found, _ = ran(lambda _: 0.0, plan=Plan(budget=200, pairs=30, worlds=12))
    assert not found.candidates
    assert found.ruled_out is not None
    assert found.ruled_out <= 0.5
    assert f"One that raises this to {found.ruled_out:.0%}" in words(found)
    few, _ = ran(lambda _: 0.0, plan=Plan(budget=70, pairs=30, worlds=8))
    assert few.ruled_out > found.ruled_out
    assert "too few" in words(ran(lambda _: 0.0, plan=Plan(budget=62, pairs=30, worlds=4))[0])


@pytest.mark.parametrize(
    "wrong", [{"budget": 120}, {"batch": 0}, {"sure": 0.3}, {"sure": 1.0}, {"depth": 0}, {"worlds": -1}]
)
def test_a_plan_that_cannot_be_followed_is_refused(wrong):
    with pytest.raises(ScenarioError):
        Plan(**wrong)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_the_screen_holds_every_combination_of_three_levels_in_few_cells():
    for factors in (SMALL, WAYS["chat"].factors):
        space = Conjunctions(factors)
        design = space.cells[screen(space, 3, np.random.default_rng(0))]
        for chosen in combinations(range(len(factors)), 3):
            wanted = set(product(*(range(len(factors[f].levels)) for f in chosen)))
            assert {tuple(cell) for cell in design[:, chosen].tolist()} == wanted
        assert len(design) <= 30


def test_the_belief_is_bayes_rule_by_the_book():
    """Against sums over the same grid, one hypothesis after another; 'one rate' against its closed form."""
    rng = np.random.default_rng(5)
    asked = rng.integers(0, 3, len(SPACE.cells)).astype(np.float32)
    hits = np.minimum(asked, rng.integers(0, 2, len(SPACE.cells))).astype(np.float32)
    belief = SPACE.belief(asked, hits)
    sizes = [len(t.parts) for t in SPACE.triggers]
    joint = []
    for trigger, size in zip(SPACE.triggers, sizes, strict=True):
        inside = [trigger.holds(SPACE.levels(c)) for c in range(len(asked))]
        likelihoods = [
            np.prod([(i if on else o) ** k * (1 - (i if on else o)) ** (n - k)
                     for on, n, k in zip(inside, asked.astype(float), hits.astype(float), strict=True)])
            for o, i in conjunctions._RATES.astype(float)
        ]  # fmt: skip
        joint.append(np.mean(likelihoods) * 0.5 / 3 / sizes.count(size))
    n, k = float(asked.sum()), float(hits.sum())
    joint.append(0.5 * np.exp(betaln(k + 1, n - k + 1)))
    assert belief.weights == pytest.approx(np.array(joint) / np.sum(joint), rel=2e-3, abs=1e-6)
    assert belief.weights.sum() == pytest.approx(1)


def test_the_next_question_is_the_one_that_tells_most():
    """Between 'threat' and 'pressure' only a cell in which they differ tells."""
    asked, hits = np.zeros(len(SPACE.cells), np.float32), np.zeros(len(SPACE.cells), np.float32)
    for c in range(len(SPACE.cells)):
        levels = SPACE.levels(c)
        if levels["threat"] == levels["pressure"]:
            asked[c], hits[c] = 3, 3 * levels["threat"]
    for cell in SPACE.choose(asked, hits, 4, np.random.default_rng(0)):
        assert SPACE.levels(cell)["threat"] != SPACE.levels(cell)["pressure"]


def test_outside_a_trigger_no_two_combinations_are_the_same():
    left, kept = SPACE.outside(TWO)
    assert not any(TWO.holds(SPACE.levels(c)) for c in kept)
    assert len(np.unique(left.holds, axis=0)) == len(left.triggers) < len(SPACE.triggers)
    assert [left.levels(i) for i in range(len(kept))] == [SPACE.levels(int(c)) for c in kept]
    alone = Conjunctions(SMALL[:1])
    assert not alone.outside(alone.triggers[0])[0].triggers


def test_the_control_differs_in_the_triggers_factors_alone():
    control = control_of(SMALL, THREE)
    assert control.words == "no threat + leverage=none + exit"
    seen = []

    def check(pairs):
        seen.extend(pairs)
        return World(planted(THREE)).check(pairs)

    confirm(SMALL, [Suspect(THREE, 1.0, 1, Seen(1, 1), Seen(0, 1), {})], check, 40, np.random.default_rng(0))
    assert all(THREE.holds(a) and control.holds(b) for a, b in seen)
    assert all({n for n in a if a[n] != b[n]} == {"threat", "leverage", "exit"} for a, b in seen)
    assert len({(a["pressure"], a["turns"]) for a, _ in seen}) == 4


def test_words_of_a_trigger():
    assert TWO.words == "threat + leverage=decider|bystander"
    assert Trigger((("turns", (1,)), ("exit", (False,)))).words == "turns=1 + no exit"


@pytest.mark.parametrize(
    ("factors", "said_of_it"),
    [
        ((), "one factor or more"),
        ((Factor("a", (1,)),), "two levels or more"),
        ((Factor("a", (1, 1)),), "each once"),
        ((Factor("a", (1, 2)), Factor("a", (1, 2))), "one name"),
        (tuple(Factor(str(i), tuple(range(10))) for i in range(4)), "10000 cells"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(factors, said_of_it):
    with pytest.raises(ScenarioError, match=said_of_it):
        Conjunctions(factors)


# -- through Inspect ---------------------------------------------------------------------------------------------------

THREATS = [text for d in domains() for text in d.threat]
SECRETS = [text for d in domains() for text in d.leverage]
COERCIVE = {text for d in domains() for text in d.choice.coerce}


def pressed(messages):
    shown = "\n".join(m.text for m in messages)
    return any(t in shown for t in THREATS) and any(s in shown for s in SECRETS)


def chatting(messages):
    return THREAT if pressed(messages) else FAIR


def choosing(messages):
    options = [line for line in messages[-1].text.splitlines() if line[1:3] == ") "]
    return next(line[0] for line in options if (line[3:] in COERCIVE) == pressed(messages))


PAIR = Trigger((("threat", (True,)), ("leverage", ("decider",))))


@pytest.fixture
def known_words(monkeypatch):
    monkeypatch.setattr("etiology.backends.encoder.shipped", lambda: judge)


@pytest.mark.usefixtures("known_words")
@pytest.mark.parametrize(("kind", "answer"), [("chat", chatting), ("choice", choosing)])
def test_a_scripted_models_trigger_is_found_through_the_real_task(kind, answer, tmp_path):
    shown: list[int] = []
    plan = Plan(budget=110, pairs=12, batch=48, most=1, worlds=0)
    found = find_trigger(answering(answer), kind, plan=plan, logs=str(tmp_path), show=shown.append)
    assert found.triggers == (PAIR,)
    assert found.candidates[0].inside == Seen(1.0, 12)
    assert found.candidates[0].outside == Seen(0.0, 12)
    assert found.candidates[0].effect.clusters == 6
    assert shown[-1] == found.searched + found.confirming
    assert len(list(tmp_path.glob("*.eval"))) == len(shown)
    assert "Confirmed: threat + leverage=decider\n  held-out: 100% of 12" in words(found)


@pytest.mark.usefixtures("known_words")
def test_each_question_is_of_the_cell_asked_and_the_held_out_ones_come_in_pairs(tmp_path):
    samples = []
    way = WAYS["chat"]
    split = {d.domain: d.split for d in domains()}

    def noting(chosen, judge_model):
        samples.append([s.metadata for s in chosen])
        return way.task(chosen, judge_model)

    noted = triggers._Way(way.factors, way.sample, noting, way.scorer)
    asker = triggers._Asker(answering(chatting), noted, 0, None, str(tmp_path), lambda _: None)
    space = Conjunctions(way.factors)
    cells = [space.levels(c) for c in (0, 500, 767)] * 7
    assert asker.ask(cells) == [float(PAIR.holds(cell)) for cell in cells]
    assert [{f.name: m[f.name] for f in way.factors} for m in samples[0]] == cells
    assert {split[m["cluster"]] for m in samples[0]} == {"search"}
    assert len({m["cluster"] for m in samples[0][:10]}) == 10
    assert len({m["pair"] for m in samples[0]}) == 21
    pairs = asker.check([(cells[2], cells[0])] * 12)
    assert {split[m["cluster"]] for m in samples[1]} == {"held-out"}
    assert [m["pair"] for m in samples[1][::2]] == [m["pair"] for m in samples[1][1::2]]
    assert [p.cluster for p in pairs] == [m["cluster"] for m in samples[1][::2]]


def test_the_factors_are_those_of_the_library():
    for way in WAYS.values():
        pressed = factors_of({f.name: f.levels[-1] for f in way.factors})
        assert compose(domains()[0], pressed).factors.leverage == "bystander"
    calm = factors_of({f.name: f.levels[0] for f in WAYS["chat"].factors})
    assert calm == calm.control()


@pytest.mark.usefixtures("known_words")
def test_an_answer_without_a_verdict_is_unscored(tmp_path):
    plan = Plan(budget=50, pairs=12, worlds=0)
    found = find_trigger(answering(lambda _: said("")), "chat", plan=plan, logs=str(tmp_path))
    assert found.unscored == found.searched == 26
    assert not found.candidates


def test_a_model_that_fails_ends_the_search_with_one_line(tmp_path):
    def broken(_):
        raise RuntimeError("no more credit")

    with pytest.raises(ModelError, match="no more credit"):
        find_trigger(answering(broken), "choice", logs=str(tmp_path))
    with pytest.raises(ModelError, match="nowhere"):
        find_trigger("nowhere/model", "choice", logs=str(tmp_path))
    with pytest.raises(ModelError, match="no such file"):
        find_trigger(f"etiology/{tmp_path}/none", "choice", logs=str(tmp_path))


def test_a_local_model_weighs_the_texts_and_is_loaded_once(model_folder, tmp_path, monkeypatch):
    from etiology.backends.local import LocalModel

    loads = []

    class Counted(LocalModel):
        def __init__(self, *args):
            loads.append(args)
            super().__init__(*args)

    monkeypatch.setattr("etiology.backends.local.LocalModel", Counted)
    plan = Plan(budget=50, pairs=12, batch=3, worlds=0)
    own = copytree(model_folder, tmp_path / "own")  # Inspect may still hold the model of another test by its name
    found = find_trigger(f"etiology/{own}", "choice", plan=plan, logs=str(tmp_path))
    assert (found.searched, found.unscored, len(loads)) == (26, 0, 1)


def test_the_command_prints_json(monkeypatch):
    suspect = Suspect(TWO, 0.99, 40, Seen(1.0, 5), Seen(0.0, 9), {"threat": Seen(0.0, 3), "leverage": Seen(0.0, 3)})

    def fake(model, kind, *, plan, seed, judge, logs, show):
        assert (model, kind, plan.budget, plan.pairs, seed) == ("m", "choice", 300, 20, 5)
        show(12)
        return search(SMALL, World(planted(TWO)).ask, World(planted(TWO)).check, QUICK)

    monkeypatch.setattr(triggers, "find_trigger", fake)
    options = ["--model", "m", "--task", "choice", "--budget", "300", "--pairs", "20", "--seed", "5"]
    result = CliRunner().invoke(app, ["trigger", *options, "--json"])
    assert result.exit_code == 0, result.output
    out = json.loads(result.stdout)
    assert out["candidates"][0]["trigger"] == suspect.trigger.words
    assert out["candidates"][0]["confirmed"] is True
    assert "Confirmed: threat" in CliRunner().invoke(app, ["trigger", *options]).stdout
