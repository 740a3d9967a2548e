"""Small parts of a training run: compiled layers, precision and memory."""

from pathlib import Path

import pytest
import torch
from torch.func import functional_call

from dataset_builders import InputError
from synthetic_training.config import TrainConfig
from synthetic_training.memory import check_memory
from synthetic_training.models.registry import build_model
from synthetic_training.training.compilation import CompiledLayers, resolve_compile
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig
from synthetic_training.training.precision import float32_precision, resolve_precision
from synthetic_training.training.run import train
from tests.tiny_run import SIZES, tiny


def test_layers_are_compiled_within_the_block_alone() -> None:
    model = build_model("T_hard_alibi", **{**SIZES, "num_hidden_layers": 3})
    ids = torch.arange(20)[None]
    plain = model(input_ids=ids).logits
    calls = 0

    def count(graph: torch.fx.GraphModule, _inputs: object) -> object:
        nonlocal calls
        calls += 1
        return graph

    torch.compiler.reset()
    layers = CompiledLayers(model, backend=count)
    with layers:
        compiled = model(input_ids=ids, use_cache=False).logits
    # the layers share their code, and so what was compiled
    assert calls == 1
    torch.testing.assert_close(compiled, plain)
    assert all("forward" not in vars(module) for module in model.modules())


def test_compiled_layers_read_the_copies_of_their_weights() -> None:
    """As in a compiled step of several processes on a GPU."""
    torch.manual_seed(0)
    model = build_model("T_hard_alibi", **{**SIZES, "num_hidden_layers": 3})
    optimizer = ClippedAdamW(model, OptimizerConfig(0.1, 1.0), copies=True)
    ids = torch.arange(20)[None]

    def gradients() -> list[torch.Tensor]:
        optimizer.zero_grad()
        arguments = {"input_ids": ids, "use_cache": False}
        with torch.autocast("cpu", torch.bfloat16):
            logits = functional_call(model, optimizer.copies, (), arguments).logits
        logits.float().square().sum().backward()
        return [leaf.grad.float() for leaf in optimizer.leaves]

    plain = gradients()
    torch.compiler.reset()
    with CompiledLayers(model, backend="aot_eager"):
        compiled = gradients()
    assert len(optimizer.copies) == 3 * 4 + 1
    for found, expected in zip(compiled, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=2**-6, atol=float(expected.abs().max()) * 2**-6)


def test_more_kinds_of_layers_than_dynamo_compiles_by_itself() -> None:
    """Without a higher limit, the ninth kind of layer would run uncompiled."""

    class Scale(torch.nn.Module):
        def __init__(self, factor: int) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.factor

    class Layers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(Scale(i) for i in range(1, 13))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    model, calls = Layers(), 0

    def count(graph: torch.fx.GraphModule, _inputs: object) -> object:
        nonlocal calls
        calls += 1
        return graph

    torch.compiler.reset()
    x = torch.randn(3)
    with CompiledLayers(model, backend=count):
        compiled = model(x)
    torch.testing.assert_close(compiled, model(x))
    assert calls == 12


def test_layers_that_are_shared_missing_or_in_containers() -> None:
    """One layer at two depths, a place without a layer, and layers in a dictionary: all run compiled."""

    class Layers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())
            inner = torch.nn.ModuleDict({"mixer": torch.nn.Linear(3, 3)})
            self.layers = torch.nn.ModuleList([shared, None, inner, torch.nn.ModuleList([shared])])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shared, _, inner, (again,) = self.layers
            return again(inner["mixer"](shared(x)))

    model, compiled = Layers(), []

    def note(graph: torch.fx.GraphModule, _inputs: object) -> object:
        compiled.append(graph)
        return graph

    torch.compiler.reset()
    x = torch.randn(2, 3)
    layers = CompiledLayers(model, backend=note)
    assert len(layers) == 2
    for _ in range(2):
        with layers, torch.no_grad():
            found = model(x)
    torch.testing.assert_close(found, model(x))
    assert len(compiled) == 2
    assert all("forward" not in vars(module) for module in model.modules())


def test_long_runs_on_a_gpu_are_compiled() -> None:
    assert resolve_compile("auto", "cuda", 1000) == "on"
    assert resolve_compile("auto", "cuda", 999) == resolve_compile("auto", "cpu", 10**6) == "off"
    assert resolve_compile("on", "cpu", 1) == "on"
    assert resolve_compile("off", "cuda", 10**6) == "off"
    # as YAML reads an unquoted on and off
    assert (TrainConfig(compile=True).compile, TrainConfig(compile=False).compile) == ("on", "off")
    with pytest.raises(
        InputError, match="compile = 'yes': it must be one of 'auto', 'on' or 'off'|should be"
    ):
        TrainConfig(compile="yes")


def test_tf32_is_for_gpus() -> None:
    with pytest.raises(InputError, match="tf32 needs an NVIDIA GPU; on a CPU, pass --precision fp32"):
        resolve_precision("tf32", "cpu")
    assert resolve_precision("tf32", "cuda") == "tf32"
    assert [resolve_precision("auto", device) for device in ("cpu", "cuda")] == ["fp32", "bf16"]


def test_the_precision_of_products_is_that_of_the_block() -> None:
    def now() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = now()
    with float32_precision("tf32"):
        assert now() == ("high", True)
        with float32_precision("fp32"):
            assert now() == ("highest", False)
    assert now() == before


def test_sizes_that_no_machine_holds_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least [\d,]+ GiB of memory, .* reduce batch_size") as error:
        train(tiny(batch_size=2**30, context_length=2**20), tmp_path / "run")
    assert "\n" not in str(error.value)
    pool = {"task": "documents", "context_length": 2**20, "batch_size": 1, "pool_rows": 2**30}
    with pytest.raises(InputError, match=r"a pool of pool_rows = 1073741824 rows needs .*; reduce pool"):
        train(tiny(**pool, eval_lengths=()), tmp_path / "run")
    with pytest.raises(InputError, match="context_length = 1099511627776: it should be less than"):
        tiny(context_length=2**40)
    assert not (tmp_path / "run").exists()
    check_memory(8, 220, 30, torch.device("cpu"), "batch_size")
