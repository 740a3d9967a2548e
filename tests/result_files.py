"""Result files like those of lm-eval, reduced to the fields that are read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from dataset_builders import phone_book
from lm_eval_tasks.publish.eligibility import kept_checksums
from lm_eval_tasks.results.known_tasks import benchmark_of, task_config


def content(
    exact: Mapping[str, Any],
    *,
    model: str = "org/model",
    documents: int = 500,
    error: Any = 0.03,
    truncated: float = 0.0,
    checksum: str | None = None,
    date: float = 1.7e9,
    model_args: Mapping[str, Any] | str | None = None,
    config: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A result file's content.

    Args:
        exact: task -> exact match.
        documents: number of evaluated documents, of 500.
        checksum: checksum of the documents (default: that of the benchmark).
        config: further fields of lm-eval's ``config``.
        metadata: further metadata of each task.
        fields: further fields of the file, such as ``chat_template``.
    """
    configs, results, sizes = {}, {}, {}
    for task, accuracy in exact.items():
        own = (task_config(task) or {})["metadata"]
        last = task.removesuffix("_forced").rpartition("_")[2]
        length = int(last) if last.isdecimal() else 20
        configs[task] = {
            "metadata": {
                "version": 1.0,
                **{key: own[key] for key in ("benchmark", "length_of", "unit") if key in own},
                "length": length,
                "num_docs": 500,
                "seed": 0,
                "documents_sha256": checksum or kept_checksums().get(task) or "c0ffee",
                "repeat_after_me": "0.1.0",
                **(metadata or {}),
            },
            "doc_to_text": "prompt",
        }
        results[task] = {
            "alias": task,
            "sample_len": documents,
            "exact_match,none": accuracy,
            "exact_match_stderr,none": error,
            "truncated,none": truncated,
        }
        sizes[task] = {"original": 500, "effective": documents}
    arguments = {"pretrained": model} if model_args is None else model_args
    limit = documents if documents < 500 else None
    return {
        "configs": configs,
        "results": results,
        "n-samples": sizes,
        "model_name": model,
        "date": date,
        "lm_eval_version": "0.4.13",
        "config": {"model": "hf", "model_args": arguments, "limit": limit, **(config or {})},
        **fields,
    }


def result_file(folder: Path, exact: Mapping[str, Any], **options: Any) -> Path:
    """Write a result file into a folder; for the options see :func:`content`."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("results_*.json")))
    file = folder / f"results_{number:03}.json"
    file.write_text(json.dumps(content(exact, **options)))
    return file


def log_samples(file: Path, task: str, values: Sequence[float], metric: str = "exact_match") -> Path:
    """Write samples of a task next to a result file: one value per document, a phone book of 20 entries."""
    rows = phone_book.rows(20, max(1, len(values)))
    lines = [
        {"doc": {**row, "id": str(i)}, "doc_hash": f"h{i}", "filtered_resps": [f" {i}"], metric: value}
        for i, (row, value) in enumerate(zip(rows, values, strict=False))
    ]
    samples = file.with_name(f"samples_{task}_{file.stem.removeprefix('results_')}.jsonl")
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return samples


def log_answers(file: Path, task: str, rows: Iterable[Mapping[str, Any]], texts: Sequence[str]) -> Path:
    """Write samples of a task next to a result file: generated texts, scored by the task."""
    score = find_score(task)
    lines = [
        {"doc": dict(row), "doc_hash": row["id"], "filtered_resps": [text], **score(row, [text])}
        for row, text in zip(rows, texts, strict=True)
    ]
    samples = file.with_name(f"samples_{task}_{file.stem.removeprefix('results_')}.jsonl")
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return samples


def find_score(task: str) -> Any:
    """The function that scores a task's answers."""
    return resolve_name(benchmark_of(task).evaluation.score)
