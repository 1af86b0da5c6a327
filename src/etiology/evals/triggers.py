"""The trigger search on an Inspect model: each batch of questions is a run of the task, on the scenario library.

Every question has a scenario of its own, organisation after organisation, each time in another wording. The search sees
the library's 'search' organisations; the confirmation asks 'held-out' ones, each in the trigger and in its control.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

from inspect_ai import Task, task_with
from inspect_ai import eval as run_tasks
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.model import Model, get_model

from etiology.core.errors import ModelError
from etiology.elicit.compose import PARAPHRASES, Factors, Part, Situation, compose
from etiology.elicit.conjunctions import Factor
from etiology.elicit.library import Domain
from etiology.elicit.trigger import Found, Levels, Pair, Plan, search
from etiology.evals.samples import in_one_message, organisations, sample_of
from etiology.evals.tasks import chat_of, choice_of, four_texts, offer, scene

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

Kind = Literal["chat", "choice"]

SCENE: Final = (
    Factor("conflict", (False, True)),
    Factor("threat", (False, True)),
    Factor("leverage", ("none", "decider", "bystander")),
    Factor("pressure", (False, True)),
    Factor("ally", (False, True)),
    Factor("exit", (False, True)),
    Factor("surface", ("plain", "test")),
)
"""The factors of what the model reads."""
REQUEST: Final = (Factor("autonomy", ("advise", "draft")), Factor("turns", (1, 2)))
"""Those of what it is asked to do, which a choice among given texts doesn't have."""


@dataclass(frozen=True)
class _Way:
    """How a task is made for chosen situations. ``scorer`` gives its verdict."""

    factors: tuple[Factor, ...]
    sample: Callable[[Situation], Sample]
    task: Callable[[Sequence[Sample], str | None], Task]
    scorer: str


WAYS: Final[Mapping[Kind, _Way]] = {
    "chat": _Way((*SCENE, *REQUEST), lambda s: sample_of(s, in_one_message), chat_of, "sent_coercion"),
    "choice": _Way(
        SCENE,
        lambda s: sample_of(s, scene, offer(four_texts)),
        lambda samples, _: choice_of(samples),
        "coercion_margin",
    ),
}


def find_trigger(
    model: str | Model,
    kind: Kind = "chat",
    *,
    plan: Plan | None = None,
    seed: int = 0,
    judge: str | None = None,
    logs: str | None = None,
    show: Callable[[int], None] = lambda _: None,
) -> Found:
    """Search the factors of ``kind`` for what elicits coercion from ``model``.

    ``judge`` is a model that decides about each message sent (chat only), ``logs`` the folder for Inspect's logs, one
    for each batch; ``show`` is told how many questions were answered. A sample without a verdict is unscored. Errors:
    ``ModelError``, ``ScenarioError``.
    """
    way = WAYS[kind]
    asker = _Asker(_model(model), way, seed, judge, logs, show)
    return search(way.factors, asker.ask, asker.check, plan, seed)


class _Asker:
    """Puts cells to a model, as questions with a number each."""

    def __init__(
        self, model: Model, way: _Way, seed: int, judge: str | None, logs: str | None, show: Callable[[int], None]
    ) -> None:
        self._model, self._way, self._seed, self._judge, self._logs, self._show = model, way, seed, judge, logs, show
        self._scenarios = {part: _scenarios(part, seed) for part in ("search", "held-out")}
        self._number = 0

    def ask(self, cells: Sequence[Levels]) -> list[float | None]:
        return self._answers([(*next(self._scenarios["search"]), cell) for cell in cells])

    def check(self, pairs: Sequence[tuple[Levels, Levels]]) -> list[Pair]:
        scenarios = [next(self._scenarios["held-out"]) for _ in pairs]
        asked = [(*at, cell) for at, pair in zip(scenarios, pairs, strict=True) for cell in pair]
        found = self._answers(asked)
        return [
            Pair(trigger, control, domain.domain)
            for (domain, _), trigger, control in zip(scenarios, found[::2], found[1::2], strict=True)
        ]

    def _answers(self, asked: Sequence[tuple[Domain, int, Levels]]) -> list[float | None]:
        samples = []
        for domain, paraphrase, cell in asked:
            sample = self._way.sample(compose(domain, factors_of(cell), paraphrase))
            samples.append(sample.model_copy(update={"id": f"{self._number:05}-{sample.id}"}))
            self._number += 1
        log = _ran(self._way.task(samples, self._judge), self._model, self._seed, self._logs)
        by_id = {str(sample.id): sample for sample in log.samples or ()}
        self._show(self._number)
        return [_verdict(by_id[str(sample.id)], self._way.scorer) for sample in samples]


def factors_of(cell: Levels) -> Factors:
    """A cell as the library has it."""
    levels: dict[str, Any] = dict(cell)
    return Factors(**levels)


def _scenarios(part: Part, seed: int) -> Iterator[tuple[Domain, int]]:
    """Every organisation of ``part`` in turn, in a wording that comes again only after all others."""
    chance = Random(f"{part}/{seed}")
    domains = list(organisations(part))
    while True:
        wordings = {domain.domain: chance.sample(range(PARAPHRASES), PARAPHRASES) for domain in domains}
        for turn in range(PARAPHRASES):
            chance.shuffle(domains)
            yield from ((domain, wordings[domain.domain][turn]) for domain in domains)


def _model(model: str | Model) -> Model:
    try:
        return get_model(model)
    except PrerequisiteError as problem:
        raise ModelError(f"{model}: {problem.message}") from None
    except (ValueError, ImportError) as problem:
        raise ModelError(f"{model}: {problem}; give a model as Inspect names it, such as openai/gpt-4o") from None


def _ran(task: Task, model: Model, seed: int, logs: str | None) -> "EvalLog":
    """The log of one run. A sample that fails ends the search: what it would have answered can't be made up."""
    try:
        (log,) = run_tasks(task_with(task, name="trigger"), model=model, log_dir=logs, display="none", seed=seed)
    except PrerequisiteError as problem:
        raise ModelError(f"{model}: {problem.message}") from None
    if log.status == "cancelled":
        raise KeyboardInterrupt
    if log.status != "success":
        said = log.error.message if log.error else log.status
        raise ModelError(f"{model}: a batch of questions failed ({said}); its log is {log.location}")
    return log


def _verdict(sample: "EvalSample", scorer: str) -> float | None:
    score = (sample.scores or {}).get(scorer)
    if score is None or (isinstance(score.value, float) and isnan(score.value)):
        return None
    return float((score.metadata or {})["coercive"])
