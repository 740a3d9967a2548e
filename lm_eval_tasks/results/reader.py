"""Reads the scores of this package's tasks from lm-eval's result files."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean, printable, shortened
from lm_eval_tasks.results.known_tasks import benchmarks, task_config, task_configs
from lm_eval_tasks.results.result_file import (
    MAX_COUNT,
    Part,
    ResultFile,
    RunConfig,
    Samples,
    TaskConfig,
    not_whole,
    parse,
    read_result_file,
)
from lm_eval_tasks.results.score import Run, Score, is_number, is_proportion
from lm_eval_tasks.scoring import UNBOUNDED

_METRIC = re.compile(r"([a-z][a-z0-9_]{0,63}),[^,]*")

_PROMPT_FIELDS = ("doc_to_text", "description", "gen_prefix")


def read_results(paths: Iterable[Path]) -> list[Score]:
    """The scores of this package's tasks in result files, or in folders that contain them, without labels.

    Results of other tasks are ignored.

    Raises:
        InputError: a path does not exist, is not a result file of lm-eval, or contains none of these tasks.
    """
    contents: dict[Path, ResultFile] = {}
    found: dict[Path, list[Score]] = {}
    for path in paths:
        files = _files(path)
        for file in files:
            if file not in contents:
                contents[file] = read_result_file(file)
                found[file] = _scores_of(file, contents[file])
        if not any(found[file] for file in files):
            tasks = {name for file in files for name in contents[file].configs}
            names = shortened(", ".join(sorted(tasks)) or "nothing", 300)
            raise InputError(
                f"{printable(str(path))} contains no results of these tasks, only of {names}; "
                "`python -m lm_eval_tasks list` shows the tasks"
            )
    return [score for scores in found.values() for score in scores]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("**/results_*.json"))
        if not files:
            raise InputError(f"{path} contains no results_*.json; run lm_eval with --output_path")
        return files
    if not path.exists():
        raise InputError(f"{path} does not exist; pass a result file of lm-eval or its folder")
    return [path]


def _scores_of(file: Path, content: ResultFile) -> list[Score]:
    run = _run(content)
    ours = {name: config for name, config in content.configs.items() if _is_ours(config)}
    return [_score(file, name, config, run, content) for name, config in ours.items()]


def _is_ours(config: Part) -> bool:
    metadata = config.get("metadata")
    return isinstance(metadata, dict) and "length_of" in metadata


def _score(file: Path, task: str, config: Part, run: Run, content: ResultFile) -> Score:
    if task_config(task) is None:
        raise _unknown(file, "task", task, task_configs())
    problem = f"{not_whole(file)}: {task}"
    checked = parse(TaskConfig, config, problem)
    metadata = checked.metadata
    if metadata.benchmark not in benchmarks():
        raise _unknown(file, "benchmark", metadata.benchmark, benchmarks())
    result = content.results.get(task)
    if result is None:
        raise InputError(f"{problem}: it has no results")
    documents = result.get("sample_len")
    if not _is_count(documents) or documents < 1:
        raise InputError(
            f"{problem}: sample_len, the number of documents, must be a positive integer, "
            f"not {shortened(printable(repr(documents)), 40)}"
        )
    size = (content.samples or {}).get(task)
    task_documents = None if size is None else parse(Samples, size, f"{problem}: n-samples").original
    if task_documents is not None:
        documents = _all_evaluated(documents, result, task_documents, run.limit)
    return Score(
        file=file,
        task=task,
        benchmark=metadata.benchmark,
        length=metadata.length,
        unit=metadata.unit or metadata.length_of,
        values=_values(result, problem),
        documents=documents,
        document_set=metadata.documents_sha256,
        task_documents=task_documents,
        metadata=metadata.model_dump(),
        directions=_directions((content.higher_is_better or {}).get(task)),
        generation=checked.generation_kwargs or {},
        shots=_shots((content.shots or {}).get(task), checked.num_fewshot, problem),
        prompt={name: getattr(checked, name) for name in _PROMPT_FIELDS},
        run=run,
    )


def _all_evaluated(documents: int, result: Part, task_documents: int, limit: float | None) -> int:
    """The number of evaluated documents; lm-eval 0.4.12 may write a smaller one.

    It counts the values of the last metric. This may be a log-probability, and documents that do not fit the
    model's window have none.
    """
    truncated = result.get("truncated,none")
    if not is_number(truncated) or not 0 < truncated < 1 or not any(f"{m},none" in result for m in UNBOUNDED):
        return documents
    evaluated = task_documents
    if limit is not None and math.isfinite(limit):
        evaluated = min(evaluated, math.ceil(evaluated * limit) if limit < 1 else int(limit))
    is_count = math.isclose(truncated * documents, round(truncated * documents), abs_tol=1e-6)
    return evaluated if not is_count and round(documents / (1 - truncated)) == evaluated else documents


def _unknown(file: Path, kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name; only known names are accepted, because files are named after them."""
    shown = shortened(printable(name), 80)
    return InputError(
        f"{printable(str(file))} is from the {kind} '{shown}', which this version does not have"
        f"{did_you_mean(shown, known)}"
    )


