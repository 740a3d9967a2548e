"""Forced scores during training: equal to those of lm-eval's forced tasks, without changing the training."""

import logging
import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from torch import nn

from dataset_builders import InputError
from lm_eval_tasks.probe import RecallEvaluation, probe_recall
from lm_eval_tasks.probe import evaluation as evaluation_module
from lm_eval_tasks.probe.encoding import Candidate
from lm_eval_tasks.probe.scores import METRICS
from lm_eval_tasks.probe.scoring import Row, score_batch
from synthetic_training.data.symbol_tokenizer import symbol_tokenizer
from tests.evaluation import evaluate, scores
from tests.models import END, byte_tokenizer, tiny_model
from tests.ngram_model import NgramConfig, NgramModel
from tests.test_forced_view import ending_tokenizer, merging_tokenizer

TASKS = ("phone_book_20", "string_copy_10")


def verdicts(found: Any) -> dict[str, list[float]]:
    return {task: [one.exact_match for one in score.documents] for task, score in found.items()}


@pytest.mark.parametrize(
    ("model", "tokenizer", "window"),
    [
        (NgramModel(NgramConfig()), byte_tokenizer, 4096),
        (NgramModel(NgramConfig()), merging_tokenizer, 4096),
        (NgramModel(NgramConfig()), ending_tokenizer, 4096),
        (NgramModel(NgramConfig(n=3)), byte_tokenizer, 595),
        (tiny_model("llama"), byte_tokenizer, 4096),
    ],
    ids=["bytes", "merged", "ending", "truncated", "llama"],
)
def test_scores_are_those_of_the_forced_tasks(model: Any, tokenizer: Callable[[], Any], window: int) -> None:
    if isinstance(model, NgramModel):
        model.passes.clear()
    own = probe_recall(model, tokenizer(), TASKS, num_docs=12, max_length=window, batch_tokens=3000)
    lm = HFLM(pretrained=model, tokenizer=tokenizer(), device="cpu", max_length=window, batch_size=4)
    results = evaluate(lm, *(f"{task}_forced" for task in TASKS), num_docs=12)
    for task, score in own.items():
        samples = results["samples"][f"{task}_forced"]
        assert [document.id for document in score.documents] == [sample["doc"]["id"] for sample in samples]
        for document, sample in zip(score.documents, samples, strict=True):
            found = {name: getattr(document, name) for name in METRICS if name in sample}
            assert found == pytest.approx({name: sample[name] for name in found}, abs=1e-4)
            assert document.logprob_per_token is None or "logprob_per_token" in found
        theirs = scores(results, f"{task}_forced")
        for name in METRICS:
            assert score.mean(name) == pytest.approx(theirs.get(name), abs=1e-4)
            assert score.stderr(name) == pytest.approx(theirs.get(f"{name}_stderr"), abs=1e-4)
    if isinstance(model, NgramModel):
        assert 0 < own["phone_book_20"].exact_match < 1 or tokenizer is ending_tokenizer


def test_passes_are_padded_batches_and_score_both_endings_at_once() -> None:
    model = NgramModel(NgramConfig())
    found = probe_recall(model, byte_tokenizer(), TASKS, num_docs=12, batch_tokens=3000)
    assert sum(rows for rows, _ in model.passes) == 24
    assert all(rows * tokens <= 3000 for rows, tokens in model.passes) and len(model.passes) < 12
    assert verdicts(probe_recall(model, byte_tokenizer(), TASKS, num_docs=12, batch_tokens=1)) == verdicts(
        found
    )
    assert all(rows == 1 for rows, _ in model.passes[-24:])


