"""``view``: the report in a browser, with the viewer of Inspect logs beside it."""

import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer

from etiology.cli import say
from etiology.cli.run import Folder
from etiology.config import load_study
from etiology.core.errors import EvidenceError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(view)


def view(
    folder: Folder,
    logs: Annotated[
        Path | None,
        typer.Option(help="Inspect logs (a folder of .eval files) to bundle beside the report and serve with it."),
    ] = None,
) -> None:
    """Open the report in a browser, and print where it is. With --logs, serve it until Ctrl-C, Inspect's viewer too."""
    report = load_study(folder.resolve()).folder / "report"
    page = report / "index.html"
    if not page.exists():
        raise EvidenceError(f"{page}: no report yet; run: etiology run {folder}")
    say.line(str(page))
    if logs is None:
        webbrowser.open(page.as_uri())
        return
    from etiology.evals.logs import bundle

    bundle(logs, report / "logs")
    with served(report) as (address, forever):
        say.lines(f"Report: {address}/index.html\nLogs: {address}/logs/index.html\nCtrl-C ends this.")
        webbrowser.open(f"{address}/logs/index.html")
        forever()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """(address, serve) of ``folder`` on a free port of this machine alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        yield f"http://127.0.0.1:{server.server_port}", server.serve_forever


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and writes no line a request."""

    def log_message(self, *_: object) -> None:
        pass
