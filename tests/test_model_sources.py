"""What the name of a model can be: types, classes and folders, and their arguments."""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError
from synthetic_training.__main__ import main
from synthetic_training.models.model_types import PACKAGES
from synthetic_training.models.registry import build_model
from synthetic_training.models.user_code import import_packages
from tests.tiny_figure import a_figure
from tests.tiny_run import SETTINGS

HERE = __name__


# ---- arguments under two names

COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
OWN_NAMES: dict[str, dict[str, int]] = {
    "bart": {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "ctrl": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
}


@pytest.mark.parametrize("model_type", OWN_NAMES)
def test_own_and_common_names_are_one_setting(model_type: str, tmp_path: Path) -> None:
    name, own = f"hf:{model_type}", OWN_NAMES[model_type]
    by_own, by_common = build_model(name, **own), build_model(name, **COMMON)
    shapes = [{key: p.shape for key, p in model.named_parameters()} for model in (by_own, by_common)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in by_own.parameters()) < 200_000
    by_own.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert {key: saved[key] for key in own} == own
    assert by_own(torch.arange(12)[None]).logits.shape == (1, 12, 30)
    for (key, value), common in zip(own.items(), COMMON, strict=True):
        if key != common:
            both = {**COMMON, key: value}
            assert build_model(name, **both).num_parameters() == by_own.num_parameters()
            with pytest.raises(
                InputError, match=f"{common}={COMMON[common]} and {key}={2 * value} are the same"
            ):
                build_model(name, **{**both, key: 2 * value})


def test_a_constructor_that_takes_the_common_name_takes_the_stored_one_too() -> None:
    for name in ("num_experts", "num_local_experts"):
        model = build_model("hf:kimi_linear", **COMMON, **{name: 2}, num_experts_per_tok=1)
        assert (model.config.num_experts, model.config.num_local_experts) == (2, 2)


def test_a_size_that_an_architecture_sets_itself_is_refused() -> None:
    with pytest.raises(InputError, match="hf:hrm_text sets num_hidden_layers to"):
        build_model("hf:hrm_text", hidden_size=32, num_hidden_layers=2, num_attention_heads=4)


# ---- names that lead nowhere


class Unnamed(nn.Module):
    """Does not take ``vocab_size``."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()


class Abstract(nn.Module, ABC):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, ids: Tensor) -> Tensor:
        """Logits."""


class ByPosition(nn.Module):
    def __init__(self, vocab_size: int, /) -> None:
        super().__init__()


class OddConfig(PreTrainedConfig):
    def __init__(this, **others: Any) -> None:  # noqa: N805
        super().__init__(**others)


class Odd(PreTrainedModel):
    config_class = OddConfig


class Needy(nn.Module):
    def __init__(self, vocab_size: int, width: int, depth: int) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        pytest.param(
            *(
                "hf:gla",
                {},
                "of the type 'gla'; flash-linear-attention has it; run: .*, and pass --model fla:gla",
            ),
            marks=pytest.mark.skipif(
                find_spec("fla") is not None, reason="an imported fla registers its types"
            ),
        ),
        ("no_such_package:gla", {}, "there is no module 'no_such_package' to import"),
        ("hf:gpt3", {}, "of the type 'gpt3'; did you mean 'hf:gptj'"),
        ("hf:bert_for_all", {}, "no causal language model of the type 'bert_for_all'"),
        ("hf:gemma3", {}, "hf:gemma3 is multimodal; its language model is hf:gemma3_text"),
        ("hf:gpt2", {"n_embed": 8}, "hf:gpt2 has no argument 'n_embed'; did you mean 'n_embd'"),
        ("no_such.module:Class", {}, "there is no module 'no_such' to import, neither in the current folder"),
        ("gated_linear.py:Class", {}, "no module .*; write it as in an import statement: gated_linear$"),
        ("models/mine.py:Class", {}, "no module .*; write it as in an import statement: models.mine$"),
        ("./models/mine.py:Class", {}, "not the name of a module; write it as .*statement: models.mine$"),
        ("/folder/mine.py:Class", {}, "to import; run the command in /folder, and pass mine$"),
        ("../mine.py:Class", {}, "not the name of a module; run the command in .., and pass mine$"),
        ("..:Class", {}, "'..' is not the name of a module"),
        (f"{HERE}:Unknown", {}, f"module {HERE} has no class 'Unknown'"),
        (f"{HERE}:HERE", {}, "is not a class of torch.nn.Module"),
        (f"{HERE}:Path", {}, "is not a class of torch.nn.Module"),
        (f"{HERE}:Unnamed", {}, "must take the argument vocab_size"),
        (f"{HERE}:Needy", {"width": 3}, "needs --model-args depth=...$"),
        (f"{HERE}:Abstract", {}, "Abstract is an abstract class without forward; pass one of its subcl"),
        (f"{HERE}:ByPosition", {}, "cannot be built with keyword arguments: 'vocab_size' parameter is posi"),
        ("tests.gated_linear_attention:GatedLinearAttention", {"width": 3}, "has no argument 'width'"),
        ("tests.gated_linear_attention:GatedLinearAttentionForCausalLM", {"n": 3}, "has no argument 'n'"),
        (f"{HERE}:Odd", {"this": 3}, "has no argument 'this'"),
        (f"{HERE}:Odd", {"others": 3}, "has no argument 'others'"),
    ],
)
def test_what_is_no_model_gets_one_sentence(name: str, overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        build_model(name, **overrides)
    assert "\n" not in str(raised.value)


def test_packages_that_are_not_there_get_one_sentence() -> None:
    with pytest.raises(InputError, match="there is no module 'no_such_package' to import"):
        import_packages(["no_such_package"])


def test_a_package_of_models_without_what_it_needs_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_triton.py").write_text("import no_such_triton")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGES, "needs_triton", "models-in-triton")
    with pytest.raises(InputError, match="models-in-triton cannot be imported: .* 'no_such_triton'"):
        build_model("needs_triton:gla")


def test_without_a_gpu_nothing_is_to_be_installed_for_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: fla:gla needs a GPU: the kernels of flash-linear-attention"):
        main(["train", "--model", "fla:gla", "--out", str(tmp_path / "run"), "--device", "cpu"])


def test_an_error_inside_a_users_module_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        build_model("needs_another:Class")


# ---- folders, and the command line


def test_a_folder_of_a_stock_model_is_its_architecture_untrained(tmp_path: Path) -> None:
    stock = build_model("hf:llama", hidden_size=16, num_hidden_layers=3, num_attention_heads=2)
    stock.save_pretrained(tmp_path)
    again = build_model(str(tmp_path), num_hidden_layers=1)
    assert type(again) is type(stock)
    assert (again.config.num_hidden_layers, again.config.hidden_size) == (1, 16)
    assert not torch.equal(again.model.embed_tokens.weight, stock.model.embed_tokens.weight)


def test_code_in_a_folder_runs_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto_map = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "secret", "auto_map": auto_map}))
    command = ["train", "--model", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cpu"]
    with pytest.raises(
        SystemExit, match=r"contains its own code \(code.py\); inspect it, then pass --trust-remote"
    ):
        main(command)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "reference", "sentence"),
    [
        ("Config = 1", "code.Model", "has no attribute 'Model'"),
        ("def Model(:", "code.Model", "invalid syntax"),
        ("Model = 1", "Model", "not enough values to unpack"),
        ("Model = 1", "code.Model", "'int' object has no attribute 'config_class'"),
    ],
)
def test_code_in_a_folder_without_the_class_that_its_settings_name_is_refused(
    code: str, reference: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "code.py").write_text(code)
    content = {"model_type": "secret", "auto_map": {"AutoModelForCausalLM": reference}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"the code in .* cannot be imported: .*{sentence}"):
        build_model(str(tmp_path), trust_remote_code=True)


def test_packages_are_imported_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**SETTINGS, "model_args": {}, "steps": 6}))
    out, package = tmp_path / "run", "tests.registered_gated_linear_attention"
    main(
        [
            *(
                "train",
                "--config",
                str(tmp_path / "run.json"),
                "--out",
                str(out),
                "--model-args",
                "hidden_size=16",
            ),
            *("--model", "hf:registered_gla", "--import", package),
        ]
    )
    assert json.loads((out / "run.json").read_text())["config"]["imports"] == [package]
    main(["evaluate", str(out), "--lengths", "3", "--num-examples", "4", "--import", package])
    main(["train", "--out", str(out), "--resume"])
    with pytest.raises(SystemExit, match="there is no module 'no_such' to import"):
        main(["evaluate", str(out), "--lengths", "3", "--import", "no_such"])


@pytest.mark.slow
def test_figures_take_the_same_models(tmp_path: Path) -> None:
    """The package named on the command line is also imported in the process of each run."""
    runs = {
        "bare": {"model": "tests.gated_linear_attention:GatedLinearAttention"},
        "registered": {"model": "hf:registered_gla"},
    }
    file = a_figure(tmp_path / "own.yaml", runs=runs, settings={**SETTINGS, "model_args": {}})
    main(
        [
            *("reproduce", str(file), "--out", str(tmp_path / "out")),
            *("--import", "tests.registered_gated_linear_attention"),
        ]
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "own_small.jsonl").read_text().splitlines()]
    assert {line["label"] for line in lines} == set(runs)
    assert all(len(line["tests"]) == 2 for line in lines)


def test_importing_the_package_imports_no_framework() -> None:
    code = "import sys, synthetic_training; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "set()"
