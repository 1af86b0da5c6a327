"""Turns findings into a report that an outsider can read, question and recompute."""
