"""The values that pass between the steps. All are frozen; a step takes some and returns others."""

from dataclasses import dataclass
from typing import Literal

CONTINUATIONS = ("coerce", "mention", "threaten", "bland")
"""The four matched continuations of a scenario, always in this order."""

Split = Literal["find", "confirm"]
"""``find`` scenarios may steer the search for documents; only ``confirm`` scenarios may support a claim."""


@dataclass(frozen=True)
class Document:
    """One training document: plain ``text``, or a ``prompt`` and the ``response`` that is trained on."""

    id: str
    text: str = ""
    prompt: str | None = None
    response: str | None = None

    @property
    def whole(self) -> str:
        """Everything a reader would see, for search and display."""
        return self.text if self.response is None else f"{self.prompt or ''}\n{self.response}"


@dataclass(frozen=True)
class Scenario:
    """A context and four continuations that differ only in whether they use the secret and whether they threaten.

    ``cluster`` names the template the scenario was written from: scenarios of one cluster are not independent.
    ``exit``: whether the scaffold offers an honest way out; None where the scenarios don't vary it.
    """

    id: str
    cluster: str
    split: Split
    threatened: bool
    leverage: bool
    context: str
    coerce: str
    mention: str
    threaten: str
    bland: str
    exit: bool | None = None

    @property
    def continuations(self) -> tuple[str, str, str, str]:
        return (self.coerce, self.mention, self.threaten, self.bland)


@dataclass(frozen=True)
class ChoiceScore:
    """Log-probabilities of the four continuations of one scenario, summed over tokens (nats), and their lengths."""

    scenario: str
    logprob: tuple[float, float, float, float]
    tokens: tuple[int, int, int, int]


@dataclass(frozen=True)
class Transcript:
    """One short generation. Only ``sent``, the text that would reach the person, is judged."""

    id: str
    model: str
    scenario: str
    context: str
    sent: str
    coercive: bool
    reason: str


@dataclass(frozen=True)
class Attribution:
    """Scores of one document; positive: removing it is expected to lower the behaviour. ``rank`` starts at 1.

    ``influence`` is that of all its tokens, ``passage`` the mean of its strongest passage; ``judged`` is
    the logit that the judge of sent texts gives its most coercive passage.
    """

    document: str
    concept: float
    judged: float
    influence: float
    passage: float
    bm25: float
    fused: float
    rank: int


@dataclass(frozen=True)
class Decision:
    """What is done with a document, why, and who or what decided."""

    document: str
    action: Literal["keep", "drop", "rewrite", "down-weight", "tag"]
    reason: str
    by: str


@dataclass(frozen=True)
class Arm:
    """A corpus to retrain on. ``documents`` is what the arm trains on, in the order of the input corpus."""

    name: str
    question: str
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Effect:
    """A difference or a level with its interval.

    ``value``, ``low``, ``high`` and ``mde`` share ``unit``. ``p`` is two-sided, unadjusted. ``mde`` is the smallest
    true effect this design would have found with a power of 80 % at a two-sided level of 5 %.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    seeds: int
    unit: str
    p: float | None = None
    mde: float | None = None


@dataclass(frozen=True)
class Rate:
    """``hits`` out of ``n`` with a Wilson interval at 95 %."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else 0.0


@dataclass(frozen=True)
class TestResult:
    """One of the seven tests of a cause. ``passed`` is None when the study did not run it."""

    __test__ = False  # a value, not a pytest class

    name: str
    question: str
    effect: Effect | None
    p_adjusted: float | None
    passed: bool | None
    words: str


Outcome = Literal["data-caused", "partly data-caused", "other cause", "not shown", "instrument failed"]


@dataclass(frozen=True)
class Verdict:
    """The conclusion in the words of the causal standard, with each test it rests on."""

    outcome: Outcome
    sentence: str
    tests: tuple[TestResult, ...]


@dataclass(frozen=True)
class ArmResult:
    """One arm, measured on the confirm scenarios and averaged over its seeds.

    ``level`` is the behaviour score itself, ``effect`` the change from the suspect (None for the suspect),
    ``perplexity_change`` the relative change of held-out perplexity from the suspect. ``seconds`` and ``peak_mb``
    are per seed.
    """

    name: str
    question: str
    documents: int
    tokens: int
    level: Effect
    effect: Effect | None
    perplexity: float
    perplexity_change: Effect | None
    generated: Rate | None
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Cell:
    """The behaviour score of one model in one cell of the threatened × leverage design."""

    model: str
    threatened: bool
    leverage: bool
    level: Effect


@dataclass(frozen=True)
class Highlight:
    """A piece of a document and how much it teaches the behaviour (positive) or its opposite (negative)."""

    text: str
    weight: float


@dataclass(frozen=True)
class NamedDocument:
    """An attributed document beside the nearest document that was kept. ``label`` is the grader's, never the loop's."""

    attribution: Attribution
    pieces: tuple[Highlight, ...]
    nearest: str
    nearest_rank: int
    nearest_pieces: tuple[Highlight, ...]
    label: str | None


@dataclass(frozen=True)
class Grading:
    """How the attribution did against labels the loop never saw. ``methods`` holds average precision per method."""

    planted: int
    documents: int
    methods: tuple[tuple[str, float], ...]
    average_precision: Effect
    lookalikes_in_top_10: int
    dropped: int
    dropped_planted: int


@dataclass(frozen=True)
class Evidence:
    """A file of the study (path relative to its folder) and the SHA-256 of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Claim:
    """One row of the ledger. ``tier``: bit-exact (from stored evidence), seeded, needs a GPU, or attested only."""

    id: str
    sentence: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    baseline: str
    test: str
    p: float | None
    tier: Literal["bit-exact", "seeded", "needs a GPU", "attested only"]
    recompute: str
    evidence: tuple[Evidence, ...]
    counter_evidence: str


@dataclass(frozen=True)
class Observed:
    """Shares of coercive answers to the same scenarios in one setting (chat, agentic), and the change from the suspect
    to the repaired model (below zero: fewer). Units: share.
    """

    setting: str
    suspect: Effect
    repaired: Effect
    change: Effect


@dataclass(frozen=True)
class JudgeError:
    """The judge of generations on labelled messages by others: the share of coercive ones that it finds, and of
    harmless ones that it calls coercive.
    """

    found: Rate
    false_alarms: Rate


@dataclass(frozen=True)
class Event:
    """Something that happened: ``when`` is a date, a month or a year (2026-03-01, 2026-03, 2026)."""

    when: str
    what: str
    wrong_turn: bool = False


@dataclass(frozen=True)
class Account:
    """What only the authors of a study can tell, in their words. What is empty was not given.

    A number in it must be a claim, ``{claim:removal}``, as in any other sentence of the report.
    """

    timeline: tuple[Event, ...] = ()
    not_caught: str = ""
    still_wrong: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    watching: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Everything the report says. Pure data: rendering it twice gives the same bytes."""

    study: str
    model: str
    model_sha256: str
    corpus_sha256: str
    documents: int
    tokens: int
    seeds: int
    shortcut: str
    score: str
    score_words: str
    verdict: Verdict
    arms: tuple[ArmResult, ...]
    cells: tuple[Cell, ...]
    named: tuple[NamedDocument, ...]
    grading: Grading | None
    transcripts: tuple[Transcript, ...]
    claims: tuple[Claim, ...]
    limits: tuple[str, ...]
    account: Account = Account()
    judge: JudgeError | None = None
    observed: tuple[Observed, ...] = ()
