"""Two processes that share each batch, against one that has it alone."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from synthetic_training.training.run import train
from synthetic_training.training.run_log import read_metrics
from tests.conftest import Run
from tests.tiny_run import SETTINGS, tiny

CHANGES: dict[str, Any] = {"steps": 12, "eval_every": 6, "eval_examples": 17, "accumulate": 2}

LAUNCH = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no"


def test_losses_do_not_depend_on_the_number_of_processes(run: Run, tmp_path: Path) -> None:
    train(tiny(**CHANGES), tmp_path / "one")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**SETTINGS, **CHANGES}))
    command = "--dynamo_backend no -m synthetic_training train --config run.yaml --out two"
    done = run(*LAUNCH.split(), *command.split(), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    one, two = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    assert len(one) == len(two)
    for single, shared in zip(one, two, strict=True):
        assert shared.pop("kind") == single.pop("kind")
        times = {key: shared[key] for key in ("seconds", "tokens_per_second") if key in shared}
        assert shared == pytest.approx({**single, **times}, rel=1e-4, abs=1e-6)
