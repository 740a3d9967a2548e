"""Train the same Mamba in several precisions, with several seeds each, one run per GPU.

    python -m synthetic_training.precision.study --arms bf16 tf32 --seeds 0 1 --out results.jsonl

Each finished run is one line of the file: the arm, the seed, the settings, string accuracy and loss by step,
the largest gradient norm, speed and provenance. Runs already in the file are skipped. After an interruption,
the same command continues the others from their checkpoints. If a run fails, the others still run, and the
exit status is 1.
"""

import json
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_folder, read_json, write_json
from dataset_builders.interruption import Interrupted, interrupt_on_sigterm
from dataset_builders.workers import Job, Watcher, end_with_parent, reason, run_jobs, worker_slots
from synthetic_training.config import TrainConfig, differing
from synthetic_training.figures.job import train_or_resume, trained
from synthetic_training.figures.results import write_results
from synthetic_training.precision.arms import ARMS, applied, arm_named
from synthetic_training.settings import parse_settings
from synthetic_training.training.device import resolve_device
from synthetic_training.training.run_folder import METRICS
from synthetic_training.training.run_log import read_lines, read_metrics

PAPER_RUN = TrainConfig(
    model="mamba",
    task="copy",
    min_length=5,
    max_length=50,
    context_length=220,
    batch_size=16,
    steps=5000,
    warmup_steps=200,
    lr=3e-4,
    compile="on",
    eval_every=500,
    eval_examples=256,
    save_every=10**6,
    device="cuda",
)
"""The paper's Mamba (24 layers, 1,024 wide, state 32) with its authors' initial weights."""


@dataclass(frozen=True)
class Study:
    """Train each arm with each seed."""

    out: Path
    """JSON Lines file of finished runs; new runs are appended."""
    folder: Path = Path("precision_runs")
    """Folder for the runs."""
    arms: tuple[str, ...] = tuple(ARMS)
    """Arms to train."""
    seeds: tuple[int, ...] = tuple(range(8))
    """Random seeds for each arm; all arms run with the first seed before any arm runs with the second."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    keep_models: bool = False
    """Keep the trained models, of 0.65 GB each."""
    settings: TrainConfig = PAPER_RUN
    """Settings of the runs."""


def run_study(study: Study) -> None:
    """Train all runs that are not in the result file yet.

    Raises:
        InputError: an arm is unknown, there is no GPU, the result file is damaged or cannot be written, it
            has one of the runs with other settings, or ``settings`` has a seed or precision of its own; or a
            run failed, after the other runs were done.
    """
    for name, option in (("seed", "--seeds"), ("precision", "--arms")):
        if (value := getattr(study.settings, name)) != getattr(PAPER_RUN, name):
            raise InputError(f"{name} = {value} would have no effect in a study; pass {option}")
    resolve_device(study.settings.device)
    for name in study.arms:
        arm_named(name)
    finished = read_lines(study.out) if study.out.exists() else []
    for line in finished:
        if line["arm"] in study.arms and line["seed"] in study.seeds:
            before = parse_settings(TrainConfig, line["config"], str(study.out))
            if names := differing(before, _config(study, line["arm"], line["seed"])):
                raise InputError(
                    f"{study.out} has {line['arm']} with seed {line['seed']} and other settings "
                    f"({', '.join(names)}); pass another --out"
                )
    check_folder(study.out.parent)
    check_folder(study.folder)
    study.folder.mkdir(parents=True, exist_ok=True)

    def add(line: dict[str, Any], file: Path) -> None:
        line["git_revision"] = study.revision or line["git_revision"]
        finished.append(line)
        write_results(study.out, finished)
        file.unlink()

    done = {(line["arm"], line["seed"]) for line in finished}
    wanted = [(arm, seed) for seed in study.seeds for arm in study.arms if (arm, seed) not in done]
    runs = {f"{arm}-{seed}": (arm, seed) for arm, seed in wanted}
    jobs, failures = [], []
    for name, (arm, seed) in runs.items():
        file, config = study.folder / f"{name}.json", _config(study, arm, seed)
        if file.exists():  # the study ended before it recorded this run
            line = read_json(file)
            if not differing(parse_settings(TrainConfig, line["config"], str(file)), config):
                add(line, file)
                print(f"{name}: finished earlier", flush=True)
                continue
        job = {"arm": arm, "folder": str(study.folder / name), "keep_model": study.keep_models}
        job["config"] = config.as_json()
        command = [sys.executable, "-m", "synthetic_training.precision.study", "--job", json.dumps(job)]
        jobs.append(Job(name, command, study.folder / f"{name}.log"))

    class Recorder(Watcher):
        def ended(self, job: Job, status: int) -> None:
            if status:
                failures.append(f"{job.name} failed: {reason(job, status)} ({job.log})")
                print(failures[-1], flush=True)
                return
            file = study.folder / f"{job.name}.json"
            line = read_json(file)
            add(line, file)
            accuracy = line["curve"][-1]["string_accuracy"]
            print(f"{job.name}: {accuracy:.3f}, {line['seconds']:.0f} s", flush=True)

    run_jobs(jobs, worker_slots(gpu=True), Recorder())
    if failures:
        raise InputError("; ".join(failures))


def _config(study: Study, arm: str, seed: int) -> TrainConfig:
    return replace(study.settings, seed=seed, precision=arm_named(arm).precision)


def run_job(job: dict[str, Any]) -> None:
    """Train one run in this process, or continue it, and write its line to a file next to its folder."""
    import shutil

    folder = Path(job["folder"])
    with applied(arm_named(job["arm"])):
        train_or_resume(job["config"], folder, may_diverge=False)
    records = [line for line in read_metrics(folder / METRICS) if line["kind"] == "train"]
    line = {
        "arm": job["arm"],
        "seed": job["config"]["seed"],
        "largest_grad_norm": max(record["grad_norm"] for record in records),
        **trained(folder),
        "losses": {str(record["step"]): record["loss"] for record in records},
    }
    write_json(folder.with_suffix(".json"), line)
    if not job["keep_model"]:
        shutil.rmtree(folder)


def main() -> None:
    try:
        if sys.argv[1:2] == ["--job"]:
            end_with_parent()
            run_job(json.loads(sys.argv[2]))
        else:
            interrupt_on_sigterm()  # running jobs then save a checkpoint and end
            prog = "python -m synthetic_training.precision.study"
            run_study(cli(Study, description=__doc__, prog=prog, config=(tyro.conf.OmitArgPrefixes,)))
    except KeyboardInterrupt as stop:
        # not the message of a run, whose command would continue it without what the arm changes
        number = stop.number if isinstance(stop, Interrupted) else signal.SIGINT
        raise Interrupted("interrupted; run the study's command again to continue", number) from None


if __name__ == "__main__":
    with command_errors():
        main()
