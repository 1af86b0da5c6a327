"""``etiology``: exit code 0 is well, 1 means a gate failed, 2 means an error, told in one line."""

import errno
import sys

import typer

from etiology.cli import (
    arms,
    attribute,
    bundle,
    check,
    compare,
    detector,
    run,
    say,
    scan,
    score,
    start,
    subset,
    trigger,
    view,
    watch,
)
from etiology.core.errors import EtiologyError

GATE_FAILED = 1
ERROR = 2
INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
STOPPED = "stopped; what was finished is kept: run the same command to go on"

app = typer.Typer(
    name="etiology",
    help="Find, test, repair and disclose the training-data causes of coercive behaviour in language models.\n\n"
    "A study is a folder with a study.yaml: 'etiology init FOLDER' writes one, 'etiology run FOLDER' does all of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
start.register(app)
run.register(app)
attribute.register(app)
check.register(app)
bundle.register(app)
watch.register(app)
compare.register(app)
score.register(app)
detector.register(app)
view.register(app)
trigger.register(app)
scan.register(app)
arms.register(app)
subset.register(app)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_code())


def _code() -> int:
    try:
        result = app(standalone_mode=False)
    except EtiologyError as problem:
        return _fail(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        return _fail(STOPPED)
    except SystemExit as ended:
        result = ended.code
    except OSError as problem:
        return _fail(_of_system(problem))
    except Exception as problem:
        if type(problem).__module__.startswith(("click", "typer")) and hasattr(problem, "format_message"):
            return _fail(f"{problem.format_message()} (see 'etiology --help')")
        raise
    if result == INTERRUPTED:
        return _fail(STOPPED)
    return result if isinstance(result, int) else 0


def _fail(line: str) -> int:
    say.problem(line)
    return ERROR


def _of_system(problem: OSError) -> str:
    if problem.errno == errno.ENOSPC:
        return "the disk is full; free some space and run the same command to go on: finished stages are kept"
    return f"{problem.filename or 'system'}: {problem.strerror or problem}"
