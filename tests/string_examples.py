"""Examples of the string tasks, drawn by NumPy and by PyTorch, and a plain parser that checks them."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from dataset_builders.string_tasks import Copy, DuplicateNgram, PrefixNgram, Reverse, StringTask, SuffixNgram
from dataset_builders.string_tasks.sampling import sample
from dataset_builders.string_tasks.sequences import sequences
from synthetic_training.data.strings.device_sampling import EVALUATE, DeviceSampler, xp

LOOKUPS: tuple[type[StringTask], ...] = (PrefixNgram, SuffixNgram)
TASKS: tuple[type[StringTask], ...] = (Copy, Reverse, *LOOKUPS, DuplicateNgram)
NAMES = [task.name for task in TASKS]

FORMATS = {
    "copy": r"\$(?P<string>[a-z]+)\|(?P<answer>[a-z]+)\.",
    "reverse": r"\$(?P<string>[a-z]+)\|(?P<answer>[a-z]+)\.",
    "prefix_ngram": r"\$(?P<key>[a-z]{N})\|(?P<string>[a-z]+)\|(?P<answer>[a-z]+)\.",
    "suffix_ngram": r"\$(?P<string>[a-z]+)\|(?P<key>[a-z]{N})(?P<answer>[a-z]+)\.",
    "duplicate_ngram": r"\$(?P<string>[a-z]+)\|(?P<answer>[a-z]+)\.",
}

Drawn = list[tuple[str, str, str]]
"""For each example, its text, the letters that are scored (with what ends it), and its key."""

Draw = Callable[[StringTask, int, int], Drawn]


def drawn_by_numpy(task: StringTask, count: int, seed: int = 0) -> Drawn:
    return _as_text(task, sample(task, count, np.random.Philox(key=seed)))


def drawn_on_device(task: StringTask, count: int, seed: int = 0) -> Drawn:
    per_row = 3
    sampler = DeviceSampler(task, per_row, EVALUATE, seed, "cpu")
    examples = sampler.sample(torch.arange(-(-count // per_row)), 0)
    assert examples.valid is None or examples.valid.all()
    return _as_text(task, sequences(task, examples, xp))[:count]


DRAWS = {"numpy": drawn_by_numpy, "device": drawn_on_device}


def _as_text(task: StringTask, made: Any) -> Drawn:
    decode = task.symbols.decode
    keys = [[]] * len(made.tokens) if made.key is None else made.key.tolist()
    drawn = []
    for *row, key in zip(made.tokens.tolist(), made.scored.tolist(), made.counts.tolist(), keys, strict=True):
        tokens, scored, count = row
        assert set(tokens[count:]) <= {task.symbols.pad_id} and not any(scored[count:])
        answer = [token for token, is_scored in zip(tokens, scored, strict=True) if is_scored]
        drawn.append((decode(tokens[:count]), decode(answer), decode(key)))
    return drawn


def places_of(key: str, string: str) -> list[int]:
    return [i for i in range(len(string) - len(key) + 1) if string[i : i + len(key)] == key]


def valid_places(string: str, n: int, k: int | None) -> list[int]:
    """The positions of n-grams that occur once and have three letters, or k + 3, after them."""
    last = len(string) - n - (k or 0) - 3
    return [i for i in range(last + 1) if len(places_of(string[i : i + n], string)) == 1]


def setting(task: StringTask, name: str) -> Any:
    return task.settings.get(name)


def check_example(task: StringTask, text: str, key: str | None = None) -> tuple[str, str]:
    """The string and the answer of an example, after checking all of its properties."""
    n, k = setting(task, "n"), setting(task, "k")
    match = re.fullmatch(FORMATS[task.name].replace("N", str(n)), text)
    assert match, text
    string, answer = match["string"], match["answer"]
    assert task.min_length <= len(string) <= task.max_length
    assert set(string) <= set("abcdefghijklmnopqrstuvwxyz"[: task.vocabulary])
    expected = string[::-1] if task.name == "reverse" else string
    if task.name in ("prefix_ngram", "suffix_ngram"):
        (place,) = places_of(match["key"], string)
        assert place in valid_places(string, n, k)
        expected = string[place + n :]
        assert key in (None, match["key"])
    elif task.name == "duplicate_ngram" and key is not None:
        places = places_of(key, string)
        assert len(key) == n and places[-1] - places[0] >= n
    elif key is not None:
        assert key == ""
    assert answer == expected[:k] and len(answer) == (k or len(expected)) > 0
    return string, answer


@st.composite
def tasks(draw_from: st.DrawFn, kind: type[StringTask]) -> StringTask:
    n = draw_from(st.integers(2, 5))
    k = draw_from(st.none() | st.integers(1, 6))
    least = {"copy": k or 1, "reverse": 1, "duplicate_ngram": 2 * n}.get(kind.name, n + (k or 0) + 3)
    shortest = draw_from(st.integers(least, least + 12))
    longest = shortest + draw_from(st.integers(0, 12))
    known = {"copy": {"k": k}, "reverse": {}, "duplicate_ngram": {"n": n}}
    return kind(shortest, longest, draw_from(st.integers(3, 26)), **known.get(kind.name, {"n": n, "k": k}))


def few_tasks(kind: type[StringTask]) -> list[StringTask]:
    """Tasks with short strings, with long strings, and with few letters."""
    own = {"copy": {"k": 2}, "reverse": {}, "duplicate_ngram": {"n": 2}}.get(kind.name, {"n": 2, "k": 2})
    return [kind(8, 20), kind(12, 12, 3), kind(9, 25, 5, **own)]


def solve(prompt: str, spelling: str, task: str, k: int | None = None) -> str:
    """The right continuation of a prompt, with the end of the answer."""
    query = prompt.rsplit("\n", 1)[-1]
    if spelling == "symbols":
        fields = query.removeprefix("$").split("|")
    else:
        fields = query.removesuffix(" ->").replace(" ", "").split("|")
    string = fields[1] if task == "prefix_ngram" else fields[0]
    key = {"prefix_ngram": fields[0], "suffix_ngram": fields[-1]}.get(task, "")
    answer = string.split(key, 1)[1] if key else string
    answer = (answer[::-1] if task == "reverse" else answer)[:k]
    if spelling == "symbols":
        return answer + "."
    return f" {' '.join(answer) if spelling == 'spaced' else answer}\n"


def chi_square_bound(cells: int) -> float:
    """A bound far in the tail: the mean of the statistic plus 6 standard deviations."""
    return cells - 1 + 6 * (2 * (cells - 1)) ** 0.5


def chi_square(counts: Counter[Any], expected: dict[Any, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[cell] - mean) ** 2 / mean for cell, mean in expected.items())
