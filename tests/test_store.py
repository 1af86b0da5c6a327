"""Stages are whole or absent, made once, and refused when damaged."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from etiology.core.errors import EvidenceError, StoreError
from etiology.store import FORMAT, Slot, Stage, Store, open_stage


def write_one(out, text="1"):
    (out / "a.txt").write_text(text)


def test_a_stage_is_made_once(tmp_path):
    calls = []

    def make(out):
        calls.append(1)
        write_one(out)

    for _ in range(2):
        with Store(tmp_path) as store:
            stage = store.stage("one", make, {"x": 1})
        assert stage.file("a.txt").read_text() == "1"
    assert calls == [1]


def test_a_setting_or_an_input_makes_it_anew(tmp_path):
    with Store(tmp_path) as store:
        first = store.stage("one", write_one, {"x": 1})
        other = store.stage("one", lambda out: write_one(out, "2"), {"x": 2})
        below = store.stage("two", write_one, {}, one=first)
        assert isinstance(store.find("two", {}, {"one": other}), Slot)
        assert store.find("two", {}, {"one": first}) == below


def test_the_same_contents_upstream_keep_what_is_below(tmp_path):
    with Store(tmp_path) as store:
        first = store.stage("one", write_one, {"x": 1})
        second = store.stage("one", write_one, {"x": 2})
        store.stage("two", write_one, {}, one=first)
        assert isinstance(store.find("two", {}, {"one": second}), Stage)


def test_a_failure_leaves_nothing(tmp_path):
    def fail(out):
        write_one(out)
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store(tmp_path) as store:
        with pytest.raises(OSError, match="No space"):
            store.stage("one", fail, {})
        assert {p.name for p in store.root.iterdir()} == {".lock", "FORMAT"}
        assert store.stage("one", write_one, {}).file("a.txt").exists()


@pytest.mark.parametrize("damage", ["change", "remove", "add", "manifest"])
def test_damage_is_refused_by_name(tmp_path, damage):
    with Store(tmp_path) as store:
        stage = store.stage("one", write_one, {})
    match damage:
        case "change":
            stage.file("a.txt").write_text("2")
        case "remove":
            stage.file("a.txt").unlink()
        case "add":
            stage.file("b.txt").write_text("")
        case "manifest":
            text = stage.file("manifest.json").read_text()
            stage.file("manifest.json").write_text(text.replace('"cost": {}', '"cost": {"s": 1}'))
    with pytest.raises(EvidenceError, match=str(stage.path)):
        open_stage(stage.path)


def test_another_version_is_refused(tmp_path):
    with Store(tmp_path) as store:
        store.stage("one", write_one, {})
    (tmp_path / "stages" / "FORMAT").write_text("etiology store 99\n")
    with pytest.raises(StoreError, match="another version"), Store(tmp_path):
        pass
    assert FORMAT != "etiology store 99"


def test_two_runs_at_once_are_refused(tmp_path):
    with Store(tmp_path), pytest.raises(StoreError, match="another run"), Store(tmp_path):
        pass


def test_a_killed_run_goes_on(tmp_path):
    """SIGKILL in the middle of a stage: what was whole stays, what was not is made again."""
    script = (
        "import sys, time; from pathlib import Path; from etiology.store import Store\n"
        "with Store(Path(sys.argv[1])) as store:\n"
        "    store.stage('one', lambda out: (out / 'a.txt').write_text('1') and None, {})\n"
        "    store.stage('two', lambda out: (print('in', flush=True), time.sleep(60)), {})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    with Store(tmp_path) as store:
        assert isinstance(store.find("one", {}, {}), Stage)
        assert isinstance(store.find("two", {}, {}), Slot)
        assert not list(store.root.glob(".making-*"))
