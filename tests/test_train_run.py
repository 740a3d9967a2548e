"""What a run computes, which files it leaves, and how it ends."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dataset_builders import InputError
from synthetic_training.data.strings import PackedBatches
from synthetic_training.data.training_data import StringData
from synthetic_training.evaluation.evaluate import EvaluateConfig, evaluate
from synthetic_training.models.registry import build_model
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.precision import Precision
from synthetic_training.training.run import train
from synthetic_training.training.run_log import MetricsLog, read_metrics, remove_after
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.tiny_run import SETTINGS, metrics_without_times, tiny, weights

OPTIMIZER = OptimizerConfig(weight_decay=0.1, grad_clip=0.5)


def model_and_batches(rows: int = 4) -> tuple[Any, PackedBatches]:
    torch.manual_seed(0)
    model = build_model("T_hard_alibi", **SETTINGS["model_args"])
    return model, PackedBatches(tiny().string_task, 32, rows, 0, "cpu")


def steps(step: TrainingStep, count: int = 4) -> None:
    for i in range(count):
        step.run(i, 1e-2)


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


def test_a_step_is_that_of_plain_pytorch() -> None:
    model, batches = model_and_batches()
    step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4)
    steps(step)
    plain, _ = model_and_batches()
    adamw = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.1)
    losses, tokens, norm = 0.0, 0, 0.0
    for i in range(4):
        packed = batches.batch(i)
        logits = plain(packed.input_ids).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), packed.targets.flatten())
        adamw.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5))
        adamw.step()
        trained = int((packed.targets >= 0).sum())
        losses, tokens = losses + loss.item() * trained, tokens + trained
    metrics = step.read()
    assert metrics.loss == pytest.approx(losses / tokens, rel=1e-5)
    assert metrics.grad_norm == pytest.approx(norm, rel=1e-4) and metrics.finite
    assert metrics.examples == sum(int(batches.batch(i).examples) for i in range(4))
    # AdamW divides by the root of squared gradients, which magnifies rounding where they are tiny
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_changes_nothing_but_rounding(parts: int) -> None:
    results = []
    for accumulate in (1, parts):
        model, batches = model_and_batches()
        step = TrainingStep(model, batches, StepConfig(accumulation_steps=accumulate), OPTIMIZER, rows=4)
        steps(step)
        results.append((step.read(), model.state_dict()))
    (whole, one), (split, other) = results
    assert split.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (split.examples, split.letter_accuracy) == (whole.examples, pytest.approx(whole.letter_accuracy))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_bf16_is_near_fp32() -> None:
    losses = {}
    precisions: tuple[Precision, ...] = ("bf16", "fp32")
    for precision in precisions:
        model, batches = model_and_batches()
        step = TrainingStep(model, batches, StepConfig(precision), OPTIMIZER, rows=4)
        steps(step)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        losses[precision] = step.read().loss
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


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
    train(tiny(steps=300, lr=5e-3, eval_examples=200, eval_every=300, save_every=300), tmp_path / "run")
    lines = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "eval"]
    config = EvaluateConfig(tmp_path / "run", lengths=(2, 5), num_examples=200, device="cpu")
    results = evaluate(config)["results"]
    for line, result in zip(lines, results, strict=True):
        assert {key: line[key] for key in result} == pytest.approx(result)
    assert results[0]["string_accuracy"] > 0


def test_the_same_run_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tiny(seed=seed), tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    assert metrics_without_times(tmp_path / "a") == metrics_without_times(tmp_path / "b")


def test_training_ends_early_where_it_is_good_enough(tmp_path: Path) -> None:
    config = tiny(vocabulary=1, max_length=1, eval_lengths=[1], stop_accuracy=1.0, steps=1000, lr=1e-2)
    train(config, tmp_path / "run")
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert last["string_accuracy"] == 1.0 and last["step"] < 1000
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    config = tiny(lr=1e30, warmup_steps=0, schedule="constant", save_every=1)
    with pytest.raises(InputError, match=r"not finite by step 2; the last good checkpoint is .*step_1;"):
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
        ({"model_args": {"max_position_embeddings": 16}}, "pass --model-args max_position_embeddings=32"),
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no GPU that PyTorch can use; pass --device cpu"):
        train(tiny(device="cuda"), tmp_path / "run")


def test_a_tracker_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed")
    with pytest.raises(InputError, match="pip install trackio"):
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
