"""``python -m synthetic_training``: train and evaluate models on synthetic tasks, and reproduce figures."""

from dataset_builders.command_help import DEFAULT_IN_TEXT, default_hint
from dataset_builders.command_line import interrupt_quietly

if __name__ == "__main__":
    interrupt_quietly()  # the imports below take seconds

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dataset_builders.command_line import check_command, command_errors
from dataset_builders.extras import require

with command_errors():
    require("train")  # before anything below imports it

from dataset_builders.interruption import Interrupted, interrupt_on_sigterm
from synthetic_training.config import MQAR, TrainConfig, config_path
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.settings import parse_settings, read_settings

DESCRIPTION = """Train and evaluate models on synthetic tasks, and reproduce figures of the paper.

Models: T_rope, T_nope, T_alibi, T_hard_alibi, mamba and lstm of the paper; hf:TYPE, any causal language model
of transformers; fla:TYPE, any model of flash-linear-attention; and your own.

Tasks: copy, reverse, prefix_ngram, suffix_ngram, duplicate_ngram, mqar (associative recall) and documents."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. For invalid input, print one sentence and exit with status 1."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with command_errors(), _interruption():
        if os.environ.get("WORLD_SIZE", "1") != "1":
            # before any check, so that no process ends before the first one has reported the problem
            from synthetic_training.training.processes import connect

            connect()
        base = _base_settings(arguments)
        commands: dict[str, Callable[..., Any]] = {
            "train": _train_command(base),
            "evaluate": _evaluate,
            "plot": _plot,
            "reproduce": _reproduce,
        }
        check_command(arguments, commands)
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="python -m synthetic_training",
            description=DESCRIPTION,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
            console_outputs=_is_main(),
        )


@contextmanager
def _interruption() -> Iterator[None]:
    """After an interruption, print what was saved, and exit with the status that shells expect."""
    try:
        yield
    except Interrupted as stop:
        if _is_main():
            print(stop, file=sys.stderr)
        sys.exit(stop.status)


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class _Flags(TrainConfig):
    """Settings as typed, not yet validated: tyro would report an invalid value in its own format."""

    def __post_init__(self) -> None:
        pass


def _base_settings(arguments: Sequence[str]) -> TrainConfig:
    """The settings that the flags of ``train`` override.

    The file of ``--config`` overrides the run to resume, which overrides the preset, which overrides the
    defaults.
    """
    if list(arguments[:1]) != ["train"]:
        return TrainConfig()
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--preset")
    try:
        known, _ = parser.parse_known_args(arguments[1:])
    except argparse.ArgumentError:  # tyro will report the error with a better message
        return TrainConfig()
    from synthetic_training.models.presets import preset_settings

    given = read_settings(config_path(known.config)) if known.config else {}
    preset = known.preset or given.get("preset")
    settings = dict(preset_settings(preset)) if isinstance(preset, str) else {}
    if known.resume and known.out:
        from synthetic_training.training.run_folder import read_run

        settings |= read_run(known.out).as_json()
    settings |= given
    return parse_settings(TrainConfig, settings, str(known.config)) if settings else TrainConfig()


def _train_command(base: TrainConfig) -> Callable[..., None]:
    def train(
        out: Path,
        settings: _Flags = _Flags(**vars(base)),  # noqa: B008  the default that --help shows
        config: str | None = None,  # noqa: ARG001  it is in ``base``
        resume: bool = False,
    ) -> None:
        """Train a model from scratch on a synthetic task.

        Args:
            out: Folder for the run, new or empty.
            settings: Settings of the run.
            config: Settings of the package (cpu_copy), or a YAML or JSON file; command-line values override
                them.
            resume: Continue the run in the folder from its last checkpoint, with its settings.
        """
        _disable_progress_bars()
        model_args = {**base.model_args, **settings.model_args}
        checked = TrainConfig(**{**vars(settings), "model_args": model_args})

        from synthetic_training.training.run import train as run
        from synthetic_training.training.run_folder import MODEL

        finished = resume and (out / MODEL).exists()
        model = run(checked, out, resume=resume)
        if _is_main():
            print(f"{'already trained' if finished else 'trained'}: {model}")

    return train


def _evaluate(settings: EvaluateConfig) -> None:
    """Evaluate the accuracy of a trained model by string length."""
    from synthetic_training.evaluation.evaluate import evaluate, table

    _disable_progress_bars()
    content = evaluate(settings)
    print(table(content["results"], mqar=content["config"]["task"] == MQAR))
    if settings.out:
        print(f"\nwritten: {settings.out}")


def _plot(runs: Annotated[tuple[Path, ...], tyro.conf.Positional, DEFAULT_IN_TEXT], out: Path) -> None:
    """Plot accuracy against training examples and against length.

    Args:
        runs: Folders of runs, and files written by evaluate.
        out: Folder for the plots.
    """
    from synthetic_training.evaluation.plot import plot

    print("plotted: " + ", ".join(map(str, plot(runs, out))))


def _reproduce(
    figures: Annotated[tuple[str, ...], tyro.conf.Positional, DEFAULT_IN_TEXT],
    scale: Literal["small", "paper"] = "small",
    seeds: Annotated[tuple[int, ...], DEFAULT_IN_TEXT] = (),
    models: Annotated[tuple[str, ...], DEFAULT_IN_TEXT] = (),
    out: Path = Path("reproduced"),
    resume: bool = False,
    known: Path | None = None,
    per_gpu: int = 1,
    minutes: Annotated[float | None, DEFAULT_IN_TEXT] = None,
    whole_runs: bool = False,
    revision: Annotated[str | None, DEFAULT_IN_TEXT] = None,
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", help_behavior_hint=default_hint)] = (),
    trust_remote_code: bool = False,
    dry_run: bool = False,
    gpus: int | None = None,
    calls: int = 3,
) -> None:
    """Train the models of figures, and plot the results.

    Args:
        figures: Names of figures, or YAML files of your own, in the order in which to train their models.
            Figures of the paper: efficiency (at the paper's size: efficiency_50, efficiency_100,
            efficiency_300), length_generalization, ngram_lookup, ngram_lookup_by_length, duplicates. Sweep of
            learning rates: learning_rates. Beyond the paper: efficiency_8, efficiency_12, efficiency_16,
            efficiency_24, ngram_lookup_short, hard_alibi, mqar, mamba_weights, mamba_recall, and the paper's
            experiments with other architectures, beyond_NAME. Bundled models: trio, trio_learning_rates,
            pair_learning_rates.
        scale: small for sizes that a CPU can train, or paper for the sizes of the paper.
        seeds: Random seeds (default: those in the figure's file).
        models: Labels of the models to run (default: all).
        out: Folder for the runs of all figures, and for the results.
        resume: Continue an earlier reproduction in the folder; finished runs are not repeated.
        known: Folder with results of earlier calls; their runs are not repeated.
        per_gpu: Maximum number of runs that share a GPU, so that one trains while another compiles or is
            evaluated.
        minutes: Time limit in minutes, at which the runs in progress save a checkpoint and end (default: no
            limit). If runs remain, the exit status is 124.
        whole_runs: With --minutes, start only runs on a GPU that are expected to end in time, for machines
            that do not keep checkpoints.
        revision: Code revision to record (default: from git); for copies without git history.
        imports: Packages to import first in every run, which register model types for hf:TYPE.
        trust_remote_code: Run the Python code in the folders of the runs' models.
        dry_run: Print the plan with the expected hours, without running anything.
        gpus: With --dry-run, also print the schedule on this number of GPUs; with --minutes, of repeated
            calls.
        calls: Number of calls whose runs the schedule lists one by one.
    """
    from synthetic_training.figures.reproduce import reproduce

    interrupt_on_sigterm()  # running jobs then save a checkpoint and end
    made = reproduce(
        figures,
        scale,
        seeds=seeds,
        models=models,
        out=out,
        resume=resume,
        known=known,
        per_gpu=per_gpu,
        minutes=minutes,
        whole_runs=whole_runs,
        revision=revision,
        imports=imports,
        trust_remote_code=trust_remote_code,
        dry_run=dry_run,
        gpus=gpus,
        calls=calls,
    )
    if made:
        print("written: " + ", ".join(map(str, made)))


def _disable_progress_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


if __name__ == "__main__":
    main()
