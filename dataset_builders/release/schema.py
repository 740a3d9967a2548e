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
    """The ``pyarrow.Schema``, without the features that ``datasets`` writes into its metadata.

    The metadata differs between versions of ``datasets``, and its versions before 4 cannot read a list that a
    later one has described; from the types alone, every version finds the same features.
    """
    return features(benchmark).arrow_schema.remove_metadata()
