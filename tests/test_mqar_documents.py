"""MQAR's documents, and its tasks through lm-eval."""

from pathlib import Path
from typing import Any

import pytest
import torch

from dataset_builders import InputError
from dataset_builders.mqar import Mqar
from dataset_builders.mqar.documents import rows
from synthetic_training.data.mqar.mqar_data import MqarData
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import save_tokenizer
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted


def recalled(line: str) -> str:
    """The value of the query at the end of a line of any spelling."""
    tokens = line.removesuffix(" ->").replace(" | ", " ").split(" ")
    return tokens[tokens.index(tokens[-1]) + 1]


@pytest.mark.parametrize("pairs", [1, 5])
def test_the_answer_is_the_value_of_the_last_key(pairs: int) -> None:
    spaced, symbols = (list(rows(pairs, 40, 3, spelling)) for spelling in ("spaced", "symbols"))
    for one, other in zip(spaced, symbols, strict=True):
        *shown, last = one["prompt"].split("\n")
        assert [recalled(line.rpartition(" ")[0]) for line in shown] == [
            line.split(" ")[-1] for line in shown
        ]
        assert len(shown) == 2 and recalled(last) == recalled(other["prompt"]) == one["answer"]
        tokens = other["prompt"].split(" ")
        assert tokens[2 * one["query_position"]] == tokens[-1] == one["key"]
        assert last == f"{' '.join(tokens[: 2 * pairs])} | {one['key']} ->" and len(tokens) <= 16 * pairs
        assert {**one, "prompt": "", "spelling": ""} == {**other, "prompt": "", "spelling": ""}
    assert {one["query_position"] for one in spaced} == set(range(pairs))


def test_a_document_depends_on_its_index_alone() -> None:
    assert list(rows(4, 3)) == list(rows(4, 9))[:3]
    assert len({row["prompt"] for seed in (0, 1) for row in rows(4, 20, seed)}) == 40
    assert list(rows(4, 2, power_a=1)) == list(rows(4, 2, power_a=1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pairs": 0}, "pairs must be"),
        ({"num_docs": 0}, "num_docs must be"),
        ({"num_docs": 10**8}, "num_docs must be at most"),
        ({"spelling": "plain"}, "spelling must be one of symbols, spaced, not 'plain'"),
        ({"example_tokens": 12}, "a length of at least 16 tokens, not 12"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(**{"pairs": 4, **arguments})


def test_a_rule_gets_the_score_that_it_should() -> None:
    def goes_on(prompt: str) -> str:
        return f" {recalled(prompt.rpartition(chr(10))[2])} 7 7"

    tasks = ("mqar_4", "mqar_4_forced")
    for rule, right in ((goes_on, 1.0), (lambda prompt: " 1\n", 0.0)):
        results = evaluate(Scripted(rule), "mqar_4", num_docs=4)
        assert scores(results, "mqar_4")["exact_match"] == right
    results = evaluate(Scripted(lambda prompt: goes_on(prompt)[:-4] + "\n"), *tasks, num_docs=4)
    assert [scores(results, task)["exact_match"] for task in tasks] == [1.0, 1.0]


def test_lm_eval_scores_a_model_of_the_training_task(tmp_path: Path) -> None:
    """The answers are the model's to the same tokens, also for numbers that contain a 0."""
    from lm_eval.models.huggingface import HFLM

    torch.manual_seed(0)
    data = MqarData(Mqar(12, 2, 24), (), 4, 10, 0)
    model = build_model("T_rope", data.tokens, hidden_size=16, num_hidden_layers=1, num_attention_heads=1)
    model.save_pretrained(tmp_path)
    save_tokenizer(data.tokenizer(12), tmp_path)
    documents = {"pairs": 2, "num_docs": 250, "spelling": "symbols", "example_tokens": 12, "vocabulary": 24}
    right = {}
    for row in rows(**documents):
        ids = torch.tensor([[int(token) for token in row["prompt"].split(" ")]])
        answer = int(model(input_ids=ids).logits[0, -1].argmax())
        right[row["id"]] = float(answer == int(row["answer"]))
    assert 0 < sum(right.values()) < 250
    lm = HFLM(pretrained=str(tmp_path), device="cpu", batch_size=50)
    results = evaluate(lm, "mqar_n", "mqar_n_forced", **documents)
    for task in ("mqar_n", "mqar_n_forced"):
        assert {one["doc"]["id"]: one["exact_match"] for one in results["samples"][task]} == right
        assert scores(results, task)["truncated"] == scores(results, task)["unknown_tokens"] == 0
    assert scores(results, "mqar_n_forced")["misaligned"] == 0
