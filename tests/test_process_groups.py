"""Processes of a script of the caller's own, which has joined them, and has chosen their GPUs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from dataset_builders import InputError
from synthetic_training.training.processes import Processes, connect
from synthetic_training.training.run import train
from tests.tiny_run import tiny


@pytest.fixture
def own_group() -> Iterator[Callable[[str], None]]:
    """Joins a process group as a caller's script does."""
    yield lambda backend: dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    dist.destroy_process_group()


def test_a_process_group_without_a_backend_for_the_cpu_is_refused(
    own_group: Callable[[str], None], tmp_path: Path
) -> None:
    """Like one of NCCL alone."""
    own_group("cuda:gloo")
    connect.cache_clear()
    with pytest.raises(
        InputError, match="no backend for the CPU, only cuda:gloo; pass the backend cpu:gloo,"
    ):
        train(tiny(), tmp_path / "run")


def test_a_process_group_of_the_caller_is_used(own_group: Callable[[str], None]) -> None:
    own_group("gloo")
    connect.cache_clear()
    try:
        assert connect().count == 1
    finally:
        connect.cache_clear()


@pytest.mark.parametrize(("environment", "device"), [({"LOCAL_RANK": "1"}, 1), ({}, 2)])
def test_without_a_launcher_processes_use_the_gpu_that_the_script_has_set(
    environment: dict[str, str], device: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    assert Processes(rank=1, count=2).device("cuda") == torch.device("cuda", device)
