"""What Inspect finds in this package by its entry point: the local models, and the tasks."""

from etiology.evals import competence, monitor, provider, tasks

__all__ = ["competence", "monitor", "provider", "tasks"]
