"""Classes of wrong answers about phone books; CAPACITY.md states the rules in words."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builders import InputError
from lm_eval_tasks.error_classes import ErrorClasses

NO_ANSWER = "no answer"
NO_NUMBER = "no number"
OTHER_LENGTH = "not ten digits"
OTHER_FORM = "right number, other form"
EXAMPLE = "number of an example"
NEIGHBOUR = "number of a neighbour"
EARLIER = "number of an earlier entry"
LATER = "number of a later entry"
NEAR_MISS = "one or two digits wrong"
NEAR_OTHER = "near another entry's number"
SPLICE = "splice of two entries"
BEGINS_RIGHT = "first three digits right"
OTHER = "other number"

_DIGITS = 10
_NUMBERS = 4 * 10**9
_NEAR = 2  # digits
_LEAST_PART = 3  # digits of each part of a splice; fewer agree with some entry by chance
_ENTRIES = re.compile(r"[^\n]+: [0-9]{10}(?:\n[^\n]+: [0-9]{10})*")
_SEPARATED = re.compile(r"[0-9](?:[ ().-]{0,2}[0-9])*")
_NEAR_NUMBERS = 84 + 3159
"""Valid numbers that differ from one in one digit (9 · 9 + 3) or two (36 · 81 + 9 · 9 · 3)."""


@dataclass(frozen=True)
class _Book:
    numbers: tuple[str, ...]
    examples: frozenset[int]
    query: int

    @property
    def answer(self) -> str:
        return self.numbers[self.query]

    @property
    def others(self) -> Iterator[tuple[int, str]]:
        return ((i, number) for i, number in enumerate(self.numbers) if i != self.query)


def _book(doc: Mapping[str, Any]) -> _Book:
    """The book of a document: its first block of entries; the second block contains the examples."""
    prompt = doc.get("prompt")
    parts = prompt.split("\n\n") if isinstance(prompt, str) else []
    of_entries = [part for part in parts[:-1] if _ENTRIES.fullmatch(part)]
    if len(of_entries) == 2:
        lines, examples = ([line.rpartition(": ") for line in part.split("\n")] for part in of_entries)
        names = [name for name, _, _ in lines]
        place = {name: i for i, name in enumerate(names)}
        query = parts[-1].removesuffix(":")
        if query in place and all(name in place for name, _, _ in examples):
            numbers = tuple(number for _, _, number in lines)
            return _Book(numbers, frozenset(place[name] for name, _, _ in examples), place[query])
    raise InputError("a sample's document is not a phone book; run lm_eval again with --log_samples")


def classify(doc: Mapping[str, Any], text: str) -> str:
    """The class of a wrong answer: the first whose rule applies, in the order of this function.

    Raises:
        InputError: the document is not a phone book.
    """
    book, line = _book(doc), text.split("\n", 1)[0].strip()
    if not line:
        return NO_ANSWER
    found = _numbers(line)
    if not found:
        return NO_NUMBER
    if book.answer in found:
        return OTHER_FORM
    number = next((one for one in found if len(one) == _DIGITS), None)
    if number is None:
        return OTHER_LENGTH
    for place, other in book.others:
        if number == other:
            return _place(book, place)
    if _differing(number, book.answer) <= _NEAR:
        return NEAR_MISS
    if any(_differing(number, other) <= _NEAR for _, other in book.others):
        return NEAR_OTHER
    for cut in range(_LEAST_PART, _DIGITS - _LEAST_PART + 1):
        begins, ends = _parts(book.numbers, cut)
        if number[:cut] in begins and number[cut:] in ends:
            return SPLICE
    return BEGINS_RIGHT if number[:_LEAST_PART] == book.answer[:_LEAST_PART] else OTHER


def _numbers(line: str) -> list[str]:
    """Numbers in a line: as written, and with spaces, dots, hyphens and brackets between digits removed."""
    runs = re.findall(r"[0-9]+", line)
    return runs + [re.sub(r"[^0-9]", "", run) for run in _SEPARATED.findall(line)]


def _differing(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))


def _parts(numbers: Sequence[str], cut: int) -> tuple[set[str], set[str]]:
    return {number[:cut] for number in numbers}, {number[cut:] for number in numbers}


def _place(book: _Book, place: int) -> str:
    if place in book.examples:
        return EXAMPLE
    if abs(place - book.query) == 1:
        return NEIGHBOUR
    return EARLIER if place < book.query else LATER


def random_number(doc: Mapping[str, Any]) -> dict[str, float]:
    """Probability of each class of wrong answer, for a valid number drawn at random.

    Probabilities are summed over entries, so they are slightly too high where classes of entries overlap.
    """
    book = _book(doc)
    other_entries = Counter(_place(book, place) for place, _ in book.others)
    chance = {name: count / _NUMBERS for name, count in other_entries.items()}
    chance[NEAR_MISS] = _NEAR_NUMBERS / _NUMBERS
    chance[NEAR_OTHER] = (len(book.numbers) - 1) * _NEAR_NUMBERS / _NUMBERS
    cuts = (_parts(book.numbers, cut) for cut in range(_LEAST_PART, _DIGITS - _LEAST_PART + 1))
    chance[SPLICE] = min(1.0, sum(len(begins) * len(ends) for begins, ends in cuts) / _NUMBERS)
    chance[BEGINS_RIGHT] = 1 / (4 * 10 ** (_LEAST_PART - 1))
    return chance | {OTHER: max(0.0, 1 - sum(chance.values()))}


def random_entry(doc: Mapping[str, Any]) -> dict[str, float]:
    """Probability of each class of wrong answer, for the number of another entry drawn at random."""
    book = _book(doc)
    places = Counter(_place(book, place) for place, _ in book.others)
    return {name: count / places.total() for name, count in places.items()}


ERRORS = ErrorClasses(
    names=(
        NO_ANSWER, NO_NUMBER, OTHER_LENGTH, OTHER_FORM, EXAMPLE, NEIGHBOUR, EARLIER, LATER, NEAR_MISS,
        NEAR_OTHER, SPLICE, BEGINS_RIGHT, OTHER,
    ),
    classify=classify,
    references={"random number": random_number, "random other entry": random_entry},
)  # fmt: skip
