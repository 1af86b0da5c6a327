"""``arms``: repairs side by side for any model and corpus."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from etiology.cli import say
from etiology.cli.bars import Bars

if TYPE_CHECKING:
    from etiology.arms.concluding import Panel


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(arms)


def arms(
    model: Annotated[str, typer.Option(help="A Hugging Face folder, a .gguf file, or smollm2-135m-instruct.")],
    corpus: Annotated[Path, typer.Option(help="The documents: .jsonl, .jsonl.gz or .parquet.")],
    decisions: Annotated[Path, typer.Option(help="Rows of document and action; what is not kept is repaired.")],
    out: Annotated[Path, typer.Option(help="Where to write; the same command goes on there.")],
    method: Annotated[
        Literal["full", "lora", "tail"],
        typer.Option(help="Train every layer, adapters, or the last layers over a trunk that is run once."),
    ] = "tail",
    layers: Annotated[int, typer.Option(min=1, help="Last layers that 'tail' trains.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="How often each arm is trained.")] = 3,
    only: Annotated[
        list[str] | None, typer.Option("--arms", help="One of the arms, again for another; else all of them.")
    ] = None,
    scenarios: Annotated[Path | None, typer.Option(help="Your own scenarios; else the embedded ones.")] = None,
    prose: Annotated[Path | None, typer.Option(help="Your own neutral documents; else the embedded ones.")] = None,
    reroll: Annotated[
        Literal["sentences", "model"], typer.Option(help="Who writes the re-rolled documents.")
    ] = "sentences",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over each part.")] = 2,
    extra: Annotated[
        int | None, typer.Option(min=1, help="Slots of the second part; twice the attributed documents, at least 16.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Peak learning rate; else by method.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Documents a step.")] = 8,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longer documents are cut here.")] = 256,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train side by side.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only estimate tokens, operations, time and disk.")
    ] = False,
) -> None:
    """Train every repair with as many tokens and steps, and show what each repairs and what else it changes."""
    from etiology.arms.materials import read
    from etiology.arms.settings import Settings

    settings = Settings(
        method=method,
        layers=layers,
        seeds=seeds,
        arms=tuple(only or ()),
        epochs=epochs,
        extra=extra,
        rate=rate,
        batch_size=batch_size,
        max_tokens=max_tokens,
        reroll=reroll,
        workers=workers,
    )
    materials = read(corpus, decisions, scenarios, prose)
    if dry_run:
        from etiology.arms.estimate import estimate

        planned = estimate(model, materials, settings)
        if as_json:
            say.json(asdict(planned), indent=1)
        else:
            say.lines("\n".join(planned.lines()))
        return
    from etiology.arms.running import run, save

    with Bars(Console(stderr=True)) as bars:
        found = run(model, materials, out, settings, bars.show)
    save(found, out)
    if as_json:
        say.json(found.plain(), indent=1)
    else:
        _tell(found, out)


def _tell(found: "Panel", out: Path) -> None:
    """The table, the rule and the choice."""
    from etiology.disclose import numbers
    from etiology.repair.frontier import RULE

    for arm in found.arms:
        changes = (
            ("fell by", arm.fall),
            ("beyond random", arm.beyond),
            ("after benign training", arm.afterwards),
            ("with the eliciting prompt", arm.elicited),
            ("perplexity", arm.perplexity),
            ("complying", arm.complying),
            ("right", arm.right),
        )
        told = ", ".join(f"{name} {numbers.effect(effect, plus=True)}" for name, effect in changes)
        say.line((f"{arm.name:16}", "bold"), f" {told}; {arm.seconds:.0f} s")
    first = found.arms[0]
    say.line(
        f"Changes from the suspect in nats (perplexity, right: %); {first.fall.n} scenarios, {found.seeds} seeds; "
        f"{found.attributed} of {found.documents} documents attributed; {first.tokens:,} learnt tokens an arm and seed"
    )
    for name, why in found.choice.against.items():
        say.line(f"  not {name}: {why}")
    say.line(f"Rule: {RULE}.")
    say.line("Recommended: ", (found.choice.recommended or "none", "bold"))
    say.line(f"Table and figure: {out / 'arms.json'}, {out / 'frontier.svg'}")
    if found.choice.recommended:
        say.line(f"Repaired model (first seed): {out / 'repaired'}")
