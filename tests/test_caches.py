"""lm-eval's caches of responses and requests, for tasks whose documents and windows change."""

from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders.phone_book import rows
from lm_eval_tasks import TASKS_FOLDER
from tests.evaluation import scores
from tests.scripted import Scripted, look_up


def test_the_cache_of_responses_hides_no_window(tmp_path: Path) -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 2})
    for _ in range(2):
        results = simple_evaluate(
            model=Scripted(look_up, 300),
            tasks=["phone_book_20"],
            task_manager=manager,
            use_cache=str(tmp_path / "cache"),
        )
        assert scores(results, "phone_book_20")["truncated"] == 1.0


def test_cached_requests_of_other_documents_or_settings_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path))

    def cached(gen_kwargs: dict[str, Any] | None = None, **metadata: Any) -> list[dict[str, Any]]:
        manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
        results = simple_evaluate(
            model=Scripted(look_up),
            tasks=["phone_book_20"],
            task_manager=manager,
            cache_requests=True,
            gen_kwargs=gen_kwargs,
        )
        return results["samples"]["phone_book_20"]

    for _ in range(2):
        assert [s["arguments"][0][1]["max_gen_toks"] for s in cached(num_docs=3)] == [50] * 3
    assert [s["arguments"][0][1]["max_gen_toks"] for s in cached({"max_gen_toks": 5}, num_docs=3)] == [5] * 3
    assert [s["doc"]["id"] for s in cached(num_docs=2, seed=1)] == [r["id"] for r in rows(20, 2, 1)]
    assert len(cached(num_docs=4)) == 4
