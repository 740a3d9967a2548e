"""The sources of a run's settings, and valid values."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.string_tasks.registry import own_string_tasks
from synthetic_training.__main__ import main
from synthetic_training.argument_types import key_values, parse_value
from synthetic_training.config import TrainConfig, config_path, differing, shipped_configs
from synthetic_training.data.training_data import training_data
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.figures.figure_file import shipped
from synthetic_training.models.paper_models import MODELS
from synthetic_training.settings import parse_settings, read_settings
from tests.conftest import Run
from tests.tiny_run import SETTINGS, tiny


def test_defaults_are_the_released_trainers() -> None:
    config = TrainConfig()
    assert (config.task, config.min_length, config.max_length, config.vocabulary) == ("copy", 5, 20, 26)
    assert (config.context_length, config.batch_size, config.schedule) == (220, 8, "linear")
    assert (config.lr, config.warmup, config.weight_decay, config.grad_clip) == (1e-5, 100, 0.1, 1.0)


def test_the_command_line_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({**SETTINGS, "steps": 7, "lr": "2e-3", "eval_lengths": [2]}))
    out = tmp_path / "run"
    main(
        ["train", "--config", str(file), "--lr", "5e-3", "--model-args", "hidden_size=16", "--out", str(out)]
    )
    config = json.loads((out / "run.json").read_text())["config"]
    assert (config["steps"], config["lr"], config["grad_clip"]) == (7, 5e-3, 1.0)
    assert config["model_args"] == {**SETTINGS["model_args"], "hidden_size": 16}
    assert config["precision"] == "fp32"


def test_a_file_may_be_json_or_yaml(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "lr": 1e-3,
        "model_args": {"layer_norm_eps": 1e-6, "tie_word_embeddings": False},
    }
    (tmp_path / "a.json").write_text(json.dumps(settings))
    text = "lr: 1e-3\nmodel_args: {layer_norm_eps: 1e-6, tie_word_embeddings: false}\n"
    (tmp_path / "a.yaml").write_text(text)
    one, other = (TrainConfig(**read_settings(tmp_path / name)) for name in ("a.json", "a.yaml"))
    assert one == other == TrainConfig(lr=1e-3, model_args=settings["model_args"])


@given(st.none() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_values_of_model_arguments_keep_their_kind(value: float | None) -> None:
    parsed = parse_value(str(value))
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("text", ["gelu", "", "nul", "[1", '"a"', "1.2.3"])
def test_other_model_arguments_are_text(text: str) -> None:
    assert parse_value(text) == text


def test_null_in_a_file_and_on_the_command_line_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model_args: {window: null, gate: None}")
    typed = key_values.instance_from_str(["window=null", "gate=None"])
    for arguments in (read_settings(tmp_path / "a.yaml")["model_args"], typed):
        config = TrainConfig(model_args=arguments)
        assert config.model_args == config.as_json()["model_args"] == {"window": None, "gate": None}


@settings(max_examples=20)
@given(st.lists(st.integers()) | st.dictionaries(st.text(), st.lists(st.integers()) | st.text()))
def test_lists_and_objects_are_written_as_json(value: object) -> None:
    assert parse_value(json.dumps(value)) == value
    (written,) = key_values.str_from_instance({"a": value})
    assert key_values.instance_from_str([written]) == {"a": value}


def test_settings_survive_json() -> None:
    config = tiny(stop_accuracy=0.5, k=2, min_length=2)
    assert TrainConfig(**json.loads(json.dumps(config.as_json()))) == config


def test_differing_settings_leave_out_what_changes_nothing_learned() -> None:
    assert differing(tiny(), tiny(log_every=7, save_every=9, tracker="wandb")) == []
    assert differing(tiny(), tiny(accumulation_steps=2, compile="on")) == []
    assert differing(tiny(), tiny(lr=7.0, steps=31, log_every=9)) == ["steps", "lr"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fixed_examples": 5}, "fixed_examples is a setting of mqar; copy does not have it"),
        ({"pairs": 8}, "pairs is a setting of mqar; copy does not have it"),
        ({"mix": {"lookup": 1}}, "mix is a setting of documents; copy does not have it"),
        ({"n": 4}, "n is a setting of the n-gram tasks; copy does not have it"),
        ({"task": "mqar", "max_length": 40}, "max_length is a setting of the string tasks; mqar does not"),
        ({"task": "mqar", "isolate_examples": True}, "of the string tasks and documents; mqar does not"),
        ({"task": "documents", "task_args": {"n": 1}}, "of the string tasks and mqar; documents does not"),
    ],
)
def test_settings_of_another_task_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stpes": 3}, "there is no setting 'stpes'; did you mean 'steps'"),
        ({"steps": "many"}, "steps = 'many'"),
        ({"steps": 0}, "steps = 0: it should be greater than or equal to 1"),
        ({"lr": -1}, "lr = -1"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"lr": float("inf")}, "lr = inf"),
        ({"eval_lengths": [0]}, "eval_lengths"),
        ({"eval_lengths": 5}, "eval_lengths"),
        ({"model_args": {"a": 1j}}, "model_args.a = 1j: it should be a valid integer, a valid number,"),
        ({"stop_accuracy": 1.5}, "stop_accuracy = 1.5"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse_settings(TrainConfig, settings, "run.yaml")
    assert str(error.value).startswith("run.yaml: ") and sentence in str(error.value)
    assert "\n" not in str(error.value)
    if "stpes" not in settings:
        with pytest.raises(InputError, match=r"^[a-z_.0-9]+ = "):
            TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": float("nan")}, "lr = nan: it is not a number"),
        ({"lr": float("inf")}, "lr = inf: it should be finite"),
        ({"grad_clip": float("nan")}, "grad_clip = nan: it is not a number"),
    ],
)
def test_numbers_that_are_none_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}$"):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"max_length": 20}, "context_length = 32 is too short: .* has 43 tokens"),
        ({"task": "prefix_ngram", "min_length": 3}, "needs strings of at least 6 letters"),
        ({"min_length": 2, "k": 2, "eval_lengths": [2, 1]}, "needs strings of at least 2 letters, not 1"),
        ({"min_length": 9}, "max_length = 5 is smaller than min_length = 9; "),
        ({"accumulation_steps": 3}, "make it a multiple of 3"),
        ({"warmup_steps": 30}, "warmup_steps = 30 must be smaller than steps = 30"),
        ({"vocabulary": 2**20 + 1}, "vocabulary must be at most 1048576"),
        ({"task": "reverse", "k": 2}, "reverse has no setting 'k'; it has none"),
        ({"task_args": {"m": 2}}, "copy has no setting 'm'"),
    ],
)
def test_runs_that_cannot_be_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        training_data(tiny(**settings))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("- 1\n", "must contain settings"), ("a: [1\n", "is not YAML"), ("", "must contain settings")],
)
def test_files_that_hold_no_settings_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_settings(file)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", shipped_configs())
def test_configs_of_the_package_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrainConfig(**read_settings(config_path(name))) != TrainConfig()


@pytest.mark.parametrize("name", ["cpu_cpy", "synthetic_training/configs/cpu_copy.yaml"])
def test_a_config_that_does_not_exist_is_one_sentence_with_the_names(name: str, run_here: Run) -> None:
    result = run_here("synthetic_training", "train", "--config", name, "--out", "run")
    assert result.returncode == 1
    assert result.stderr == (
        f"error: there is no file {name!r}; the configs that come with the package are cpu_copy; did "
        "you mean 'cpu_copy'?\n"
    )


def test_lengths_are_numbers_and_ranges_with_their_end() -> None:
    given = ["run", "--lengths", "20:60:20", "5", "7:8"]
    assert tyro.cli(EvaluateConfig, args=given).lengths == (20, 40, 60, 5, 7, 8)
    assert tyro.cli(EvaluateConfig, args=["run"]).lengths == ()  # the default depends on the run's task


def test_an_invalid_value_on_the_command_line_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as error:
        main(["train", "--steps", "0", "--out", str(tmp_path / "run")])
    assert error.value.code == "error: steps = 0: it should be greater than or equal to 1"
    with pytest.raises(SystemExit) as error:
        main(["train", "--task", "copies", "--out", str(tmp_path / "run")])
    said = str(error.value.code)
    assert said.startswith("error: task must be one of copy, prefix_ngram, suffix_ngram")
    assert said.endswith("documents, not 'copies'; did you mean 'copy'?")


def test_every_setting_has_a_help_text_that_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for text in (
        "Peak learning rate, reached after warm-up.",
        "Weight decay of AdamW, applied to all parameters.",
        "Length of the answer in letters (default: everything after the key).",
        "Fraction of non-answer tokens that also contribute to the loss (documents only).",
    ):
        assert text in shown


def test_an_unknown_flag_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["train", "--stpes", "3", "--out", "run"])
    assert error.value.code == 2
    shown = capsys.readouterr().err
    assert "--stpes" in shown and "--steps" in shown


def test_a_slip_is_one_sentence_and_no_traceback(run_forked: Run, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("stpes: 3\n")
    done = run_forked("-m", "synthetic_training", "train", "--config", "run.yaml", "--out", "run")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "error: run.yaml: there is no setting 'stpes'; did you mean 'steps'?\n"
    assert not (tmp_path / "run").exists()


def test_the_first_screen_names_all_models_and_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    words = set(re.findall(r"[\w:]+", capsys.readouterr().out))
    tasks = [task.name for task in own_string_tasks()]
    assert {*MODELS, *tasks, "mqar", "documents", "hf:TYPE", "fla:TYPE"} <= words


def test_the_help_of_reproduce_names_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert {re.sub("^beyond_.*", "beyond_NAME", name) for name in shipped()} <= words


@pytest.mark.parametrize("command", ["train", "evaluate", "plot", "reproduce"])
def test_a_default_is_shown_once_and_not_empty(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: )" not in shown
    assert not re.search(r"\(default: [^)]*\)\.? \(default: None\)", shown)


def test_a_default_of_a_file_is_shown_beside_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--config", "cpu_copy", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "numbers of pairs (default: pairs). (default: 10 20 60 100 200)" in shown


@pytest.mark.parametrize(("task", "unit"), [("copy", "letters"), ("mqar", "pairs"), ("documents", "entries")])
def test_lengths_have_the_unit_of_the_task(task: str, unit: str) -> None:
    options: dict[str, Any] = {"mix": {"phone_book": 1}} if task == "documents" else {}
    assert TrainConfig(task=task, **options).length_unit == unit
