"""The command line in the process of the tests: quicker than a new one, and fakes reach it."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from etiology.cli.main import _code


def command(*words: object) -> "CompletedProcess[str]":
    """What ``etiology …`` would have given."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["etiology", *map(str, words)]
    with patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(err):
        code = _code()
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
