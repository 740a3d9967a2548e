"""``python -m lm_eval_tasks generate``: lm-eval's YAML files, generated from the benchmarks' definitions.

For each of its benchmarks, the folder of a family contains ``_NAME_yaml`` with the settings that all tasks
share, ``_NAME_forced_yaml`` and ``_NAME_gain_yaml`` for the twins, one short file per task, and one per
group. A suite, which is a group of benchmarks without a mean over them, has its own folder, with one group
for each twin that at least two of its benchmarks have.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from dataset_builders.benchmark import Benchmark
from dataset_builders.errors import InputError
from dataset_builders.files import read_bounded, write_text
from dataset_builders.registry import benchmarks, own_benchmarks, reference
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.twins import FORCED, GAIN, TWINS

SHARES = ("truncated", "unknown_tokens", "unanswered")
"""Fractions of documents that the task class adds to the benchmark's scores; lower is better."""

FORCED_SHARES = ("truncated", "unknown_tokens", "misaligned")
"""Fractions of documents that the task class adds to the scores of twins; lower is better."""

_EXACT, RECALL = "exact_match", "recall"
"""Whether the answer is correct; for documents with several questions, the fraction of correct answers."""

GAIN_METRICS = ("nats_gained", "logprob_per_token")
"""The metrics of every ``_gain`` task; higher is better."""

_HEADER = "# Written by `python -m lm_eval_tasks generate`; edit the benchmark {name!r} instead.\n"
_MARK = _HEADER.partition("{")[0].encode()
_HEADER_PATTERN = re.compile(re.escape(_HEADER).replace(r"\{name!r\}", "'(.*)'"))

_QUOTED_FUNCTION = re.compile(r"!function '([\w.]+)'")  # PyYAML quotes every scalar with a tag


class _Function(str):
    """A dotted name that lm-eval imports."""


class _Inline(list[Any]):
    """A list that is written on one line."""


class _Quoted(str):
    """A string that is written in double quotes."""


class _Dumper(yaml.SafeDumper):
    """Writes YAML in the style of lm-eval's own files."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  PyYAML passes it
        super().increase_indent(flow, False)


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))
_Dumper.add_representer(
    _Inline, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
)
_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)


def yaml_files(benchmark: Benchmark) -> dict[str, str]:
    """The text of each file of a benchmark, by path relative to the tasks folder."""
    header = _HEADER.format(name=benchmark.name)
    return {
        f"{benchmark.family}/{name}": f"{header}{_written(content)}"
        for name, content in file_contents(benchmark)
    }


def _written(content: dict[str, Any]) -> str:
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return _QUOTED_FUNCTION.sub(r"!function \1", text)


def generate(chosen: Iterable[Benchmark], folder: Path) -> list[Path]:
    """Write the files of benchmarks, and remove their outdated files.

    Args:
        chosen: benchmarks whose files to write.
        folder: output folder: this package's, or one that contains nothing but files of ``generate``.

    Returns:
        The files that were written or removed; files that are up to date are not touched.

    Raises:
        InputError: the folder contains other files, or a file cannot be written.
    """
    if folder.resolve() != TASKS_FOLDER.resolve():
        _check_no_other_files(folder)
    wanted = _all_files(chosen)
    changed = _differing(wanted, folder)
    for path in changed:
        if path in wanted:
            write_text(folder / path, wanted[path])
        else:
            (folder / path).unlink()
    return [folder / path for path in changed]


def _check_no_other_files(folder: Path) -> None:
    """Raise InputError if ``generate`` did not write all files in a folder; hidden ones are ignored."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in (*folders, *files) if not name.startswith(".")):
            foreign = path.suffix == ".yaml" if path.is_dir() else not read_bounded(path).startswith(_MARK)
            if path.is_symlink() or foreign:
                what = f"{path.relative_to(folder)}, which this command did not write"
                raise InputError(f"{folder} contains {what}; pass a new folder with --out")


def check(folder: Path = TASKS_FOLDER) -> None:
    """Check that this package's committed files are up to date.

    Raises:
        InputError: files are not up to date; the message names them.
    """
    differing = _differing(_all_files(own_benchmarks().values()), folder)
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise InputError(
            f"{', '.join(differing[:5])}{more} in {folder} are not up to date; run "
            "`python -m lm_eval_tasks generate`"
        )


def _all_files(chosen: Iterable[Benchmark]) -> dict[str, str]:
    wanted = {benchmark.name: benchmark for benchmark in chosen}
    files = {path: text for benchmark in wanted.values() for path, text in yaml_files(benchmark).items()}
    known = own_benchmarks() | wanted
    for suite in {benchmark.suite for benchmark in wanted.values()} - {""}:
        together = [b for b in known.values() if b.suite == suite]
        for end in ("", *TWINS):
            having = [b for b in together if end in _ends(b)]
            if len(having) < 2 and end:
                continue
            members = [f"{series}{end}" for b in having for series in b.series]
            group = {"group": f"{suite}{end}", "task": members, "metadata": {"version": 1.0}}
            files[f"{suite}/{suite}{end}.yaml"] = f"{_HEADER.format(name=suite)}{_written(group)}"
    return files


def _differing(wanted: dict[str, str], folder: Path) -> list[str]:
    """The files that are missing, different or outdated."""
    return sorted(
        [path for path, text in wanted.items() if _content(folder / path) != text]
        + [path for path in _stale(wanted, folder) if path not in wanted]
    )


