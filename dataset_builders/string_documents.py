"""Documents of the string tasks: what ``dataset_builders.strings`` samples, as prompts and answers.

The string ``qwerty`` in each spelling; the pretrained ones begin with two worked examples::

    symbols  $qwerty|                                        the answer is ``qwerty``
    plain    asdfgh -> asdfgh\\nzxcvbn -> zxcvbn\\nqwerty ->    ``qwerty``, after a space
    spaced   the same, with a space between letters          ``q w e r t y``, after a space

A key stands before or after its string, behind a bar: ``$we|qwerty|``, ``we | qwerty ->``.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import BitGenerator

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError
from dataset_builders.strings import Definition, sample

VERSION = "1.0"
"""Version of the documents; it changes when the same arguments give other documents."""

SPELLINGS = ("symbols", "plain", "spaced")
"""``symbols`` is for models that were trained on these tasks, the others are for pretrained ones."""

COLUMNS = ("id", "prompt", "answer", "length", "key", "spelling")

_BLOCK = 256
"""Documents that are sampled together. More would make short runs slow; another number, other documents."""

_SHOTS = 2


def rows(
    task: str,
    length: int,
    num_docs: int,
    seed: int,
    spelling: str,
    *,
    vocabulary: int = 26,
    n: int = 3,
    k: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Documents 0 .. ``num_docs`` - 1 of a task; all strings have ``length`` letters.

    Document k depends on the task, its arguments, the length, the seed and k alone. The spelling changes
    how its strings are written, not which they are.

    Args:
        task: one of ``strings.TASKS``.
        length: letters of each string.
        num_docs: number of documents, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: one of ``SPELLINGS``.
        vocabulary, n, k: as in ``strings.Definition``.

    Yields:
        dicts with ``id`` (str), ``prompt`` (str), ``answer`` (str, spelled as in the prompt), ``length``
        (int), ``key`` (str, the letters of the n-gram; empty for ``copy``) and ``spelling`` (str).

    Raises:
        InputError: an argument is of the wrong kind or out of range, or no such strings exist.
    """
    check_integer("length", length, 1)
    check_integer("num_docs", num_docs, 1)
    check_integer("seed", seed)
    if spelling not in SPELLINGS:
        raise InputError(f"spelling must be one of {', '.join(SPELLINGS)}, not {spelling!r}")
    definition = Definition(task, length, length, vocabulary, n, k)
    return _rows(definition, num_docs, seed, spelling)


@dataclass(frozen=True)
class Example:
    """A string, the key that is asked about (empty for ``copy``) and the answer, all as letters."""

    string: str
    key: str
    answer: str


def _rows(definition: Definition, num_docs: int, seed: int, spelling: str) -> Iterator[dict[str, Any]]:
    for index in range(num_docs):
        block, place = divmod(index, _BLOCK)
        if place == 0:
            examples = _block(definition, seed, block)
        query, *shown = examples[place * (1 + _SHOTS) : (place + 1) * (1 + _SHOTS)]
        yield {
            "id": f"string_{definition.name}_{definition.min_length}/seed_{seed}/{index}",
            "prompt": _prompt(definition.name, spelling, query, shown),
            "answer": spell(query.answer, spelling),
            "length": len(query.string),
            "key": query.key,
            "spelling": spelling,
        }


def _block(d: Definition, seed: int, block: int) -> list[Example]:
    """For each document of the block, its query and then the examples shown with it."""
    identity = (
        f"string_{d.name}_{d.min_length}/vocabulary_{d.vocabulary}/n_{d.n}/k_{d.k}/seed_{seed}/block_{block}"
    )
    digest = hashlib.sha256(identity.encode()).digest()
    return draw(d, _BLOCK * (1 + _SHOTS), np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def draw(d: Definition, count: int, bits: BitGenerator) -> list[Example]:
    """So many examples of a task.

    Raises:
        InputError: strings with a place for the key are too rare to be found.
    """
    drawn = sample(d, count, bits)
    examples = []
    for i, letters in enumerate(drawn.letters):
        string = (letters[: drawn.lengths[i]] + ord("a")).astype(np.uint8).tobytes().decode("ascii")
        key_at = drawn.key_at[i]
        key = string[key_at : key_at + d.n] if key_at >= 0 else ""
        examples.append(Example(string, key, string[drawn.answer_at[i] : drawn.answer_end[i]]))
    return examples


def _prompt(task: str, spelling: str, query: Example, shown: Sequence[Example]) -> str:
    if spelling == "symbols":
        asked = "$" + "|".join(_fields(task, query))
        return asked if task == "suffix_ngram" else asked + "|"
    lines = [f"{question(task, spelling, one)} {spell(one.answer, spelling)}" for one in shown]
    return "\n".join([*lines, question(task, spelling, query)])


def question(task: str, spelling: str, example: Example) -> str:
    """A line of a document up to its arrow, in spelling ``plain`` or ``spaced``."""
    return " | ".join(spell(field, spelling) for field in _fields(task, example)) + " ->"


def _fields(task: str, example: Example) -> list[str]:
    if task == "prefix_ngram":
        return [example.key, example.string]
    if task == "suffix_ngram":
        return [example.string, example.key]
    return [example.string]


def spell(letters: str, spelling: str) -> str:
    """The letters, with a space between each two where they are ``spaced``."""
    return " ".join(letters) if spelling == "spaced" else letters
