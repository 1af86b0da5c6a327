"""What an attribution will take, estimated without loading a model: for ``--dry-run``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from etiology.attribute import price
from etiology.attribute.instances import ANSWER, CONTEXT, Instance
from etiology.attribute.library import messages
from etiology.attribute.running import Settings
from etiology.backends.shards import Corpus, open_corpus

OPERATIONS: Final = 0.55e11
"""A second and core in float32, as in a study's estimate; in bfloat16, where there is hardware for it, FASTER times."""
FASTER: Final = 1.7
COMPRESSED: Final = 3.0
"""How much smaller text is in a compressed file. A guess: it varies between 2 and 5."""
JUDGED: Final = 2.0
"""How often the judge reads a sentence: once in a quotation or a short text, three times in windows of a long one."""
MEMORY_BESIDE: Final = 1.5
"""GiB for Python, PyTorch, the judge and a shard."""


@dataclass(frozen=True)
class Plan:
    """Estimates. ``price``: operations as a share of forward and backward of the corpus; ``minutes`` are of one core,
    with bfloat16 in hardware and without; ``index_mb`` is the least that an index takes on disk.
    """

    files: int
    megabytes: float
    tokens: int
    queries: int
    layers: int
    first: int
    operations: float
    price: float
    minutes: float
    minutes_float32: float
    memory_gb: float
    index_mb: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        index = [f"index         at least {self.index_mb:,.0f} MB, if it isn't there yet"] if self.index_mb else []
        return [
            f"corpus        {self.files:,} files, {self.megabytes:,.1f} MB, about {self.tokens:,} tokens",
            f"queries       at most {self.queries}",
            f"influence     of {self.layers} layers, from {self.first} (counted from 0)",
            f"operations    about {self.operations:.2g}, {self.price:.2f} times forward and backward of the corpus",
            f"time          about {self.minutes:,.0f} min on one core ({self.minutes_float32:,.0f} without bfloat16)",
            f"memory        about {self.memory_gb:.1f} GB",
            *index,
        ]


def estimate(model: str, queries: Sequence[Instance], corpus: str | Path, settings: Settings) -> Plan:
    """The plan of an attribution: sizes of files tell how many tokens there are."""
    source = open_corpus(Path(corpus), settings.text_column)
    shape = price.shape_of(model)
    scope = price.scope(shape, settings.layers, min(settings.blocks, len(queries)), settings.memory)
    tokens = round(_characters(source) / price.CHARACTERS)
    asked = sum(_tokens(query) for query in queries)
    factors = min(tokens, settings.factor_tokens(shape.widest))
    coercion = settings.behaviour == "coercion"
    library = sum(len(message.text) for message in messages()) / price.CHARACTERS if coercion else 0
    read = _read(source, settings, tokens)
    judged = JUDGED * read * price.CHARACTERS if coercion else 0
    middle = round(shape.blocks * 2 / 3)
    each = min(tokens, settings.taught * settings.max_tokens)
    operations = (
        price.reading(shape, middle, read + round(library) + asked + factors, round(judged))
        + price.preparing(shape, scope, factors, asked)
        + price.influence(shape, scope, each)
        + price.influence(shape, scope, min(tokens, 2 * settings.top * settings.max_tokens), scope.blocks)
    )
    if settings.index is not None:
        operations += price.preparing(shape, scope, factors, 0) + price.indexing(shape, scope, tokens, settings.dims)
    matrices = 4 * scope.layers * (shape.factors + scope.blocks * shape.taught) / 2**30
    whole = 4 * (shape.blocks * shape.block + shape.head) / 2**30
    return Plan(
        files=len(source.files),
        megabytes=source.bytes / 1e6,
        tokens=tokens,
        queries=len(queries),
        layers=scope.layers,
        first=scope.first,
        operations=operations,
        price=operations / price.floor(shape, scope, max(1, tokens)),
        minutes=operations / OPERATIONS / FASTER / 60,
        minutes_float32=operations / OPERATIONS / 60,
        memory_gb=matrices + 2 * whole + MEMORY_BESIDE,
        index_mb=price.indexed(scope, settings.dims) * tokens / settings.max_tokens / 1e6 if settings.index else 0,
    )


def _read(corpus: Corpus, settings: Settings, tokens: int) -> int:
    """Tokens that the model reads: of as many documents as are asked for, as long as those of the first shard."""
    if settings.read is None:
        return tokens
    first = next(corpus.shards(lambda number: number == 0)).entries
    each = sum(len(entry.document.whole) for entry in first) / len(first) / price.CHARACTERS
    return min(tokens, round((settings.read + settings.checked) * each))


def _characters(corpus: Corpus) -> float:
    """Of a corpus, by the sizes of its files."""
    small = (".gz", ".zst", ".parquet")
    return sum(path.stat().st_size * (COMPRESSED if path.suffix in small else 1.0) for path in corpus.files)


def _tokens(query: Instance) -> int:
    prompt = query.prompt if isinstance(query.prompt, str) else " ".join(message.text for message in query.prompt)
    answers = sum(min(ANSWER, len(answer) / price.CHARACTERS) for answer in query.answers)
    return round(min(CONTEXT, len(prompt) / price.CHARACTERS) + answers)
