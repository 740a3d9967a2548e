"""Training speed of many architectures at the paper's size, on one GPU.

    python -m synthetic_training.speed.architectures --out architectures.json

Each architecture is measured in its own process with a time limit, so that one that hangs or crashes does
not stop the others. Several processes compile and tune their kernels at the same time; then each is timed
alone. The row of an architecture, with its measurements or its error, is written to ``--out`` as soon as it
is complete. To continue after an interruption, run the same command again, on this machine or another: it
measures the architectures that are not in the file. Each row names its machine.

The columns, for steps of 64 rows of 220 tokens in bfloat16:

- ``eager_tokens_per_s``: without ``--compile``; ``graph_tokens_per_s``: the same kernels, captured in one
  CUDA graph; ``compiled_tokens_per_s``: with ``--compile``; ``tokens_per_s``: the highest of these;
- ``first_step_s``: seconds from the first call to the end of the first step, with an empty compile cache,
  while up to ``--at-once`` processes compile;
- ``mfu``: model FLOPs utilisation relative to the rate of a large matrix product, measured in the same run;
  ``mfu_datasheet``: relative to 989 TFLOP/s. A model's FLOPs are 6 per parameter and token, plus those of
  softmax attention;
- ``loss``: after 50 steps of copying strings of 5 to 20 letters. Chance is 3.26; a loss near it indicates a
  wrong kernel.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import read_json, write_json
from dataset_builders.markdown import markdown_table
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.presets import PARAMETERS, presets
from synthetic_training.models.registry import is_own_code
from synthetic_training.provenance import provenance
from synthetic_training.speed.measuring_process import Job, MeasuringProcess
from synthetic_training.speed.trainer import matrix_rate

_DATASHEET_TFLOPS = 989.0
_COMPILED = ("gla", "retnet", "hgrn2", "gated_deltanet", "mamba2", "rwkv7", "delta_net")
"""Architectures of flash-linear-attention that are also measured with ``--compile``."""
_SIZES = ("parameters", "embedding", "attention_width")
"""What a row says of its architecture, whichever of its jobs succeeded."""
_OTHERS = ("synthetic_training.speed.mamba_ssm_models:Mamba2",)
"""Models of other packages with the sizes of the preset ``paper``."""


@dataclass(frozen=True)
class Speed:
    """Measure the training speed of architectures, each in its own process."""

    out: Path
    """JSON file of the rows; architectures that it contains are not measured again."""
    models: tuple[str, ...] = ()
    """Models to measure (default: all that the preset has sizes for); module:Class has its own sizes."""
    preset: str = "paper"
    """Preset with the sizes of all models."""
    rows: int = 64
    """Rows per step."""
    context_length: int = 220
    """Tokens per row."""
    at_once: int = 3
    """Number of processes that compile at the same time."""
    limit: float = 150.0
    """Time limit in seconds for each phase of a process: imports, compilation, and timing."""
    minutes: float = 9.0
    """Time in minutes after which no further group of processes starts."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Device to measure on; cpu only to try the command."""
    revision: str | None = None
    """Code revision to record (default: from git)."""


def main() -> None:
    """Measure, print a table, and write the rows."""
    settings = cli(Speed, prog="python -m synthetic_training.speed.architectures")
    if settings.preset not in presets():
        raise InputError(f"there is no preset {settings.preset!r}; the presets are {', '.join(PARAMETERS)}")
    for name in settings.models:
        if name not in presets()[settings.preset] and not (is_own_code(name) and ":" in name):
            raise InputError(f"{name} has no preset {settings.preset}")
    check_integer("rows", settings.rows, 1)
    check_integer("context_length", settings.context_length, 1)
    results = _Results(settings)
    jobs = [job for job in _jobs(settings.models or _every(settings.preset)) if job not in results]
    start, lacked_memory = time.monotonic(), []
    for job, row in _measurements(jobs, settings, start):
        if "OutOfMemory" in row.get("error", ""):
            lacked_memory.append(job)
        else:
            results.add(job, row)
        print(json.dumps({"job": job.key, **row}), flush=True)
    # retried alone, because other processes used memory of the device at the same time
    for job, row in _measurements(lacked_memory, replace(settings, at_once=1), start):
        results.add(job, row)
        print(json.dumps({"job": job.key, **row}), flush=True)
    print(table(results.rows))


def _every(preset: str) -> tuple[str, ...]:
    return (*presets()[preset], *(_OTHERS if preset == "paper" else ()))


def _jobs(models: tuple[str, ...]) -> list[Job]:
    """The jobs, those with a speed goal first; the paper's models only compiled, others also uncompiled."""
    ours = [Job(name, compile=True) for name in models if name in MODELS]
    known = [f"fla:{one}" for one in _COMPILED]
    goals = [Job(name, compile=compiled) for compiled in (False, True) for name in known if name in models]
    done = {job.model for job in (*ours, *goals)}
    others = [Job(name, compile=False) for name in models if name not in done]
    return [*goals, *ours, *sorted(others, key=lambda job: job.model.startswith("fla:"))]


class _Row(BaseModel):
    """The fields of a row that are read; the others are measurements."""

    model: str
    preset: str
    jobs: list[str]


class _Table(BaseModel):
    """The file of rows."""

    shape: dict[str, int]
    rows: list[_Row]


