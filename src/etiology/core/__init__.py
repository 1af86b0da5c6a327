"""Frozen values and errors that every step shares. Nothing here reads a file, and nothing here imports torch."""
