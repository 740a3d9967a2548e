"""The model lists shipped with ``paper``, and the checks that every list must pass."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dataset_builders import InputError
from lm_eval_tasks.paper.model_check import (
    check_config,
    check_models,
    check_models_offline,
    check_packages,
    read_config,
)
from lm_eval_tasks.paper.model_list import MEMORY, Model, read_model_list, select, shipped
from lm_eval_tasks.paper.page import model_deviation

SIZES = {
    "pythia-410m": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096},
    "pythia-1.4b": {"hidden_size": 2048, "num_hidden_layers": 24, "intermediate_size": 8192},
    "pythia-2.8b": {"hidden_size": 2560, "num_hidden_layers": 32, "intermediate_size": 10240},
    "mamba-370m": {"hidden_size": 1024, "num_hidden_layers": 48, "time_step_rank": 64},
    "mamba-1.4b": {"hidden_size": 2048, "num_hidden_layers": 48, "time_step_rank": 128},
    "mamba-2.8b": {"hidden_size": 2560, "num_hidden_layers": 64, "time_step_rank": 160},
}
"""As in the config.json of each model."""


def config_of(name: str) -> Any:
    if name.startswith("pythia"):
        heads = 32 if name == "pythia-2.8b" else 16
        return AutoConfig.for_model("gpt_neox", vocab_size=50304, num_attention_heads=heads, **SIZES[name])
    return AutoConfig.for_model("mamba", vocab_size=50280, state_size=16, **SIZES[name])


def test_the_papers_models_are_loaded_as_its_released_code_loads_them() -> None:
    models = {model.name: model for model in read_model_list("paper").models}
    assert list(models) == list(SIZES)
    for name, model in models.items():
        family, size = name.split("-")
        org = {"pythia": "EleutherAI", "mamba": "state-spaces"}[family]
        assert model.pretrained == f"{org}/{name}" + ("-hf" if family == "mamba" else "")
        assert model.dtype == {"pythia": "float32", "mamba": "float16"}[family]
        assert (model.backend, model.window, len(model.revision)) == ("hf", 2048, 40)
        assert model.model_type == {"pythia": "gpt_neox", "mamba": "mamba"}[family]
        assert model.released is not None and model.released.pretrained == f"{org}/{name}"
        pair = {"370m": "410m"}.get(size, size)
        assert model.compare_with == (f"pythia-{pair}" if family == "mamba" else None)
        assert model.tokenizer is None and model.add_bos_token is None, "both have GPT-NeoX's own"
    assert len({model.revision for model in models.values()}) == 6


new_transformers = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="newer models and their sizes need transformers 5"
)


@new_transformers
@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_those_of_transformers_classes(name: str) -> None:
    lists = (read_model_list(listed).models for listed in ("paper", "paper_mamba_ssm"))
    model, other = (next(one for one in models if one.name == name) for models in lists)
    config = config_of(name)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
        built.tie_weights()
    assert model.parameters == sum(weight.numel() for weight in built.parameters())
    assert (model.layers, model.width) == (config.num_hidden_layers, config.hidden_size)
    check_config(model, config.to_dict())
    if model.kind == "transformer":
        tokens = torch.zeros(1, 3, dtype=torch.long, device="meta")
        cache = built(tokens, use_cache=True).past_key_values
        kept = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
        assert model.cache_per_token == kept / 3
    sizes = {"parameters", "layers", "width", "cache_per_token", "window", "dtype", "compare_with"}
    assert other.model_dump(include=sizes) == model.model_dump(include=sizes)


def test_by_mamba_ssm_names_and_arguments_are_those_of_the_released_code() -> None:
    models = [model for model in read_model_list("paper_mamba_ssm").models if model.kind == "recurrent"]
    assert [model_deviation(model) for model in models] == [None] * 3
    assert {(m.backend, m.revision, m.batch_size, m.tokenizer) for m in models} == {
        ("mamba_ssm", "main", 1, "EleutherAI/gpt-neox-20b")
    }


@new_transformers
@pytest.mark.parametrize("listed", shipped())
def test_every_shipped_list_can_be_loaded_by_the_installed_transformers(listed: str) -> None:
    for model in read_model_list(listed).models:
        assert model.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, model.name
        assert model.peak_bytes < MEMORY, model.name


def test_deviations_are_said() -> None:
    models = {model.name: model for model in read_model_list("paper").models}
    assert model_deviation(models["pythia-410m"]) is None
    assert model_deviation(models["mamba-370m"]) == (
        "mamba-370m: `state-spaces/mamba-370m-hf` by `hf` here, "
        "`state-spaces/mamba-370m` by `mamba_ssm` there."
    )
    (changed,) = select(read_model_list("paper"), ("pythia-410m",), dtype="bfloat16")
    assert model_deviation(changed) == "pythia-410m: bfloat16 here, float32 there."


GOOD: dict[str, Any] = {
    "name": "one",
    "pretrained": "org/one",
    "model_type": "gpt_neox",
    "kind": "transformer",
    "dtype": "float32",
    "window": 2048,
    "batch_size": 8,
    "parameters": 1000,
    "layers": 2,
    "width": 16,
    "cache_per_token": 64,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"backend": "mamba_ssm", "kind": "recurrent", "cache_per_token": 0},
            "batch_size must be 1, .* mask",
        ),
        ({"backend": "mamba_ssm", "revision": "a" * 40}, "loads the revision main"),
        ({"model_type": "rwkv"}, "batch_size must be 1, because rwkv ignores the attention mask"),
        ({"kind": "recurrent"}, "cache_per_token is 64 in a recurrent model"),
        ({"kind": "hybrid", "cache_per_token": 0}, "cache_per_token is 0 in a hybrid model"),
        (
            {"parameters": 10**10, "batch_size": 64, "width": 4096},
            "batch_size 64 with a window of 2048 .* GB",
        ),
        ({"dtype": "fp16"}, "one.dtype: Input should be 'float32', 'float16' or 'bfloat16'"),
        ({"window": "2048"}, "one.window: Input should be a valid integer"),
        ({"windw": 2048}, "one.windw: Extra inputs are not permitted"),
        ({"compare_with": "two"}, "one is compared with two, which is not a transformer in the list"),
        ({"name": "../one"}, "name: String should match pattern"),
    ],
)
def test_a_model_that_cannot_be_right_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    file = tmp_path / "list.yaml"
    file.write_text(yaml.safe_dump({"title": "mine", "models": [{**GOOD, **changed}]}))
    with pytest.raises(InputError, match=f"{file}: .*{said}"):
        read_model_list(str(file))


def test_lists_and_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no list of models 'papre'; use .*; did you mean 'paper'"):
        read_model_list("papre")
    with pytest.raises(InputError, match=r"none.yaml cannot be read: No such file"):
        read_model_list(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("models: [")
    with pytest.raises(InputError, match=r"bad.yaml is not YAML"):
        read_model_list(str(tmp_path / "bad.yaml"))
    (tmp_path / "twice.yaml").write_text(yaml.safe_dump({"title": "x", "models": [GOOD, GOOD]}))
    with pytest.raises(InputError, match="two models have the same name"):
        read_model_list(str(tmp_path / "twice.yaml"))
    with pytest.raises(InputError, match="no model 'pythia-410'; .*did you mean 'pythia-410m'"):
        select(read_model_list("paper"), ("pythia-410",))
    with pytest.raises(InputError, match="with batch_size 512: .* GB"):
        select(read_model_list("paper"), ("pythia-2.8b",), batch_size=512)
    with pytest.raises(InputError, match="with batch_size 2: batch_size must be 1"):
        select(read_model_list("paper_mamba_ssm"), ("mamba-2.8b",), batch_size=2)


@pytest.mark.parametrize(
    ("model", "config", "said"),
    [
        ({}, {"model_type": "mamba"}, "one: org/one is a mamba model, not gpt_neox"),
        ({}, {"model_type": "gpt_neox", "max_position_embeddings": 1024}, "window of 2048 .* org/one, 1024"),
        ({}, {"d_model": 1024, "n_layer": 48}, "is in the format of mamba_ssm; use backend: mamba_ssm"),
        (
            {"backend": "mamba_ssm", "batch_size": 1, "kind": "recurrent", "cache_per_token": 0},
            {"model_type": "mamba"},
            "is not in the format of mamba_ssm; use backend: hf",
        ),
        (
            {"model_type": "qwen3_5"},
            {"model_type": "qwen3_5", "text_config": {"max_position_embeddings": 512}},
            "than that of org/one, 512",
        ),
        (
            {},
            {"model_type": "gpt_neox", "text_config": "none", "max_position_embeddings": 512},
            "than that of org/one, 512",
        ),
    ],
)
def test_a_model_that_is_another_than_the_list_says(
    model: dict[str, Any], config: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        check_config(Model.model_validate({**GOOD, **model}), config)


def test_packages_that_a_gpu_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = {model.name: model for model in read_model_list("paper").models}
    mamba = by_name["mamba-370m"]
    monkeypatch.setattr("lm_eval_tasks.paper.model_check.find_spec", lambda name: None)
    check_packages(mamba, "cpu")
    check_packages(by_name["pythia-410m"], "cuda:0")
    check_packages(mamba.model_copy(update={"batch_size": 1}), "cuda:0")
    with pytest.raises(InputError, match="mamba-370m needs mamba_ssm and causal_conv1d for a batch of 64"):
        check_packages(mamba, "cuda:0")
    (original,) = select(read_model_list("paper_mamba_ssm"), ("mamba-370m",))
    with pytest.raises(InputError, match="needs the package mamba_ssm; run: pip install"):
        check_packages(original, "cuda:0")


def test_models_are_looked_at_before_they_run(model_folder: Path, tmp_path: Path) -> None:
    model = Model.model_validate({**GOOD, "pretrained": str(model_folder), "window": 512})
    check_models([model], "cpu")
    with pytest.raises(InputError, match="window of 2048 tokens is larger than that of .*, 512"):
        check_models([Model.model_validate({**GOOD, "pretrained": str(model_folder)})], "cpu")
    with pytest.raises(InputError, match=r"one: .* has no config.json"):
        read_config(model.model_copy(update={"pretrained": str(tmp_path)}))
    with pytest.raises(InputError, match="one: the folder '/no/such/folder' does not exist"):
        read_config(model.model_copy(update={"pretrained": "/no/such/folder"}))
    said = "cannot find one: there is no folder 'org/one', and its configuration cannot be downloaded from"
    with pytest.raises(InputError, match=said):
        read_config(model.model_copy(update={"pretrained": "org/one"}))


def test_a_plan_looks_at_what_is_on_this_machine(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(pretrained: object, window: int = 512) -> list[str]:
        changes = {"pretrained": str(pretrained), "window": window}
        return check_models_offline([Model.model_validate({**GOOD, **changes})])

    monkeypatch.chdir(tmp_path)
    assert check(model_folder) == check("org/one") == []
    with pytest.raises(InputError, match=r"window of 2048 tokens is larger than that of .*, 512"):
        check(model_folder, 2048)
    for missing in ("/no/such/folder", "./no/folder", "no-folder"):
        with pytest.raises(InputError, match=f"one: the folder '{missing}' does not exist"):
            check(missing)
    with pytest.raises(InputError, match="cannot find one: .*name the repository as ORG/NAME"):
        check("org/a model")
    (tmp_path / "org").mkdir()
    assert check("org/one") == ["one: there is no folder 'org/one', so it is assumed to be on the Hub"]
    cached = tmp_path / "config.json"
    cached.write_text('{"model_type": "mamba"}')
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(cached))
    with pytest.raises(InputError, match="one: org/one is a mamba model, not gpt_neox"):
        check("org/one")
