"""The parts of a training run that are small: compiled layers, precision and memory."""

from pathlib import Path

import pytest
import torch

from dataset_builders import InputError
from synthetic_training.models.registry import build_model
from synthetic_training.training.compilation import CompiledLayers
from synthetic_training.training.memory import check_memory
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
    with pytest.raises(InputError, match="context_length = 1099511627776: it should be less than"):
        tiny(context_length=2**40)
    assert not (tmp_path / "run").exists()
    check_memory(8, 220, 30, torch.device("cpu"))
