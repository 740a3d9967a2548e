"""The length of the key with which a model finds its position, and the accuracy by length that it implies.

    python -m synthetic_training.figures.keys hard_alibi_small.jsonl --fit-to 40

reads results of a figure whose tests have ``keys: true``. From the letters of short strings, it estimates how
likely a competitor of n letters misleads the model (``evaluation.keys``), by maximum likelihood. All h_n grow
with the same power of the length, because attention to more keys is less sharp. It then predicts the accuracy
on long strings, which contain more and longer competitors, and prints it next to the measured accuracy. The
key's length is the n at which a competitor misleads the model in half of the cases, as if the letters that it
uses did not distinguish the two positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import expm1, log
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_text
from dataset_builders.markdown import markdown_table
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import results_of
from synthetic_training.figures.summary import check_alike, grouped, label_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from synthetic_training.evaluation.keys import KeyCounts

_STRINGS = 1000
"""Number of random strings over which a prediction is averaged, so that its standard error is below 0.02."""
_MOST_GROWTH = 4.0
"""Upper bound of the fitted power of the length."""
_BLOCK = 20
"""Number of strings that are processed at a time, which limits memory."""


@dataclass(frozen=True)
class Keys:
    """How easily competitors mislead a model.

    Attributes:
        hazards: h_n for competitors of n = 0, 1, 2, ... letters, in strings of ``reference`` letters.
        growth: power of the string length with which the hazards grow.
        reference: string length in letters for which the hazards are given.
        longest: letters of the longest competitors that occurred; longer ones have the same hazard.
    """

    hazards: tuple[float, ...]
    growth: float = 0.0
    reference: int = 1
    longest: int = 12

    def misled(self, n: int) -> float:
        """Probability that one competitor of n letters misleads the model, at the reference length."""
        return -expm1(-self.hazards[n])

    @property
    def length(self) -> float | None:
        """The length of the key in letters, interpolated; None if it is longer than ``longest``."""
        before = 0.0
        for n in range(len(self.hazards)):
            now = self.misled(n)
            if now >= 0.5:
                return n if n == 0 else n - 1 + (0.5 - before) / (now - before)
            before = now
        return None


def fit(counts: "Mapping[int, Sequence[KeyCounts]]") -> Keys:
    """Fit h_n and its growth with the length by maximum likelihood; h_n must not fall with n.

    Args:
        counts: counts by the length of the strings.

    Raises:
        InputError: no letter was copied wrongly, so that only an upper bound of h_n could be estimated.
    """
    import numpy as np
    from scipy.optimize import minimize

    reference = max(counts)
    logs = np.array([log(length / reference) for length in counts])
    right = np.array([np.sum([one.right for one in some], axis=0) for some in counts.values()], dtype=float)
    wrong = [
        (place, key, count)
        for place, some in enumerate(counts.values())
        for one in some
        for key, count in one.wrong.items()
    ]
    if not wrong:
        raise InputError("no letter was copied wrongly in these strings; fit to longer ones with --fit-to")
    rows = np.array([key for _, key, _ in wrong], dtype=float)
    times = np.array([count for _, _, count in wrong], dtype=float)
    at = logs[[place for place, _, _ in wrong]]

    seen = right.sum(0) + (times[:, None] * rows).sum(0)
    # in units in which all unknowns are of the same size, so that the search does not end early
    units = 1 / np.maximum(seen[::-1].cumsum()[::-1], 1.0)

    def loss(values: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        hazards, growth = (values[:-1] * units).cumsum(), values[-1]
        scales, own = np.exp(growth * logs), np.exp(growth * at)
        kept, sums = right @ hazards * scales, rows @ hazards * own + 1e-12
        value = kept.sum() - times @ np.log(-np.expm1(-sums))
        each = times * np.exp(-sums) / -np.expm1(-sums)
        slope = scales @ right - (each * own) @ rows
        by_growth = kept @ logs - each @ (sums * at)
        slopes = np.append(slope[::-1].cumsum()[::-1] * units, by_growth)
        return float(value) / times.sum(), slopes / times.sum()

    # long competitors are rare in short strings: without data on n letters, h_n equals that of fewer letters
    bounds = [(0.0, 20 / unit if one else 0.0) for one, unit in zip(seen, units, strict=True)]
    start = np.append(np.where(seen > 0, 1.0, 0.0), 0.0)
    growths = (0.0, _MOST_GROWTH if len(counts) > 1 else 0.0)
    options = {"maxiter": 5000, "ftol": 1e-12}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, growths], options=options)
    hazards = (found.x[:-1] * units).cumsum()
    longest = int(np.flatnonzero(seen).max())
    return Keys(tuple(float(h) for h in hazards), float(found.x[-1]), reference, longest)


def predicted(keys: Keys, length: int, letters: int) -> float:
    """The expected string accuracy on uniform strings."""
    import numpy as np

    scale = (length / keys.reference) ** keys.growth
    return float(np.exp(-scale * (_sums(length, letters) @ np.array(keys.hazards))).mean())


@lru_cache(maxsize=64)
def _sums(length: int, letters: int) -> "NDArray[np.float64]":
    """Number of competitors of n letters in all positions of each random string, of shape (strings, n)."""
    import torch

    from synthetic_training.evaluation.keys import competitors

    generator = torch.Generator().manual_seed(length)
    strings = torch.randint(letters, (_STRINGS, length), generator=generator)
    blocks = [competitors(block).sum(1) for block in strings.split(_BLOCK)]
    sums: NDArray[np.float64] = torch.cat(blocks).double().numpy()
    return sums


def fit_model(results: Sequence[Result], fit_to: int) -> tuple[Keys, list[tuple[int, float, float]]]:
    """The keys of one model over all seeds, and each length with the measured and the predicted accuracy.

    Args:
        results: results that differ only in their seeds.
        fit_to: length up to which strings are used for the estimate.

    Raises:
        InputError: there are no such strings with keys, or no errors in them.
    """
    from synthetic_training.evaluation.keys import KeyCounts

    tests = [test for result in results for test in _with_keys(result)]
    counts: dict[int, list[KeyCounts]] = {}
    for test in tests:
        if test["length"] <= fit_to:
            counts.setdefault(test["length"], []).append(KeyCounts.of_json(test["keys"]))
    if not counts:
        raise InputError(f"there are no counts of keys for strings of up to {fit_to} letters")
    keys = fit(counts)
    letters = results[0]["config"]["vocabulary"]
    found: dict[int, list[float]] = {}
    for test in tests:
        found.setdefault(test["length"], []).append(test["string_accuracy"])
    rows = [
        (length, mean(values), predicted(keys, length, letters)) for length, values in sorted(found.items())
    ]
    return keys, rows


def _with_keys(result: Result) -> list[dict[str, Any]]:
    return [test for test in result["tests"] if test.get("keys")]


def table(results: Sequence[Result], fit_to: int) -> str:
    """For each model, the length of its key and the accuracies by length, as Markdown.

    Raises:
        InputError: no result has counts of keys for strings of at most ``fit_to`` letters, or a model has
            several panels.
    """
    models = grouped((one for one in results if _with_keys(one)), label_of)
    if not models:
        raise InputError("these results have no counts of keys; give the figure's tests keys: true")
    shortest = min(test["length"] for own in models.values() for one in own for test in _with_keys(one))
    if fit_to < shortest:
        raise InputError(
            f"there are no counts of keys for strings of up to {fit_to} letters; the shortest strings with "
            f"counts have {shortest}, so pass --fit-to {shortest} or more"
        )
    found: dict[str, Mapping[int, tuple[float, float]]] = {}
    heads, lengths = [], set()
    for label, own in models.items():
        check_alike(label, own)
        try:
            keys, rows = fit_model(own, fit_to)
        except InputError as error:
            heads.append([label, str(len(own)), "unknown", "", str(error)])
            continue
        found[label] = {length: (measured, expected) for length, measured, expected in rows}
        lengths |= set(found[label])
        long = f"more than {keys.longest}" if keys.length is None else f"{keys.length:.1f}"
        shares = ", ".join(f"{keys.misled(n):.2g}" for n in range(1, min(keys.longest, 8) + 1))
        heads.append([label, str(len(own)), long, f"{keys.growth:.1f}", shares])
    lines = [
        [label, what, *(f"{own[length][at]:.3f}" if length in own else "" for length in sorted(lengths))]
        for label, own in found.items()
        for at, what in enumerate(("found", "predicted"))
    ]
    beyond = [abs(a - b) for own in found.values() for length, (a, b) in own.items() if length > fit_to]
    about = f"Estimated from strings of up to {fit_to} letters"
    if beyond:
        about += f"; beyond them, the largest difference between the accuracies is {max(beyond):.3f}"
    about += "."
    headers = ["model", "seeds", "letters of the key", "growth", f"misled by 1, 2, ... letters, at {fit_to}"]
    keys_table = markdown_table(headers, heads)
    accuracies = markdown_table(["model", "accuracy", *map(str, sorted(lengths))], lines)
    return "\n\n".join([keys_table, accuracies, about])


def _print_keys(
    file: Annotated[Path, tyro.conf.Positional], fit_to: int = 200, out: Path | None = None
) -> None:
    """Print the length of the key that each model uses, and the accuracy that follows from it.

    Args:
        file: Results of a figure whose tests have keys.
        fit_to: Length in letters up to which strings are used for the estimate.
        out: Markdown file for the tables; it must not exist.
    """
    check_integer("fit_to", fit_to, 1)
    if out is not None:
        check_new_file(out)
    text = table(results_of([file]), fit_to)
    if out is not None:
        write_text(out, text + "\n")
    print(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables for the file on the command line."""
    with command_errors():
        cli(_print_keys, prog="python -m synthetic_training.figures.keys", args=arguments)


if __name__ == "__main__":
    main()
