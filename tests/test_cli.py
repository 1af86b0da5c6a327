"""The command line: one clear line and exit 2 for what a user gets wrong, and no torch until it is needed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests import toy

ROOT = Path(__file__).parent.parent


def etiology(*arguments, **more):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", "from etiology.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **more)


def assert_one_line(result, *words):
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("etiology: ")
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp("cli") / "study")


def broken(study, tmp_path, name, content):
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("corpus.jsonl", b"", ("corpus.jsonl", "empty")),
        ("corpus.jsonl", b'{"id": "a", "text": "one"}\n', ("at least 20",)),
        ("corpus.jsonl", b'{"id": "a", "text": null}\n', ("corpus.jsonl:1",)),
        ("corpus.jsonl", b'{"id": "a", "text": "\xff"}\n', ("corpus.jsonl:1", "UTF-8")),
        ("corpus.jsonl", b'{"id": "a", "text": "x"}\n' * 2, ("corpus.jsonl:2", "'a'")),
        ("corpus.jsonl", b'{"id": "a", "text": "' + b"x" * 50_000_000 + b'"}\n', ("corpus.jsonl:1",)),
        ("model/model.safetensors", b"broken", ("model",)),
        (
            "study.yaml",
            b"model: model\ncorpus: {path: corpus.jsonl}\ntraining: {epoch: 3}\n",
            ("study.yaml:3", "'epochs'"),
        ),
        ("scenarios.jsonl", b"{}\n", ("scenarios.jsonl:1",)),
    ],
    ids=["empty", "one", "null", "utf8", "duplicate", "huge", "model", "key", "scenario"],
)
def test_bad_input_is_one_line(study, tmp_path, name, content, words):
    assert_one_line(etiology("elicit", broken(study, tmp_path, name, content)), *words)


def test_a_missing_study_is_one_line(tmp_path):
    assert_one_line(etiology("run", tmp_path / "nowhere"), "nowhere")


def test_a_folder_of_another_version_is_one_line(study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    (folder / "stages").mkdir()
    (folder / "stages" / "FORMAT").write_text("etiology store 0\n")
    assert_one_line(etiology("run", folder), "another version")


def test_a_wrong_option_is_one_line():
    assert_one_line(etiology("run", "--nonsense"), "--nonsense")


def test_interrupting_keeps_what_was_finished(study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study, folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    # A shell's background jobs ignore Ctrl-C and so would their children: ask for it again, as a terminal gives it.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", heard + "from etiology.cli import main; main()", "elicit", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 240
    while not list((folder / "stages").glob("trunk-corpus-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in errors
    assert "run the same command to go on" in errors
    kept = {p.name for p in (folder / "stages").iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert any(name.startswith("trunk-corpus-") for name in kept)
    assert all((folder / "stages" / name / "manifest.json").exists() for name in kept)


def test_init_writes_a_study_and_never_over_one(tmp_path):
    assert etiology("init", tmp_path / "new").returncode == 0
    assert (tmp_path / "new" / "study.yaml").exists()
    assert_one_line(etiology("init", tmp_path / "new"), "exists already")


def test_dry_run_estimates_and_makes_nothing(study):
    result = etiology("run", study, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["trainings"] == 27
    assert not (study / "stages").exists()
    assert json.loads(result.stdout)["mde"] is None


def test_dry_run_of_a_finished_study_says_what_more_seeds_would_find(ran, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(ran[0], folder)
    few = json.loads(etiology("run", folder, "--dry-run", "--json").stdout)
    (removal,) = [t.effect for t in ran[1].verdict.tests if t.name == "removal"]
    assert few["mde"] == pytest.approx(removal.mde, rel=0.35)
    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text + "seeds: 9\n")
    many = json.loads(etiology("run", folder, "--dry-run", "--json").stdout)
    assert many["mde"] < few["mde"]
    assert many["operations"] > 1.5 * few["operations"]
    assert f"{many['mde']:.2f} nats with 9 seeds" in etiology("verify", folder, "--dry-run").stdout


def test_help_names_every_step():
    text = etiology("--help").stdout
    for command in ("run", "elicit", "attribute", "curate", "repair", "verify", "disclose", "watch", "check", "view"):
        assert command in text


def test_watch_and_check_on_a_finished_study(ran, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(ran[0], folder)
    assert etiology("check", folder).returncode == 0
    passed = etiology("watch", folder, "--model", folder / "model", "--baseline", "reference")
    assert passed.returncode == 0, passed.stderr
    assert "no regression shown" in passed.stdout
    exported = etiology("export", folder, "--to", tmp_path / "suspect", "--arm", "suspect")
    assert exported.returncode == 0, exported.stderr
    failed = etiology("watch", folder, "--model", tmp_path / "suspect", "--json")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert json.loads(failed.stdout)["rise"] > 0
