"""``RecallProbe`` in training runs of transformers' Trainer."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from dataset_builders import InputError
from lm_eval_tasks.probe import RecallProbe
from lm_eval_tasks.probe import callback as callback_module
from lm_eval_tasks.results.learning_curve import learning_curve_table, learning_curves
from lm_eval_tasks.results.rows import by_benchmark, read_scores
from tests.models import byte_tokenizer

TASKS = ("string_copy_10", "phone_book_20")


class Texts(Dataset[dict[str, list[int]]]):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        ids = [index + k for k in range(12)]
        return {"input_ids": ids, "labels": ids}


def a_trainer(folder: Path, kind: type[Trainer] = Trainer, **options: Any) -> Trainer:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=257, attention_dropout=0.5, **sizes))
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 5,
        "logging_steps": 2,
        "save_steps": 2,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        **options,
    }
    return kind(
        model,
        TrainingArguments(**settings),
        train_dataset=Texts(),
        eval_dataset=Texts(),
        processing_class=byte_tokenizer(),
    )


def losses(trainer: Trainer) -> dict[int, float]:
    return {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}


def test_a_run_is_probed_logged_reported_resumed_and_repeated(tmp_path: Path) -> None:
    plain = a_trainer(tmp_path / "plain")
    plain.train()
    trainer = a_trainer(tmp_path / "out")
    trainer.add_callback(RecallProbe(trainer, TASKS, every=2, num_docs=3))
    trainer.train()
    assert losses(trainer) == losses(plain) and set(losses(plain)) == {2, 4}
    logged = [entry for entry in trainer.state.log_history if "eval_recall/phone_book_20" in entry]
    assert [entry["step"] for entry in logged] == [0, 2, 4, 5]
    names = {f"eval_recall/{task}{suffix}" for task in TASKS for suffix in ("", "_logprob")} | {
        "eval_recall/seconds"
    }
    assert all(entry.keys() >= names and entry["eval_recall/phone_book_20_logprob"] < 0 for entry in logged)
    saved = json.loads((tmp_path / "out" / "checkpoint-4" / "trainer_state.json").read_text())
    assert [entry for entry in saved["log_history"] if "eval_recall/seconds" in entry] == logged[:3]

    folder = tmp_path / "out" / "recall_probe"
    assert sorted(file.name for file in folder.iterdir()) == [f"results_step{n}.json" for n in (0, 2, 4, 5)]
    scores = read_scores([folder])
    assert {score.task for score in scores} == {"string_copy_10_forced", "phone_book_20_forced"}
    assert {score.label for score in scores} == {f"out@step{n}" for n in (0, 2, 4, 5)}
    assert all(score.documents == 3 and score.run.dtype == "float32" for score in scores)
    for own in by_benchmark(scores).values():
        (curve,) = learning_curves(own)
        assert curve.name == "out" and list(curve.steps) == [0, 2, 4, 5]
        assert "out: exact_match by training step" in learning_curve_table(curve)

    resumed = a_trainer(tmp_path / "out", max_steps=6)
    resumed.add_callback(RecallProbe(resumed, TASKS, every=3, num_docs=3))
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    assert (folder / "results_step6.json").exists() and not (folder / "run-2").exists()
    again = a_trainer(tmp_path / "out", bf16=True, max_steps=1)
    again.add_callback(RecallProbe(again, TASKS, every=1, num_docs=3))
    again.train()
    assert sorted(f.name for f in (folder / "run-2").iterdir()) == [
        "results_step0.json",
        "results_step1.json",
    ]
    again_scores = read_scores([folder / "run-2"])
    assert {score.run.model for score in again_scores} == {f"{tmp_path / 'out'}/run-2"}
    written = json.loads((folder / "run-2" / "results_step1.json").read_text())
    assert written["config"]["model_args"]["mixed_precision_dtype"] == "bfloat16"


def test_runs_of_the_same_name_are_curves_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of several seeds, each in a folder of its own, with the same relative output_dir; one is resumed."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for steps in (2, 4) if name == "a" else (4,):
            trainer = a_trainer(Path("out"), max_steps=steps)
            trainer.add_callback(RecallProbe(trainer, TASKS[:1], every=2, num_docs=3))
            trainer.train(resume_from_checkpoint=steps == 4 and name == "a")
    scores = read_scores([tmp_path])
    assert len(scores) == 6 and {score.run.model for score in scores} == {"out"}
    curves = learning_curves(scores)
    assert [list(curve.steps) for curve in curves] == [[0, 2, 4], [0, 2, 4]]
    assert len({curve.name for curve in curves}) == 2
    assert all(curve.name.startswith("out, started=20") for curve in curves)


class Averages(Trainer):
    """Logs a metric of its own with the next entry, whatever it is, as TRL's trainers do."""

    metrics: list[int]

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        self.metrics = [*getattr(self, "metrics", []), self.state.global_step]
        return super().training_step(*arguments, **options)

    def log(self, logs: dict[str, float], *others: Any) -> None:
        super().log({**logs, "mean_step": sum(self.metrics) / max(1, len(self.metrics))}, *others)
        self.metrics = []


