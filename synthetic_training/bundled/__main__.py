"""``python -m synthetic_training.bundled``: train, pack and install the bundled models."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dataset_builders.command_help import DEFAULT_IN_TEXT
from dataset_builders.command_line import check_command, command_errors
from dataset_builders.extras import require

with command_errors():
    require("train")

from dataset_builders.interruption import interrupt_on_sigterm

Scale = Literal["small", "paper"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. For invalid input, print one sentence and exit with status 1."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    commands: dict[str, Callable[..., Any]] = {"train": _train, "pack": _pack, "install": _install}
    with command_errors():
        check_command(arguments, commands)
        tyro.extras.subcommand_cli_from_dict(
            commands, prog="python -m synthetic_training.bundled", description=__doc__, args=arguments
        )


def _train(
    out: Path,
    scale: Scale = "paper",
    minutes: Annotated[float | None, DEFAULT_IN_TEXT] = None,
    steps: Annotated[int | None, DEFAULT_IN_TEXT] = None,
    per_gpu: int = 2,
    sweep_per_gpu: int = 3,
    revision: Annotated[str | None, DEFAULT_IN_TEXT] = None,
    resume: bool = False,
) -> None:
    """Sweep learning rates, then train three seeds of each model at its best rate.

    Args:
        out: Folder for runs and results.
        scale: paper: the bundled models; small: tiny models on a CPU, to try the commands.
        minutes: Time limit in minutes for everything, at which the runs in progress save a checkpoint and end
            (default: no limit).
        steps: Training steps of each model (default: as many as fit into the time limit; without a limit, the
            number in trio.yaml).
        per_gpu: Number of the models' runs that share a GPU.
        sweep_per_gpu: Number of the sweep's runs that share a GPU.
        revision: Code revision to record (default: from git); for copies without git history.
        resume: Continue earlier training in the folder; finished runs are not repeated.
    """
    from synthetic_training.bundled.train import train

    interrupt_on_sigterm()
    train(
        out,
        scale,
        minutes=minutes,
        steps=steps,
        per_gpu=per_gpu,
        sweep_per_gpu=sweep_per_gpu,
        revision=revision,
        resume=resume,
    )


def _pack(
    out: Annotated[Path, tyro.conf.Positional], to: Path, scale: Scale = "paper", largest: float = 15.5
) -> None:
    """Write the models and results into a few archives.

    Args:
        out: Output folder of train.
        to: Folder for the archives.
        scale: Scale that was trained.
        largest: Maximum size of an archive in MiB; seeds that do not fit are left out, the worst first.
    """
    from synthetic_training.bundled.packing import pack

    for archive in pack(out, to, scale, largest):
        print(f"{archive}: {archive.stat().st_size / 2**20:.1f} MiB")


def _install(source: Annotated[Path, tyro.conf.Positional], scale: Scale = "paper") -> None:
    """Copy the best seed of each model to checkpoints/, and update results, learning rates and tables.

    Args:
        source: Output folder of train, or a folder with archives written by pack.
        scale: Scale that was trained.
    """
    from synthetic_training.bundled.install import install

    print("installed: " + ", ".join(map(str, install(source, scale))))


if __name__ == "__main__":
    main()
