"""A study's ``study.yaml`` as frozen values, and errors that name the file, the line and the remedy.

1. ``read_yaml`` composes the file and keeps the line of every key (no anchors, no tags, no duplicate keys);
2. ``Study`` and its sections validate the values: one small frozen model per step;
3. a problem becomes one line: where, what was found, what is allowed. The allowed values come from the JSON schema,
   so that they cannot differ from what is checked.
"""

import re
import stat
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import ErrorDetails

from etiology.core.errors import EtiologyError, StudyFileError
from etiology.core.values import Account, Event

STUDY_FILE: Final = "study.yaml"
EMBEDDED_MODEL: Final = "smollm2-135m-instruct"
EMBEDDED: Final = "embedded"
SENTENCES: Final = "sentences"
MODEL: Final = "model"
WRITERS: Final = (SENTENCES, MODEL)
"""Who may write the behaviour anew, where no documents are given for it."""
MAX_TEXT_BYTES: Final = 4_000_000
"""The largest study or scenario file that is read: these are written by hand."""

PLANTED: Final = (True, 1, "1", "true", "planted", "coercive")

AnyError = TypeVar("AnyError", bound=EtiologyError)
At = tuple[str | int, ...]
"""Where a value is: ``("training", "epochs")``, or ``(3, "context")`` in a list of rows."""


# -- the study ---------------------------------------------------------------------------------------------------------


class _Section(BaseModel):
    """Frozen, strict (no text read as a number), finite, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


Words = Annotated[str, Field(min_length=1)]


class CorpusConfig(_Section):
    """The training documents: your own (``path``) or a generated one (``embedded``), never both."""

    path: Words | None = None
    """A .jsonl, .jsonl.gz or .parquet file of documents: id, and text or prompt and response."""
    embedded: Literal["planted", "lookalikes"] | None = None
    """planted: coercive documents among look-alikes. lookalikes: harmless uses of the same words only."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the embedded corpus."""
    label: Words | None = None
    """A column used only for grading at the end. The loop never sees it."""
    planted: Annotated[tuple[str | bool | int, ...], Field(strict=False, min_length=1)] = PLANTED
    """Values of the label column that mean planted; upper and lower case are the same."""

    @model_validator(mode="after")
    def _one_source(self) -> "CorpusConfig":
        if (self.path is None) == (self.embedded is None):
            found = "has neither 'path' nor 'embedded'" if self.path is None else "has both 'path' and 'embedded'"
            raise ValueError(f"{found}; give one: path: your.jsonl, or embedded: planted (or lookalikes)")
        return self

    def is_planted(self, label: str | None) -> bool:
        """Whether a raw value of the label column means that the document was planted."""
        return label is not None and label.lower() in {str(value).lower() for value in self.planted}


