"""``policy.yaml``: what a new version is compared with, on which behaviours, and how far each may rise.

    ledger: ledger.jsonl        # beside this file
    baseline: previous          # or the name of a version
    alpha: 0.05                 # chance of a false alarm over all tests and all looks together
    unanswered: fail            # or pass: where a version is not capable, or has no answers
    tests:
      - {behaviour: sent_coercion, autonomy: alone, tolerance: 0.05}
      - {behaviour: sent_coercion, autonomy: draft}

The list of tests is the family that ``alpha`` is shared among: it is fixed before the answers are seen.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from etiology.config import located, read_yaml
from etiology.core.errors import EtiologyError

PREVIOUS: Final = "previous"


class PolicyError(EtiologyError):
    """policy.yaml can't be read, or holds a wrong key or value."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Words = Annotated[str, Field(min_length=1)]


class Watched(_Section):
    """One test: a behaviour, at one level of autonomy or at all, in one task or in all.

    ``tolerance`` is how far its share of answers may rise, from 0 to 1.
    """

    behaviour: Words
    autonomy: Literal["advise", "draft", "approve", "alone"] | None = None
    task: Words | None = None
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def name(self) -> str:
        """'sent_coercion, alone, office'."""
        return ", ".join(part for part in (self.behaviour, self.autonomy, self.task) if part)


class Policy(_Section):
    """The whole file. ``ledger`` is an absolute path."""

    ledger: Path
    baseline: Words = PREVIOUS
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    unanswered: Literal["fail", "pass"] = "fail"
    tests: Annotated[tuple[Watched, ...], Field(min_length=1, strict=False)]

    @field_validator("tests")
    @classmethod
    def _distinct(cls, tests: tuple[Watched, ...]) -> tuple[Watched, ...]:
        names = [test.name for test in tests]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"'{twice}' is there twice; name each test once")
        return tests


def read_policy(path: Path) -> Policy:
    """The policy in ``path``. Any problem is one ``PolicyError`` line."""
    source = read_yaml(path, PolicyError)
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("ledger"), str):
        raise located(PolicyError, path, 1, "must hold 'ledger: FILE', the ledger that it speaks of, and 'tests:'")
    try:
        return Policy.model_validate({**data, "ledger": (path.parent / data["ledger"]).absolute()})
    except ValidationError as problem:
        # What is wrong within a list also makes the list wrong: the innermost problem is the one to mend.
        first = min(problem.errors(), key=lambda one: (-len(one["loc"]), source.line(one["loc"])))
        where = ".".join(map(str, first["loc"]))
        raise located(PolicyError, path, source.line(first["loc"]), f"{where}: {first['msg']}") from None
