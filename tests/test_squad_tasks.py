"""The tasks of the SQuAD retrieval in lm-eval's own evaluator, with models that answer by a rule."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from lm_eval.tasks import TaskManager

from dataset_builders.squad_v2_retrieval import rows
from lm_eval_tasks import TASKS_FOLDER
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted
from tests.squad_paragraphs import BUCKETS, TASKS, first_gold, golds, source, words


def example(prompt: str) -> str:
    return prompt.split("Answer:")[1].split("\n")[0] + "\n\n"


@pytest.mark.parametrize(
    ("rule", "exact", "f1"),
    [
        (first_gold, 1.0, 1.0),
        (lambda prompt: f"The {golds(prompt)[-1].upper()}!<|endoftext|>", 1.0, 1.0),
        (example, 0.0, 0.0),
        (lambda prompt: "", 0.0, 0.0),
        (lambda prompt: "\n\n" + golds(prompt)[0], 0.0, 0.0),
        (lambda prompt: f"{golds(prompt)[0]} {golds(prompt)[0]}", 0.0, 2 / 3),
    ],
    ids=["first-gold", "last-gold-shouted", "example", "silent", "empty-line", "twice"],
)
def test_a_rule_gets_the_score_that_it_should(
    source: dict[str, str], rule: Callable[[str], str], exact: float, f1: float
) -> None:
    results = evaluate(Scripted(rule), "squad_v2_retrieval", **source)
    assert [name for name in results["results"] if name != "squad_v2_retrieval"] == TASKS
    for task in [*TASKS, "squad_v2_retrieval"]:
        got = scores(results, task)
        assert (got["em"], got["f1"], got["truncated"]) == (exact, pytest.approx(f1), 0.0)


def test_the_group_is_the_mean_over_lengths(source: dict[str, str]) -> None:
    def short_memory(prompt: str) -> str:
        return first_gold(prompt) if len(prompt.split("\n\n")[0].split()) < 270 else " no idea"

    results = evaluate(Scripted(short_memory), "squad_v2_retrieval", **source)
    assert [scores(results, task)["f1"] for task in TASKS] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert scores(results, "squad_v2_retrieval")["f1"] == pytest.approx(5 / 8)
    assert "f1_stderr" in scores(results, TASKS[0])


def test_a_sample_and_the_metadata_of_a_result(source: dict[str, str]) -> None:
    results = evaluate(Scripted(first_gold), TASKS[0], **source)
    for sample, row in zip(results["samples"][TASKS[0]], rows(50, 100, *source.values()), strict=True):
        assert sample["doc"] == row
        assert sample["arguments"][0][0] == row["prompt"]
        assert sample["arguments"][0][1] == {"until": ["\n\n"], "do_sample": False, "max_gen_toks": 200}
        assert sample["target"] == row["answers"]
    metadata = results["configs"][TASKS[0]]["metadata"]
    said = {key: metadata[key] for key in ("benchmark", "length", "unit", "max_tokens", "squad_source")}
    assert said == {
        "benchmark": "squad_v2_retrieval",
        "length": 50,
        "unit": "tokens",
        "max_tokens": 100,
        "squad_source": source["squad_source"],
    }
    assert len(metadata["tokenizer_sha256"]) == len(metadata["documents_sha256"]) == 64


def test_prompts_that_do_not_fit_are_wrong(source: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    lengths = [len(row["prompt"]) for row in rows(400, None, *source.values())]
    window = min(lengths) + 200  # characters are tokens; the shorter one fits with 200 new tokens
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(first_gold, window), TASKS[-1], **source)
    got = scores(results, TASKS[-1])
    assert (got["em"], got["f1"], got["truncated"]) == (0.5, 0.5, 0.5)
    assert any(f"{TASKS[-1]}: 1 of 2 prompts" in record.getMessage() for record in caplog.records)


def test_the_group_loads_every_task(source: dict[str, str]) -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=source)
    loaded = manager.load(["squad_v2_retrieval"])["tasks"]
    assert list(loaded) == TASKS
    assert [task.config.metadata["length"] for task in loaded.values()] == list(BUCKETS)


def test_a_release_in_a_folder_gives_the_same_documents(tmp_path: Path, source: dict[str, str]) -> None:
    (tmp_path / TASKS[0]).mkdir()
    Dataset.from_list(rows(50, 100, *source.values())).to_parquet(tmp_path / TASKS[0] / "test.parquet")
    built = evaluate(Scripted(first_gold), TASKS[0], **source)
    read = evaluate(Scripted(first_gold), TASKS[0], dataset=str(tmp_path))
    assert scores(built, TASKS[0]) == scores(read, TASKS[0])
    assert [s["doc"] for s in built["samples"][TASKS[0]]] == [s["doc"] for s in read["samples"][TASKS[0]]]
