"""The decision rule: each outcome is reached by the evidence that it is written for, and by no less."""

import numpy as np
import pytest

from etiology.core.values import ChoiceScore, Effect, Scenario
from etiology.verify import effects, verdict

RULE = verdict.Rule(smallest_effect=0.2, alpha=0.05)
STRONG = Effect(1.0, 0.8, 1.2, 96, 12, 3, "nats", 0.001, 0.3)
NONE = Effect(0.02, -0.1, 0.14, 96, 12, 3, "nats", 0.8, 0.2)
WEAKER = Effect(0.6, 0.4, 0.8, 96, 12, 3, "nats", 0.001, 0.3)
TINY = Effect(0.1, 0.08, 0.12, 96, 12, 3, "nats", 0.001, 0.03)
REVERSED = Effect(-1.0, -1.2, -0.8, 96, 12, 3, "nats", 0.001, 0.3)
VAGUE = Effect(0.3, -0.6, 1.2, 96, 12, 3, "nats", 0.4, 1.2)
NO_FAMILY = dict.fromkeys(verdict.FAMILY, NONE)


def evidence(**changed):
    base = dict.fromkeys((*verdict.FAMILY, verdict.GATE, *verdict.REPORTED), STRONG)
    base |= {"instrument_harmless": NONE, "prompt": NONE}
    return base | changed


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "data-caused"),
        (dict.fromkeys(verdict.REPORTED, NONE), "data-caused"),
        ({"sufficiency": NONE}, "partly data-caused"),
        ({"removal": NONE}, "partly data-caused"),
        ({"removal": NONE, "replacement": NONE, "sufficiency": NONE}, "not shown"),
        ({"removal": TINY, "replacement": TINY, "sufficiency": TINY}, "not shown"),
        ({"removal": REVERSED, "replacement": REVERSED, "sufficiency": REVERSED}, "not shown"),
        ({**NO_FAMILY, "prompt": STRONG}, "other cause"),
        ({**NO_FAMILY, "prompt": TINY}, "not shown"),
        ({**NO_FAMILY, "prompt": REVERSED}, "not shown"),
        ({**NO_FAMILY, "removal": VAGUE, "prompt": STRONG}, "not shown"),
        ({**NO_FAMILY, "scaffold": STRONG}, "other cause"),
        ({**NO_FAMILY, "scaffold": TINY}, "not shown"),
        ({**NO_FAMILY, "removal": VAGUE, "scaffold": STRONG}, "not shown"),
        ({"scaffold": STRONG}, "data-caused"),
        ({"prompt": STRONG}, "data-caused"),
        ({"removal": NONE, "prompt": STRONG}, "partly data-caused"),
        ({**NO_FAMILY, "prompt": STRONG, "instrument_contrast": NONE}, "instrument failed"),
        ({"instrument_contrast": NONE}, "instrument failed"),
        ({"instrument_harmless": STRONG}, "instrument failed"),
        ({"instrument_harmless": WEAKER}, "data-caused"),
        ({"instrument_harmless": WEAKER, "instrument_contrast": WEAKER}, "instrument failed"),
        ({"instrument_harmless": WEAKER, "instrument_contrast": TINY}, "instrument failed"),
    ],
)
def test_outcomes(changed, outcome):
    assert verdict.decide(evidence(**changed), RULE).outcome == outcome


def test_another_cause_is_named():
    """Of two, the larger one."""
    larger = Effect(2.0, 1.8, 2.2, 96, 12, 3, "nats", 0.001, 0.3)
    for rivals, said in (
        ({"prompt": STRONG}, "the prompt"),
        ({"scaffold": STRONG}, "the scaffold"),
        ({"prompt": STRONG, "scaffold": larger}, "the scaffold"),
        ({"prompt": larger, "scaffold": STRONG}, "the prompt"),
        ({"prompt": larger, "scaffold": NONE}, "the prompt"),
    ):
        found = verdict.decide(evidence(**NO_FAMILY, **rivals), RULE)
        assert found.sentence.startswith(f"Another cause is shown: {said}.")
        assert "scaffold" in {test.name for test in found.tests} or "scaffold" not in rivals


def test_a_verdict_about_another_model_says_so_first():
    plain, proxy = (verdict.decide(evidence(), RULE, by_proxy=by_proxy) for by_proxy in (False, True))
    assert proxy.outcome == plain.outcome
    assert proxy.sentence.startswith("By proxy: ")
    assert proxy.sentence.endswith(plain.sentence)


