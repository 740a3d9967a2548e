"""``python -m synthetic_training``: train and evaluate models on synthetic tasks, reproduce figures."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dataset_builders.command_line import command_errors
from synthetic_training.config import TrainConfig, as_json, checked, read_run, read_settings
from synthetic_training.evaluation.evaluate import EvaluateConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a slip of the user ends with one sentence and status 1."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with command_errors("interrupted; with --resume, runs go on from their last checkpoint"):
        base = _base_settings(arguments)
        tyro.extras.subcommand_cli_from_dict(
            {"train": _train_command(base), "evaluate": _evaluate, "plot": _plot, "reproduce": _reproduce},
            prog="python -m synthetic_training",
            description=__doc__,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )


def _base_settings(arguments: Sequence[str]) -> TrainConfig:
    """What the command line of ``train`` overrides: the run's own settings, or a file's, or the defaults."""
    if list(arguments[:1]) != ["train"]:
        return TrainConfig()
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--resume", action="store_true")
    try:
        known, _ = parser.parse_known_args(arguments[1:])
    except argparse.ArgumentError:  # tyro says it better
        return TrainConfig()
    settings = as_json(read_run(known.out)) if known.resume and known.out else {}
    if known.config:
        settings |= read_settings(known.config)
    return checked(settings, str(known.config or "the settings"))


def _train_command(base: TrainConfig) -> Callable[..., None]:
    def train(
        out: Path,
        settings: TrainConfig = base,
        config: Path | None = None,  # noqa: ARG001  it is in ``base``
        resume: bool = False,
    ) -> None:
        """Train a model from scratch on a synthetic task.

        Args:
            out: The run's folder, new or empty.
            settings: What the run is.
            config: YAML or JSON file of settings; those of the command line go before it.
            resume: Go on with the run in the folder, with the settings that it has.
        """
        _no_bars_of_transformers()
        sizes = {**base.model_args, **settings.model_args}
        checked_settings = checked(as_json(replace(settings, model_args=sizes)))

        from synthetic_training.training.run import train as run

        model = run(checked_settings, out, resume=resume)
        if os.environ.get("RANK", "0") == "0":
            print(f"trained: {model}")

    return train


def _evaluate(settings: EvaluateConfig) -> None:
    """Measure the accuracy of a trained model on strings of each length."""
    from synthetic_training.evaluation.evaluate import evaluate, table

    _no_bars_of_transformers()
    content = evaluate(settings)
    print(table(content["results"]))
    if settings.out:
        print(f"\nwritten: {settings.out}")


def _plot(runs: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path) -> None:
    """Draw accuracy against training examples, and against length.

    Args:
        runs: Folders of runs, and files of evaluate.
        out: Folder for the plots.
    """
    from synthetic_training.evaluation.plot import plot

    print("drawn: " + ", ".join(map(str, plot(runs, out))))


def _reproduce(
    figure: Annotated[str, tyro.conf.Positional],
    scale: Literal["small", "paper"] = "small",
    seeds: tuple[int, ...] = (),
    models: tuple[str, ...] = (),
    out: Path = Path("reproduced"),
    resume: bool = False,
    per_gpu: int = 1,
    revision: str | None = None,
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = (),
    trust_remote_code: bool = False,
) -> None:
    """Do the runs of a figure of the paper, and draw it.

    Args:
        figure: efficiency, length_generalization, ngram_lookup, duplicates, a sweep (learning_rates,
            mamba_weights, mamba_recall), or a YAML file.
        scale: small for a CPU, paper for its sizes.
        seeds: In place of those of the figure's file.
        models: Labels of the runs that are wanted; none for all.
        out: Folder for the runs of all figures, and for the results.
        resume: Go on with what is in the folder; what is done is only drawn again.
        per_gpu: Runs that share a GPU: one compiles or is tested while another trains.
        revision: Of this code, in place of what git says, as for a copy without its history.
        imports: Packages to import first in every run, which register model types for hf:TYPE, such as fla.
        trust_remote_code: Run the Python code that the folders of the runs' models carry.
    """
    from synthetic_training.figures.reproduce import reproduce

    # the runs under way are ended as for Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = reproduce(
        figure,
        scale,
        seeds=seeds,
        models=models,
        out=out,
        resume=resume,
        per_gpu=per_gpu,
        revision=revision,
        imports=imports,
        trust_remote_code=trust_remote_code,
    )
    print("made: " + ", ".join(map(str, made)))


def _no_bars_of_transformers() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


if __name__ == "__main__":
    main()
