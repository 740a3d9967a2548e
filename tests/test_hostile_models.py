"""Damaged and hostile folders of models: errors are one sentence, before memory is allocated."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from synthetic_training.config import TrainConfig
from synthetic_training.evaluation.evaluate import EvaluateConfig, evaluate
from synthetic_training.models.saved import load_model


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
