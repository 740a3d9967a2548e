"""The parts of a training run that are small: compiled layers, precision, memory, and imports."""

import ast
from pathlib import Path

import pytest
import torch

import synthetic_training
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


def imports(file: Path) -> set[str]:
    """The modules of the trainer that one of its files imports, in functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name.startswith("synthetic_training.")}


def test_no_module_of_the_trainer_imports_itself_by_way_of_others() -> None:
    root = Path(synthetic_training.__file__).parent
    files = {
        ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in root.rglob("*.py")
    }
    graph = {name: imports(file) & set(files) - {name, "synthetic_training"} for name, file in files.items()}
    # an __init__ that gathers what is in its folder is no circle with it
    for name, file in files.items():
        if file.name == "__init__.py":
            graph[name] = {one for one in graph[name] if not one.startswith(f"{name}.")}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for one in sorted(graph[name]):
                visit(one, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
