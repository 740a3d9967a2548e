"""Probes of models that several processes train together."""

import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from lm_eval_tasks.probe import RecallEvaluation, RecallProbe, probe_recall
from lm_eval_tasks.probe import callback as callback_module
from lm_eval_tasks.probe import evaluation as evaluation_module
from tests.models import byte_tokenizer
from tests.ngram_model import NgramConfig, NgramModel
from tests.test_recall_probe import TASKS, Nano, verdicts
from tests.test_recall_probe_trainer import a_trainer

Task = Callable[[RecallEvaluation], Any]


def _join(task: Task, evaluation: RecallEvaluation, rank: int, folder: Path, queue: Any) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    queue.put((rank, task(evaluation)))
    distributed.destroy_process_group()


def in_two_processes(task: Task, evaluation: RecallEvaluation, folder: Path) -> list[Any]:
    """The results of a task in both processes of a group.

    The processes are forked, which spares each the imports. They cannot compute gradients after that. The
    documents are tokenized before, since tokenizers have threads.
    """
    forked = multiprocessing.get_context("fork")
    queue: Any = forked.Queue()
    arguments = [(task, evaluation, rank, folder, queue) for rank in (0, 1)]
    processes = [forked.Process(target=_join, args=one) for one in arguments]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    return [found[0], found[1]]


def _replicated(evaluation: RecallEvaluation) -> Any:
    model = NgramModel(NgramConfig())
    found = evaluation(DistributedDataParallel(model))
    return sum(rows for rows, _ in model.passes), verdicts(found), found == evaluation(model)


def test_processes_that_hold_the_model_each_score_a_share(tmp_path: Path) -> None:
    evaluation = RecallEvaluation(byte_tokenizer(), TASKS, num_docs=5)
    expected = verdicts(evaluation(NgramModel(NgramConfig())))
    assert in_two_processes(_replicated, evaluation, tmp_path) == [(5, expected, True)] * 2


def _sharded(evaluation: RecallEvaluation) -> list[Any]:
    found = []
    mesh = init_device_mesh("cpu", (2,))
    cpu = torch.device("cpu")
    for model in (
        fully_shard(Nano(), mesh=mesh),
        FullyShardedDataParallel(Nano(), device_id=cpu),
        # as FSDP1 does by itself in one process
        FullyShardedDataParallel(Nano(), device_id=cpu, sharding_strategy=ShardingStrategy.NO_SHARD),
    ):
        parameters = list(model.parameters())
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        before = evaluation(model)
        same = all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)  # stands for a backward pass
        optimizer.step()
        found.append((same, before, evaluation(model)))
    return found


def test_sharded_models_are_as_sharded_after_a_probe_as_before(tmp_path: Path) -> None:
    evaluation, model = RecallEvaluation(byte_tokenizer(), ["string_copy_5"], num_docs=3), Nano()
    before = evaluation(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1
    after = evaluation(model)
    assert before != after
    assert in_two_processes(_sharded, evaluation, tmp_path) == [[(True, before, after)] * 3] * 2


def test_of_processes_that_each_train_by_themselves_only_the_first_writes_results_and_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Under torchrun without a GPU and without ``use_cpu``, transformers' Trainer is not distributed."""
    trainer = a_trainer(tmp_path / "run")
    probe = RecallProbe(trainer, ["string_copy_5"], num_docs=2)
    written: list[str] = []
    monkeypatch.setattr(callback_module, "write_results", lambda *_, model, **__: written.append(model))

    def begin(evaluation: RecallEvaluation) -> Any:
        monkeypatch.setattr(callback_module, "RecallEvaluation", lambda *_, **__: evaluation)
        assert trainer.state.is_world_process_zero
        with caplog.at_level(logging.WARNING):
            probe.on_train_begin(trainer.args, trainer.state, trainer.control)
        return len(written), [record.message for record in caplog.records]

    evaluation = RecallEvaluation(byte_tokenizer(), ["string_copy_5"], num_docs=2)
    first, second = in_two_processes(begin, evaluation, tmp_path)
    assert first[0] == 1 and second == (0, [])
    assert "2 processes train a model each" in first[1][0] and "use_cpu=True" in first[1][0]


def test_a_warning_of_probe_recall_comes_from_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def score(evaluation: RecallEvaluation) -> Any:
        monkeypatch.setattr(evaluation_module, "RecallEvaluation", lambda *_, **__: evaluation)
        found = probe_recall(DistributedDataParallel(NgramModel(NgramConfig())), None)
        return list(found), len(caplog.records)

    tasks = ["string_copy_5", "string_copy_100"]
    evaluation = RecallEvaluation(byte_tokenizer(), tasks, num_docs=2, max_length=100)
    kept = ["string_copy_5"]
    assert in_two_processes(score, evaluation, tmp_path) == [(kept, 1), (kept, 0)]
