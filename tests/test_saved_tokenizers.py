"""Tokenizers saved with models give a document of any task the ids used in training."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dataset_builders.benchmark import Benchmark
from dataset_builders.mqar import Mqar
from dataset_builders.registry import find, own_benchmarks
from dataset_builders.string_tasks import StringTask
from synthetic_training.data.documents.document_data import DocumentData
from synthetic_training.data.documents.rows import Mix
from synthetic_training.data.mqar.mqar_data import MqarData
from synthetic_training.data.training_data import StringData, TrainingData
from synthetic_training.models.saved import save_tokenizer
from tests.string_examples import TASKS


@dataclass(frozen=True)
class Trained:
    """A kind of training data, and the documents on which models of it are evaluated.

    Attributes:
        data: the data of the training.
        ids: the ids of a text in training, computed without a tokenizer.
        benchmark: the benchmark whose documents a model reads.
        arguments: arguments of the documents.
        text: a training row as text; None if rows are not whole texts.
    """

    data: TrainingData
    ids: Callable[[str], list[int]]
    benchmark: Benchmark
    arguments: Mapping[str, Any] = field(default_factory=dict)
    text: Callable[[list[int]], str] | None = None

    def documents(self) -> Iterator[dict[str, Any]]:
        questions = self.benchmark.evaluation.questions
        for row in islice(self.benchmark.builder(**self.arguments), 3):
            yield from [row] if questions is None else resolve_name(questions)(row)


@st.composite
def numbers(draw: st.DrawFn) -> Trained:
    """MQAR with any vocabulary."""
    vocabulary = draw(st.sampled_from([10, 64, 101, 1001, 8192]) | st.integers(4, 300))
    pairs = draw(st.integers(1, min(6, vocabulary // 2 - 1)))
    task = Mqar(draw(st.integers(4 * pairs, 40)), pairs, vocabulary, random_non_queries=draw(st.booleans()))
    arguments = {
        "pairs": pairs,
        "seed": draw(st.integers(0, 99)),
        "spelling": "symbols",
        "example_tokens": task.length,
        "vocabulary": vocabulary,
        "random_non_queries": task.random_non_queries,
    }
    data = MqarData(task, (), 4, 10, 0)
    return Trained(
        data,
        lambda text: list(map(int, text.split())),
        find("mqar"),
        arguments,
        lambda row: " ".join(map(str, row)),
    )


@st.composite
def symbols(draw: st.DrawFn) -> Trained:
    """String tasks with letters and with numbers."""
    vocabulary, length = draw(st.sampled_from([26, 27, 101, 600])), draw(st.integers(8, 14))
    task: StringTask = draw(st.sampled_from(TASKS))(length, length, vocabulary)
    arguments = {"length": length, "spelling": "symbols", "vocabulary": vocabulary}
    marks = task.symbols
    return Trained(
        StringData(task, (), 64, 2, 10, 0),
        # a full stop is written without a space before it
        lambda text: marks.encode(text if marks.are_characters else text.replace(".", " .")),
        find(f"string_{task.name}"),
        arguments,
        marks.decode,
    )


def of_bytes() -> st.SearchStrategy[Trained]:
    """Every benchmark without a source, in the spelling for pretrained models."""
    data = DocumentData(Mix(context_length=512), 1, 1, (), 2)

    def trained(benchmark: Benchmark) -> Trained:
        arguments = benchmark.config(benchmark.lengths.standard[0]).arguments
        return Trained(data, lambda text: list(text.encode()), benchmark, arguments)

    return st.sampled_from([one for one in own_benchmarks().values() if one.source is None]).map(trained)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizer")


def saved(data: TrainingData, folder: Path) -> PreTrainedTokenizerFast:
    save_tokenizer(data.tokenizer(100_000), folder)
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=40, deadline=None)
@given(trained=numbers() | symbols() | of_bytes())
def test_a_document_has_the_ids_of_training(trained: Trained, folder: Path) -> None:
    tokenizer, evaluation = saved(trained.data, folder), trained.benchmark.evaluation
    assert len(tokenizer) == trained.data.tokens["vocab_size"]
    assert tokenizer.eos_token_id == trained.data.tokens["eos_token_id"]
    assert tokenizer.pad_token_id == trained.data.tokens["pad_token_id"]
    end = tokenizer.decode(tokenizer.eos_token_id)  # where lm-eval cuts answers, besides the task's stops
    for row in trained.documents():
        prompt, target = row["prompt"], resolve_name(evaluation.forced_target or "")(row)
        assert tokenizer(prompt)["input_ids"] == trained.ids(prompt)
        assert tokenizer(prompt + target)["input_ids"] == trained.ids(prompt) + trained.ids(target)
        answer = tokenizer.decode(trained.ids(target), skip_special_tokens=True).split(end)[0]
        assert row["answer"] == answer.strip()
    if trained.text is not None:
        for ids in trained.data.batches(torch.device("cpu"), progress=False).batch(0).input_ids.tolist():
            assert tokenizer(trained.text(ids))["input_ids"] == ids


@pytest.mark.parametrize("vocabulary", [4, 64, 101, 8192])
def test_every_number_is_its_own_token(vocabulary: int, tmp_path: Path) -> None:
    tokenizer = saved(MqarData(Mqar(4, 1, vocabulary), (), 4, 10, 0), tmp_path)
    every = list(range(vocabulary))
    assert tokenizer(" ".join(map(str, every)))["input_ids"] == every
    assert [tokenizer(str(number))["input_ids"] for number in every] == [[number] for number in every]
    assert tokenizer.decode(every[1:]) == " ".join(map(str, every[1:]))
    assert tokenizer(tokenizer.decode(every))["input_ids"] == every
    assert tokenizer(["1 0 2", "3"], padding=True)["input_ids"] == [[1, 0, 2], [0, 0, 3]]
