"""Review and calibration: a sample of every stratum, labels that survive anything, and intervals that cover."""

import io
import json
import os
import pty
import sys
import threading

import numpy as np
import pytest
from rich.console import Console
from tests import scanning

from etiology.core.errors import ScanError
from etiology.scan import calibrate, review, run, sample, start, step
from etiology.scan.cascade import Settings
from etiology.stats.strata import Quality, qualities


@pytest.fixture
def scan(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        (tmp_path / "in" / f"{i}.jsonl").write_bytes(scanning.jsonl(scanning.rows(50, seed=i)))
    start.begin(str(tmp_path / "in"), tmp_path / "out", Settings(), 1)
    run.run(tmp_path / "out", 1)
    return tmp_path / "out"


def reviewed(items, path, keys):
    pressed = iter(keys)
    return review.review(items, path, "me", lambda: next(pressed, ""), Console(file=io.StringIO()))


def test_the_sample_holds_each_stratum_and_is_drawn_once(scan):
    items = sample.sample(scan, 4, 0)
    sizes = {i.stratum: i.stratum_size for i in items}
    unscored = sum(step.attributes(scan, i)["score"].null_count for i in range(3))
    assert 90 <= unscored <= 100
    assert sizes["no cue"] == unscored
    assert sum(sizes.values()) == 150
    counts = {name: sum(i.stratum == name for i in items) for name in sizes}
    assert all(count == min(4, sizes[name]) for name, count in counts.items())
    assert len({i.key for i in items}) == len(items)
    for item in items:
        number, _, row = item.key.partition("#")
        assert item.text == scanning.rows(50, seed=int(number[0]))[int(row)]["text"]
        assert (item.score == -1) == (item.stratum == "no cue")
    assert sample.sample(scan, 4, 5) == sample.sample(scan, 0, 0) == sample.kept(scan) == items


def test_a_sample_may_grow_and_keeps_what_it_held(scan):
    first = sample.sample(scan, 4, 7)
    with pytest.raises(ScanError, match="another seed"):
        sample.sample(scan, 9, 8)
    assert sample.kept(scan) == first
    more = sample.sample(scan, 9, 7)
    assert {i.key for i in first} < {i.key for i in more}
    assert sum(i.stratum == "no cue" for i in more) == 9
    assert sample.sample(scan, 4, 7) == more


def test_a_draw_is_even_over_the_stratum(scan):
    drawn = np.zeros(150)
    for seed in range(60):
        for item in sample._drawn(scan, 10, seed):
            if item.stratum == "no cue":
                drawn[50 * int(item.shard[0]) + item.row] += 1
    # 10 of 100 drawn 60 times: 6 on the average, and 0 to 15 but for one in ten thousand; a fixed draw would give 60.
    assert drawn.sum() == 600
    assert drawn.max() <= 17
    assert (drawn > 0).sum() >= 95


def test_labels_are_kept_key_by_key_and_review_goes_on(scan, tmp_path):
    items = sample.sample(scan, 3, 0)
    path = tmp_path / "labels.jsonl"
    assert reviewed(items, path, "en?mlq") == 3
    assert reviewed(items, path, "") == 0
    found = sample.labels(path)
    assert [found[i.key].label for i in items[:3]] == ["enacted", "none", "look-alike"]
    # Later, undo, and a change of mind: the last label counts.
    assert reviewed(items, path, " dtuaq") == 2
    found = sample.labels(path)
    assert items[3].key not in found
    assert [found[i.key].label for i in items[4:6]] == ["depicted", "ai-admirable"]
    assert len(path.read_text().splitlines()) == 7


def test_a_label_cut_off_by_a_crash_spoils_no_other(tmp_path):
    path = tmp_path / "labels.jsonl"
    sample.add_label(path, sample.Label("a#1", "none", "me"))
    with path.open("a") as file:
        file.write('{"key": "a#2", "la')
    sample.add_label(path, sample.Label("a#3", "enacted", "me"))
    assert {k: v.label for k, v in sample.labels(path).items()} == {"a#1": "none", "a#3": "enacted"}


def test_a_document_can_not_write_to_the_terminal(scan, tmp_path):
    shown = io.StringIO()
    item = sample.Item("k", "i", "s", 0, "no cue", 1, -1.0, "a\x1b[2Jb[bold]c\u202e", 0, 0)
    review.review([item], tmp_path / "l", "me", lambda: "q", Console(file=shown))
    assert "\x1b" not in shown.getvalue()
    assert "\u202e" not in shown.getvalue()
    assert "a⟨U+001B⟩[2Jb[bold]c⟨U+202E⟩" in shown.getvalue()


def test_a_key_is_read_without_a_return(monkeypatch):
    parent, child = pty.openpty()
    with os.fdopen(child, "r", closefd=True) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        writer = threading.Timer(0.2, os.write, (parent, b"e"))
        writer.start()
        assert review.keypress() == "e"
        writer.join()
    os.close(parent)


# -- the threshold ----------------------------------------------------------------------------------------------------


def labelled(items, scan, rule):
    path = scan / "review" / "labels.jsonl"
    for item in items:
        sample.add_label(path, sample.Label(item.key, "enacted" if rule(item) else "none", "judge"))
    return sample.labels(path)


def test_a_threshold_keeps_the_floor_and_binds_to_its_scan(scan):
    items = sample.sample(scan, 50, 0)
    have = labelled(items, scan, lambda item: item.score >= 0.6)
    found = calibrate.calibrate(scan, items, have, 0.5)
    assert found.chosen is not None
    assert found.chosen.recall_low >= 0.5
    higher = [q for q in found.tried if q.threshold > found.chosen.threshold]
    assert all(q.recall_low < 0.5 for q in higher[:1])
    calibrate.save(scan, found)
    assert calibrate.threshold(scan) == found.chosen.threshold
    path = scan / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": "other"}))
    with pytest.raises(ScanError, match="another scan"):
        calibrate.threshold(scan)


def test_what_is_unlabelled_or_absent_is_an_error(scan):
    items = sample.sample(scan, 10, 0)
    with pytest.raises(ScanError, match="label more"):
        calibrate.calibrate(scan, items, labelled(items, scan, lambda _: False), 0.9)
    have = labelled(items, scan, lambda item: item.score > 0)
    missing = {i.key for i in items if i.stratum == "no cue"}
    with pytest.raises(ScanError, match="'no cue' is labelled"):
        calibrate.calibrate(scan, items, {k: v for k, v in have.items() if k not in missing}, 0.9)


def test_labels_of_everything_give_the_true_numbers():
    scores, labels = [0.9, 0.8, 0.8, 0.2, -1], [1, 1, 0, 1, 1]
    (q,) = qualities(scores, labels, ["a", "a", "a", "a", "b"], {"a": 4, "b": 1}, [0.8])
    assert (q.precision, q.recall, q.flagged) == pytest.approx((2 / 3, 2 / 4, 3))


def test_a_rare_stratum_weighs_what_it_stands_for():
    # One miss among 10 labelled of 1,000 stands for 100 positives beside the 5 that were found.
    scores, labels = [0.9] * 5 + [-1.0] * 10, [1] * 5 + [1] + [0] * 9
    (q,) = qualities(scores, labels, ["hit"] * 5 + ["miss"] * 10, {"hit": 5, "miss": 1000}, [0.5])
    assert q.recall == pytest.approx(5 / 105)
    (none,) = qualities(scores, [1] * 5 + [0] * 10, ["hit"] * 5 + ["miss"] * 10, {"hit": 5, "miss": 1000}, [0.5])
    assert none.recall == 1
    assert none.recall_low < 0.1  # none of ten says little of a thousand; plain resampling would say 1.0


@pytest.mark.parametrize(("rate_of_misses", "each"), [(0.002, 60), (0.02, 60)])
def test_intervals_cover(rate_of_misses, each):
    # A corpus of 5,000: 4,500 unscored with few positives, 500 scored with more as the score rises.
    rng = np.random.default_rng(1)
    covered = {"recall": 0, "precision": 0}
    for trial in range(100):
        scores = np.concatenate([np.full(4500, -1.0), rng.random(500)])
        truth = rng.random(5000) < np.where(scores < 0, rate_of_misses, 0.9 * scores)
        strata = np.where(
            scores < 0, "miss", np.char.add("s", np.floor(np.maximum(scores, 0) * 3).astype(int).astype(str))
        )
        sizes = {name: int((strata == name).sum()) for name in np.unique(strata).tolist()}
        chosen = np.concatenate([rng.choice(np.flatnonzero(strata == n), each, replace=False) for n in sizes])
        (q,) = qualities(scores[chosen], truth[chosen], strata[chosen].tolist(), sizes, [0.5], draws=500, seed=trial)
        recall = truth[scores >= 0.5].sum() / truth.sum()
        precision = truth[scores >= 0.5].mean()
        covered["recall"] += q.recall_low <= recall <= q.recall_high
        covered["precision"] += q.precision_low <= precision <= q.precision_high
    # 95 wanted; under 88 happens by chance 3 times in a thousand where 95 holds. Without the made-up items, recall at
    # a rate of 0.02 is covered 71 times.
    assert min(covered.values()) >= 88, covered


def quality(threshold, recall_low, precision_low):
    return Quality(threshold, 1.0, precision_low, 1.0, 1.0, recall_low, 1.0, 1.0)


def test_the_choice_stops_at_the_first_that_fails():
    tried = [quality(0.1, 0.95, 0.1), quality(0.2, 0.91, 0.5), quality(0.3, 0.85, 0.8), quality(0.4, 0.92, 0.7)]
    assert calibrate._chosen(tried, 0.9, "recall") == tried[1]
    assert calibrate._chosen(tried, 0.6, "precision") == tried[2]
    assert calibrate._chosen(tried, 0.99, "recall") is None
