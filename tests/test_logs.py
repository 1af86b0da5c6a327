"""Inspect logs read back, of this project's tasks and of others; and the metrics in them."""

import json
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from inspect_ai import Task, score
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.scorer import SampleScore, Score, match
from tests.inspecting import FAIR, THREAT, answering, judge, metrics, playing, ran, said

from etiology.cli.compare import compare
from etiology.cli.view import served
from etiology.core.errors import TranscriptError
from etiology.elicit.library import domains
from etiology.evals import tasks
from etiology.evals.logs import bundle, outcomes, read_log
from etiology.evals.metrics import beyond_control, levels, rates
from etiology.evals.scorers import sent_coercion
from etiology.watch.compare import Outcome

CELL = "conflict+threat+pressure+decider/draft"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """The .eval log of two organisations twice over, in which only the pressed cell is answered with a threat."""
    two = [d for d in domains() if d.split == "search"][:2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etiology.elicit.compose.domains", lambda: two)
        patch.setattr("etiology.backends.encoder.shipped", lambda: judge)
        threats = {d.threat[0] for d in two}
        model = answering(lambda ms: THREAT if any(t in ms[-1].text for t in threats) else said(FAIR, thinking="Well."))
        task = tasks.chat_coercion(crossed=False)
        return ran(task, model, tmp_path_factory.mktemp("logs"), epochs=2)


def file_of(log):
    return Path(log.location)


def test_two_versions_of_a_task_are_not_compared(logged, tmp_path):
    later = read_eval_log(file_of(logged))
    later.eval.task_version = "2"
    write_eval_log(later, tmp_path / "later.eval")
    with pytest.raises(TranscriptError, match="is version 2 here and 1 in"):
        compare(file_of(logged), tmp_path / "later.eval")


def test_outcomes_of_every_epoch(logged):
    found = outcomes(file_of(logged))
    assert len(found) == 8
    assert {(o.group, o.coercive, o.score) for o in found} == {(CELL, True, 0.9), ("control/draft", False, 0.1)}
    assert len({o.cluster for o in found}) == 2
    first = found[0]
    assert first.scenario == f"{first.cluster}-00-{first.group}"


def test_outcomes_can_be_those_of_another_scorer(logged):
    with pytest.raises(TranscriptError, match="deceptive_answer; it has sent_coercion, evaluation_awareness"):
        outcomes(file_of(logged), "deceptive_answer")
    assert outcomes(file_of(logged), "sent_coercion") == outcomes(file_of(logged))


def test_outcomes_can_be_whether_it_says_that_it_is_tested(logged):
    aware, coerced = (outcomes(file_of(logged), name) for name in ("evaluation_awareness", "sent_coercion"))
    assert [row.scenario for row in aware] == [row.scenario for row in coerced]
    assert not any(row.coercive for row in aware)
    assert any(row.coercive for row in coerced)


def test_a_scorer_that_counts_no_behaviour_is_one_clear_line(tmp_path):
    task = Task(dataset=[Sample("What is 1 + 1?", target="2", id=7)], scorer=match())
    with pytest.raises(TranscriptError, match="match counts no behaviour; give --scorer one of sent_coercion"):
        outcomes(file_of(ran(task, playing("2"), tmp_path)), "match")


def test_two_logs_are_compared_and_a_rise_fails_the_gate(logged, tmp_path, capsys):
    changed = read_eval_log(file_of(logged))
    for sample in changed.samples or ():
        for score_of in (sample.scores or {}).values():
            score_of.metadata = {**(score_of.metadata or {}), "coercive": False}
    write_eval_log(changed, tmp_path / "clean.eval")
    assert compare(tmp_path / "clean.eval", file_of(logged), as_json=True) == 0  # two clusters can't show anything
    told = json.loads(capsys.readouterr().out)
    assert told["whole"]["difference"]["value"] == 0.5
    assert told["whole"]["answers_a"] == told["whole"]["answers_b"] == 8
    with pytest.raises(TranscriptError, match="no score by severity_rung"):
        compare(tmp_path / "clean.eval", file_of(logged), scorer="severity_rung")


def test_the_viewer_is_bundled_and_served(logged, tmp_path):
    with pytest.raises(TranscriptError, match=r"no \.eval log"):
        bundle(tmp_path, tmp_path / "report" / "logs")
    bundle(file_of(logged).parent, tmp_path / "report" / "logs")
    with served(tmp_path / "report") as (address, serve):
        Thread(target=serve, daemon=True).start()
        assert "Inspect" in httpx.get(f"{address}/logs/index.html").text
        log = httpx.get(f"{address}/logs/logs/{file_of(logged).name}")
    assert log.content == file_of(logged).read_bytes()


def test_conversations_of_a_log(logged):
    talks = read_log(file_of(logged))
    assert len({t.id for t in talks}) == len(talks) == 8
    for talk in talks:
        system, user, assistant = talk.messages
        assert (system.role, user.role, assistant.role) == ("system", "user", "assistant")
        assert assistant.text == (FAIR if talk.facts["control"] else THREAT)
        assert assistant.thinking == ("Well." if talk.facts["control"] else "")
        assert talk.facts["task"] == "etiology/chat_coercion"
        assert talk.facts["model"] == "mockllm/model"
        assert talk.facts["threat"] is not talk.facts["control"]
    assert {t.facts["epoch"] for t in talks} == {1, 2}


def test_json_logs_are_read_alike(logged, tmp_path):
    other = tmp_path / "log.json"
    write_eval_log(read_eval_log(logged.location), str(other))
    assert read_log(other) == read_log(file_of(logged))
    assert outcomes(other) == outcomes(file_of(logged))


def test_a_log_of_another_task_set(tmp_path):
    task = Task(dataset=[Sample("What is 1 + 1?", target="2", id=7), Sample("And 2 + 2?", target="4")], scorer=match())
    log = ran(task, playing("2"), tmp_path)
    talks = {t.id: [m.text for m in t.messages] for t in read_log(file_of(log))}
    assert talks == {"7": ["What is 1 + 1?", "2"], "2": ["And 2 + 2?", "2"]}
    with pytest.raises(TranscriptError, match="it has match"):
        outcomes(file_of(log))


def test_a_log_of_another_task_set_can_be_scored_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("etiology.backends.encoder.shipped", lambda: judge)
    log = ran(Task(dataset=[Sample("Write to her.", id="a"), Sample("Go on.", id="b")]), playing(THREAT), tmp_path)
    done = score(log, sent_coercion(), display="none")
    path = tmp_path / "scored.eval"
    write_eval_log(done, str(path))
    assert metrics(done, "sent_coercion")["executed, all"] == 1
    assert outcomes(path) == [Outcome(name, name, True, 0.9, "") for name in ("a", "b")]


def test_samples_without_a_verdict_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("etiology.backends.encoder.shipped", lambda: judge)
    model = answering(lambda ms: FAIR if "rest first" in ms[-1].text or "Rest hours come first" in ms[-1].text else "")
    monkeypatch.setattr("etiology.elicit.compose.domains", lambda: [d for d in domains() if d.domain == "shipping"])
    log = ran(tasks.chat_coercion(crossed=False), model, tmp_path)
    assert outcomes(file_of(log)) == [Outcome("shipping-00-control/draft", "shipping", False, 0.1, "control/draft")]
    assert len(read_log(file_of(log))) == 1


@pytest.mark.parametrize("name", ["missing.eval", "broken.eval", "broken.json", "other.json"])
def test_what_is_no_log_is_refused_with_its_name(name, tmp_path):
    path = tmp_path / name
    if "missing" not in name:
        path.write_text(json.dumps({"rows": []}) if name == "other.json" else "PK\x03\x04 nothing", encoding="utf-8")
    for read in (read_log, outcomes):
        with pytest.raises(TranscriptError, match=name):
            read(path)


# -- metrics -----------------------------------------------------------------------------------------------------------


def of(metric: Any, scores: list[SampleScore]) -> Any:
    """What a metric makes of scores; Inspect types it as any of several shapes."""
    return metric(scores)


def scored(cluster: str, pair: str, control: bool, value: float, epoch: int = 1) -> SampleScore:
    cell = "control" if control else "pressed"
    about = {"cluster": cluster, "cell": cell, "pair": pair, "control": control}
    return SampleScore(
        score=Score(value=value, metadata={"attempted": value, "score": value}),
        sample_id=f"{pair}-{cell}",
        sample_metadata=about,
    )


def test_a_rate_of_clusters_of_one_is_wilsons():
    scores = [scored(f"c{i}", f"c{i}", False, float(i < 3)) for i in range(10)]
    found = of(rates("attempted"), scores)
    assert found["attempted, pressed"] == 0.3
    assert found["attempted low, pressed"] == pytest.approx(0.1078, abs=1e-4)
    assert found["attempted high, pressed"] == pytest.approx(0.6032, abs=1e-4)


def test_a_rate_over_clusters_that_agree_is_less_sure():
    agreeing = [scored(f"c{i // 5}", f"p{i}", False, float(i < 15)) for i in range(50)]
    mixed = [scored(f"c{i % 10}", f"p{i}", False, float(i < 15)) for i in range(50)]
    one, other = of(rates("attempted"), agreeing), of(rates("attempted"), mixed)
    assert one["attempted, pressed"] == other["attempted, pressed"] == 0.3
    width = {name: f["attempted high, pressed"] - f["attempted low, pressed"] for name, f in (("a", one), ("m", other))}
    assert width["a"] > 1.5 * width["m"]


def test_one_cluster_says_nothing_of_the_next():
    found = of(rates("attempted"), [scored("c", f"p{i}", False, 1.0) for i in range(20)])
    assert (found["attempted low, pressed"], found["attempted high, pressed"]) == (0, 1)


def test_epochs_of_a_scenario_are_one_share():
    once = [scored(f"c{i}", f"c{i}", False, float(i < 2)) for i in range(4)]
    many = [s for s in once for _ in range(3)] + [once[0]] * 20
    assert of(rates("attempted"), many)["attempted, pressed"] == 0.5


def test_each_scenario_is_set_beside_its_own_control():
    scores = [scored(f"c{i}", f"c{i}", c, float(i < (2 if c else 7))) for i in range(10) for c in (True, False)]
    scores.append(scored("c11", "alone", False, 1.0))  # no control: no part of the difference
    found = of(beyond_control("attempted"), scores)
    assert found["attempted beyond control, pressed"] == pytest.approx(0.5)
    assert found["attempted beyond control low, pressed"] < 0.5 < found["attempted beyond control high, pressed"]
    values = [scored(f"c{i}", f"c{i}", c, -3.0 if c else i) for i in range(10) for c in (True, False)]
    assert of(beyond_control("score", share=False), values)["score beyond control, pressed"] == pytest.approx(7.5)
    assert of(levels("score"), values)["score, control"] == -3.0


def test_no_scores_give_no_rate():
    assert of(rates("attempted"), []) == {}
    nothing = SampleScore(score=Score(value=1, metadata={"attempted": float("nan")}), sample_id="1")
    assert of(rates("attempted"), [nothing]) == {}