def test_metrics_of_other_trainers_stay_with_their_loss(tmp_path: Path) -> None:
    entries = []
    for every in (0, 1):
        trainer = a_trainer(tmp_path / str(every), Averages)
        if every:
            trainer.add_callback(RecallProbe(trainer, TASKS, every=every, num_docs=2))
        trainer.train()
        history = trainer.state.log_history
        entries.append([(one["step"], one["mean_step"]) for one in history if "loss" in one])
        assert not [one for one in history if "eval_recall/seconds" in one and "mean_step" in one]
    assert entries[0] == entries[1] == [(2, 0.5), (4, 2.5)]


class Stop(TrainerCallback):
    """Stops the training at step 3, in one of its events."""

    def __init__(self, event: str) -> None:
        setattr(self, event, self.stop)

    def stop(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop |= state.global_step == 3


@pytest.mark.parametrize(
    ("strategy", "event", "first"),
    [
        ("steps", "on_step_end", False),
        ("steps", "on_evaluate", True),
        ("epoch", "on_evaluate", False),
        ("epoch", "on_log", True),
    ],
)
def test_a_run_that_is_stopped_is_probed_after_its_last_step(
    tmp_path: Path, strategy: str, event: str, first: bool
) -> None:
    trainer = a_trainer(
        tmp_path,
        max_steps=9,
        num_train_epochs=9,
        eval_strategy=strategy,
        save_strategy=strategy,
        logging_strategy=strategy,
        eval_steps=3,
        save_steps=3,
        logging_steps=3,
        load_best_model_at_end=True,
        per_device_train_batch_size=24,  # three steps per epoch
    )
    probe = RecallProbe(trainer, ["string_copy_5"], every=100, num_docs=2)
    for callback in (Stop(event), probe) if first else (probe, Stop(event)):
        trainer.add_callback(callback)
    trainer.train()
    logged = [one["step"] for one in trainer.state.log_history if "eval_recall/seconds" in one]
    assert (trainer.state.global_step, logged) == (3, [0, 3])


def test_what_goes_wrong_later_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = a_trainer(tmp_path)
    trainer.add_callback(RecallProbe(trainer, TASKS, every=2, num_docs=2))
    write = callback_module.write_results

    def full(*arguments: Any, step: int, **options: Any) -> Path:
        if step == 2:
            raise InputError("results_step2.json cannot be written: No space left on device")
        return write(*arguments, step=step, **options)

    monkeypatch.setattr(callback_module, "write_results", full)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 5 and (tmp_path / "recall_probe" / "results_step4.json").exists()
    assert "the results of a probe were not written: results_step2.json cannot be written" in caplog.text


def test_invalid_input_ends_the_run_before_its_first_step(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    for options, message in [
        ({"every": 0}, "every must be an integer of at least 1, not 0"),
        (
            {"tasks": ["phone_book"]},
            "there is no forced task 'phone_book'; write a length into the name",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            RecallProbe(trainer, **options)
    file = tmp_path / "file"
    file.touch()
    for options, message in [
        ({"max_length": 9}, "fits the model's context window of 9 tokens"),
        ({"out": file}, "cannot be written"),
        ({"num_docs": 1}, "num_docs must be an integer of at least 2, not 1"),
    ]:
        trainer = a_trainer(tmp_path)
        trainer.add_callback(RecallProbe(trainer, TASKS, **{"num_docs": 2, **options}))
        with pytest.raises(InputError, match=message):
            trainer.train()
        assert trainer.state.global_step == 0
    trainer.processing_class = None
    with pytest.raises(InputError, match="the trainer has no tokenizer; pass processing_class= to it"):
        trainer.train()
