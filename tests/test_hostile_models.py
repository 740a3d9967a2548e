"""Damaged and hostile folders of models: errors are one sentence, before memory is allocated."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import check_links
from synthetic_training.config import TrainConfig
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.construction import reraise_bug
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model
from synthetic_training.training.checkpoint import load_optimizer, restore_weights
from synthetic_training.training.run_folder import check_folder
from tests.tiny_run import SIZES


@pytest.mark.parametrize(
    "changed", [{"task": []}, {"task": 3}, {"task_args": [1]}, {"n": "x"}, {"k": {}}, {"vocabulary": None}]
)
def test_damaged_settings_of_training_are_one_sentence(tmp_path: Path, changed: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"config": {**TrainConfig().as_json(), **changed}}))
    (name,) = changed
    with pytest.raises(InputError, match=f"run.json is damaged: {name} = "):
        evaluate(EvaluateConfig(tmp_path))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ([], "config.json is damaged: it contains no settings"),
        ({"model_type": 3}, "config.json names no model_type"),
        ({"n_head": 0}, "contains no model that can be loaded: "),
        ({"n_embd": "a"}, "contains no model that can be loaded: .*expected int, got str"),
        ({"n_embd": 10**9}, "needs at least .* GiB of memory"),
        ({"n_layer": 10**8}, "num_hidden_layers of .* must be at most 10000, not 100000000"),
        ({"n_positions": 10**12}, "needs at least .* GiB of memory"),
        ({"activation_function": "x"}, "contains no model that can be loaded: "),
        ({"model_type": "gpt_neox_hard_alibi", "hidden_act": "x"}, "contains no model that can be loaded: "),
    ],
)
def test_a_hostile_configuration_is_one_sentence(tmp_path: Path, config: Any, sentence: str) -> None:
    if isinstance(config, dict):
        config = {"model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "vocab_size": 30, **config}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=sentence) as refused:
        load_model(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "module", ["synthetic_training.models.mamba", "transformers_modules.theirs", "torch.nn"]
)
def test_an_error_of_our_own_code_is_a_bug_and_one_of_a_library_is_not(module: str) -> None:
    code: dict[str, Any] = {"__name__": module}
    exec("def build(): raise KeyError('x')", code)
    with pytest.raises(KeyError) as caught:
        code["build"]()
    if module == "torch.nn":
        reraise_bug(caught.value)
    else:
        with pytest.raises(KeyError):
            reraise_bug(caught.value)


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "checkpoints"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A run from a stranger that would change a file of the user."""
    (tmp_path / "run").mkdir()
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "run" / name).symlink_to(mine)
    with pytest.raises(InputError, match=rf"{name} is a link to .*mine, outside of the folder"):
        check_folder(tmp_path / "run", TrainConfig(), resume=True)
    (tmp_path / "run" / name).unlink()
    for target in ("inside", name):  # the second is a loop
        (tmp_path / "run" / name).symlink_to(tmp_path / "run" / target)
        check_links(tmp_path / "run", [name])
        (tmp_path / "run" / name).unlink()
    assert mine.read_text() == "mine"


def test_an_optimizer_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"optimizer\.safetensors cannot be read"):
        load_optimizer(tmp_path)
    (tmp_path / "optimizer.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"optimizer\.safetensors cannot be read"):
        load_optimizer(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_argument_of_a_model_is_finite(value: float) -> None:
    with pytest.raises(InputError, match="layer_norm_eps of T_rope must be a finite number, not (nan|inf)"):
        build_model("T_rope", layer_norm_eps=value)


def test_weights_of_another_architecture_than_the_settings_say_are_refused(tmp_path: Path) -> None:
    build_model("T_hard_alibi", **SIZES).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"has a different architecture from the run; restore run\.json"):
        restore_weights(build_model("T_hard_alibi", **{**SIZES, "num_hidden_layers": 3}), tmp_path)
