"""GPU hours of the figures' runs, and of the paper's trainer for the same number of tokens.

    python -m synthetic_training.figures.cost reproduced/*.jsonl
    python -m synthetic_training.figures.cost reproduced/*.jsonl --figures

The paper's trainer is a stand-in, which ``synthetic_training.speed.trainer`` measured in the same run as this
trainer, at 64 rows of 220 tokens on one H200. If a model's size differs from the measured size, such as Mamba
with 24 layers instead of 12, tokens per second are assumed to be inversely proportional to the number of
parameters. No estimate is made beyond a factor of 4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import read_json
from dataset_builders.markdown import markdown_table
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import read_results, results_of
from synthetic_training.figures.summary import hours_of

SPEED = Path(__file__).parents[1] / "speed" / "results" / "speed_h200.json"
_ROWS = 64
"""Rows per step at which the speed of the paper's trainer is read from the results."""
_COMPARABLE = 4.0
"""Maximum ratio of parameter counts for which a speed is scaled."""


@dataclass(frozen=True)
class Baseline:
    """The paper's trainer on one model.

    Attributes:
        tokens_per_s: tokens per second of training.
        parameters: number of parameters of the measured model.
    """

    tokens_per_s: float
    parameters: int


@dataclass(frozen=True)
class Cost:
    """All runs of a model of one size.

    Attributes:
        model: model, as in ``TrainConfig``.
        parameters: number of parameters.
        runs: number of runs.
        tokens: number of training tokens of all runs.
        gpu_hours: GPU hours of all runs.
        paper_hours: GPU hours for the same number of tokens with the paper's trainer; None if unknown.
        scaled: number of parameters relative to the measured model; 1 for the same model.
    """

    model: str
    parameters: int
    runs: int
    tokens: int
    gpu_hours: float
    paper_hours: float | None
    scaled: float | None


def baselines(speed: Mapping[str, Any]) -> dict[str, Baseline]:
    """The paper's trainer by model, from the content of a result file of ``speed.trainer``."""
    parts = speed.get("runs", [speed])
    return {
        one["model"]: Baseline(one["paper_tokens_per_s"], one["parameters"])
        for part in parts
        for one in part["measured"]
        if one["batch_size"] == _ROWS and "paper_tokens_per_s" in one and "parameters" in one
    }


def costs(results: Iterable[Result], known: Mapping[str, Baseline]) -> list[Cost]:
    """The costs of all runs on a GPU; a run that several figures share counts once.

    Args:
        results: results of figures.
        known: the paper's trainer by model.
    """
    runs = {result["run"]: result for result in results if result["config"]["device"] == "cuda"}
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in runs.values():
        groups.setdefault((result["config"]["model"], result["parameters"]), []).append(result)
    return [_cost(*key, own, known.get(key[0])) for key, own in sorted(groups.items())]


def _cost(model: str, parameters: int, results: Sequence[Result], baseline: Baseline | None) -> Cost:
    tokens = sum(result["tokens"] for result in results)
    spent = sum(hours_of(result) for result in results)
    scaled = parameters / baseline.parameters if baseline else None
    paper = None
    if baseline and scaled and 1 / _COMPARABLE <= scaled <= _COMPARABLE:
        paper = tokens * scaled / baseline.tokens_per_s / 3600
    return Cost(model, parameters, len(results), tokens, spent, paper, scaled)


