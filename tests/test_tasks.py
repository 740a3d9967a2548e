"""The phone-book tasks in lm-eval's own evaluator, with models that answer by a rule."""

import pytest
from lm_eval.tasks import TaskManager

from dataset_builders.phone_book import rows
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks import TASKS_FOLDER
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted, look_up, wrong_last_digit


def never_stops(prompt: str) -> str:
    return look_up(prompt).removesuffix("\n") * 5


@pytest.mark.parametrize(
    ("rule", "exact", "letters", "forced"),
    [
        (look_up, 1.0, 1.0, 1.0),
        (wrong_last_digit, 0.0, 0.9, 0.0),
        (lambda prompt: look_up(prompt).strip() + "\n", 1.0, 1.0, 0.0),
        (lambda prompt: look_up(prompt) + "More Lines: 1", 1.0, 1.0, 1.0),
        (lambda prompt: " " + look_up(prompt), 1.0, 1.0, 0.0),
        (lambda prompt: look_up(prompt).replace("\n", " \n"), 1.0, 1.0, 0.0),
        (never_stops, 0.0, 10 / 54, 0.0),
        (lambda prompt: "", 0.0, 0.0, 0.0),
    ],
    ids=[
        "perfect",
        "last-digit",
        "no-space",
        "goes-on",
        "two-spaces",
        "trailing-space",
        "never-stops",
        "silent",
    ],
)
def test_a_rule_gets_the_score_that_it_should(rule, exact: float, letters: float, forced: float) -> None:
    results = evaluate(Scripted(rule), "phone_book_20", "phone_book_20_forced", num_docs=7)
    generated = scores(results, "phone_book_20")
    assert generated["exact_match"] == exact
    assert generated["char_accuracy"] == pytest.approx(letters)
    assert generated["truncated"] == 0.0
    one_pass = scores(results, "phone_book_20_forced")
    assert one_pass["exact_match"] == forced
    assert one_pass["logprob_per_token"] == -1.0


def test_standard_errors_and_the_mean_over_sizes() -> None:
    def up_to_60(prompt: str) -> str:
        return look_up(prompt) if prompt.count("\n") < 70 else " 1\n"

    results = evaluate(Scripted(up_to_60), "phone_book", num_docs=6)
    assert scores(results, "phone_book")["exact_match"] == pytest.approx(3 / 6)
    by_size = [scores(results, f"phone_book_{n}")["exact_match"] for n in (20, 40, 60, 80, 100, 120)]
    assert by_size == [1, 1, 1, 0, 0, 0]
    assert "exact_match_stderr" in scores(results, "phone_book_20")
    assert "char_accuracy_stderr" in scores(results, "phone_book_20")


def test_samples_show_prompt_answer_prediction_and_position() -> None:
    results = evaluate(Scripted(look_up), "phone_book_20", num_docs=3, seed=4)
    for sample, row in zip(results["samples"]["phone_book_20"], rows(20, 3, 4), strict=True):
        assert sample["doc"] == row
        assert sample["arguments"][0][0] == row["prompt"]
        assert sample["filtered_resps"][0].strip() == sample["target"] == row["answer"]


def test_results_say_which_documents_they_are_of() -> None:
    results = evaluate(Scripted(look_up), "phone_book_n", entries=5, num_docs=2, seed=9)
    metadata = results["configs"]["phone_book_n"]["metadata"]
    said = {key: metadata[key] for key in ("benchmark", "length", "entries", "num_docs", "seed", "version")}
    assert said == {
        "benchmark": "phone_book",
        "length": 5,
        "entries": 5,
        "num_docs": 2,
        "seed": 9,
        "version": 1.0,
    }
    assert len(metadata["documents_sha256"]) == 64


def test_the_default_is_500_documents_with_the_released_checksum() -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False)
    task = manager.load(["phone_book_20_forced"])["tasks"]["phone_book_20_forced"]
    assert len(task.test_docs()) == 500
    assert task.config.metadata["documents_sha256"] == known_checksums()["phone_book_20"]
    assert task.doc_to_target(task.test_docs()[0]).endswith("\n")


def test_the_documents_can_be_asked_for_again() -> None:
    """As in lm-eval's acceptance tests; the metadata then already describes the documents."""
    manager = TaskManager(
        include_path=TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 3, "seed": 2}
    )
    task = manager.load(["phone_book_20"])["tasks"]["phone_book_20"]
    before = dict(task.config.metadata)
    task.download(task.config.dataset_kwargs)
    assert task.dataset["test"].to_list() == list(rows(20, 3, 2))
    assert task.config.metadata == before