def _values(result: Part, problem: str) -> dict[str, tuple[float | None, float | None]]:
    values = {}
    for key, value in result.items():
        named = _METRIC.fullmatch(key)
        if named is None or named[1].endswith("_stderr"):
            continue
        metric, _, metric_filter = key.partition(",")
        error = result.get(f"{metric}_stderr,{metric_filter}")
        if is_number(error) and error < 0:
            raise InputError(f"{problem}: the standard error of {metric} is below 0")
        fits = is_number(value) and (not is_proportion(metric) or 0 <= value <= 1)
        values[metric] = (float(value) if fits else None, float(error) if is_number(error) else None)
    return values


def _directions(kept: Any) -> dict[str, bool]:
    kept = kept if isinstance(kept, dict) else {}
    return {metric: higher for metric, higher in kept.items() if isinstance(higher, bool)}


def _shots(used: Any, configured: int | None, problem: str) -> int:
    """Number of few-shot examples: the larger of the file's two numbers, so that none is overlooked."""
    found: list[int] = []
    for number in (used, configured):
        if number is None:
            continue
        if not _is_count(number) or number >= 10_000:
            raise InputError(f"{problem}: the number of few-shot examples must be an integer from 0 to 9999")
        found.append(number)
    return max(found, default=0)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT


def _run(content: ResultFile) -> Run:
    config = content.run_config
    arguments = _arguments(config.model_args)
    revision = arguments.get("revision") or config.model_revision
    return Run(
        date=content.date,
        model=content.model_name or str(config.model),
        backend=config.model,
        model_arguments=arguments,
        dtype=_dtype(config, arguments),
        revision=printable(str(revision)) if revision else None,
        commit=config.model_sha or None,
        adapter_commit=config.peft_sha or config.delta_sha or None,
        parameters=config.model_num_parameters,
        batch_size=config.batch_size,
        gen_kwargs=_arguments(config.gen_kwargs),
        limit=config.limit,
        seeds=_seeds(config),
        chat_template=content.chat_template_sha or _checksum(content.chat_template),
        system_instruction=content.system_instruction_sha or _checksum(content.system_instruction),
        multiturn=bool(content.fewshot_as_multiturn),
        versions=_versions(content),
    )


def _arguments(given: Part | str | None) -> dict[str, Any]:
    """lm-eval's ``a=1,b=2`` as a dictionary, from any form that lm-eval accepts."""
    if isinstance(given, Mapping):
        return dict(given)
    pairs = (pair.partition("=") for pair in (given or "").split(",") if pair)
    return {printable(key): value for key, _, value in pairs}


def _dtype(config: RunConfig, arguments: Mapping[str, Any]) -> str | None:
    """The dtype of the loaded model according to the backend, or otherwise the requested one."""
    given = config.model_dtype or arguments.get("dtype")
    return printable(str(given)).removeprefix("torch.") if given else None


def _seeds(config: RunConfig) -> dict[str, int]:
    names = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
    return {name: seed for name in names if (seed := getattr(config, name)) is not None}


def _checksum(text: Any) -> str | None:
    return hashlib.sha256(repr(text).encode()).hexdigest() if text else None


def _versions(content: ResultFile) -> dict[str, str]:
    found = {"lm-eval": content.lm_eval_version, "transformers": content.transformers_version}
    return {name: version for name, version in found.items() if version}
