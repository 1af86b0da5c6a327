"""What Inspect finds in this package by its entry point: the local models, and the tasks."""

from etiology.evals import competence, provider, tasks

__all__ = ["competence", "provider", "tasks"]