class Nano(nn.Module):
    """A module for a plain training loop, which returns only logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(257, 16)
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(self.embedding(ids)).cumsum(1)
        return self.norm(hidden.mT).mT @ self.embedding.weight.T


def test_training_is_undisturbed() -> None:
    model = Nano().train()
    model.norm.eval()  # as where a part of a model is frozen
    model(torch.arange(8)[None]).sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def draws() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = draws()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)

    def disturb(module: nn.Module, *_: Any) -> None:
        assert not module.training and not torch.is_grad_enabled()
        draws()

    hook = model.register_forward_hook(disturb)
    first = probe_recall(model, byte_tokenizer(), ["string_copy_10"], num_docs=3)
    hook.remove()
    assert draws() == expected
    assert [model.training, model.dropout.training, model.norm.training] == [True, True, False]
    assert all(
        torch.equal(parameter.grad, old)
        for parameter, old in zip(model.parameters(), gradients, strict=True)
        if parameter.grad is not None
    )
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert first == probe_recall(model.eval(), byte_tokenizer(), ["string_copy_10"], num_docs=3)


class Forwarding(nn.Module):
    """Has all attributes of the module inside, as the wrappers of FSDP1 and PEFT do."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.inner = module
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)

    def forward(self, ids: torch.Tensor) -> Any:
        self.calls += 1
        return self.inner(ids)


def test_compiled_models_are_not_compiled_for_the_probe() -> None:
    compiled_shapes = []

    def backend(module: Any, inputs: Any) -> Any:
        compiled_shapes.append(module)
        return module.forward

    plain = tiny_model("gpt_neox", vocab_size=257)
    expected = probe_recall(plain, byte_tokenizer(), TASKS, num_docs=4)
    assert (
        probe_recall(torch.compile(plain, backend=backend), byte_tokenizer(), TASKS, num_docs=4) == expected
    )
    inside = tiny_model("gpt_neox", vocab_size=257)
    for layer in inside.gpt_neox.layers:
        layer.compile(backend=backend)
    assert probe_recall(inside, byte_tokenizer(), TASKS, num_docs=4) == expected
    wrapped = Forwarding(torch.compile(plain, backend=backend))
    assert probe_recall(wrapped, byte_tokenizer(), TASKS, num_docs=4) == expected
    assert wrapped.calls > 0
    assert not compiled_shapes
    with torch.autocast("cpu", torch.bfloat16):
        rounded = probe_recall(nn.DataParallel(plain), byte_tokenizer(), TASKS, num_docs=4)
    assert rounded != expected
    for task, score in rounded.items():
        assert score.logprob_per_token == pytest.approx(expected[task].logprob_per_token, rel=0.05)


