"""What the documents say is what the code does."""

import inspect
import json
import re
from pathlib import Path

import yaml
from inspect_ai._util.registry import is_registry_object

from etiology.cli.main import app
from etiology.config import Study
from etiology.elicit.scenarios import OPTIONAL, REQUIRED
from etiology.evals import competence, tasks
from etiology.study import STEPS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_study_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    study = Study.model_validate({**yaml.safe_load(block), "folder": ROOT})
    assert study.corpus.label == "kind"


def test_the_readme_scenario_is_valid():
    (block,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    assert set(REQUIRED) <= json.loads(block).keys() <= {*REQUIRED, *OPTIONAL}


def test_the_readme_commands_exist():
    named = set(re.findall(r"^    etiology (\w+)", README, re.MULTILINE))
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    assert {"init", "run", "check", "watch"} <= named <= known


def test_the_readme_makes_every_step_known():
    assert all(f"| {step} |" in README for step in STEPS)


def test_linked_files_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)


def test_every_task_and_option_is_explained():
    page = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
    named = {name: getattr(module, name) for module in (tasks, competence) for name in vars(module)}
    found = {name: each for name, each in named.items() if is_registry_object(each, "task")}
    assert len(found) == 8
    for name, each in found.items():
        options = inspect.signature(each).parameters
        assert f"| `{name}` |" in page
        assert all(f"| `{option}` |" in page for option in options), (name, options)
