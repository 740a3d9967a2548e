"""Which configs the released data set has: the one place that lists them, one a task and size.

Importing this is cheap: no builder, and nothing that a builder needs, is imported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dataset_builders.errors import InputError

ARGUMENTS = {
    "phone_book": ("entries", "num_docs", "seed"),
    "c4_copy": ("tokens", "order", "num_docs", "seed"),
    "squad_v2_retrieval": ("min_tokens", "max_tokens"),
    "strings": ("task", "length", "num_docs", "seed", "spelling"),
}
"""Which arguments a config of each task has: those of its builder, but for the texts it reads."""

TASKS = tuple(ARGUMENTS)

NUM_DOCS = 500
SEED = 0

ENTRIES = (20, 40, 60, 80, 100, 120, 200, 400, 800, 1600)

TOKENS = (25, 50, 100, 200, 300, 500, 1000, 2000, 4000)
ORDERS = ("standard", "random")

PARAGRAPH_TOKENS = ("50_100", "100_150", "150_200", "200_250", "250_300", "300_350", "350_400", "400_plus")

STRING_LENGTHS = {
    "copy": (10, 20, 50, 100, 200, 500),
    "prefix_ngram": (20, 50, 100, 200),
    "suffix_ngram": (20, 50, 100, 200),
    "duplicate_ngram": (20, 50, 100, 200),
}
SPELLING = "spaced"


@dataclass(frozen=True)
class Config:
    """One config: what to build, but neither from which texts nor with which tokenizer.

    Attributes:
        task: one of ``TASKS``.
        arguments: keyword arguments of the task's builder, as JSON has them.

    Raises:
        InputError: there is no such task, or an argument is missing or unknown.
    """

    task: str
    arguments: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"the task must be one of {', '.join(TASKS)}, not {self.task!r}")
        if set(self.arguments) != set(ARGUMENTS[self.task]):
            raise InputError(
                f"a config of {self.task} has the arguments {', '.join(ARGUMENTS[self.task])}, "
                f"not {', '.join(map(str, self.arguments))}"
            )

    @property
    def name(self) -> str:
        """The config's name, e.g. ``c4_copy_random_25``."""
        a = self.arguments
        if self.task == "phone_book":
            return f"phone_book_{a['entries']}"
        if self.task == "c4_copy":
            order = "" if a["order"] == "standard" else f"{a['order']}_"
            return f"c4_copy_{order}{a['tokens']}"
        if self.task == "squad_v2_retrieval":
            most = "plus" if a["max_tokens"] is None else a["max_tokens"]
            return f"squad_v2_retrieval_{a['min_tokens']}_{most}"
        return f"string_{a['task']}_{a['length']}"


def phone_book(entries: Iterable[int], num_docs: int = NUM_DOCS, seed: int = SEED) -> list[Config]:
    """Phone books, a config a size."""
    return [Config("phone_book", {"entries": n, "num_docs": num_docs, "seed": seed}) for n in entries]


def c4_copy(
    tokens: Iterable[int], orders: Iterable[str], num_docs: int = NUM_DOCS, seed: int = SEED
) -> list[Config]:
    """Copies of running text, a config an order and length."""
    lengths = list(tokens)
    return [
        Config("c4_copy", {"tokens": n, "order": order, "num_docs": num_docs, "seed": seed})
        for order in orders
        for n in lengths
    ]


def squad_v2_retrieval(ranges: Iterable[str]) -> list[Config]:
    """Questions on paragraphs, a config a range of lengths, written ``50_100`` or ``400_plus``.

    Raises:
        InputError: a range is written otherwise.
    """
    return [Config("squad_v2_retrieval", _range(text)) for text in ranges]


def _range(text: str) -> dict[str, int | None]:
    least, _, most = text.partition("_")
    if not (least.isdecimal() and (most == "plus" or most.isdecimal())):
        raise InputError(f"a range of paragraph lengths is written as 50_100 or 400_plus, not {text!r}")
    return {"min_tokens": int(least), "max_tokens": None if most == "plus" else int(most)}


def strings(
    tasks: Iterable[str],
    lengths: Iterable[int] | None = None,
    num_docs: int = NUM_DOCS,
    seed: int = SEED,
    spelling: str = SPELLING,
) -> list[Config]:
    """String tasks, a config a task and length; without ``lengths``, those of the release.

    Raises:
        InputError: there is no such task.
    """
    tasks, given = list(tasks), None if lengths is None else list(lengths)
    for task in tasks:
        if task not in STRING_LENGTHS:
            raise InputError(f"the task must be one of {', '.join(STRING_LENGTHS)}, not {task!r}")
    return [
        Config(
            "strings",
            {"task": task, "length": n, "num_docs": num_docs, "seed": seed, "spelling": spelling},
        )
        for task in tasks
        for n in (STRING_LENGTHS[task] if given is None else given)
    ]


def default_release() -> dict[str, Config]:
    """Every config of the released data set, by name."""
    configs = [
        *phone_book(ENTRIES),
        *c4_copy(TOKENS, ORDERS),
        *squad_v2_retrieval(PARAGRAPH_TOKENS),
        *strings(STRING_LENGTHS),
    ]
    return {config.name: config for config in configs}