def table(found: Sequence[Cost]) -> str:
    """The costs as Markdown; costs without a comparison are in a separate table."""
    if not found:
        return "None of these runs used a GPU."
    compared = [one for one in found if one.paper_hours is not None]
    apart = [one for one in found if one.paper_hours is None]
    parts = []
    if compared:
        headers = [*_HEADERS, "the paper's trainer, GPU hours", "ratio"]
        rows = [[*_row(one), *_against(one.gpu_hours, one.paper_hours or 0)] for one in compared]
        ours, theirs = sum(o.gpu_hours for o in compared), sum(o.paper_hours or 0 for o in compared)
        total = ["all", "", str(sum(o.runs for o in compared)), f"{sum(o.tokens for o in compared):,}"]
        rows.append([*total, f"{ours:.3f}", *_against(ours, theirs)])
        parts.append(markdown_table(headers, rows))
        parts.append(
            "The paper's trainer: the tokens divided by the tokens per second of its stand-in on an H200, at "
            "64 rows of 220 tokens. Hours include the evaluations during training."
        )
        scaled = [
            f"{one.model}: tokens per second scaled by parameters, {one.scaled:.2f} times those measured."
            for one in compared
            if one.scaled != 1
        ]
        parts += dict.fromkeys(scaled)  # sizes that hardly differ have the same text
    if apart:
        parts += [
            "Without a measurement of the paper's trainer:",
            markdown_table(_HEADERS, [_row(o) for o in apart]),
        ]
    sums = [sum(one.runs for one in found), sum(one.tokens for one in found)]
    hours = sum(one.gpu_hours for one in found)
    row = [*(f"{number:,}" for number in sums), f"{hours:.3f}"]
    parts += ["In all:", markdown_table(["runs", "tokens", "GPU hours"], [row])]
    return "\n\n".join(parts)


def folder_table(folder: Path) -> str:
    """The table of all results at the paper's size in a folder, and of Mamba's other runs."""
    files = sorted({*folder.glob("*_paper.jsonl"), *folder.glob("mamba_*.jsonl")})
    results = [result for file in files for result in read_results(file)]
    return table(costs(results, baselines(read_json(SPEED)))) + "\n"


_HEADERS = ["model", "parameters", "runs", "tokens", "GPU hours"]


def _row(one: Cost) -> list[str]:
    return [one.model, f"{one.parameters:,}", str(one.runs), f"{one.tokens:,}", f"{one.gpu_hours:.3f}"]


def _against(ours: float, theirs: float) -> list[str]:
    return [f"{theirs:.3f}", f"{theirs / ours:.1f}x"]


def by_figure(results: Iterable[Result]) -> str:
    """The hours that the runs of each figure took, as Markdown."""
    groups: dict[tuple[str, str], dict[str, Result]] = {}
    for result in results:
        groups.setdefault((result["figure"], result["scale"]), {})[result["run"]] = result
    rows = []
    for (figure, scale), runs in sorted(groups.items(), key=lambda item: item[0][::-1]):
        took: dict[str, list[float]] = {}
        for one in runs.values():
            took.setdefault(one["config"]["device"], []).append(hours_of(one))
        hours = [f"{sum(took[device]):.2f}" if device in took else "" for device in ("cuda", "cpu")]
        rows.append([figure, scale, str(len(runs)), *hours, _longest(runs.values())])
    headers = ["figure", "scale", "runs", "GPU hours", "hours of a CPU core", "longest run (minutes)"]
    note = (
        "Hours of training with its evaluations, of the runs in these results. A run that several figures "
        "share is counted in each; the time of a shared GPU is divided among its runs."
    )
    return f"{markdown_table(headers, rows)}\n\n{note}"


def _longest(runs: Iterable[Result]) -> str:
    return f"{max(one['seconds'] for one in runs) / 60:.1f}"


def _print_costs(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional], speed: Path = SPEED, figures: bool = False
) -> None:
    """Print the GPU hours of runs, compared with the paper's trainer.

    Args:
        files: Results of reproduce, FIGURE_SCALE.jsonl.
        speed: Measurements by synthetic_training.speed.trainer.
        figures: Print the hours of each figure instead.
    """
    results = results_of(files)
    if figures:
        print(by_figure(results))
        return
    try:
        known = baselines(read_json(speed))
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{speed} was not written by synthetic_training.speed.trainer") from None
    print(table(costs(results, known)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of costs for the files on the command line."""
    with command_errors():
        cli(_print_costs, prog="python -m synthetic_training.figures.cost", args=arguments)


if __name__ == "__main__":
    main()
