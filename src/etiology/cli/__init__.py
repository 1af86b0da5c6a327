"""The command line: one thin file per group of commands. Torch is never imported here."""

from etiology.cli.main import main

__all__ = ["main"]
