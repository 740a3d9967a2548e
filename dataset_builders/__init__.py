"""Data sets of the benchmark: what the documents are, reproducible to the byte."""

from dataset_builders.errors import InputError

__all__ = ["InputError"]
