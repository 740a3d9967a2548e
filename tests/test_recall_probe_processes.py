"""Probes of models that several processes train together."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from lm_eval_tasks.probe import RecallEvaluation
from tests.models import byte_tokenizer
from tests.ngram_model import NgramConfig, NgramModel
from tests.test_recall_probe import TASKS, Nano, verdicts

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
