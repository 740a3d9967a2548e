"""The result file in a model's repository: how our entries change it."""

from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResultEntry

from dataset_builders import InputError
from lm_eval_tasks.publish.submit import merged, to_yaml
from tests.hub.fixture import GOOD, OTHER

DATASET = "org/benchmark"


def entry(task: str, value: float, dataset: str = DATASET, **fields: Any) -> EvalResultEntry:
    return EvalResultEntry(dataset_id=dataset, task_id=task, value=value, **fields)


def test_merging_keeps_what_is_of_others() -> None:
    others = (
        "- dataset: {id: a/b, task_id: t, revision: 1e5}\n  value: 20.90\n  date: 2026-01-02\n  odd: [1]\n"
        "- dataset: {id: org/benchmark, task_id: phone_book_20}\n  value: 0.5\n  verifyToken: old\n"
        "- nothing we know\n"
    )
    text = merged(others, [entry("phone_book_40", 0.25), entry("phone_book_20", 0.75, date="2026-11-22")])
    assert text is not None
    first, replaced, odd, added = yaml.safe_load(text)
    assert first == {
        "dataset": {"id": "a/b", "task_id": "t", "revision": yaml.safe_load("1e5")},
        "value": 20.9,
        "date": "2026-01-02",
        "odd": [1],
    }
    assert replaced == {
        "dataset": {"id": DATASET, "task_id": "phone_book_20"}, "value": 0.75, "date": "2026-11-22",
    }  # fmt: skip
    assert odd == "nothing we know"
    assert added["dataset"]["task_id"] == "phone_book_40"
    assert merged(text, [entry("phone_book_40", 0.25)]) is None
    assert merged(text, [entry("phone_book_40", 0.25, dataset="other/one")]) is not None
    twice = to_yaml([entry("a", 0.1), entry("b", 0.2), entry("a", 0.3)])
    assert [item["value"] for item in yaml.safe_load(merged(twice, [entry("a", 0.4)]) or "")] == [0.4, 0.2]


@pytest.mark.parametrize("text", ["a: b", "- [", "text", "0", "- !!bool x", "- !!timestamp x"])
def test_a_file_that_is_no_list_is_left_alone(text: str) -> None:
    with pytest.raises(
        InputError, match=r"\.eval_results/repeat-after-me\.yaml is not .*; repair or remove it first"
    ):
        merged(text, [entry("a", 0.1)])
    assert merged("", [entry("a", 0.1)]) == to_yaml([entry("a", 0.1)])
