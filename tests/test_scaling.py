"""Measuring the speed of several GPUs, with stand-ins for the runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from synthetic_training.speed import scaling


def test_runs_use_the_gpus_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other GPUs of the machine may be in use."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2,7")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    used: dict[tuple[int, int], str] = {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> "subprocess.CompletedProcess[str]":
        out = Path(command[command.index("--out") + 1])
        rows = int(command[command.index("--batch-size") + 1])
        used[len(env["CUDA_VISIBLE_DEVICES"].split(",")), rows] = env["CUDA_VISIBLE_DEVICES"]
        out.mkdir()
        record = {
            "kind": "train",
            "step": 50,
            "examples": 9,
            "tokens": 9,
            "loss": 1.0,
            "letter_accuracy": 0.5,
        }
        record |= {"grad_norm": 1.0, "learning_rate": 1.0, "tokens_per_second": 1e4, "seconds": 1.0}
        (out / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        (out / "run.json").write_text('{"parameters": 1}')
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(scaling.subprocess, "run", run)
    flags = ["--gpus", "1", "2", "--rows-per-gpu", "4", "--rows", "16", "--steps", "50"]
    monkeypatch.setattr(sys, "argv", ["scaling", *flags])
    scaling.main()
    assert used == {(1, 4): "5", (1, 16): "2", (2, 8): "5,2", (2, 16): "5,2"}
    assert "| strong    | 2      | 16     |" in capsys.readouterr().out