class _Results:
    """The file of rows, which can be added to."""

    def __init__(self, settings: Speed) -> None:
        self._settings = settings
        self._shape = {"rows": settings.rows, "context_length": settings.context_length}
        self.rows: list[dict[str, Any]] = self._read() if settings.out.exists() else []
        self._rate = matrix_rate() if settings.device == "cuda" else None

    def _read(self) -> list[dict[str, Any]]:
        """The rows of the file.

        Raises:
            InputError: the file has another format, or contains models or steps of another size.
        """
        settings, content = self._settings, read_json(self._settings.out)
        try:
            table = _Table.model_validate(content)
        except ValidationError:
            table = None
        if (
            table is None
            or table.shape != self._shape
            or any(row.preset != settings.preset for row in table.rows)
        ):
            raise InputError(
                f"{settings.out} is not a table of the preset {settings.preset} with {settings.rows} rows of "
                f"{settings.context_length} tokens; pass another file with --out"
            )
        rows: list[dict[str, Any]] = content["rows"]
        return rows

    def __contains__(self, job: Job) -> bool:
        return any(job.key in row["jobs"] for row in self.rows)

    def add(self, job: Job, measured: dict[str, Any]) -> None:
        """Merge a job's measurements into the row of its architecture, and write the file."""
        row = next((one for one in self.rows if one["model"] == job.model), None)
        if row is None:
            row = {"model": job.model, "preset": self._settings.preset, "jobs": []}
            self.rows.append(row)
        row["jobs"].append(job.key)
        row |= {key: measured[key] for key in _SIZES if key in measured}
        if job.compile and row["jobs"][:-1]:  # keep the other measurements of the eager job
            kept = ("compiled_tokens_per_s", "error", "first_step_s", "loss", "memory_gb")
            measured = {
                key if key.startswith("compiled") else f"compiled_{key}": measured[key]
                for key in kept
                if key in measured
            }
        row |= {**measured, "matrix_product_tflops": self._rate, **provenance(self._settings.revision)}
        speeds = [value for key, value in row.items() if key.endswith("_tokens_per_s")]
        if speeds:
            row["tokens_per_s"] = max(speeds)
            row |= self._utilisation(row)
        content = {
            "rows": self.rows,
            "shape": self._shape,
        }
        write_json(self._settings.out, content)

    def _utilisation(self, row: dict[str, Any]) -> dict[str, float]:
        # two products forward and four backward, over the lower half of (context_length, context_length)
        attention = 6.0 * row["attention_width"] * self._settings.context_length
        flops = 6.0 * (row["parameters"] - row["embedding"]) + attention
        rate = flops * row["tokens_per_s"] / 1e12
        if self._rate is None:
            return {}
        return {"mfu": rate / self._rate, "mfu_datasheet": rate / _DATASHEET_TFLOPS}


def _measurements(jobs: list[Job], settings: Speed, start: float) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Results of one group of processes after another, while the next group imports its packages."""
    groups = [jobs[i : i + settings.at_once] for i in range(0, len(jobs), settings.at_once)]
    content = {name: getattr(settings, name) for name in ("preset", "rows", "context_length", "device")}
    group: list[MeasuringProcess] = []
    waiting = [MeasuringProcess(job, content) for job in groups[0]] if groups else []
    try:
        for number in range(len(groups)):
            if time.monotonic() - start > 60 * settings.minutes:
                left = [job.key for group in groups[number:] for job in group]
                print(f"no time left for {', '.join(left)}; run this command again", file=sys.stderr)
                return
            group, waiting = waiting, []
            for one in group:
                if one.wait_for("loaded", settings.limit):
                    one.send("warm")
            waiting = [
                MeasuringProcess(job, content) for job in (groups[number + 1] if groups[number + 1 :] else [])
            ]
            begin = time.monotonic()
            for one in group:
                remaining = settings.limit - (time.monotonic() - begin)
                one.wait_for("ready", max(1.0, remaining), settings.limit)
            for one in group:
                if one.result is None:
                    one.send("time")
                    one.wait_for("timed", settings.limit)
                yield one.job, one.result or {}
    finally:
        for one in [*group, *waiting]:
            one.end()


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, fastest first."""
    columns = (
        ("parameters", 1e-6, 1, "M"),
        ("eager_tokens_per_s", 1e-3, 1, "k"),
        ("graph_tokens_per_s", 1e-3, 1, "k"),
        ("compiled_tokens_per_s", 1e-3, 1, "k"),
        ("mfu", 1, 2, ""),
        ("mfu_datasheet", 1, 2, ""),
        ("first_step_s", 1, 0, ""),
        ("memory_gb", 1, 1, ""),
        ("loss", 1, 2, ""),
    )
    lines = [
        [
            row["model"],
            *(f"{row[key] * by:.{digits}f}{end}" if key in row else "" for key, by, digits, end in columns),
            ", ".join(row.get("missing_kernels", [])),
            row.get("error", row.get("compiled_error", row.get("graph_error", "")))[:80],
        ]
        for row in sorted(rows, key=lambda row: -row.get("tokens_per_s", 0))
    ]
    headers = ["model", "size", "eager, tokens/s", "CUDA graph", "compiled", "MFU", "MFU of 989",
               "first step, s", "memory, GB", "loss", "missing kernels", "error"]  # fmt: skip
    return markdown_table(headers, lines)


if __name__ == "__main__":
    with command_errors():
        main()