def _content(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None


def _stale(wanted: dict[str, str], folder: Path) -> Iterator[str]:
    """Files of these benchmarks that are no longer needed; in this package, also of deleted benchmarks."""
    chosen = {_benchmark_of(text) for text in wanted.values()}
    known = benchmarks().keys() if folder.resolve() == TASKS_FOLDER.resolve() else None
    for family in {folder / path.partition("/")[0] for path in wanted}:
        for file in (*family.glob("*.yaml"), *family.glob("_*_yaml")):
            name = _benchmark_of(_content(file) or "")
            if name in chosen or (name is not None and known is not None and name not in known):
                yield str(file.relative_to(folder))


def _benchmark_of(text: str) -> str | None:
    found = _HEADER_PATTERN.match(text)
    return found[1] if found else None


def file_contents(b: Benchmark) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each file of a benchmark."""
    for end in _ends(b):
        for series, fixed in b.series.items():
            template = f"_{series}{end}_yaml"
            if series != b.name:
                yield template, {"include": f"_{b.name}{end}_yaml", "metadata": _metadata(b, series, end)}
            elif end:
                yield template, {"include": f"_{b.name}_yaml", **_twin_template(b, end)}
            else:
                yield template, _generated_template(b)
            for config in (c for c in b.configs() if b.series_of(c.arguments) == series):
                task = f"{config.name}{end}"
                arguments = {name: config.arguments[name] for name in (*b.lengths.parameters, *fixed)}
                yield (
                    f"{task}.yaml",
                    {
                        "include": template,
                        "task": task,
                        "dataset_name": config.name,
                        "dataset_kwargs": arguments,
                    },
                )
            if b.lengths.any_length:
                task = f"{series}_n{end}"
                yield (
                    f"{task}.yaml",
                    {
                        "include": template,
                        "task": task,
                        "class": _Function("lm_eval_tasks.any_length.AnyLength"),
                        **({"dataset_kwargs": dict(fixed)} if fixed else {}),
                    },
                )
        for group, members in _groups(b).items():
            tasks = [f"{member}{end}" for member in members]
            yield f"{group}{end}.yaml", _group(b, f"{group}{end}", tasks, end)


def _ends(b: Benchmark) -> tuple[str, ...]:
    """The suffixes of a benchmark's task names: empty for generated answers, and one per twin."""
    has = {FORCED: b.evaluation.forced_target is not None, GAIN: b.evaluation.without_answer is not None}
    return ("", *(twin for twin in TWINS if has[twin]))


def _groups(b: Benchmark) -> dict[str, list[str]]:
    groups = {group: [config.name for config in configs] for group, configs in b.groups.items()}
    return groups | dict.fromkeys(b.aliases, groups[b.name])


def _metrics(b: Benchmark, end: str) -> dict[str, bool]:
    own = {
        "": b.evaluation.metrics,
        FORCED: (_EXACT if b.evaluation.questions is None else RECALL, "logprob_per_token"),
        GAIN: GAIN_METRICS,
    }
    return dict.fromkeys(own[end], True) | dict.fromkeys(FORCED_SHARES if end else SHARES, False)


def _metric_list(b: Benchmark, end: str) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "aggregation": "mean", "higher_is_better": higher}
        for metric, higher in _metrics(b, end).items()
    ]


def _generated_template(b: Benchmark) -> dict[str, Any]:
    e = b.evaluation
    new = {"max_gen_toks": e.new_tokens} if isinstance(e.new_tokens, int) else {}
    until = _Inline(_Quoted(stop) for stop in e.stop)
    return {
        "class": _Function("lm_eval_tasks.recall_task.RecallTask"),
        "dataset_path": reference(b),
        "test_split": "test",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "doc_to_text": "prompt",  # a column, because lm-eval would compile a template for each document
        "doc_to_target": e.target,
        "generation_kwargs": {"until": until, "do_sample": False, **new},
        "process_results": _Function(e.score),
        "metric_list": _metric_list(b, ""),
        "metadata": _metadata(b, b.name, ""),
    }


def _twin_template(b: Benchmark, end: str) -> dict[str, Any]:
    forced = "lm_eval_tasks.scoring." + ("forced" if b.evaluation.questions is None else "forced_questions")
    target, score = {
        FORCED: (b.evaluation.forced_target or "", forced),
        GAIN: ("lm_eval_tasks.answers.bare_answer", "lm_eval_tasks.scoring.gain"),
    }[end]
    return {
        "output_type": "loglikelihood",
        "doc_to_target": target if target in b.columns else _Function(target),
        "generation_kwargs": None,
        "process_results": _Function(score),
        "metric_list": _metric_list(b, end),
        "metadata": _metadata(b, b.name, end),
    }


def _metadata(b: Benchmark, series: str, end: str) -> dict[str, Any]:
    new = b.evaluation.new_tokens
    return {
        "version": b.evaluation.version,
        "benchmark": f"{series}{end}",
        "length_of": b.lengths.parameter,
        "unit": b.lengths.unit,
        **({} if end or isinstance(new, int) else {"new_tokens": new}),
    }


def _group(b: Benchmark, name: str, tasks: list[str], end: str) -> dict[str, Any]:
    return {
        "group": name,
        "task": tasks,
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": False} for metric in _metrics(b, end)
        ],
        "metadata": {"version": b.evaluation.version},
    }
