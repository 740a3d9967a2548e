"""Speed of training on several GPUs of one host, relative to one GPU.

    python -m synthetic_training.speed.scaling --gpus 1 2 4 --out scaling.json

Each measurement is a run of the ``train`` command, under ``torchrun`` if it has several processes. In weak
scaling, each GPU has the same number of rows; in strong scaling, the GPUs share the same rows. ``loss`` is
the mean over the last 50 steps, and ``first_loss`` over the first 50. Runs with the same rows train on the
same examples, but rounding errors grow from step to step, so their losses eventually differ.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, read_json, write_json
from dataset_builders.markdown import markdown_table
from dataset_builders.workers import worker_slots
from synthetic_training.provenance import provenance
from synthetic_training.training.run_folder import METRICS, RUN
from synthetic_training.training.run_log import read_metrics

_LOGGED = 50

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Scaling:
    """Measure the speed of training for several numbers of GPUs."""

    model: str = "T_rope"
    """Architecture, at the paper's size."""
    model_args: tuple[str, ...] = ()
    """Arguments of the model's configuration, such as hidden_size=128."""
    gpus: tuple[int, ...] = (1, 2, 4)
    """Numbers of GPUs; 1 must be among them."""
    rows_per_gpu: int = 32
    """Rows per GPU, for weak scaling."""
    rows: int = 128
    """Rows of all GPUs together, for strong scaling."""
    steps: int = 500
    """Steps of each run; the speed is the median over the later half."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """JSON file for the results; it must not exist."""


@dataclass(frozen=True)
class Arm:
    """A run: the number of GPUs, and the number of rows that they share."""

    gpus: int
    rows: int


def main() -> None:
    """Measure, print a table, and write the results."""
    settings = cli(Scaling, prog="python -m synthetic_training.speed.scaling")
    if settings.out is not None:
        check_new_file(settings.out)
    # by their names in CUDA_VISIBLE_DEVICES, which may be only some of the machine's
    names = [slot[_VISIBLE] for slot in worker_slots(gpu=True) if _VISIBLE in slot]
    there = len(names)
    check_integer("steps", settings.steps, _LOGGED)
    if 1 not in settings.gpus or min(settings.gpus) < 1 or max(settings.gpus) > there:
        raise InputError(
            f"--gpus {settings.gpus} must include 1, and no number above the {there} GPUs of this machine"
        )
    found: dict[Arm, dict[str, Any]] = {}
    for n in sorted(settings.gpus):
        arms = [Arm(n, rows) for rows in sorted({n * settings.rows_per_gpu, settings.rows})]
        # at the same time, if there are enough GPUs
        with ThreadPoolExecutor(there // n) as pool:
            firsts = [n * (i % (there // n)) for i in range(len(arms))]
            runs = [
                pool.submit(_run, settings, arm, names[first : first + n])
                for arm, first in zip(arms, firsts, strict=True)
            ]
            for arm, run in zip(arms, runs, strict=True):
                found[arm] = run.result()
                _write(settings, found)
    print(table(_lines(found), settings.rows_per_gpu, settings.rows))


def _lines(found: dict[Arm, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**asdict(arm), **one} for arm, one in found.items()]


def _write(settings: Scaling, found: dict[Arm, dict[str, Any]]) -> None:
    """Write the file; called after each run, so that no results are lost if a later run fails."""
    print(*_lines(found)[-1:], flush=True)
    if settings.out is not None:
        options = {key: value for key, value in asdict(settings).items() if key not in ("out", "revision")}
        measured = _lines(found)
        write_json(settings.out, {"measured": measured, "options": options, **provenance(settings.revision)})


def table(measured: list[dict[str, Any]], rows_per_gpu: int, rows: int) -> str:
    """The measurements as a Markdown table, weak scaling before strong."""
    speeds = {(one["gpus"], one["rows"]): one for one in measured}
    numbers = sorted({one["gpus"] for one in measured})
    lines = []
    for kind, rows_of in (("weak", lambda n: n * rows_per_gpu), ("strong", lambda _: rows)):
        base = speeds[1, rows_of(1)]["tokens_per_s"]
        for n in numbers:
            one = speeds[n, rows_of(n)]
            speed, losses = f"{one['tokens_per_s'] / 1e3:.1f}k", (one["first_loss"], one["loss"])
            line = [kind, n, one["rows"], speed, f"{one['tokens_per_s'] / base:.2f}"]
            lines.append([*line, *(f"{loss:.4f}" for loss in losses)])
    headers = ["scaling", "GPUs", "rows", "tokens/s", "times one GPU", "first loss", "loss"]
    return markdown_table(headers, lines)


def _run(settings: Scaling, arm: Arm, gpus: Sequence[str]) -> dict[str, Any]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(arm.gpus)]
    arguments = ["--model-args", *settings.model_args] if settings.model_args else []
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "run"
        done = subprocess.run(
            [
                *(sys.executable, *(launcher if arm.gpus > 1 else []), "-m", "synthetic_training", "train"),
                *("--model", settings.model, *arguments, "--batch-size", str(arm.rows), "--compile", "on"),
                *("--steps", str(settings.steps), "--log-every", str(_LOGGED), "--lr", "1e-4"),
                *("--warmup-steps", str(settings.steps // 10)),
                *("--eval-examples", "2", "--out", str(out)),
            ],
            env={
                **os.environ,
                _VISIBLE: ",".join(gpus),
                # all processes of a run compile at the same time
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "4"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines()
            last = lines[-1] if lines else f"status {done.returncode}"
            reason = next((line for line in lines if line.startswith("error:")), last)
            raise InputError(f"the run of {arm.rows} rows on {arm.gpus} GPUs failed: {reason}")
        records = [one for one in read_metrics(out / METRICS) if one["kind"] == "train"]
        later = records[len(records) // 2 :]
        return {
            "tokens_per_s": median(one["tokens_per_second"] for one in later),
            "first_loss": records[0]["loss"],
            "loss": records[-1]["loss"],
            "grad_norm": records[-1]["grad_norm"],
            "seconds_to_the_first_report": records[0]["seconds"],
            "parameters": read_json(out / RUN)["parameters"],
        }


if __name__ == "__main__":
    with command_errors():
        main()
