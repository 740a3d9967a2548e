"""Prompts that do not fit the model's context window are counted, cause a warning, and count as wrong."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from dataset_builders.phone_book import rows
from lm_eval_tasks.context_window import NOT_RUN
from lm_eval_tasks.results.rows import read_scores
from tests.evaluation import evaluate, scores
from tests.models import byte_tokenizer, tiny_model
from tests.result_files import content
from tests.scripted import Scripted, look_up


def test_prompts_that_do_not_fit_are_counted_warned_of_and_wrong(caplog: pytest.LogCaptureFixture) -> None:
    documents = list(rows(20, 6, 0))
    lengths = sorted(len(row["prompt"]) for row in documents)
    window = lengths[3] + 50  # characters are tokens; the four shortest fit with 50 new tokens
    fit = sum(length + 50 <= window for length in lengths)
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=6)
    generated = scores(results, "phone_book_20")
    assert 0 < fit < 6
    assert generated["exact_match"] == generated["char_accuracy"] == fit / 6
    assert generated["truncated"] == pytest.approx(1 - fit / 6)
    (warning,) = [r.getMessage() for r in caplog.records if "do not fit" in r.getMessage()]
    assert f"phone_book_20: {6 - fit} of 6 prompts" in warning
    assert f"window of {window} tokens" in warning
    assert "max_length=" in warning
    # the forced twin needs 12 tokens for the answer, not 50
    assert scores(results, "phone_book_20_forced")["exact_match"] == 1.0


def test_forced_truncation_is_exact_to_the_token() -> None:
    row = next(rows(20, 1, 0))
    needed = len(row["prompt"]) + len(f" {row['answer']}\n")
    for window, truncated in ((needed, 0.0), (needed - 1, 1.0)):
        results = evaluate(Scripted(look_up, window), "phone_book_20_forced", num_docs=1)
        got = scores(results, "phone_book_20_forced")
        assert (got["truncated"], got["exact_match"]) == (truncated, 1.0 - truncated)
        assert ("logprob_per_token" in got) == (truncated == 0.0)


def test_a_model_without_a_window_is_scored_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, None), "phone_book_20", num_docs=2)
    assert scores(results, "phone_book_20")["exact_match"] == 1.0
    assert "truncated" not in scores(results, "phone_book_20")
    assert any(
        "does not know this model's context window" in record.getMessage() for record in caplog.records
    )


@pytest.mark.parametrize("window", [5, 50])
def test_a_window_smaller_than_the_answer_holds_no_document(window: int) -> None:
    results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=2)
    for task in ("phone_book_20", "phone_book_20_forced"):
        assert scores(results, task)["truncated"] == 1.0
        assert scores(results, task)["exact_match"] == 0.0


class Recorder(Scripted):
    """Records what it was run on, and fails if a text exceeds its window."""

    def __init__(self, window: int) -> None:
        super().__init__(lambda _: " 1\n", window)
        self.ran: list[str] = []

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        assert requests
        self.ran += [request.args[0] for request in requests]
        return super().generate_until(requests)

    def _loglikelihood_tokens(self, requests: list[Any], *_: Any, **__: Any) -> list[tuple[float, bool]]:
        assert requests
        self.ran += [prompt + answer for (prompt, answer), *_ in requests]
        return super()._loglikelihood_tokens(requests)


TASKS = ("phone_book_n", "phone_book_n_forced", "phone_book_n_gain", "phone_book_multi_n")


@pytest.mark.parametrize("task", [*TASKS, "phone_book_multi_n_forced"])
def test_what_does_not_fit_is_not_run(task: str) -> None:
    lm = Recorder(450)
    results = evaluate(lm, task, entries=[5, 30], num_docs=3, questions=2)
    kinds = {name: results["samples"][name] for name in results["samples"]}
    (small, fits), (large, cut) = sorted(kinds.items(), key=lambda one: len(one[1][0]["doc"]["prompt"]))
    assert scores(results, small)["truncated"] == 0 and scores(results, large)["truncated"] == 1
    requests = [arguments[0] for sample in fits for arguments in sample["arguments"]]
    assert all(any(ran.startswith(prompt) for ran in lm.ran) for prompt in requests)
    # no document of the long books fits: one request of a few characters stands for them
    assert [len(ran) <= 8 for ran in lm.ran if not any(map(ran.startswith, requests))] == [True]
    for number, sample in enumerate(cut):
        assert all(NOT_RUN in str(response) for response in sample["filtered_resps"])
        assert len(sample["resps"]) == len(fits[number]["resps"])
        values = [value for name, value in sample.items() if name in sample["metrics"]]
        assert sorted(values) == [0.0] * (len(values) - 1) + [1.0], values


@pytest.mark.parametrize(("task", "window"), [("phone_book_20", 630), ("phone_book_20_forced", 610)])
def test_the_documents_that_fit_are_run_alone(
    task: str, window: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With lm-eval's own model: no warnings of lm-eval, and the scores of a run on these documents only."""
    found, tokenizer = [], byte_tokenizer()
    for size in (window, 4096):
        lm = HFLM(pretrained=tiny_model("gpt_neox"), tokenizer=tokenizer, device="cpu", max_length=size)
        found.append(evaluate(lm, task, num_docs=5, seed=3)["samples"][task])
    assert "Truncating" not in caplog.text
    assert {sample["truncated"] for sample in found[0]} == {0.0, 1.0}
    for sample, whole in zip(*found, strict=True):
        if sample["truncated"]:
            assert NOT_RUN in str(sample["filtered_resps"]) and "logprob_per_token" not in sample
        else:
            assert sample["filtered_resps"] == whole["filtered_resps"]


@pytest.mark.parametrize(
    ("documents", "truncated", "limit", "expected"),
    [
        (310, 0.38, None, 500),
        (500, 0.38, None, 500),
        (31, 0.38, 50.0, 50),
        (31, 0.38, 0.1, 50),
        (50, 0.38, 50.0, 50),
        (31, 0.38, float("nan"), 31),
        (31, 0.0, None, 31),
    ],
)
def test_documents_without_a_log_probability_are_counted(
    documents: int, truncated: float, limit: float | None, expected: int, tmp_path: Path
) -> None:
    """lm-eval 0.4.12 writes the number of log-probabilities if the first document does not fit."""
    task = "phone_book_20_forced"
    written = content({task: 0.5}, documents=documents, truncated=truncated, config={"limit": limit})
    written["results"][task]["logprob_per_token,none"] = -1.0
    (tmp_path / "results_1.json").write_text(json.dumps(written))
    (score,) = read_scores([tmp_path])
    assert score.documents == expected
