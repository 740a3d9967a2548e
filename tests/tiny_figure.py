"""A figure whose runs take a second."""

from pathlib import Path
from typing import Any

import yaml

from synthetic_training.figures.figure_file import read_figure
from synthetic_training.figures.plan import Run, plan
from tests.tiny_run import SETTINGS

HARD, LSTM = {"model_args": SETTINGS["model_args"]}, {"model": "lstm", "model_args": {"hidden_size": 16}}

SMALL = {**SETTINGS, "model_args": {"num_hidden_layers": 1}}


def a_figure(file: Path, x: str = "examples", **changes: Any) -> Path:
    """A figure with two runs of a second; ``changes`` are changes of its scale."""
    small = {
        "seeds": [3],
        "settings": SMALL,
        "runs": {"T_hard_alibi": HARD, "lstm": LSTM},
        "tests": [{"task": "copy", "lengths": [2, 7], "num_examples": 20}],
    }
    content = {
        "title": "Tiny",
        "x": x,
        "paper": "Nothing.",
        "scales": {"small": {**small, **changes}},
    }
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def runs_of(file: Path, **wanted: Any) -> list[Run]:
    return plan(read_figure(file).scales["small"], str(file), **wanted)
