"""Adds entries to a model's repository on the Hub, as a pull request or a commit."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import (
    CommitOperationAdd,
    EvalResultEntry,
    HfApi,
    ModelInfo,
    eval_result_entries_to_yaml,
    get_session,
)
from huggingface_hub.errors import RepositoryNotFoundError

from dataset_builders import InputError
from dataset_builders.hub import hub_errors, other_type
from dataset_builders.registry import default_release
from dataset_builders.release.manifest import FILE as MANIFEST
from dataset_builders.release.manifest import Entry, Manifest, read_manifest
from dataset_builders.yaml_text import parse_yaml
from lm_eval_tasks.results.score import Score

FILE = ".eval_results/repeat-after-me.yaml"
"""File of the entries in the model's repository."""

_PATIENCE = 120.0
"""Seconds without a response after which a request fails; huggingface_hub itself would wait forever."""

_TITLE = "Results of repeat-after-me"


def client() -> HfApi:
    """A client of the Hub whose requests time out."""
    get_session().timeout = _PATIENCE
    return HfApi()


def to_yaml(entries: Sequence[EvalResultEntry]) -> str:
    """The text of a ``.eval_results`` file."""
    return _dump(eval_result_entries_to_yaml(list(entries)))


def _dump(items: list[dict[str, Any]]) -> str:
    return yaml.safe_dump(items, sort_keys=False, allow_unicode=True, width=110)


def merged(existing: str, entries: Sequence[EvalResultEntry]) -> str | None:
    """A ``.eval_results`` file with the entries added, or None if it already contains them.

    An entry of the same data set and task is replaced in place; all others are kept.

    Raises:
        InputError: the file is not a list of entries.
    """
    kept = _parsed(existing)
    new = {_key(item): item for item in eval_result_entries_to_yaml(list(entries))}
    items, placed = [], set()
    for item in kept:
        key = _key(item)
        if key in placed:  # the file contains the same task twice
            continue
        if key in new:
            placed.add(key)
        items.append(new.get(key, item))
    items += [item for key, item in new.items() if key not in placed]
    return None if items == kept else _dump(items)


def _parsed(text: str) -> list[Any]:
    what = f"the model's {FILE}"
    try:
        items = parse_yaml(text, what)
        if not isinstance(items, list | None):
            raise InputError(f"{what} is not a list of entries")
    except InputError as error:
        raise InputError(f"{error}; repair or remove it first") from None
    return items or []


def _key(item: Any) -> tuple[Any, Any] | None:
    """The data set and task of an entry; None if they cannot be read."""
    dataset = item.get("dataset") if isinstance(item, Mapping) else None
    if not isinstance(dataset, Mapping):
        return None
    return str(dataset.get("id")), str(dataset.get("task_id"))


def check_dataset(api: HfApi, dataset: str, revision: str | None, scores: Sequence[Score]) -> str:
    """Check the scores against the manifest of the released data set; return the manifest's commit.

    Args:
        api: client of the Hub.
        dataset: ``ORG/NAME`` on the Hub.
        revision: branch, tag or commit; None for the main branch.
        scores: the scores.

    Raises:
        InputError: the data set cannot be read, is not of this benchmark, or has other documents.
    """
    with hub_errors(f"read the data set {dataset} at {revision or 'main'}"):
        commit = str(api.dataset_info(dataset, revision=revision).sha)
        text = _read(api, dataset, MANIFEST, commit, repo_type="dataset")
    if text is None:
        raise InputError(
            f"{dataset} has no {MANIFEST}, so it is not a data set of this benchmark; use a data set that "
            "was built and pushed by repeat-after-me"
        )
    manifest = _manifest(text, dataset)
    for score in scores:
        problem = _difference(score, manifest.configs.get(score.task))
        if problem is not None:
            raise InputError(f"{score.task}: {problem} (compared with {dataset} at {commit[:12]})")
    return commit


