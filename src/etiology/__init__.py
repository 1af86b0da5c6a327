"""Etiology: find, test, repair and disclose the training-data causes of coercive behaviour in language models."""

__version__ = "0.1.0"
