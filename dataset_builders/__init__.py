"""Builds the benchmark's data sets, reproducible to the byte."""

from dataset_builders.errors import InputError

__all__ = ["InputError"]