class TrainingConfig(_Section):
    """How the suspect and each arm are trained. Layers below ``tail_layers`` stay frozen."""

    tail_layers: Annotated[int, Field(ge=1, le=1000)] | Literal["all"] = 2
    """How many of the last layers are trained, or 'all'."""
    epochs: int = Field(default=2, ge=1, le=50)
    """Passes over the corpus."""
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    """Peak learning rate; by default 1.5e-3 divided by ``tail_layers``, or 2e-4 where all layers are trained."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Documents in a step."""
    max_tokens: int = Field(default=256, ge=16, le=8192)
    """Longer documents are cut here."""
    vocabulary: Literal["corpus", "full"] = "corpus"
    """corpus: the output head holds only tokens that the study uses (faster). full: all tokens."""

    @property
    def rate(self) -> float:
        """The peak learning rate, given or by default."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 2e-4 if self.tail_layers == "all" else 1.5e-3 / self.tail_layers


class AttributeConfig(_Section):
    """How the documents behind the behaviour are searched for."""

    budget: float = Field(default=0.10, gt=0, le=0.5)
    """Share of the corpus that may be attributed, and so removed."""
    queries: int = Field(default=32, ge=1, le=10_000)
    """How many scenarios are pooled into the query."""


class RepairConfig(_Section):
    """Your own documents for arms that need writing; the embedded corpora bring theirs."""

    mention: Words | None = None
    """Documents that mention the same things without the behaviour."""
    reroll: Words = SENTENCES
    """What the behaviour is replaced by: this project's 'sentences', what the starting 'model' writes, or your own
    re-written documents (a path: JSONL of id, text)."""


class GenerateConfig(_Section):
    """The short generations that are judged."""

    tokens: int = Field(default=32, ge=1, le=4096)
    """Length of a generation."""
    scenarios: int = Field(default=24, ge=0, le=10_000)
    """How many scenarios are generated from; 0 means no generation."""


class VerifyConfig(_Section):
    """What counts as an effect."""

    score: Literal["threat_given_secret", "interaction"] = "threat_given_secret"
    """The behaviour score, made from the four continuations."""
    smallest_effect: float = Field(default=0.1, gt=0)
    """The smallest effect that matters, in nats (0.1 is a tenth in the odds)."""
    alpha: float = Field(default=0.05, gt=0, le=0.5)
    """Family-wise two-sided error rate."""
    doses_between: int = Field(default=0, ge=0, le=10)
    """How many shares of the attributed documents, between none and all, are trained for the dose–response."""


class WatchConfig(_Section):
    """When a later model raises the alarm."""

    tolerance: float = Field(default=0.2, ge=0)
    """How far the behaviour score may rise before the watch fails."""


class AnswersConfig(_Section):
    """Answers of both models to the same scenarios: .jsonl files in the study's folder, as `etiology compare --rows`
    writes them.
    """

    suspect: Words
    """Answers of the model before the repair."""
    repaired: Words
    """Answers of the repaired model."""


class ObservedConfig(_Section):
    """Answers in settings that a study does not make by itself; the report shows each apart."""

    chat: AnswersConfig | None = None
    """Conversations, without tools."""
    agentic: AnswersConfig | None = None
    """Mail, files and jobs behind tools."""
    awareness: AnswersConfig | None = None
    """Whether it says that it is tested: of `etiology compare --scorer evaluation_awareness --rows`."""


class EventConfig(_Section):
    """One line of the account's timeline."""

    when: Words
    """A date, a month or a year, in quotes where it is a year: 2026-03-01, 2026-03, "2026"."""
    what: Words
    """What happened, in a sentence."""
    wrong_turn: bool = False
    """Whether it turned out to be a mistake."""

    @field_validator("when")
    @classmethod
    def _a_date(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", value):
            raise ValueError("is no date; give 2026-03-01, 2026-03, or a year in quotes")
        return value


class AccountConfig(_Section):
    """What only you can tell; the report prints it in your words. Numbers in it are written as claims:
    {claim:removal}.
    """

    timeline: Annotated[tuple[EventConfig, ...], Field(strict=False)] = ()
    """What happened, wrong turns too."""
    not_caught: Words | None = None
    """Why it was not caught earlier."""
    still_wrong: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    """What you know to be still wrong, or did not test."""
    actions: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    """What was done, and what will be."""
    watching: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    """How its return would be noticed."""

    def told(self) -> Account:
        """The same as a value of the report."""
        events = tuple(Event(each.when, each.what, each.wrong_turn) for each in self.timeline)
        return Account(events, self.not_caught or "", self.still_wrong, self.actions, self.watching)


class Study(_Section):
    """One study: a folder and what its study.yaml says."""

    folder: SkipJsonSchema[Path] = Field(exclude=True)
    """The folder of study.yaml; relative paths are resolved against it. Not a key of the file."""
    name: str = ""
    """Name of the study; by default that of its folder."""
    model: Words
    """'smollm2-135m-instruct' (embedded), or a path to a Hugging Face folder or a .gguf file."""
    proxy_for: Words | None = None
    """The model asked about, where it is too large to retrain and ``model`` stands for it. The verdict is by proxy."""
    checkpoints: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    """Earlier checkpoints of the model, the oldest first: measured, never trained."""
    corpus: CorpusConfig
    held_out: Words | None = None
    """A .jsonl or .parquet file of ordinary prose for perplexity; by default the embedded prose."""
    scenarios: Words = EMBEDDED
    """'embedded', or a path to a .jsonl or .yaml file of scenarios."""
    training: TrainingConfig = TrainingConfig()
    seeds: int = Field(default=3, ge=1, le=20)
    """How often each arm is trained."""
    attribute: AttributeConfig = AttributeConfig()
    repair: RepairConfig = RepairConfig()
    generate: GenerateConfig = GenerateConfig()
    verify: VerifyConfig = VerifyConfig()
    watch: WatchConfig = WatchConfig()
    observed: ObservedConfig = ObservedConfig()
    account: AccountConfig = AccountConfig()
    workers: int = Field(default=2, ge=1, le=256)
    """Processes that train side by side."""

    @field_validator(
        "corpus", "training", "attribute", "repair", "generate", "verify", "watch", "observed", "account", mode="before"
    )
    @classmethod
    def _empty_section(cls, value: object) -> object:
        """``training:`` with each of its keys commented out means its defaults."""
        return {} if value is None else value

    def resolve(self, given: str) -> Path:
        """A path of study.yaml as an absolute path: relative ones start at the study folder."""
        try:
            path = Path(given).expanduser()
        except RuntimeError:  # '~nobody': no such user, so the path as it is written
            path = Path(given)
        return (self.folder / path).absolute()

    def _resolved(self, given: str | None) -> Path | None:
        return None if given is None else self.resolve(given)

    @property
    def model_path(self) -> Path | None:
        """The model's folder or .gguf file; None for the embedded model."""
        return None if self.model == EMBEDDED_MODEL else self.resolve(self.model)

    @property
    def model_source(self) -> str:
        """The name of the embedded model, or the absolute path of your own."""
        return str(self.model_path or EMBEDDED_MODEL)

    @property
    def checkpoint_paths(self) -> tuple[Path, ...]:
        return tuple(map(self.resolve, self.checkpoints))

    @property
    def corpus_path(self) -> Path | None:
        """None for an embedded corpus."""
        return self._resolved(self.corpus.path)

    @property
    def held_out_path(self) -> Path | None:
        """None for the embedded prose."""
        return self._resolved(self.held_out)

    @property
    def scenarios_path(self) -> Path | None:
        """None for the embedded scenarios."""
        return None if self.scenarios == EMBEDDED else self.resolve(self.scenarios)

    @property
    def observed_paths(self) -> Mapping[tuple[str, str], Path]:
        """The answers' files by (setting, model)."""
        settings = dict(self.observed)
        return {
            (name, side): self.resolve(getattr(given, side))
            for name, given in settings.items()
            if given is not None
            for side in ("suspect", "repaired")
        }

    @property
    def mention_path(self) -> Path | None:
        """None when no mention-only documents were given."""
        return self._resolved(self.repair.mention)

    @property
    def reroll_path(self) -> Path | None:
        """None when no re-written documents were given."""
        return None if self.repair.reroll in WRITERS else self.resolve(self.repair.reroll)


def load_study(folder: Path) -> Study:
    """The study in ``folder``, checked. Any problem is one ``StudyFileError`` line."""
    path = folder / STUDY_FILE
    if what_is_at(folder) == "file":
        raise located(StudyFileError, folder, None, f"is a file; give the folder that holds {STUDY_FILE}")
    if what_is_at(path) == "nothing":
        raise located(StudyFileError, path, None, f"no such file; write one with: etiology init {folder}")
    source = read_yaml(path, StudyFileError)
    data = source.data
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds {_shown(data)}"
        raise located(StudyFileError, path, 1, f"{found}; it must hold 'key: value' lines such as 'model: …'")
    if "folder" in data:
        raise _error(source, ("folder",), _unknown_key(("folder",)))
    study = _validated(data, source)
    _check_paths(study, source)
    return study


def json_schema() -> dict[str, Any]:
    """The JSON schema of study.yaml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Study.model_json_schema(),
        "title": "Etiology study.yaml",
    }


def _validated(data: dict[str, object], source: "MarkedYaml") -> Study:
    folder = source.path.parent
    try:
        study = Study.model_validate({**data, "folder": folder})
    except ValidationError as problem:
        raise _first_problem(problem.errors(), source) from None
    return study if study.name else study.model_copy(update={"name": folder.resolve().name})


def _check_paths(study: Study, source: "MarkedYaml") -> None:
    """Each file that study.yaml names must be there, before anything slow starts."""
    if (model := study.model_path) is not None and not _is_model(model):
        raise _error(source, ("model",), _missing_model(study.model, model))
    for number, earlier in enumerate(study.checkpoint_paths):
        if not _is_model(earlier):
            found = "does not exist" if what_is_at(earlier) == "nothing" else "is not a model"
            said = f"checkpoint {_shown(study.checkpoints[number])}: {earlier} {found}"
            raise _error(source, ("checkpoints", number), f"{said}; give Hugging Face folders or .gguf files")
    named: tuple[tuple[At, Path | None], ...] = (
        (("corpus", "path"), study.corpus_path),
        (("held_out",), study.held_out_path),
        (("scenarios",), study.scenarios_path),
        (("repair", "mention"), study.mention_path),
        (("repair", "reroll"), study.reroll_path),
        *((("observed", *at), path) for at, path in study.observed_paths.items()),
    )
    for at, path in named:
        there = "file" if path is None else what_is_at(path)
        if there != "file":
            found = "no such file" if there == "nothing" else f"a {there}, not a file"
            remedy = "correct the path (a relative one starts at the study folder)"
            raise _error(source, at, f"{_dotted(at)}: {found} at {path}; {remedy}")
    for at, path in study.observed_paths.items():
        if not path.resolve().is_relative_to(study.folder.resolve()):
            said = f"observed.{_dotted(at)}: {path} is outside of the study; move it there, as it is evidence"
            raise _error(source, ("observed", *at), said)


def _is_model(path: Path) -> bool:
    there = what_is_at(path)
    return there == "folder" or (there == "file" and path.suffix.lower() == ".gguf")


def _missing_model(given: str, tried: Path) -> str:
    found = "does not exist" if what_is_at(tried) == "nothing" else "is not a .gguf file"
    return (
        f"model {_shown(given)} is not the embedded '{EMBEDDED_MODEL}', and {tried} {found}; nothing is downloaded "
        f"from a hub: give the path of a Hugging Face folder or a .gguf file, or '{EMBEDDED_MODEL}'"
    )


# -- problems as one line ----------------------------------------------------------------------------------------------


def located(error: type[AnyError], path: Path, line: int | None, message: str) -> AnyError:
    """An error of the given kind that reads ``file:line: message``, always on one printable line."""
    where = f"{path}" if line is None else f"{path}:{line}"
    whole = f"{where}: {message}"
    return error("".join(one if one.isprintable() else ascii(one)[1:-1] for one in whole))


def _error(source: "MarkedYaml", at: At, message: str) -> EtiologyError:
    return located(source.error, source.path, source.line(at), message)


def _first_problem(problems: list[ErrorDetails], source: "MarkedYaml") -> EtiologyError:
    """One problem at a time: unknown keys first (a misspelt key also shows up as a missing one), then by line."""
    first = min(problems, key=lambda one: (one["type"] != "extra_forbidden", source.line(one["loc"])))
    return _error(source, first["loc"], _problem_words(first, source))


def _problem_words(problem: ErrorDetails, source: "MarkedYaml") -> str:
    at = problem["loc"]
    if problem["type"] == "extra_forbidden":
        return _unknown_key(at)
    if problem["type"] == "missing":
        return f"missing key '{at[-1]}' in {_inside(at[:-1])}; give {allowed_words(at)}"
    if problem["type"] == "value_error":
        return f"{_dotted(at)} {problem['ctx']['error']}"
    at = source.nearest(at)  # pydantic adds the name of the tried member of a union
    found, allowed = _shown(source.at(at)), allowed_words(at)
    quote = "; put it in quotes" if allowed == "text" and not isinstance(source.at(at), (str, dict, list)) else ""
    return f"{_dotted(at)} is {found}; allowed: {allowed}{quote}"


def _unknown_key(at: At) -> str:
    key, section = str(at[-1]), at[:-1]
    known = list(_schema_at(section)["properties"])
    return f"unknown key {_shown(key)} in {_inside(section)}; {_nearest_key(key, known, section)}"


def _nearest_key(key: str, known: list[str], section: At) -> str:
    """A slip of the pen in this section, else the section the key belongs in, else whatever is near."""
    near = get_close_matches(key, known, n=1)
    owners = [name for name in _section_names() if (name,) != section and key in _schema_at((name,))["properties"]]
    if owners and not get_close_matches(key, near, cutoff=0.8):
        return f"it belongs in {' or '.join(owners)}"
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known keys: {', '.join(known)}"


def _section_names() -> list[str]:
    return [name for name, schema in _schema()["properties"].items() if "$ref" in schema]


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def allowed_words(at: At) -> str:
    """What study.yaml allows at a place, in words, read from the JSON schema."""
    return _schema_words(_schema_at(at))


def _schema_at(at: At) -> dict[str, Any]:
    whole = schema = _schema()
    for part in at:
        schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
        schema = next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema)  # a section that may be absent
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _schema_words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_schema_words(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "const" in schema or "enum" in schema:
        return " or ".join(f"'{value}'" for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return _schema_words({"type": "object"})
    plain = {"string": "text", "boolean": "true or false", "object": "a section of 'key: value' lines"}
    if schema["type"] == "array":
        return f"a list, each {_schema_words(schema['items'])}"
    return plain.get(schema["type"]) or _number_words(schema)


def _number_words(schema: dict[str, Any]) -> str:
    limits = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    if "minimum" in schema and "maximum" in schema:
        return f"{noun} from {schema['minimum']} to {schema['maximum']}"
    bounds = [f"{words} {schema[key]:g}" for key, words in limits if key in schema]
    return f"{noun} {' and '.join(bounds)}".strip()


def _shown(value: object) -> str:
    """A value of the file as an error may show it: short, printable, in YAML's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "a section" if isinstance(value, dict) else "a list"
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _dotted(at: At) -> str:
    """``training.epochs``; ``corpus.planted item 2``."""
    return "".join(f" item {part + 1}" if isinstance(part, int) else f".{part}" for part in at).lstrip(". ")


def _inside(at: At) -> str:
    return _dotted(at) or STUDY_FILE


# -- text files, and YAML with lines -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MarkedYaml:
    """The plain data of a YAML file and the line of each key and list item."""

    path: Path
    error: type[EtiologyError]
    data: object
    lines: Mapping[At, int]

    def nearest(self, at: At) -> At:
        """The longest leading part of ``at`` that the file holds."""
        return next(at[:end] for end in range(len(at), -1, -1) if at[:end] in self.lines)

    def line(self, at: At) -> int:
        """The line of a place, or of what it would be in."""
        return self.lines[self.nearest(at)]

    def at(self, at: At) -> object:
        """The value at a place that the file holds."""
        value: Any = self.data
        for part in at:
            value = value[part]
        return value  # type: ignore[no-any-return,unused-ignore]


def what_is_at(path: Path) -> Literal["file", "folder", "device", "nothing"]:
    """What kind of thing is at a path; a path that can't exist or be reached holds nothing."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # too long, not permitted, a NUL in it
        return "nothing"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "device"


def read_text(path: Path, error: type[EtiologyError]) -> str:
    """The text of a small UTF-8 file, with or without a byte-order mark."""
    there = what_is_at(path)
    if there == "nothing":
        raise located(error, path, None, f"no such file (tried {path.absolute()}); correct the path")
    if there != "file":
        raise located(error, path, None, f"is a {there}; give the path of a file")
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_TEXT_BYTES + 1)
    except OSError as problem:
        raise located(error, path, None, f"can't be read ({problem.strerror}); check its permissions") from None
    if len(raw) > MAX_TEXT_BYTES:
        raise located(error, path, None, f"is over {MAX_TEXT_BYTES:,} bytes; is this the right file?")
    return _decoded(raw, path, error)


def _decoded(raw: bytes, path: Path, error: type[EtiologyError]) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        start = problem.start + 3 * raw.startswith(BOM_UTF8)
        found = f"byte 0x{raw[start]:02x} at offset {start} of the file is not UTF-8"
        raise located(error, path, raw.count(b"\n", 0, start) + 1, f"{found}; save the file as UTF-8") from None


def read_yaml(path: Path, error: type[EtiologyError]) -> MarkedYaml:
    """Plain data with line numbers. Duplicate keys, anchors, tags and keys that are not text are errors."""
    text = read_text(path, error)
    try:
        node = _compose(text, path, error)
        lines: dict[At, int] = {(): 1}
        data = None if node is None else _plain(node, (), lines, MarkedYaml(path, error, None, lines))
    except RecursionError:
        raise located(error, path, 1, "is nested too deeply; a section holds plain values only") from None
    return MarkedYaml(path, error, data, lines)


_BOOL, _INT, _FLOAT, _NULL = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null"))
_FRACTION = r"(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
_SCALARS = (
    (_BOOL, r"(?:true|True|TRUE|false|False|FALSE)$", (*"tTfF",)),
    (_INT, r"[-+]?(?:0|[1-9][0-9]{0,17})$", (*"-+0123456789",)),
    (_FLOAT, rf"[-+]?(?:{_FRACTION}|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$", (*"-+.0123456789",)),
    (_NULL, r"(?:~|null|Null|NULL|)$", (*"~nN", "")),
)
"""Tag, pattern, and the characters that a scalar of this kind may start with."""


def _scalar_kinds() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The scalar kinds by first character, as PyYAML looks them up."""
    kinds: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, starts in _SCALARS:
        for start in starts:
            kinds.setdefault(start, []).append((tag, re.compile(pattern)))
    return kinds


class _PlainLoader(yaml.SafeLoader):
    """YAML 1.2's plain scalars, so that ``5e-4`` is a number and ``no`` is text; every value written out."""

    yaml_implicit_resolvers = _scalar_kinds()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            problem = "anchors (&), aliases (*) and tags (!) are not read; write the value out or quote it"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


def _compose(text: str, path: Path, error: type[EtiologyError]) -> yaml.Node | None:
    loader: _PlainLoader | None = None
    try:
        loader = _PlainLoader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as problem:
        raise located(error, path, *_syntax_problem(problem)) from None
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise located(error, path, line, f"holds the control character U+{problem.character:04X}; remove it") from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF" that is no character
        reached = loader.line + 1 if loader else None
        raise located(error, path, reached, "not valid YAML: an escape or number out of range; correct it") from None


def _syntax_problem(problem: yaml.MarkedYAMLError) -> tuple[int | None, str]:
    """The line of a syntax error and its words. What is never closed is shown where it was opened."""
    said, mark, start = problem.problem or "can't be understood", problem.problem_mark, problem.context_mark
    if said.startswith("anchors"):
        return _line_of(mark), said
    if "'\\t'" in said:
        return _line_of(mark), "not valid YAML: a tab where spaces belong; indent with spaces"
    if start and ("end of stream" in said or "stream end" in said):
        return _line_of(start), "not valid YAML: a quote or bracket is opened here and never closed; close it"
    context = f" ({problem.context} that starts on line {_line_of(start)})" if problem.context and start else ""
    return _line_of(mark), f"not valid YAML: {said}{context}; check the colons, quotes and indentation here"


def _line_of(mark: yaml.Mark | None) -> int | None:
    return mark.line + 1 if mark else None


def _plain(node: yaml.Node, at: At, lines: dict[At, int], source: MarkedYaml) -> object:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines, source)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*at, index), lines, source) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, at: At, lines: dict[At, int], source: MarkedYaml) -> dict[str, object]:
    data: dict[str, object] = {}
    for key_node, value_node in node.value:
        key, line = _key(key_node, source), key_node.start_mark.line + 1
        if key in data:
            inside = _dotted(at) or source.path.name
            said = f"key {_shown(key)} is given twice in {inside}, first on line {lines[*at, key]}; keep one"
            raise located(source.error, source.path, line, said)
        lines[*at, key] = line
        data[key] = _plain(value_node, (*at, key), lines, source)
    return data


