"""compare: two runs paired by scenario, what is called a regression, and the file and command around it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from tests.commands import command

from etiology import stats
from etiology.watch.compare import Comparison, Outcome, OutcomeError, compare, read_outcomes, words, write_outcomes

ROOT = Path(__file__).parent.parent


def run(coercive: dict[str, list[bool]], group: str = "", score: float | None = None) -> list[Outcome]:
    """Outcomes of scenarios such as 'debt-3' of the cluster 'debt', one for each epoch."""
    return [Outcome(name, name.split("-")[0], one, score, group) for name, epochs in coercive.items() for one in epochs]


def runs(
    rng: np.random.Generator, before: float, after: float, clusters: int = 12, epochs: int = 1, group: str = ""
) -> tuple[list[Outcome], list[Outcome]]:
    """Two runs on 5 scenarios a cluster; how prone each template is differs a little, and from run to run too."""
    both = []
    for mean in (before, after):
        prone = rng.beta(9 * mean, 9 * (1 - mean), clusters)
        coercive = {f"{group}{c}-{i}": list(rng.random(epochs) < prone[c]) for c in range(clusters) for i in range(5)}
        both.append(run({name: [bool(one) for one in epochs] for name, epochs in coercive.items()}, group))
    return both[0], both[1]


# --- what is compared ----------------------------------------------------------------------------------------------


def test_positive_means_that_the_second_is_more_coercive() -> None:
    a, b = runs(np.random.default_rng(50), 0.1, 0.6)
    up, down = compare(a, b), compare(b, a)
    assert up.whole.difference.value > 0.3
    assert (up.whole.called, up.regressed) == ("regression", True)
    assert (down.whole.called, down.regressed) == ("improvement", False)
    assert down.whole.difference.value == -up.whole.difference.value
    assert up.whole.a == down.whole.b
    assert up.whole.difference.value == pytest.approx(up.whole.b.value - up.whole.a.value)


def test_the_same_run_twice_is_no_difference_and_says_what_could_have_been_seen() -> None:
    a, _ = runs(np.random.default_rng(51), 0.3, 0.3)
    same = compare(a, a)
    assert (same.whole.called, same.whole.difference.value, same.whole.p) == ("no difference shown", 0.0, 1.0)
    assert same.whole.difference.mde is not None
    assert 0 < same.whole.difference.mde < inf
    assert "no difference shown" in words(same)
    assert "smallest detectable difference" in words(same)


def test_the_order_of_rows_is_no_matter() -> None:
    rng = np.random.default_rng(52)
    a, b = runs(rng, 0.2, 0.4, epochs=3)
    shuffled = [b[i] for i in rng.permutation(len(b))]
    assert compare(a, shuffled) == compare(a, b)


def test_each_scenario_weighs_the_same_whatever_its_epochs() -> None:
    a = run({f"c{i}-0": [False] for i in range(8)})
    b = run({f"c{i}-0": [i < 2] * (9 if i < 2 else 1) for i in range(8)})
    found = compare(a, b).whole
    # 18 of 24 answers, but 2 of 8 scenarios.
    assert found.difference.value == found.b.value == 0.25
    assert (found.answers_a, found.answers_b, found.difference.n) == (8, 24, 8)


def test_unmatched_scenarios_are_named_and_count_for_nothing() -> None:
    a, b = runs(np.random.default_rng(53), 0.1, 0.5)
    whole = compare(a, b)
    more = compare([*a, *run({"x-1": [True], "x-2": [True]})], [*b, *run({"y-1": [False]})])
    assert (more.only_a, more.only_b) == (("x-1", "x-2"), ("y-1",))
    assert more.whole == whole.whole
    assert "only in A: 2 scenarios, left out of every number above and below (x-1, x-2)" in words(more)
    assert "only in B: 1 scenario, left" in words(more)
    assert "only in A: 0 scenarios" in words(whole)


def test_mcnemar_decides_only_where_scenarios_are_their_own_clusters() -> None:
    turned = {f"c{i}-0": ([False], [i < 9]) for i in range(20)}
    a, b = (run({name: both[side] for name, both in turned.items()}) for side in (0, 1))
    apart = compare(a, b).whole
    assert apart.test == "McNemar's exact test"
    assert apart.p == apart.mcnemar == apart.difference.p == pytest.approx(2 / 2**9)
    a, b = ([replace(row, cluster=f"{int(row.scenario[1:-2]) // 3}") for row in side] for side in (a, b))
    together = compare(a, b)
    # The same answers in 7 clusters: the three that changed all changed one way, 2 / 2^3. McNemar's p stays .004.
    assert together.whole.test == "swaps of whole clusters"
    assert together.whole.p == pytest.approx(2 / 2**3)
    assert together.whole.mcnemar == apart.mcnemar
    assert (apart.called, together.whole.called) == ("regression", "no difference shown")


def test_answers_are_written_as_they_are_read(tmp_path) -> None:
    rows = [Outcome("a", "c", True, 0.5, "g"), Outcome("a", "c", False), Outcome("b\u2028", "c", False, 0.0)]
    write_outcomes(rows, tmp_path / "rows.jsonl")
    assert read_outcomes(tmp_path / "rows.jsonl") == rows


def test_the_command_writes_the_answers_it_compared(tmp_path) -> None:
    for name in "ab":
        write_outcomes(run({f"c{i}-0": [i < 3] for i in range(8)}), tmp_path / f"{name}.jsonl")
    done = command("compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--rows", tmp_path / "rows")
    assert done.returncode == 0
    assert read_outcomes(tmp_path / "rows" / "b.jsonl") == read_outcomes(tmp_path / "b.jsonl")


def test_epochs_rule_mcnemar_out() -> None:
    a, b = runs(np.random.default_rng(54), 0.2, 0.3, epochs=2)
    found = compare(a, b).whole
    assert (found.mcnemar, found.test) == (None, "swaps of whole clusters")
    one_more = compare(a[::2], [*b[::2], b[1]]).whole
    assert one_more.mcnemar is None


def test_a_rise_within_the_tolerance_is_no_regression() -> None:
    a, b = runs(np.random.default_rng(55), 0.2, 0.5, clusters=30)
    rise = compare(a, b).whole.difference.value
    assert compare(a, b, rise - 0.01).regressed
    within = compare(a, b, rise + 0.01)
    assert within.whole.called == "no difference shown"
    assert within.whole.p < 0.05
    assert "within the tolerance" in words(within)
    assert compare(b, a, rise + 0.01).whole.called == "no difference shown"
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(OutcomeError, match="from 0 to 1"):
            compare(a, b, wrong)


def test_too_few_clusters_say_so() -> None:
    a = run({f"c{i % 5}-{i}": [False] for i in range(50)})
    b = run({f"c{i % 5}-{i}": [True] for i in range(50)})
    found = compare(a, b)
    assert found.whole.called == "no difference shown"
    assert found.whole.difference.mde == inf
    assert "too few clusters to show any difference (6 are needed)" in words(found)


def test_scores_are_compared_where_both_sides_have_them() -> None:
    a = [replace(row, score=float(i)) for i, row in enumerate(run({f"c{i}-0": [False] for i in range(10)}))]
    b = [replace(row, score=None if i < 2 else i + 1.5) for i, row in enumerate(a)]
    found = compare(a, b).whole
    assert found.score is not None
    assert found.score.value == pytest.approx(1.5)
    assert found.score.n == 8
    assert "score: B - A = +1.5 [+1.5, +1.5] on 8 of 10 scenarios" in words(compare(a, b))
    assert compare(a, [replace(row, score=None) for row in b]).whole.score is None


# --- groups --------------------------------------------------------------------------------------------------------


def three_groups(rng: np.random.Generator, after: tuple[float, float, float]) -> Comparison:
    pairs = [runs(rng, 0.2, mean, group=name) for name, mean in zip("abc", after, strict=True)]
    return compare([row for a, _ in pairs for row in a], [row for _, b in pairs for row in b])


def test_a_rise_in_one_group_is_a_regression_though_another_falls() -> None:
    found = three_groups(np.random.default_rng(56), (0.6, 0.02, 0.02))
    assert found.whole.called == "no difference shown"
    assert [one.group for one in found.groups] == ["a", "b", "c"]
    assert found.groups[0].called == "regression"
    assert found.regressed
    assert "REGRESSION" in words(found)


def test_groups_are_adjusted_by_holm() -> None:
    found = three_groups(np.random.default_rng(57), (0.35, 0.3, 0.2))
    raw = [one.difference.p for one in found.groups if one.difference.p is not None]
    assert [one.p for one in found.groups] == pytest.approx(stats.holm(raw))
    assert [one.p for one in found.groups] != raw
    assert sum(one.difference.n for one in found.groups) == found.whole.difference.n


def test_one_group_is_the_whole() -> None:
    a, b = runs(np.random.default_rng(58), 0.2, 0.4, group="work")
    assert compare(a, b).groups == ()


def test_where_nothing_changed_a_regression_is_seldom_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.collect", lambda: 0)  # statsmodels does it for each family: most of this test's time
    rng = np.random.default_rng(59)
    called = 0
    for _ in range(100):
        (a, b), (c, d) = (runs(rng, 0.3, 0.3, clusters=8, group=name) for name in "ab")
        before, after = ([replace(row, cluster=row.cluster[1:]) for row in side] for side in (a + c, b + d))
        called += compare(before, after).regressed
    # 2.5 % for the whole and 2.5 % for the groups, less what they share. Measured 2; 8 with McNemar's unadjusted p.
    assert called <= 6


# --- what is refused -----------------------------------------------------------------------------------------------


def test_runs_that_do_not_belong_together_are_refused() -> None:
    a = run({"debt-1": [True], "debt-2": [False]})
    with pytest.raises(OutcomeError, match="no scenario in common"):
        compare(a, run({"favour-1": [True]}))
    with pytest.raises(OutcomeError, match="B holds no outcomes"):
        compare(a, [])
    with pytest.raises(OutcomeError, match="'debt-1' is of cluster 'debt' and of cluster 'other'"):
        compare(a, [replace(row, cluster="other") for row in a])
    with pytest.raises(OutcomeError, match="'debt-2' is of group '' and of group 'work'"):
        compare([*a, replace(a[1], group="work")], a)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not usable JSON"),
        ("[" * 100_000, "not usable JSON"),
        ("[1]", "holds no JSON object"),
        ('{"scenario": "a", "cluster": "c"}', "lacks 'coercive'"),
        ('{"scenario": "a", "cluster": "c", "coercive": 1}', "'coercive' is 1.0; give true or false"),
        ('{"scenario": "a", "scenario": "b", "cluster": "c", "coercive": true}', "given twice"),
        ('{"scenario": "", "cluster": "c", "coercive": true}', "'scenario' is \"\""),
        ('{"scenario": 3, "cluster": "c", "coercive": true}', "'scenario' is 3.0; give a name"),
        ('{"scenario": "a", "cluster": "c", "coercive": true, "group": null}', "'group' is null"),
        ('{"scenario": "a", "cluster": "c", "coercive": true, "score": NaN}', "'score' is NaN; give a finite number"),
        ('{"scenario": "a", "cluster": "c", "coercive": true, "score": true}', "'score' is true"),
        ('{"scenario": "a", "cluster": "c", "coercive": true, "scores": 1}', "unknown field 'scores'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"scenario": "a", "cluster": "c", "coercive": true}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(OutcomeError) as refused:
        read_outcomes(path)
    assert str(refused.value).startswith(f"{path}:3: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, said in [("none.jsonl", "no such file"), ("empty.jsonl", "no outcomes"), ("a.csv", "not a .jsonl file")]:
        with pytest.raises(OutcomeError, match=said):
            read_outcomes(tmp_path / name)


# --- the command ---------------------------------------------------------------------------------------------------


def written(path: Path, outcomes: list[Outcome]) -> Path:
    path.write_text("".join(json.dumps(vars(row)) + "\n" for row in outcomes), encoding="utf-8")
    return path


def etiology(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", "from etiology.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    a, _ = runs(np.random.default_rng(60), 0.2, 0.4, group="wörk")
    a[0] = replace(a[0], score=0.25)
    assert read_outcomes(written(tmp_path / "a.jsonl", a)) == a
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"scenario": "a", "cluster": "c", "coercive": true}\n')
    assert read_outcomes(bare) == [Outcome("a", "c", coercive=True)]


def test_the_command_exits_1_for_a_regression_only(tmp_path: Path) -> None:
    first, second = runs(np.random.default_rng(61), 0.1, 0.6)
    a, b = written(tmp_path / "a.jsonl", first), written(tmp_path / "b.jsonl", second)
    worse, tolerated = etiology("compare", a, b, "--json"), etiology("compare", a, b, "--tolerance", "0.9")
    assert worse.returncode == 1, worse.stderr
    found = json.loads(worse.stdout)
    assert found["regressed"] is True
    assert found["whole"]["difference"]["value"] == compare(first, second).whole.difference.value
    assert tolerated.returncode == 0, tolerated.stderr
    assert tolerated.stdout.startswith("no difference shown: B - A = +")
    assert "within the tolerance of 90 points" in tolerated.stdout


def test_the_command_writes_null_for_what_is_infinite(tmp_path: Path) -> None:
    one = written(tmp_path / "a.jsonl", run({"debt-1": [True], "debt-2": [False]}, score=1.0))
    done = etiology("compare", one, one, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout, parse_constant=pytest.fail)
    assert found["whole"]["difference"]["mde"] is None
    assert found["whole"]["score"]["low"] is None


def test_the_command_exits_2_in_one_line(tmp_path: Path) -> None:
    done = etiology("compare", tmp_path / "none.jsonl", tmp_path / "none.jsonl")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "none.jsonl" in line
