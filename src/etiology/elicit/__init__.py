"""Elicit: the scenarios that may draw the behaviour out, and what the model does in them."""
