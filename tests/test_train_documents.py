"""Training on documents of bytes, from the settings to a model that transformers alone loads."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch.nn.functional import one_hot

from dataset_builders import InputError, phone_book
from synthetic_training.__main__ import main
from synthetic_training.config import TrainConfig
from synthetic_training.data.documents.mix import DocumentBatches
from synthetic_training.data.documents.rows import Mix
from synthetic_training.data.training_data import training_data
from synthetic_training.evaluation.accuracy import Shard
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.evaluation.plot import read_points
from synthetic_training.training.run import train
from synthetic_training.training.run_log import read_metrics
from tests.tiny_run import metrics_without_times, weights

CONFIGS = Path(__file__).parent.parent / "synthetic_training" / "configs"

SETTINGS: dict[str, Any] = {
    "model": "T_rope",
    "model_args": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    "task": "documents",
    "mix": {"phone_book": 2, "copy_random": 1},
    "pool_rows": 8,
    "context_length": 256,
    "batch_size": 2,
    "steps": 12,
    "warmup_steps": 2,
    "lr": 1e-2,
    "eval_every": 6,
    "eval_lengths": [3, 5],
    "eval_examples": 8,
    "save_every": 4,
    "log_every": 3,
    "device": "cpu",
    "deterministic": True,
}


def tiny(**changes: Any) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("documents") / "run"
    train(tiny(), out)
    return out


def test_a_run_leaves_metrics_that_read_as_those_of_strings(finished: Path) -> None:
    lines = read_metrics(finished / "metrics.jsonl")
    trained = [line for line in lines if line["kind"] == "train"]
    batches = DocumentBatches(Mix(SETTINGS["mix"], 256, 0), 2, pool_rows=8)
    assert trained[-1]["examples"] == sum(int(batches.batch(i).examples) for i in range(12))
    assert trained[-1]["loss"] < trained[0]["loss"] - 0.5
    assert trained[0]["loss"] == pytest.approx(5.55, abs=0.5)
    evaluated = [(line["step"], line["length"]) for line in lines if line["kind"] == "eval"]
    assert evaluated == [(step, entries) for step in (6, 12) for entries in (3, 5)]
    assert [(p.length, p.last) for p in read_points(finished, "run")][-1] == (5, True)


def test_a_run_that_was_interrupted_ends_with_the_same_bits(finished: Path, tmp_path: Path) -> None:
    out = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(out / "model")
    shutil.rmtree(out / "checkpoints" / "step_8")
    assert [f.name for f in (out / "checkpoints").iterdir()] == ["step_4"]
    train(tiny(), out, resume=True)
    assert weights(out) == weights(finished)
    assert metrics_without_times(out) == metrics_without_times(finished)


def test_another_seed_or_mix_trains_another_model(finished: Path, tmp_path: Path) -> None:
    for name, changes in (
        ("seed", {"seed": 1}),
        ("mix", {"mix": {"phone_book": 1}}),
        ("context_loss_weight", {"context_loss_weight": 0.5}),
    ):
        train(tiny(eval_examples=2, eval_every=12, **changes), tmp_path / name)
        assert weights(tmp_path / name) != weights(finished)
    with pytest.raises(InputError, match="has other settings: mix, context_loss_weight"):
        train(tiny(mix={"strings": 1}, context_loss_weight=0.1), finished, resume=True)


def test_models_of_documents_need_no_code_of_ours(finished: Path) -> None:
    """``test_saved_models`` tests that transformers loads them and generates without this project."""
    assert "auto_map" not in (finished / "model" / "config.json").read_text()
    assert not list((finished / "model").glob("*.py"))


# ---- the evaluation


class Oracle:
    """Predicts the next token of the row, except where it should be wrong."""

    device = torch.device("cpu")

    def __init__(self, wrong: str = "", every: int = 1) -> None:
        self.wrong, self.every = wrong, every
        self.seen: list[str] = []

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> Any:
        after = input_ids.roll(-1, 1)
        for i in range(len(input_ids)):
            text = bytes(input_ids[i, : int(attention_mask[i].sum())].tolist()).decode()
            if self.wrong and len(self.seen) % self.every == 0:
                after[i, len(text) - (1 if self.wrong == "newline" else 2) - 1] = 0
            self.seen.append(text)
        return SimpleNamespace(logits=one_hot(after, 257).float())


def scores(oracle: Oracle, shard: Shard | None = None, **changes: Any) -> Any:
    data = training_data(tiny(**changes))
    model: Any = oracle
    return data.evaluate(model, batch_tokens=600, bf16=False, shard=shard or Shard(0, 1))


def test_an_answer_is_right_where_every_digit_is_and_exact_where_the_line_ends_too() -> None:
    assert [(s.length, s.num_examples, s.exact_match) for s in scores(Oracle())] == [(3, 8, 1), (5, 8, 1)]
    no_end = scores(Oracle("newline"))[0]
    assert (no_end.string_accuracy, no_end.letter_accuracy, no_end.exact_match) == (1, 1, 0)
    one_in_four = scores(Oracle("digit", 4))[1]
    assert one_in_four.string_accuracy == one_in_four.exact_match == 0.75
    assert one_in_four.letter_accuracy == pytest.approx(1 - 1 / 44)


def test_what_is_evaluated_are_phone_books_as_lm_eval_asks_them_but_none_of_its_own() -> None:
    oracle = Oracle()
    scores(oracle, eval_lengths=(), eval_examples=30)
    assert len(set(oracle.seen)) == 30
    for text in oracle.seen:
        assert re.fullmatch(r"([A-Z][a-z]+ [A-Z][a-z]+: \d{10}\n){20}\n(.*\n){2}\n.*: \d{10}\n", text)
    theirs = {row["prompt"] for seed in (0, 1) for row in phone_book.rows(20, 30, seed)}
    assert not {text[:-12] for text in oracle.seen} & theirs


def test_processes_share_the_books() -> None:
    def halves() -> Iterator[list[str]]:
        for process in range(2):
            oracle = Oracle()
            scores(oracle, Shard(process, 2), eval_examples=7)
            yield oracle.seen

    whole = Oracle()
    scores(whole, eval_examples=7)
    one, other = halves()
    assert len(one) == 6 and len(other) == 8
    assert sorted(one + other) == sorted(whole.seen)


# ---- settings and refusals


def test_a_mix_comes_from_the_file_or_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({**SETTINGS, "steps": 3, "mix": {"lookup": 1}}))
    for name, flags in (("a", []), ("b", ["--mix", "copy_random=2", "strings=1e-1"])):
        main(["train", "--config", str(file), *flags, "--out", str(tmp_path / name)])
    mixes = [json.loads((tmp_path / name / "run.json").read_text())["config"]["mix"] for name in "ab"]
    assert mixes == [{"lookup": 1.0}, {"copy_random": 2.0, "strings": 0.1}]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mix": {"phone_bok": 1}}, "unknown kind 'phone_bok'; the kinds are "),
        ({"mix": {"phone_book": 0.0}}, "all weights of the mix are 0"),
        ({"mix": {"phone_book": -1}}, "must be at least 0, not -1"),
        (
            {"context_length": 200},
            "context_length = 200 is too short: documents of the kind phone_book need 230 tokens",
        ),
        ({"pool_rows": 9}, "pool_rows = 9 must be a multiple of batch_size = 2, such as 10"),
        ({"eval_lengths": [20, 2]}, "entries must be an integer of at least 3, not 2"),
    ],
)
def test_runs_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as error:
        train(tiny(**changes), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_mix_of_no_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="mix.phone_book = .much.: it should be a valid number"):
        tiny(mix={"phone_book": "much"})


def test_books_beyond_the_models_window_are_refused(tmp_path: Path) -> None:
    sizes = {**SETTINGS["model_args"], "max_position_embeddings": 256}
    with pytest.raises(
        InputError, match=r"has a context window of 256 tokens, .* max_position_embeddings=6\d\d$"
    ):
        train(tiny(model_args=sizes, eval_lengths=[20]), tmp_path / "run")


def test_evaluate_refuses_such_a_model_and_names_lm_eval(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="documents of bytes; evaluate it with lm-eval, as in lm_eval --model"
    ):
        evaluate(EvaluateConfig(finished, device="cpu"))
    bare = shutil.copytree(finished / "model", tmp_path / "bare")
    (bare / "run.json").unlink()
    with pytest.raises(
        InputError, match="has a vocabulary of 257 tokens, not the 30 symbols.*evaluate it with lm-eval"
    ):
        evaluate(EvaluateConfig(bare, device="cpu"))