def _difference(score: Score, entry: Entry | None) -> str | None:
    """The reason why a score is not from a config of the data set, with advice; None if it is."""
    if entry is None:
        return "the data set has no config of that name; choose other --tasks, or another --dataset"
    benchmark = default_release()[score.task].arguments
    others = {key: entry.arguments.get(key) for key in benchmark}
    differing = ", ".join(f"{key} {value!r}" for key, value in others.items() if value != benchmark[key])
    if differing:
        return (
            f"the data set's config is not the benchmark's, because it has {differing}; choose other "
            "--tasks, or another --dataset"
        )
    if entry.content_sha256 != score.document_set:
        return (
            f"the documents have the checksum {score.document_set[:12]}, but those of the data set have "
            f"{entry.content_sha256[:12]}; run lm_eval again with the data set as 'dataset' in --metadata, "
            "or pass another --dataset-revision"
        )
    return None


def _manifest(text: str, dataset: str) -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_text(text, encoding="utf-8")
        try:
            return read_manifest(Path(folder))
        except InputError as error:
            raise InputError(str(error).replace(folder, dataset)) from None


def submit(api: HfApi, model: str, entries: Sequence[EvalResultEntry], *, create_pr: bool) -> str:
    """Add entries to the model's repository; return a sentence about what was done.

    Existing entries of other tasks are kept. If the repository, or a pull request that this function opened
    earlier, already contains the same entries, nothing is done.

    Args:
        api: client of the Hub.
        model: ``ORG/NAME`` on the Hub.
        entries: the entries.
        create_pr: open a pull request; otherwise, commit to the main branch.

    Raises:
        InputError: there is no such model, there is no permission to write to it, or the Hub does not answer.
    """
    doing = "submit to" if create_pr else "commit (omit --no-create-pr to open a pull request instead) to"
    with hub_errors(f"{doing} {model}"):
        commit = str(_model(api, model).sha)
        text = merged(_read(api, model, FILE, commit) or "", entries)
        if text is None:
            return f"nothing to do: {model} already has these entries in {FILE}"
        title = f"{_TITLE}: {_and_others([entry.task_id for entry in entries])}"
        if create_pr and (url := _open_already(api, model, title, text)):
            return f"nothing to do: {url} is open and contains these entries"
        done = api.create_commit(
            model,
            [CommitOperationAdd(FILE, text.encode())],
            commit_message=title,
            commit_description=_description(entries),
            create_pr=create_pr,
            parent_commit=commit,
        )
    return f"opened {done.pr_url}" if create_pr else f"committed {done.commit_url}"


def _model(api: HfApi, model: str) -> ModelInfo:
    try:
        return api.model_info(model)
    except RepositoryNotFoundError:
        found = other_type(api, model, "model")
        if found is None:
            raise
        raise InputError(f"{model} is a {found}; pass the evaluated model as --model") from None


def _read(api: HfApi, repo: str, file: str, revision: str, repo_type: str = "model") -> str | None:
    """The text of a repository's file; None if there is none."""
    if not api.file_exists(repo, file, repo_type=repo_type, revision=revision):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repo, file, repo_type=repo_type, revision=revision, local_dir=folder)
        return Path(path).read_text(encoding="utf-8", errors="replace")


def _open_already(api: HfApi, model: str, title: str, text: str) -> str | None:
    """Address of an open pull request with this title and this file."""
    for pull in api.get_repo_discussions(model, discussion_type="pull_request", discussion_status="open"):
        if pull.title == title and _read(api, model, FILE, f"refs/pr/{pull.num}") == text:
            return pull.url
    return None


def _and_others(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {len(names) - 2} others"


def _description(entries: Sequence[EvalResultEntry]) -> str:
    lines = [f"- {entry.task_id}: {entry.value:.4f} ({entry.notes})" for entry in entries]
    return "Made by `python -m lm_eval_tasks submit` from results of lm-eval.\n\n" + "\n".join(lines)
