"""Documents of the string tasks: prompts and answers as text.

The string ``qwerty`` in each spelling; the spellings for pretrained models begin with two worked examples::

    symbols  $qwerty|                                        the answer is ``qwerty``
    plain    asdfgh -> asdfgh\\nzxcvbn -> zxcvbn\\nqwerty ->    ``qwerty``, after a space
    spaced   the same, with a space between letters          ``q w e r t y``, after a space

A key comes before or after its string, separated by a bar: ``$we|qwertyuiop|``, ``we | qwertyuiop ->``. If an
example has several answers, the document's answer is the last; the others are part of the prompt.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.random import BitGenerator

from dataset_builders.checks import MAX_DOCUMENTS, check_integer
from dataset_builders.errors import InputError
from dataset_builders.string_tasks.registry import string_task
from dataset_builders.string_tasks.sampling import sample
from dataset_builders.string_tasks.symbols import BAR
from dataset_builders.string_tasks.task import StringTask

SPELLINGS = ("symbols", "plain", "spaced")
"""``symbols`` is for models that were trained on these tasks; the others are for pretrained models."""

COLUMNS = ("id", "prompt", "answer", "length", "key", "spelling")

_BLOCK = 256
"""Number of documents sampled together, small so that short runs are fast; documents depend on it."""

_SHOTS = 2


@dataclass(frozen=True)
class TextExample:
    """An example as sequences of symbols.

    Attributes:
        fields: sequences of letters before the answer; bars separate them.
        bar_before_answer: whether a bar separates the last field from the answer.
        answer: letters of the answer.
        key: letters of the key; empty for tasks without one.
    """

    fields: tuple[tuple[str, ...], ...]
    bar_before_answer: bool
    answer: tuple[str, ...]
    key: tuple[str, ...]


def rows(
    task: str,
    length: int,
    num_docs: int,
    seed: int,
    spelling: str,
    *,
    vocabulary: int = 26,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Documents 0 .. ``num_docs`` - 1 of a task; all strings have ``length`` letters.

    Document k depends only on the task, its settings, the length, the seed and k. The spelling changes
    how strings are written, but not the strings.

    Args:
        task: the name of a string task.
        length: length of each string in letters.
        num_docs: number of documents, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: one of ``SPELLINGS``; ``plain`` needs a vocabulary of at most 26 letters.
        vocabulary: number of different letters.
        settings: settings of the task, such as n and k.

    Yields:
        dicts with ``id`` (str), ``prompt`` (str), ``answer`` (str, spelled as in the prompt), ``length``
        (int), ``key`` (str, empty for tasks without a key) and ``spelling`` (str).

    Raises:
        InputError: an argument is of the wrong type or out of range, or no such strings exist.
    """
    check_integer("num_docs", num_docs, 1, MAX_DOCUMENTS)
    check_integer("seed", seed)
    if spelling not in SPELLINGS:
        raise InputError(f"spelling must be one of {', '.join(SPELLINGS)}, not {spelling!r}")
    made = string_task(task, length, length, vocabulary, settings)
    if spelling == "plain" and not made.symbols.are_characters:
        raise InputError(
            f"a vocabulary of {vocabulary} letters is written as numbers, which need spaces between them; "
            "use the spelling spaced"
        )
    return _rows(made, num_docs, seed, spelling)


def _rows(task: StringTask, num_docs: int, seed: int, spelling: str) -> Iterator[dict[str, Any]]:
    for index in range(num_docs):
        block, offset = divmod(index, _BLOCK)
        if offset == 0:
            examples = _block(task, seed, block)
        query, *shown = islice(examples, 1 + _SHOTS)
        yield {
            "id": f"string_{task.name}_{task.min_length}/seed_{seed}/{index}",
            "prompt": _prompt(task, spelling, query, shown),
            "answer": spell(query.answer, _answer_spelling(task, spelling)),
            "length": task.min_length,
            "key": spell(query.key, "plain" if task.symbols.are_characters else "spaced"),
            "spelling": spelling,
        }


def _block(task: StringTask, seed: int, block: int) -> Iterator[TextExample]:
    """The examples of a block: for each document, the query followed by its worked examples."""
    # n and k are part of the seed even for tasks without them, because the released documents depend on it
    settings = {"n": 3, "k": None} | task.settings
    identity = "/".join(
        [
            f"string_{task.name}_{task.min_length}/vocabulary_{task.vocabulary}",
            *(f"{name}_{value}" for name, value in settings.items()),
            f"seed_{seed}/block_{block}",
        ]
    )
    digest = hashlib.sha256(identity.encode()).digest()
    return draw(task, _BLOCK * (1 + _SHOTS), np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def draw(task: StringTask, count: int, bits: BitGenerator) -> Iterator[TextExample]:
    """``count`` examples of a task, drawn together and written as text one by one.

    Raises:
        InputError: valid examples are too rare to sample.
    """
    drawn = sample(task, count, bits)
    symbols = np.array(tuple(task.symbols.ids), dtype=object)
    for i, (tokens, scored) in enumerate(zip(drawn.tokens, drawn.scored, strict=True)):
        # without the marks that begin and end an example
        end = int(drawn.counts[i]) - 1
        begin = end - int(scored[end - 1 :: -1].argmin())
        text = tuple(symbols[tokens[1:end]])
        question, answer = text[: begin - 1], text[begin - 1 :]
        bar = question[-1:] == (BAR,)
        fields = _split(question[:-1] if bar else question)
        key = () if drawn.key is None else tuple(symbols[drawn.key[i]])
        yield TextExample(fields, bar, answer, key)


def _split(text: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The parts of a text between bars."""
    bars = [-1, *(i for i, symbol in enumerate(text) if symbol == BAR), len(text)]
    return tuple(text[a + 1 : b] for a, b in pairwise(bars))


def _prompt(task: StringTask, spelling: str, query: TextExample, shown: Sequence[TextExample]) -> str:
    if spelling == "symbols":
        symbols = ["$"]
        for field in query.fields:
            symbols += [*field, BAR]
        prompt = symbols if query.bar_before_answer else symbols[:-1]
        return spell(prompt, _answer_spelling(task, spelling))
    lines = [f"{question(spelling, one)} {spell(one.answer, spelling)}" for one in shown]
    return "\n".join([*lines, question(spelling, query)])


def _answer_spelling(task: StringTask, spelling: str) -> str:
    """The spelling of an answer: numbers are always separated by spaces."""
    return spelling if task.symbols.are_characters else "spaced"


def question(spelling: str, example: TextExample) -> str:
    """The question of an example as a line that ends in an arrow, in the spelling ``plain`` or ``spaced``."""
    return " | ".join(spell(field, spelling) for field in example.fields) + " ->"


def spell(symbols: Sequence[str], spelling: str) -> str:
    """The symbols as text, separated by spaces in the spelling ``spaced``."""
    return (" " if spelling == "spaced" else "").join(symbols)
