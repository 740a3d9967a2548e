"""Columns of the released files, declared rather than inferred from the rows."""

from typing import Any

from datasets import Features, Sequence, Value

from dataset_builders.benchmark import Benchmark


def features(benchmark: Benchmark) -> Features:
    """Features of a benchmark's columns, in order."""
    types = {
        "string": Value("string"),
        "integer": Value("int64"),
        "strings": Sequence(Value("string")),
    }
    return Features({name: types[column.type] for name, column in benchmark.columns.items()})


def arrow_schema(benchmark: Benchmark) -> Any:
    """The ``pyarrow.Schema``, with the features in its metadata, from which ``datasets`` reads them."""
    return features(benchmark).arrow_schema
