"""Decide what is kept and what is set aside, then apply it. Nothing is deleted: kept and quarantine are the input."""