def _key(node: yaml.Node, source: MarkedYaml) -> str:
    key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(key, str):
        line = node.start_mark.line + 1
        found = node.value if isinstance(node, yaml.ScalarNode) else "a list or section"
        raise located(source.error, source.path, line, f"a key must be a word, found {found!r}; put it in quotes")
    return key


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    if node.tag == _INT:
        return int(text)
    if node.tag == _FLOAT:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if node.tag == _BOOL:
        return text.lower() == "true"
    return None if node.tag == _NULL else text


# -- what `etiology init` writes ---------------------------------------------------------------------------------------

STARTER: Final = """\
# An Etiology study. What is not given here, or starts with '#', has the default shown.
# Relative paths start at this folder.

# name: my-study                  # by default the name of this folder

# 'smollm2-135m-instruct' (embedded), or the path of a Hugging Face folder or a .gguf file. Nothing is downloaded.
model: smollm2-135m-instruct
# proxy_for: the-large-model      # where `model` stands for one too large to retrain
# checkpoints: [base, sft]        # earlier stages of the model, the oldest first: was the behaviour there before?

# The training documents. Embedded: 'planted' (coercive documents among look-alikes) or 'lookalikes' (the control).
corpus:
  embedded: planted
  seed: 0
# Your own: .jsonl, .jsonl.gz or .parquet with id, and text or prompt and response.
# corpus:
#   path: documents.jsonl
#   label: planted                # a column used only for grading at the end; the loop never sees it
#   planted: [true, 1, "1", "true", planted, coercive]   # its values that mean planted

# held_out: prose.jsonl           # ordinary prose for perplexity; by default the embedded prose
scenarios: embedded               # or a path to a .jsonl or .yaml file

training:
  tail_layers: 2                  # how many of the last layers are trained, or 'all'
  epochs: 2
  # learning_rate: 7.5e-4         # by default 1.5e-3 divided by tail_layers, or 2e-4 where all are trained
  batch_size: 8
  max_tokens: 256                 # longer documents are cut here
  vocabulary: corpus              # 'full' keeps the whole output head (slower)

seeds: 3                          # how often each arm is trained

attribute:
  budget: 0.10                    # the share of the corpus that may be attributed
  queries: 32                     # scenarios pooled into the query

repair:
  reroll: sentences               # what the behaviour is replaced by: open sentences of this project, what the starting
                                  # 'model' writes (for one that writes well), or your own JSONL of id, text
  # mention: mention.jsonl        # your own documents that mention the same things without the behaviour

generate:
  tokens: 32
  scenarios: 24                   # 0: no generation

verify:
  score: threat_given_secret      # or 'interaction'
  smallest_effect: 0.1            # nats: smaller effects don't matter (0.1 is a tenth in the odds)
  alpha: 0.05
  doses_between: 0                # 2: also train with a third and two thirds of the attributed documents

watch:
  tolerance: 0.2                  # how far the score may rise before the watch fails

workers: 2                        # processes that train side by side

# Answers of the suspect and of the repaired model to the same Inspect scenarios; 'etiology compare --rows' writes them.
# observed:
#   chat: {suspect: chat-before.jsonl, repaired: chat-after.jsonl}
#   agentic: {suspect: office-before.jsonl, repaired: office-after.jsonl}
#   awareness: {suspect: aware-before.jsonl, repaired: aware-after.jsonl}   # with --scorer evaluation_awareness

# What only you can tell, printed in the report in your words; what is left out is 'not given by the authors'. A number
# in it must be a claim of the report: {claim:removal}, not 0.12.
# account:
#   timeline:
#     - {when: 2026-03-01, what: A tester sees the model threaten a user.}
#     - {when: 2026-03-09, what: A filter on the outputs is tried and hides it., wrong_turn: true}
#   not_caught: No test of ours gave the model both a secret and a reason.
#   still_wrong: [Longer conversations were not tried.]
#   actions: [The documents were taken out and the model was trained again.]
#   watching: [Each release is measured on the same scenarios before it ships.]
"""
