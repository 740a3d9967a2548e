"""A string task from another package: registered, drawn, used for training, evaluated."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer

from dataset_builders import InputError
from dataset_builders import registry as benchmark_registry
from dataset_builders.string_tasks import (
    Copy,
    StringTask,
    register_string_task,
    registry,
    string_task,
    string_task_names,
)
from dataset_builders.string_tasks.documents import rows
from lm_eval_tasks.__main__ import main as generate
from synthetic_training.data.strings import PackedBatches, evaluation_batch
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.evaluation.accuracy import length_score
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.registry import build_model
from synthetic_training.training.run import train
from tests.evaluation import scores
from tests.scripted import Scripted
from tests.string_examples import DRAWS
from tests.tiny_run import tiny


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The task, registered like that of an installed package."""
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    monkeypatch.delitem(sys.modules, "tests.associative_recall", raising=False)
    point = EntryPoint("recall", "tests.associative_recall", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    monkeypatch.setattr(benchmark_registry, "_imported", {})
    caches = (registry._load_entry_points, benchmark_registry._installed)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def recall(pairs: int = 6, **settings: Any) -> StringTask:
    return string_task("associative_recall", 3, pairs, 64, settings)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_every_query_has_its_value(draw: Any) -> None:
    task = recall(num_queries=3)
    seen = set()
    for text, scored, _ in draw(task, 300, 0):
        start, *symbols, end = text.split(" ")
        bar = symbols.index("|")
        pairs = dict(zip(symbols[:bar:2], symbols[1:bar:2], strict=True))
        queries, answers = symbols[bar + 1 :: 2], symbols[bar + 2 :: 2]
        assert (start, end, len(pairs)) == ("$", ".", bar // 2) and 3 <= len(pairs) <= 6
        assert all(int(key) < 32 <= int(value) < 64 for key, value in pairs.items())
        assert len(set(queries)) == 3 and [pairs[key] for key in queries] == answers
        assert scored.split(" ") == [*answers, "."]
        seen.add((len(pairs), list(pairs).index(queries[0])))
    assert len(seen) == 3 + 4 + 5 + 6


def test_batches_predict_each_answer_and_the_end() -> None:
    task = recall()
    packed = PackedBatches(task, 50, 4, 0).batch(0)
    symbols = task.symbols
    for ids, targets in zip(packed.input_ids, packed.targets, strict=True):
        text = symbols.decode(ids).split(" ")
        whole = [i for i, symbol in enumerate(text) if symbol == "."]
        predicted = [i + 1 for i in torch.nonzero(targets != IGNORED)[:, 0].tolist()]
        assert predicted == [place - back for place in whole for back in (3, 1, 0)]
        assert all(int(targets[i - 1]) == int(ids[i]) for i in predicted)
    batch = evaluation_batch(task, 5, 0, "cpu")
    assert batch.answers.sum(1).tolist() == [2] * 5
    predicted = batch.targets.clone()
    predicted[0][batch.answers[0].nonzero()[0]] = 0
    model = build_model("lstm", hidden_size=2)
    score = length_score(model, 6, [batch], lambda _model, _batch: predicted)
    assert (score.string_accuracy, score.letter_accuracy) == pytest.approx((0.8, 0.9))


def test_a_document_asks_for_the_last_answer() -> None:
    (row,) = rows("associative_recall", 4, 1, 0, "spaced", vocabulary=64)
    *shown, question = row["prompt"].split("\n")
    assert len(shown) == 2 and question.endswith(" ->")
    pairs, queries = (part.split(" ") for part in question.removesuffix(" ->").split(" | "))
    values = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert len(pairs) == 8 and len(queries) == 3
    assert values[queries[0]] == queries[1] and values[queries[2]] == row["answer"]
    (symbols,) = rows("associative_recall", 4, 1, 0, "symbols", vocabulary=64)
    assert symbols["prompt"] == f"$ {' '.join(pairs)} | {' '.join(queries)}"


def test_it_is_trained_on_and_evaluated(tmp_path: Path) -> None:
    settings = {"task": "associative_recall", "min_length": 3, "max_length": 4, "vocabulary": 40}
    config = tiny(**settings, task_args={"num_queries": 3}, eval_lengths=[3, 4], steps=20)
    model = train(config, tmp_path / "run")
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = string_task("associative_recall", 3, 4, 40).symbols.encode("$ 7 33 | 7 33 .")
    assert ids == [40, 7, 33, 41, 7, 33, 42]
    assert tokenizer("$ 7 33 | 7 33 .")["input_ids"] == ids
    assert tokenizer.decode(ids) == "$ 7 33 | 7 33 ." and len(tokenizer) == 44
    evaluated = EvaluateConfig(tmp_path / "run", lengths=(4,), num_examples=8)
    content = evaluate(evaluated)
    assert content["config"]["task_args"] == {"num_queries": 3}
    assert content["results"][0]["num_examples"] == 8
    content = evaluate(EvaluateConfig(tmp_path / "run", lengths=(4,), num_examples=8, documents="benchmark"))
    assert content["results"][0]["num_examples"] == 8
    with pytest.raises(InputError, match="with several answers cannot be generated"):
        evaluate(EvaluateConfig(tmp_path / "run", lengths=(4,), num_examples=8, generate=True))


def recalled(prompt: str) -> str:
    """The right answer to the last line of a prompt in the spelling ``spaced``."""
    pairs, queries = prompt.split("\n")[-1].removesuffix(" ->").split(" | ")
    symbols = pairs.split(" ")
    return f" {dict(zip(symbols[::2], symbols[1::2], strict=True))[queries.split(' ')[-1]]}\n"


def test_its_benchmark_and_lm_eval_tasks_are_derived_from_it(tmp_path: Path) -> None:
    generate(["generate", "--import", "tests.associative_recall", "--out", str(tmp_path)])
    assert (tmp_path / "strings" / "string_associative_recall_8_forced.yaml").is_file()
    benchmark = benchmark_registry.find("string_associative_recall")
    assert benchmark.title.startswith("Pairs of a key and its value")
    assert benchmark.defaults["num_queries"] == 2
    manager = TaskManager(
        include_path=str(tmp_path), include_defaults=False, metadata={"num_docs": 5, "vocabulary": 40}
    )
    names = ["string_associative_recall_4", "string_associative_recall_4_forced"]
    for rule, right in ((recalled, 1.0), (lambda prompt: " 1\n", 0.0)):
        results = simple_evaluate(model=Scripted(rule), tasks=names, task_manager=manager, bootstrap_iters=1)
        assert [scores(results, name)["exact_match"] for name in names] == [right, right]


def test_names_are_those_of_all_tasks() -> None:
    assert string_task_names()[-1] == "associative_recall"
    with pytest.raises(InputError, match="must be one of copy, .*, associative_recall, not 'recall'"):
        string_task("recall", 1, 2)
    with pytest.raises(InputError, match="4 pairs need a vocabulary of at least 8, not 5"):
        string_task("associative_recall", 3, 4, 5)


def test_a_module_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "tests.no_such_module", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(InputError, match="'tests.no_such_module' .* cannot be imported: No module named"):
        string_task_names()


def test_a_class_that_forgets_something_is_refused() -> None:
    @dataclass(frozen=True)
    class Undocumented(Copy):
        name: ClassVar[str] = "undocumented"

    with pytest.raises(ValueError, match="undocumented needs a docstring"):
        register_string_task(Undocumented)
    Undocumented.__doc__ = "Something."
    Undocumented.name = "copy"
    with pytest.raises(ValueError, match="two string tasks are called copy"):
        register_string_task(Undocumented)
    Undocumented.name = "no name"
    with pytest.raises(ValueError, match="needs a name that is an identifier, not 'no name'"):
        register_string_task(Undocumented)
