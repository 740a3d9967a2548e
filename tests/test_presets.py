"""Presets: the number of parameters of every model, and how presets combine with the user's arguments."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from dataset_builders import InputError
from dataset_builders.files import read_json
from synthetic_training.__main__ import main
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.presets import PARAMETERS, TOLERANCE, presets
from synthetic_training.models.registry import build_model
from synthetic_training.models.sizes import preset_arguments
from tests.tiny_run import SETTINGS

ALL = [(preset, model) for preset in PARAMETERS for model in presets()[preset]]
OF_FLA = [one for one in ALL if one[1].startswith("fla:")]


def has_its_size(preset: str, model: str) -> None:
    with torch.device("meta"):
        built = build_model(model, **preset_arguments(preset, model, {}))
    parameters = sum(one.numel() for one in built.parameters())
    assert parameters == pytest.approx(PARAMETERS[preset], rel=TOLERANCE)


@pytest.mark.parametrize(("preset", "model"), [one for one in ALL if one not in OF_FLA])
def test_a_preset_gives_its_number_of_parameters(preset: str, model: str) -> None:
    has_its_size(preset, model)


@pytest.mark.skipif(find_spec("fla") is None, reason="needs flash-linear-attention")
@pytest.mark.parametrize(("preset", "model"), OF_FLA)
def test_a_preset_of_flash_linear_attention_does_so_too(preset: str, model: str) -> None:
    has_its_size(preset, model)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=[] if model == "hf:xlstm" else [pytest.mark.slow])
        for model in presets()["small"]
        if not model.startswith("fla:")
    ],
)
def test_a_preset_reads_rows_of_any_length(model: str) -> None:
    """xLSTM with ``mode: train`` reads only rows that its chunks divide, and evaluation has others."""
    built = build_model(model, **preset_arguments("small", model, {}))
    for length in (7, 43, 220):
        ids = torch.zeros(1, length, dtype=torch.long)
        for training in (False, True):
            output = built.train(training)(input_ids=ids, use_cache=False)
            assert output.logits.shape[:2] == (1, length)
    output.logits.sum().backward()


def test_every_model_of_the_paper_has_every_preset() -> None:
    assert all(set(MODELS) <= set(presets()[preset]) for preset in presets())


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        # found by running the released code
        *((name, 151_218_176) for name in ("T_rope", "T_nope", "T_alibi", "T_hard_alibi")),
        ("mamba", 81_231_872),
        ("lstm", 100_823_070),
    ],
)
def test_the_released_models_have_their_parameters(model: str, parameters: int) -> None:
    with torch.device("meta"):
        built = build_model(model, **preset_arguments("released", model, {}))
    assert sum(one.numel() for one in built.parameters()) == parameters


def test_the_released_preset_is_for_the_run_too(tmp_path: Path) -> None:
    """Its first step has a learning rate of 0, other settings override it, and a file may name it."""
    out = tmp_path / "run"
    (tmp_path / "run.yaml").write_text(
        "{preset: released, max_length: 9, eval_lengths: [5], eval_examples: 4}"
    )
    sizes = ["hidden_size=8", "num_hidden_layers=2"]
    command = ["train", "--model", "lstm", "--config", str(tmp_path / "run.yaml"), "--model-args", *sizes]
    main([*command, "--steps", "6", "--warmup-steps", "4", "--log-every", "1", "--out", str(out)])
    config = read_json(out / "run.json")["config"]
    assert (config["schedule"], config["precision"], config["eval_every"]) == (
        "linear_from_zero",
        "fp32",
        2000,
    )
    assert (config["eval_lengths"], config["eval_examples"], config["steps"]) == ([5], 4, 6)
    arguments = {"hidden_size": 8, "num_hidden_layers": 2}
    assert config["model_args"] == {**presets()["released"]["lstm"], **arguments}


@pytest.mark.parametrize("name", ["hidden_size", "n_embd"])
def test_the_users_arguments_replace_the_presets_under_any_name(name: str) -> None:
    arguments = preset_arguments("small", "hf:gpt2", {name: 64})
    model = build_model("hf:gpt2", **arguments)
    assert (model.config.n_embd, model.config.n_layer) == (
        64,
        presets()["small"]["hf:gpt2"]["num_hidden_layers"],
    )


@pytest.mark.parametrize(
    ("preset", "model", "sentence"),
    [
        ("papr", "T_rope", "no preset 'papr'; the presets are paper, small, released; did you mean 'paper'"),
        ("paper", "hf:bloom", "the preset paper has no sizes for hf:bloom.*omit --preset and pass sizes by"),
    ],
)
def test_what_is_no_preset_gets_one_sentence(preset: str, model: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        preset_arguments(preset, model, {})
    assert "\n" not in str(raised.value)


def test_a_preset_in_a_file_that_is_no_name_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("preset: [small]")
    with pytest.raises(SystemExit, match=r"run.yaml: preset = \[.small.\]: it should be a valid"):
        main(["train", "--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run")])


def test_a_run_records_the_arguments_of_its_preset(tmp_path: Path) -> None:
    """So that it is resumed with them, even if the preset has changed."""
    (tmp_path / "run.yaml").write_text(str({**SETTINGS, "model_args": {"num_hidden_layers": 1}, "steps": 6}))
    out = tmp_path / "run"
    command = ["train", "--config", str(tmp_path / "run.yaml"), "--out", str(out), "--preset", "small"]
    main(command)
    expected = {**presets()["small"]["T_hard_alibi"], "num_hidden_layers": 1}
    assert read_json(out / "run.json")["config"]["model_args"] == expected
    main(["train", "--out", str(out), "--resume"])
    with pytest.raises(SystemExit, match="has other settings: preset"):
        main(["train", "--out", str(out), "--resume", "--preset", "paper"])
