"""``attribute``: a step of a study, or, with a model, queries and a corpus, by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars
from etiology.cli.run import step
from etiology.core.errors import StudyFileError

if TYPE_CHECKING:
    from etiology.attribute import Instance, Settings
    from etiology.attribute.conclude import Found
    from etiology.attribute.price import Layers


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(attribute)


def attribute(
    folder: Annotated[Path | None, typer.Argument(help="A study's folder; or give the options below.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A Hugging Face folder, a .gguf file, or smollm2-135m-instruct.")
    ] = None,
    queries: Annotated[
        list[Path] | None,
        typer.Option(help="Transcripts (.jsonl, .json, .eval, folders), or .jsonl rows of prompt and completion."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Parquet, JSON lines (.gz, .zst), a saved data set, or a folder of these.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; the same command goes on there.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Documents to name.")] = 50,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Documents whose influence is found; 200 or 4 times --top.")
    ] = None,
    read: Annotated[
        int | None, typer.Option(min=1, help="Documents the model reads, the likest in words; without it all.")
    ] = None,
    layers: Annotated[
        str,
        typer.Option(help="Influence of the last so many layers, or a range such as 10-20; 'all': what memory holds."),
    ] = "all",
    index: Annotated[
        Path | None, typer.Option(help="A folder with an index of the corpus: made there once, then used by any query.")
    ] = None,
    dims: Annotated[int, typer.Option(min=1, help="Directions that an index keeps of each side of a layer.")] = 32,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Scores by another tool: bergson's folder, or a table of id and score (positive: taught it)."
        ),
    ] = None,
    behaviour: Annotated[
        Literal["coercion", "any"], typer.Option(help="'any' leaves out what knows of coercion alone.")
    ] = "coercion",
    everything: Annotated[
        bool, typer.Option("--all", help="Ask about all that was sent in transcripts, coercive or not.")
    ] = False,
    text_column: Annotated[str | None, typer.Option(help="The text's column, where it has an unusual name.")] = None,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longer documents are read in pieces of so many.")] = 256,
    memory: Annotated[float, typer.Option(min=0.1, help="GiB for influence's matrices.")] = 8.0,
    precision: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of matrix products.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of samples and intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only estimate time, memory and disk.")] = False,
) -> None:
    """Rank the documents that taught the behaviour: of a study's corpus, or of any corpus for any model and queries."""
    given = {"--model": model, "--queries": queries, "--corpus": corpus, "--out": out}
    if folder is not None:
        if any(given.values()):
            raise StudyFileError(f"{folder}: give a study's folder or --model, --queries, --corpus and --out, not both")
        step("attribute", folder, as_json=as_json, dry_run=dry_run)
        return
    if model is None or not queries or corpus is None or out is None:
        missing = ", ".join(name for name, value in given.items() if not value)
        raise StudyFileError(f"missing {missing}; give them, or the folder of a study")
    from etiology.attribute import Settings

    settings = Settings(
        top=top,
        depth=depth,
        read=read,
        layers=_layers(layers),
        behaviour=behaviour,
        max_tokens=max_tokens,
        memory=memory,
        precision=precision,
        seed=seed,
        text_column=text_column,
        index=index,
        dims=dims,
        scores=scores,
    )
    if dry_run:
        _estimate(model, queries, corpus, settings, as_json)
    else:
        from etiology.evals.queries import read_queries

        _attribute(model, read_queries(queries, everything=everything), corpus, out, settings, as_json)


def _layers(given: str) -> "Layers":
    first, dash, last = given.partition("-")
    if given == "all":
        return "all"
    if dash and first.isdecimal() and last.isdecimal():
        return int(first), int(last)
    if not given.isdecimal():
        raise StudyFileError(f"--layers {given!r}: give a number of layers, a range such as 10-20, or 'all'")
    return int(given)


def _attribute(
    model: str, asked: "list[Instance]", corpus: Path, out: Path, settings: "Settings", as_json: bool
) -> None:
    from etiology.attribute import attribute
    from etiology.attribute.conclude import summary_of

    with Bars(Console(stderr=True)) as bars:
        found = attribute(model, asked, corpus, out, settings, bars.show)
    if as_json:
        rows = [{"rank": r.rank, "id": r.id, "file": r.file, "row": r.row, "fused": r.fused} for r in found.rows]
        say.json({**summary_of(found), "documents_by_rank": rows[: found.top], "out": str(out)}, indent=1)
    else:
        _tell(found, out)


def _tell(found: "Found", out: Path) -> None:
    """The result in a few lines."""
    for row in found.rows[:10]:
        interval = "" if row.interval is None else f" [{row.interval.low:.2f}, {row.interval.high:.2f}]"
        opening = " ".join("".join(text for text, _ in row.pieces).split())[:90]
        say.line(f"{row.rank:4} {row.fused:6.2f}{interval}  {row.id}  {opening}")
    for lost in found.lost:
        if lost.pruned:
            say.line(
                f"set aside by {lost.step}: {lost.pruned:,}; of {lost.sampled} checked {lost.entered} would be in the "
                f"top {found.top}, so {lost.low:.0f} to {lost.high:.0f} may be missing"
            )
    if (seen := found.negative) is not None:
        say.line(
            f"controls: {seen.agree} of {seen.matched} completions stand above theirs by the other queries' direction; "
            f"{seen.above} of {seen.top} above {seen.nulls} permutations; {seen.unrelated} shared with an unrelated "
            f"concept ({seen.expected:.1f} by chance)"
        )
    cost = found.cost
    say.line(
        f"price: {cost.forward:,} tokens forward, {cost.backward:,} backward, {cost.seconds:.0f} s, {cost.flops:.2g} "
        f"operations ({found.price:.2f} times forward and backward of the corpus)"
    )
    say.line(f"Page: {out / 'index.html'}")


def _estimate(model: str, queries: list[Path], corpus: Path, settings: "Settings", as_json: bool) -> None:
    from etiology.attribute.estimate import estimate
    from etiology.evals.queries import read_queries

    # how many are coercive would take the judge: all of them is the most there can be
    planned = estimate(model, read_queries(queries, lambda texts: [1.0] * len(texts)), corpus, settings)
    if as_json:
        say.json(planned.as_dict(), indent=1)
    else:
        say.lines("\n".join(planned.lines()))
