"""Columns of the released files, declared rather than inferred, so that no row has a say in them."""

from typing import Any

from datasets import Features, Sequence, Value

_TEXT, _COUNT = Value("string"), Value("int64")

FEATURES: dict[str, Features] = {
    "phone_book": Features(
        {"id": _TEXT, "prompt": _TEXT, "answer": _TEXT, "entries": _COUNT, "query_position": _COUNT}
    ),
    "c4_copy": Features({"id": _TEXT, "prompt": _TEXT, "answer": _TEXT, "tokens": _COUNT, "order": _TEXT}),
    "squad_v2_retrieval": Features(
        {
            "id": _TEXT,
            "prompt": _TEXT,
            "answers": Sequence(_TEXT),
            "title": _TEXT,
            "paragraph_tokens": _COUNT,
        }
    ),
    "strings": Features(
        {"id": _TEXT, "prompt": _TEXT, "answer": _TEXT, "length": _COUNT, "key": _TEXT, "spelling": _TEXT}
    ),
}
"""Features of each task's columns, in their order."""


def arrow_schema(task: str) -> Any:
    """The ``pyarrow.Schema`` of a task, with its features in the metadata, where ``datasets`` reads them."""
    return FEATURES[task].arrow_schema
