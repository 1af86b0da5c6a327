"""Inspect: the scenario library as tasks, what was sent as scores, local models as a provider, and logs read back."""
