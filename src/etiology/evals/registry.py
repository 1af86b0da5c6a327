"""What Inspect finds in this package by its entry point: the local models, the tasks and the monitor."""

from importlib.util import find_spec

from etiology.evals import competence, monitor, provider, tasks

if find_spec("inspect_sentinel"):  # an extra: with it, 'etiology/stop_harm' is a protocol and 'etiology/harm' a monitor
    from etiology.evals import sentinel  # noqa: F401 - importing it registers them

__all__ = ["competence", "monitor", "provider", "tasks"]
