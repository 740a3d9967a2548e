"""What a run computes, which files it leaves, and how it ends."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dataset_builders import InputError
from dataset_builders.files import read_json
from synthetic_training.data.strings import PackedBatches
from synthetic_training.data.training_data import StringData
from synthetic_training.evaluation.accuracy import LengthScore
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.training.run import train
from synthetic_training.training.run_log import MetricsLog, read_metrics, remove_after
from synthetic_training.training.step import TrainingStep
from tests.tiny_run import SIZES, metrics_without_times, tiny, weights


def test_a_run_evaluates_without_dropout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated, trained = [], []
    evaluate_data, run_step = StringData.evaluate, TrainingStep.run

    def watched_evaluate(data: StringData, model: Any, **arguments: Any) -> Any:
        evaluated.append(model.training)
        return evaluate_data(data, model, **arguments)

    def watched_run(step: TrainingStep, number: int, learning_rate: float) -> None:
        trained.append(step._model.training)
        run_step(step, number, learning_rate)

    monkeypatch.setattr(StringData, "evaluate", watched_evaluate)
    monkeypatch.setattr(TrainingStep, "run", watched_run)
    train(tiny(steps=6, warmup_steps=1, eval_every=3), tmp_path / "run")
    # once before training, to try the evaluated lengths
    assert evaluated == 3 * [False] and trained == 6 * [True]


def test_a_run_leaves_metrics_checkpoints_and_a_model(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train(tiny(), out) == out / "model"
    lines = read_metrics(out / "metrics.jsonl")
    trained = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in trained] == sorted({*range(3, 31, 3), *range(4, 30, 4), 10, 20})
    assert trained[-1]["tokens"] == 30 * 4 * 32
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    assert trained[-1]["examples"] == sum(int(batches.batch(i).examples) for i in range(30))
    evaluated = [(line["step"], line["length"]) for line in lines if line["kind"] == "eval"]
    assert evaluated == [(step, length) for step in (10, 20, 30) for length in (2, 5)]
    assert sorted(f.name for f in (out / "checkpoints").iterdir()) == ["step_24", "step_28"]
    model = AutoModelForCausalLM.from_pretrained(out / "model")
    assert json.loads((out / "run.json").read_text())["parameters"] == model.num_parameters()
    tokens = AutoTokenizer.from_pretrained(out / "model")("$ab|", return_tensors="pt")
    assert model(**tokens).logits.shape == (1, 4, 30)


def test_embeddings_begin_as_large_as_asked(tmp_path: Path) -> None:
    stds = {}
    for std in (None, 2.0):
        out = train(tiny(steps=1, warmup_steps=0, lr=1e-9, embedding_std=std), tmp_path / str(std))
        model = AutoModelForCausalLM.from_pretrained(out)
        stds[std] = model.get_input_embeddings().weight.std().item()
    assert stds == {None: pytest.approx(0.02, rel=0.1), 2.0: pytest.approx(2, rel=0.1)}


def test_the_last_evaluation_is_that_of_the_saved_model(tmp_path: Path) -> None:
    train(tiny(steps=60, lr=5e-3, eval_examples=200, eval_every=60, save_every=60), tmp_path / "run")
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "eval"]
    config = EvaluateConfig(tmp_path / "run", lengths=(2, 5), num_examples=200, device="cpu")
    results = evaluate(config)["results"]
    for line, result in zip(lines, results, strict=True):
        assert {key: line[key] for key in result} == pytest.approx(result)
    assert 0 < results[0]["string_accuracy"] < results[0]["letter_accuracy"] < 1


def test_the_same_run_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny(seed=seed), tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    assert metrics_without_times(tmp_path / "a") == metrics_without_times(tmp_path / "b")


def test_training_ends_once_the_strings_of_the_last_length_are_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.9, 0.4, 0.5])  # the first before training, to try the lengths

    def evaluate_data(*_: object, **__: object) -> list[LengthScore]:
        short = LengthScore(2, 16, *(1.0, 0.0) * 3)
        return [short, LengthScore(5, 16, next(accuracies), 0.0, *(0.9, 0.0) * 2)]

    monkeypatch.setattr(StringData, "evaluate", evaluate_data)
    train(tiny(steps=9, eval_every=3, warmup_steps=1, stop_accuracy=0.5), tmp_path / "run")
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert (last["step"], last["length"], last["string_accuracy"]) == (6, 5, 0.5)
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_dropout_depends_on_the_seed_and_the_step_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    run_step = TrainingStep.run

    def watched(step: TrainingStep, number: int, learning_rate: float) -> None:
        seeds.append(torch.initial_seed())
        run_step(step, number, learning_rate)

    monkeypatch.setattr(TrainingStep, "run", watched)
    config = tiny(steps=6, warmup_steps=1, eval_every=6, eval_examples=2)
    train(config, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "model")
    train(config, tmp_path / "run", resume=True)
    assert seeds[6:] == seeds[4:6]
    train(replace(config, seed=1), tmp_path / "other")
    assert len(set(seeds)) == 12


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    config = tiny(lr=1e30, warmup_steps=0, schedule="constant", save_every=1)
    with pytest.raises(
        InputError, match=r"not finite at or before step 2; the last good checkpoint is .*step_1;"
    ):
        train(config, tmp_path / "run")
    assert [f.name for f in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_1"]
    assert not (tmp_path / "run" / "model").exists()


HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
OTHERS: dict[str, dict[str, Any]] = {
    "mamba": {},
    "lstm": {},
    "hf:llama": HEADS,
    "hf:mamba2": {"num_heads": 4, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 8},
    "hf:rwkv": {"num_hidden_layers": 2, "attention_hidden_size": 16, "intermediate_size": 32},
    "hf:recurrent_gemma": {**HEADS, "num_hidden_layers": 3, "lru_width": 16, "attention_window_size": 8},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_train_by_the_same_command(tmp_path: Path, name: str) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, **OTHERS[name]}
    config = tiny(model=name, model_args=sizes, steps=20, save_every=10, eval_every=20, lr=1e-2)
    train(config, tmp_path / "run")
    losses = [line["loss"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert losses[-1] < losses[0] - 0.3


def test_isolated_examples_train_another_model(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "packed")
    train(tiny(isolate_examples=True), tmp_path / "isolated")
    assert weights(tmp_path / "packed") != weights(tmp_path / "isolated")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "T_hard_alibe"}, "did you mean 'T_hard_alibi"),
        ({"model_args": {"hiden_size": 8}}, "did you mean 'hidden_size"),
        (
            {"model_args": {**SIZES, "max_position_embeddings": 16}},
            "pass --model-args max_position_embeddings=32",
        ),
        (
            {"model_args": {**SIZES, "max_position_embeddings": 32}, "eval_lengths": [20]},
            "rows have up to 43; pass --model-args max_position_embeddings=43",
        ),
        ({"model": "lstm", "model_args": {"hidden_size": 16}, "isolate_examples": True}, "omit --isolate"),
        ({"model": "mamba", "model_args": {"hidden_size": 16}, "isolate_examples": True}, "omit --isolate"),
    ],
)
def test_models_that_cannot_be_trained_so_are_refused(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        train(tiny(**settings), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_the_settings_of_the_process_as_they_were(tmp_path: Path) -> None:
    train(tiny(deterministic=True, steps=2, warmup_steps=0, eval_every=2), tmp_path / "run")
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no GPU that PyTorch can use; pass --device cpu"):
        train(tiny(device="cuda"), tmp_path / "run")


def test_a_tracker_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed")
    with pytest.raises(InputError, match=r"tracker trackio needs trackio.* 'repeat-after-me\[trackio\]'"):
        train(tiny(tracker="trackio"), tmp_path / "run")


def test_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty; use another folder"):
        train(tiny(), tmp_path)
    with pytest.raises(InputError, match=r"notes.txt is not a folder"):
        train(tiny(), tmp_path / "notes.txt")
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


def test_lines_of_metrics_after_a_step_are_forgotten_and_a_cut_one_too(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    log = MetricsLog(file)
    for step in (1, 2, 2, 3):
        log.write({"kind": "train", "step": step})
    log.close()
    with file.open("a") as stream:
        stream.write('{"step": 4')
    assert [line["step"] for line in read_metrics(file)] == [1, 2, 2, 3]
    remove_after(file, 2)
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [1, 2, 2]
    file.write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(InputError, match="damaged line"):
        read_metrics(file)


def test_a_run_that_has_trained_nothing_can_begin_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB"
        )

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "run", full)
        with pytest.raises(InputError, match=r"little memory for another 2\.50 GiB; reduce batch_size or"):
            train(tiny(), out)
    assert {file.name for file in out.iterdir()} >= {"run.json", "metrics.jsonl"}
    train(tiny(batch_size=2), out)
    assert read_json(out / "run.json")["config"]["batch_size"] == 2
    with pytest.raises(InputError, match="contains a run; pass --resume"):
        train(tiny(), out)
    monkeypatch.setattr("synthetic_training.evaluation.strings.string_scores", full)
    with pytest.raises(InputError, match=r"little memory for another 2\.50 GiB; reduce batch_size$"):
        evaluate(EvaluateConfig(out))


@pytest.mark.parametrize("content", ["{}", '{"config": {}}', "[]"])
def test_another_programs_run_json_is_kept(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="use another folder"):
        train(tiny(), tmp_path)
    assert (tmp_path / "run.json").read_text() == content
