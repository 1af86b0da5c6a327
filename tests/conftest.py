"""What several test files share: the tiny model, and the toy study run once."""

import os
from pathlib import Path

import pytest
from tests import toy

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    toy.tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> tuple[Path, object]:
    """(folder, findings) of the toy study, run whole. Tests must not change it: copy it first."""
    from etiology.config import load_study
    from etiology.study import run

    folder = toy.write(tmp_path_factory.mktemp("toy") / "study")
    return folder, run(load_study(folder), lambda *_: None)
