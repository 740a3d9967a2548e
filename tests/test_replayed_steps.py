"""Replayed steps do the same as eager ones, checked on a CPU with a stand-in for CUDA graphs."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers.utils.import_utils
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dataset_builders.mqar import Mqar
from synthetic_training.data.mqar.batches import MqarBatches
from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.registry import build_model
from synthetic_training.seeding import seed_everything
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.optimizer import ClippedAdamW
from synthetic_training.training.processes import Processes, connect
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.forked import context
from tests.test_no_waiting import OPTIMIZER, NoWaiting, arguments_of
from tests.test_train_distributed import free_port
from tests.tiny_run import tiny


class Recorder(TorchDispatchMode):
    """Records all operations with their tensors; a replay runs them again, on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, list[Any]]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        self._operations.append((operation, args, kwargs or {}, tree_leaves(result)))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for operation, args, kwargs, results in self._operations:
            if "empty" in operation.overloadpacket.__name__:
                continue  # its memory stays
            inputs = {_memory(one) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
            found = tree_leaves(operation(*args, **kwargs))
            if operation.namespace == "c10d":  # the last result stands for the work of other processes
                dist.Work.unbox(found[-1]).wait()
            for old, new in zip(results, found, strict=True):
                if isinstance(old, Tensor) and _memory(old) not in inputs:  # neither a view nor in place
                    old.detach().copy_(new)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class ReplayedOnCpu(Replayed):
    """Replays the operations on tensors, but nothing that Python did, and does not wait for a device."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._calls, self._graph, self.replays = function, 0, None, 0

    def __call__(self) -> None:
        if self._graph is not None:
            self._graph.replay()
            self.replays += 1
        elif self._calls < self._EAGER_CALLS:
            self._calls += 1
            self._function()
        else:
            with pytest.MonkeyPatch.context() as patch:
                # a check of transformers, with which it does not look for packed examples
                patch.setattr(transformers.utils.import_utils, "is_cuda_stream_capturing", lambda: True)
                with NoWaiting(), Recorder() as graph:
                    self._function()
            self._graph = graph

    def release(self) -> None:
        self._graph = None


class Partly(nn.Module):
    """Has layers without a gradient, an auxiliary loss, and a buffer that counts steps."""

    steps: Tensor

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding, self.unused = nn.Embedding(vocab_size, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, vocab_size)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, ids: Tensor) -> Tensor:
        self.steps += 1
        logits = self.head(self.embedding(ids).cumsum(1) / self.steps)
        self.auxiliary_loss = logits.square().mean()
        return logits


def built(name: str, *, dropout: bool, vocab_size: int) -> Any:
    arguments: dict[str, Any] = {} if ":" in name else arguments_of(name)
    if dropout and name.startswith("T_"):
        arguments |= {"hidden_dropout": 0.2, "attention_dropout": 0.2}
    if dropout and name == "lstm":
        arguments |= {"dropout": 0.2}
    ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    return build_model(name, {"vocab_size": vocab_size, **ids}, **arguments).train()


def trained(
    name: str,
    task: str,
    *,
    recorded: bool,
    processes: Processes | None = None,
    device: str = "cpu",
    **settings: Any,
) -> list[Any]:
    """Metrics, weights and the optimizer's state after steps with all that a run does between them."""
    seed_everything(0)
    copies = settings.pop("copies", False)
    of_strings = tiny().string_task
    size = 32 if task == "mqar" else of_strings.symbols.size
    model = built(name, dropout=copies, vocab_size=size).to(device)
    batches: Any = PackedBatches(of_strings, 32, 8, 0, device)
    if task == "mqar":
        batches = MqarBatches(Mqar(vocabulary=32, pairs=4, length=24), 4, 0, device)
    step = TrainingStep(model, batches, StepConfig(**settings), OPTIMIZER, rows=4, processes=processes)
    if copies:
        step._optimizer = ClippedAdamW(model, OPTIMIZER, copies=True)
    replayed = None
    if recorded:
        replayed = Replayed(step._update) if device == "cuda" else ReplayedOnCpu(step._update)
        step._run = step._replayed = replayed
    found: list[Any] = []
    for number in range(10):
        seed_everything(number)
        step.run(number, 1e-2 / (1 + number))
        assert processes is None or processes.max(processes.rank) == 1
        if number % 2:
            found.append(step.read())
        if number == 4:  # an evaluation
            with torch.no_grad():
                model.eval()(input_ids=torch.zeros(2, 28, dtype=torch.int64, device=device), use_cache=False)
            model.train()
        if number == 5:  # another state
            state = {key: value / 2 for key, value in step.state_dict().items()}
            model.load_state_dict({key: value / 2 for key, value in model.state_dict().items()})
            step.load_state_dict(state)
        if number == 7:
            step.release()
    assert step._replayed is replayed
    assert not isinstance(replayed, ReplayedOnCpu) or replayed.replays == 5
    tensors = [*model.state_dict().values(), *step.state_dict().values()]
    return [*found, [tensor.tolist() for tensor in tensors]]


each_setting = pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("copy", {"precision": "bf16", "copies": True}),
        ("copy", {"accumulation_steps": 2, "isolate_examples": True}),
        ("mqar", {"precision": "bf16"}),
    ],
)
each_model = pytest.mark.parametrize("name", [*MODELS, f"{__name__}:Partly"])


@each_setting
@each_model
def test_replayed_steps_are_those_of_an_eager_run(
    name: str, task: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)  # its LSTM hides memory from the stand-in
    settings = possible(name, settings)
    assert trained(name, task, recorded=True, **settings) == trained(name, task, recorded=False, **settings)


@pytest.mark.gpu
@each_setting
@each_model
def test_replays_on_a_gpu_are_eager_steps_up_to_rounding(
    name: str, task: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    settings = possible(name, settings) | {
        "device": "cuda",
        "copies": settings.get("copies") and name != "lstm",
    }
    one, other = (trained(name, task, recorded=recorded, **settings)[:-1] for recorded in (True, False))
    assert [read.loss for read in one] == pytest.approx([read.loss for read in other], rel=1e-3)


def possible(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a model supports."""
    isolates = name.startswith("T_")
    return {key: value for key, value in settings.items() if isolates or key != "isolate_examples"}


def trained_together(rank: int, port: int) -> None:
    """In one of two processes: eager and replayed steps."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    processes = connect()
    for name in ("T_rope", f"{__name__}:Partly"):
        one, other = (
            trained(name, "copy", recorded=recorded, processes=processes, accumulation_steps=2)
            for recorded in (True, False)
        )
        assert one == other


def test_replayed_steps_of_several_processes_are_those_of_eager_ones() -> None:
    port = free_port()
    pair = [context().Process(target=trained_together, args=(rank, port)) for rank in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
        assert process.exitcode == 0


def test_a_number_that_python_has_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control of the stand-in: the learning rate of the recorded step would be that of all replays."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    step_of_adamw = torch.optim.AdamW.step

    def frozen(adamw: torch.optim.AdamW) -> None:
        rate = adamw.param_groups[0]["lr"]
        adamw.param_groups[0]["lr"] = rate.numpy().item()
        step_of_adamw(adamw)
        adamw.param_groups[0]["lr"] = rate

    monkeypatch.setattr(torch.optim.AdamW, "step", frozen)
    assert trained("T_rope", "copy", recorded=True) != trained("T_rope", "copy", recorded=False)