def test_reported_tests_say_what_they_found_and_decide_nothing():
    tests = {test.name: test for test in verdict.decide(evidence(tone=NONE), RULE).tests}
    assert tests["tone"].passed is None
    assert tests["tone"].words.startswith("not shown")
    assert tests["association"].words.startswith("the suspect is above")


def test_tests_that_were_not_run_are_listed_as_such():
    without = evidence()
    del without["dose"]
    tests = {test.name: test for test in verdict.decide(without, RULE).tests}
    assert tests["dose"].passed is None
    assert "not run" in tests["dose"].words


def test_holm_makes_the_family_stricter():
    borderline = Effect(1.0, 0.1, 1.9, 96, 12, 3, "nats", 0.03, 1.0)
    crowd = evidence(**dict.fromkeys(verdict.FAMILY, borderline))
    assert verdict.decide(crowd, RULE).outcome == "not shown"


def runs(shift, seeds=3):
    chance = np.random.default_rng(0)
    scenarios = [Scenario(f"s{i}", f"c{i // 4}", "confirm", True, True, "x", "a", "b", "c", "d") for i in range(48)]
    base = chance.normal(size=48)
    made = [
        {
            s.id: ChoiceScore(s.id, (base[i] + shift + 0.01 * k, 0.0, 0.0, 0.0), (1, 1, 1, 1))
            for i, s in enumerate(scenarios)
        }
        for k in range(seeds)
    ]
    return made, scenarios


def test_a_change_is_before_minus_after():
    before, scenarios = runs(1.0)
    after, _ = runs(0.0)
    found = effects.change(before, after, scenarios, "threat_given_secret")
    assert found.value == pytest.approx(1.0)
    assert (found.n, found.clusters, found.seeds) == (48, 12, 3)
    assert effects.change(after, before, scenarios, "threat_given_secret").value == pytest.approx(-1.0)


def test_a_slope_is_the_rise_from_none_to_all():
    doses = [(share, runs(2.0 * share)[0]) for share in (0.0, 1 / 3, 2 / 3, 1.0)]
    _, scenarios = runs(0.0)
    assert effects.slope(doses, scenarios, "threat_given_secret").value == pytest.approx(2.0)
    turned = [(1 - share, measured) for share, measured in doses]
    assert effects.slope(turned, scenarios, "threat_given_secret").value == pytest.approx(-2.0)


def test_a_dose_that_jumps_at_the_end_has_the_same_ends_and_another_slope():
    shifts = {0.0: 0.0, 1 / 3: 0.0, 2 / 3: 0.0, 1.0: 2.0}
    _, scenarios = runs(0.0)
    found = effects.slope(
        [(share, runs(shift)[0]) for share, shift in shifts.items()], scenarios, "threat_given_secret"
    )
    assert found.value == pytest.approx(1.8)


def test_under_compares_the_chosen_with_the_others():
    _, scenarios = runs(0.0)
    chosen = [i % 4 == 0 for i in range(48)]
    level = np.where(chosen, 3.0, 1.0)
    for measured in (level, np.stack([level, level + 5])):
        assert effects.under(chosen, measured, scenarios).value == pytest.approx(2.0)
        assert effects.under([not c for c in chosen], measured, scenarios).value == pytest.approx(-2.0)
    nothing = effects.under([True] * 48, level, scenarios)
    assert (nothing.value, nothing.p, nothing.seeds) == (0.0, 1.0, 1)


def test_one_seed_supports_no_claim():
    before, scenarios = runs(1.0, seeds=1)
    after, _ = runs(0.0, seeds=1)
    assert effects.change(before, after, scenarios, "threat_given_secret").p == 1.0


def test_the_interaction_cancels_a_tone_that_the_secret_does_not_change():
    scenario = Scenario("s", "c", "confirm", True, True, "x", "a", "b", "c", "d")
    run = {"s": ChoiceScore("s", (-1.0, -3.0, -2.0, -4.0), (1, 1, 1, 1))}
    assert effects.levels([run], [scenario], "threat_given_secret")[0, 0] == pytest.approx(2.0)
    assert effects.levels([run], [scenario], "interaction")[0, 0] == pytest.approx(0.0)