def test_a_batch_that_exceeds_the_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    score = evaluation_module.score_batch
    most = 2

    def limited(model: Any, batch: Any, *others: Any) -> Any:
        if len(batch) > most or len(batch[0].tokens) > 100 * most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return score(model, batch, *others)

    model, evaluation = NgramModel(NgramConfig()), RecallEvaluation(byte_tokenizer(), TASKS, num_docs=7)
    whole = evaluation(model)
    monkeypatch.setattr(evaluation_module, "score_batch", limited)
    assert set(evaluation(model)) == {"string_copy_10"}  # a phone book does not even fit alone
    most = 10
    assert evaluation(model) == whole


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        (
            ["phone_bok_21"],
            {},
            "there is no forced task 'phone_bok_21'; did you mean 'phone_book_21'",
        ),
        (
            ["phone_book_n"],
            {},
            "write a length into the name, as in phone_book_20: phone_book has",
        ),
        (["phone_book_x"], {}, "phone_book has the lengths 20, 40, 60, 80, 100, 120, 200, .*, and takes any"),
        (["c4_copy_random_x"], {}, "c4_copy_random has the lengths 25, 50, .*, and takes any other"),
        (["phone_book_gap"], {}, "as in phone_book_gap_100: phone_book_gap has the lengths 100, 300, 1000"),
        (["?"], {}, r"there is no forced task '\?'; a name is a benchmark with a length"),
        (["squad_v2_retrieval_50_100"], {}, "squad_v2_retrieval has no forced tasks"),
        (["squad_v2_retrieval_100"], {}, "squad_v2_retrieval has no forced tasks"),
        (["phone_book_multi_20"], {}, "phone_book_multi_20 has several questions per document"),
        ("phone_book_20", {}, r"tasks must be a list of names such as \['phone_book_20'\]"),
        (["phone_book_2"], {}, "phone_book_2: entries must be an integer of at least 3, not 2"),
        (["string_copy_10"], {"num_docs": 1}, "num_docs must be an integer of at least 2, not 1"),
        (
            ["string_copy_10"],
            {"metadata": {"sede": 1}},
            "key 'sede'; .*; did you mean 'seed'",
        ),
        (["string_copy_10"], {"metadata": {"num_docs": 5}}, "pass num_docs as a separate argument"),
        (["string_copy_10"], {"batch_tokens": 0}, "batch_tokens must be an integer of at least 1"),
        (
            ["string_copy_10"],
            {"max_length": 20},
            "no document of string_copy_10 fits the model's context window of 20",
        ),
    ],
)
def test_invalid_input_is_one_sentence(tasks: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe_recall(NgramModel(NgramConfig()), byte_tokenizer(), tasks, **{"num_docs": 2, **options})


def test_models_and_tokenizers_that_do_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    small = NgramModel(NgramConfig(vocab_size=256))
    small.get_input_embeddings = lambda: nn.Embedding(100, 4)
    with pytest.raises(InputError, match=r"returns the token \d+, but the model has 100 embeddings"):
        probe_recall(small, byte_tokenizer(), ["string_copy_10"], num_docs=2)
    with pytest.raises(InputError, match="tokenizer must be a tokenizer of transformers, not str"):
        probe_recall(small, "gpt2", ["string_copy_10"], num_docs=2)
    both = NgramModel(NgramConfig(is_encoder_decoder=True))
    with pytest.raises(InputError, match="this is an encoder-decoder model"):
        probe_recall(both, byte_tokenizer(), ["string_copy_10"], num_docs=2)

    windowed = NgramModel(NgramConfig(max_position_embeddings=595))
    with caplog.at_level(logging.WARNING):
        found = probe_recall(windowed, byte_tokenizer(), ["phone_book_20", "phone_book_40"], num_docs=12)
    assert list(found) == ["phone_book_20"] and 0 < (found["phone_book_20"].mean("truncated") or 0) < 1
    assert (
        "phone_book_40: left out, because no document fits the model's context window of 595 tokens"
        in caplog.text
    )
    assert "of 12 documents do not fit the model's context window of 595 tokens" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        probe_recall(windowed, symbol_tokenizer(4096), ["string_copy_10"], num_docs=3)
    assert "the tokenizer does not know some characters of 3 of 3 documents" in caplog.text


def test_tokenizers_that_mark_the_ends_of_a_text(caplog: pytest.LogCaptureFixture) -> None:
    model = NgramModel(NgramConfig())
    plain = probe_recall(model, byte_tokenizer(), TASKS, num_docs=4)
    processor = SimpleNamespace(tokenizer=byte_tokenizer())
    assert probe_recall(model, processor, TASKS, num_docs=4) == plain

    marked = byte_tokenizer()
    marked.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, 256)]
    )
    marked.padding_side, marked.pad_token = "left", None
    with caplog.at_level(logging.WARNING):
        assert verdicts(probe_recall(model, marked, TASKS, num_docs=4)) == verdicts(plain)
        assert not caplog.records
        probe_recall(model, ending_tokenizer(), ["string_copy_10"], num_docs=4)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "string_copy_10: in 4 of 4 documents the scored tokens are not exactly those of the" in warning


class NotNumbers(nn.Module):
    """A model with NaN as logits, so that token 0 is the arg-max."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(torch.nan))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*ids.shape, 257) * self.weight


def test_a_model_of_nan_is_wrong_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    probe = RecallEvaluation(byte_tokenizer(), ["string_copy_5"], num_docs=2)
    for _ in range(2):
        found = probe(NotNumbers())["string_copy_5"]
    assert found.exact_match == 0 and found.logprob_per_token is None
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "some log-probabilities are not numbers (NaN), and these answers count as wrong" in warning
    row = Row((5,), ((0, Candidate((5, 0), 1)),))
    ((_, greedy, logprob),) = score_batch(NotNumbers(), [row], torch.device("cpu"))
    assert greedy == 0 and math.isnan(logprob)
