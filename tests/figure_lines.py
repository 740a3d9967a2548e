"""Handmade lines of results, and a parser of tables."""

from typing import Any

Line = dict[str, Any]


def a_line(
    label: str = "mamba", seed: int = 0, accuracies: tuple[float, ...] = (0.5,), **changes: Any
) -> Line:
    """A run that was evaluated at lengths 2 and 5, after every 10 steps of 100 + ``seed`` examples."""
    curve = [
        {"step": 10 * i, "examples": i * (1000 + 10 * seed), "tokens": 7 * i, "length": length,
         "string_accuracy": value if length == 5 else 0.123, "string_accuracy_stderr": 0.1,
         "letter_accuracy": 1.0}
        for i, value in enumerate(accuracies, 1)
        for length in (2, 5)
    ]  # fmt: skip
    config = {"model": label, "lr": 1e-3, "max_length": 5, "device": "cpu"}
    head: Line = {"figure": "f", "scale": "small", "label": label, "panel": None, "seed": seed, "sweep": {}}
    numbers = {"parameters": 1000, "machine": "x86_64", "seconds": 1800.0, "tokens": 7, "final_loss": 0.25}
    rest = {"run": f"{label}-{seed}", "config": config, "curve": curve, "tests": []}
    return {**head, **numbers, **rest, **changes}


def a_test(length: int, accuracy: float, task: str = "copy", n: int = 3) -> Line:
    score = {"string_accuracy": accuracy, "string_accuracy_stderr": 0.1}
    return {"task": task, "n": n, "length": length, "num_examples": 10, **score}


def rows_of(text: str) -> list[list[str]]:
    return [
        [c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
