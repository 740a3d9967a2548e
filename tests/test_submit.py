"""The command ``submit`` on a loopback Hub, and the entries in the model's repository."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, EvalResultEntry, HfApi

from dataset_builders import InputError
from dataset_builders.registry import default_release
from dataset_builders.release.build import build
from dataset_builders.release.manifest import Entry, LengthSummary, Manifest
from dataset_builders.release.push import Target, push
from dataset_builders.sources.origin import Origin
from lm_eval_tasks.__main__ import main
from lm_eval_tasks.publish.eligibility import kept_checksums
from lm_eval_tasks.publish.submit import FILE, to_yaml
from lm_eval_tasks.publish.submit import submit as put
from tests.hub.fixture import GOOD, OTHER
from tests.hub.server import LoopbackHub
from tests.real_results import MODEL, as_task, real_results, written

DATASET = "org/benchmark"
Content = dict[str, Any]


def entry(task: str, value: float, dataset: str = DATASET, **fields: Any) -> EvalResultEntry:
    return EvalResultEntry(dataset_id=dataset, task_id=task, value=value, **fields)


@pytest.fixture
def submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command in this process; returns the exit status, output and errors."""

    def run(content: Content, *options: str, model: str = MODEL) -> tuple[Any, str, str]:
        file = written(tmp_path, content)
        dataset = [] if "--dataset" in options else ["--dataset", DATASET]
        argv = ["submit", str(file), "--model", model, *dataset, *options]
        monkeypatch.setattr(sys, "argv", ["lm_eval_tasks", *argv])
        status: Any = 0
        capsys.readouterr()  # what lm-eval said as it made the results
        try:
            main()
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_dry_run_prints_the_entries_and_asks_nobody(submit, hub: LoopbackHub) -> None:
    status, out, err = submit(
        real_results(), "--dry-run", "--dataset-revision", "v1.0", "--source-url", "https://x.y"
    )
    assert status == 0
    first, second = yaml.safe_load(out)
    assert first["dataset"] == {"id": DATASET, "task_id": "phone_book_20"}
    assert first["source"] == {"url": "https://x.y"}
    assert second["dataset"]["task_id"] == "phone_book_40"
    assert err.splitlines() == [
        "note: left out, because no leaderboard lists them: phone_book_20_forced",
        "note: the entries will name the commit of v1.0, which a dry run does not look up",
    ]
    assert hub.log == []
    c4 = as_task(real_results(), "c4_copy_25") | {"model_name": "/folder/of/weights"}
    status, out, err = submit(c4, "--dry-run")
    assert status == 0
    assert "note: the results are from a local model (weights), assumed to be org/model\n" in err
    assert "note: this version has no checksum of the documents of c4_copy_25; without --dry-run" in err


@pytest.mark.parametrize(
    ("model", "said"), [("model", "ORG/NAME"), ("a/b/c", "ORG/NAME"), ("org/a b", "ORG/NAME")]
)
def test_a_name_that_the_hub_cannot_have_is_refused(submit, model: str, said: str) -> None:
    status, out, _ = submit(real_results(), model=model)
    assert out == ""
    assert str(status).startswith("error: ") and said in str(status) and "\n" not in str(status)


# ---- the loopback Hub


@pytest.fixture
def released(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    """A Hub with a model and a released data set of phone books."""
    api = hub.api(GOOD)
    api.create_repo(MODEL)
    api.create_repo(DATASET, repo_type="dataset")
    push_manifest(
        hub, tmp_path, {task: sha for task, sha in kept_checksums().items() if sha and "phone" in task}
    )
    monkeypatch.setenv("HF_TOKEN", GOOD)
    hub.log.clear()
    return hub


def push_manifest(
    hub: LoopbackHub,
    folder: Path,
    checksums: dict[str, str],
    **arguments: Any,
) -> str:
    """Commit a manifest with these documents; returns the commit."""
    manifest, texts = Manifest(), Origin("allenai/c4", True, "abc", "f" * 64)
    for task, sha in checksums.items():
        config, lengths = default_release()[task], LengthSummary(1, 2, 3)
        origin = None if config.benchmark.source is None else texts
        built = {**config.arguments, **arguments}
        made = Entry(
            config.benchmark, "1.0", built, origin, origin, (), 500, sha, lengths, origin and lengths
        )
        manifest = manifest.with_entry(made)
    manifest.write(folder)
    operations = [CommitOperationAdd("manifest.json", (folder / "manifest.json").read_bytes())]
    return hub.api(GOOD).create_commit(DATASET, operations, commit_message="m", repo_type="dataset").oid


def entries_at(hub: LoopbackHub, revision: str) -> Any:
    return yaml.safe_load(hub.repository(MODEL, "model").files(revision)[FILE])


def test_a_pull_request_then_nothing_then_another(submit, released: LoopbackHub) -> None:
    status, out, _ = submit(real_results())
    assert (status, out) == (0, f"opened {released.url}/{MODEL}/discussions/1\n")
    first, second = entries_at(released, "refs/pr/1")
    assert first["dataset"] == {
        "id": DATASET,
        "task_id": "phone_book_20",
        "revision": released.repository(DATASET).refs["refs/heads/main"],
    }
    assert second["value"] == real_results()["results"]["phone_book_40"]["exact_match,none"]
    assert FILE not in released.repository(MODEL, "model").files("main")

    status, out, _ = submit(real_results())
    assert out == f"nothing to do: {released.url}/{MODEL}/discussions/1 is open and contains these entries\n"
    released.api(GOOD).merge_pull_request(MODEL, 1)
    status, out, _ = submit(real_results())
    assert (status, out) == (0, f"nothing to do: {MODEL} already has these entries in {FILE}\n")

    better = real_results()
    better["results"]["phone_book_20"]["exact_match,none"] = 0.874
    better["results"]["phone_book_20"]["exact_match_stderr,none"] = (0.874 * 0.126 / 499) ** 0.5
    status, out, _ = submit(better, "--tasks", "phone_book_20")
    assert out == f"opened {released.url}/{MODEL}/discussions/2\n"
    values = {item["dataset"]["task_id"]: item["value"] for item in entries_at(released, "refs/pr/2")}
    assert values == {"phone_book_20": 0.874, "phone_book_40": second["value"]}


def test_a_commit_to_the_main_branch_at_a_pinned_data_set(
    submit, released: LoopbackHub, tmp_path: Path
) -> None:
    old = released.repository(DATASET).refs["refs/heads/main"]
    released.api(GOOD).create_tag(DATASET, tag="v1.0", repo_type="dataset")
    push_manifest(released, tmp_path, {"phone_book_60": "0" * 64})
    others = to_yaml([entry("gsm8k", 20.5, dataset="a/b")])
    operations = [CommitOperationAdd(FILE, others.encode())]
    released.api(GOOD).create_commit(MODEL, operations, commit_message="others")
    status, out, _ = submit(real_results(), "--no-create-pr", "--dataset-revision", "v1.0")
    assert status == 0
    assert out.startswith("committed ")
    items = entries_at(released, "main")
    assert [item["dataset"]["task_id"] for item in items] == ["gsm8k", "phone_book_20", "phone_book_40"]
    assert [item["dataset"].get("revision") for item in items] == [None, old, old]
    assert released.repository(MODEL, "model").pull_requests == {}


def test_documents_are_held_against_the_manifest(submit, released: LoopbackHub, tmp_path: Path) -> None:
    sha = real_results()["configs"]["phone_book_20"]["metadata"]["documents_sha256"]
    c4 = as_task(real_results(), "c4_copy_25")
    assert "c4_copy_25: the data set has no config of that name" in submit(c4)[0]
    push_manifest(released, tmp_path, {"c4_copy_25": sha}, num_docs=8)
    assert (
        "c4_copy_25: the data set's config is not the benchmark's, because it has num_docs 8" in submit(c4)[0]
    )
    push_manifest(released, tmp_path, {"c4_copy_25": "0" * 64})
    said = submit(c4)[0]
    assert (
        f"the documents have the checksum {sha[:12]}, but those of the data set have {'0' * 12}; run lm_eval"
        in said
    )
    assert released.repository(MODEL, "model").pull_requests == {}
    push_manifest(released, tmp_path, {"c4_copy_25": sha})
    assert submit(c4)[0] == 0
    assert [item["dataset"]["task_id"] for item in entries_at(released, "refs/pr/1")] == ["c4_copy_25"]


def test_the_whole_way_from_documents_to_an_entry(submit, released: LoopbackHub, tmp_path: Path) -> None:
    """Build, push, evaluate and submit with the commands that users run."""
    configs = [default_release()[task] for task in ("phone_book_20", "phone_book_40")]
    build(configs, tmp_path / "built", {})
    released.api(GOOD).delete_repo(DATASET, repo_type="dataset")
    push(tmp_path / "built", Target(DATASET, tag="v1.0"), released.api(GOOD), lambda _: None)
    assert submit(real_results(), "--dataset-revision", "v1.0")[0] == 0
    found = entries_at(released, "refs/pr/1")
    data_set = released.repository(DATASET)
    assert {item["dataset"]["revision"] for item in found} == {data_set.refs["refs/tags/v1.0"]}
    listed = yaml.safe_load(data_set.files("v1.0")["eval.yaml"])["tasks"]
    assert [item["dataset"]["task_id"] for item in found] == [task["id"] for task in listed]


def refused_by_the_hub(status: Any, out: str, said: str) -> None:
    assert out == ""
    assert isinstance(status, str) and status.startswith("error: ")
    assert re.search(said, status), status
    assert "\n" not in status
    for token in (GOOD, OTHER, "hf_nobody"):
        assert token not in status


@pytest.mark.parametrize(
    ("model", "token", "said"),
    [
        ("org/missing", GOOD, "org/missing"),
        (DATASET, GOOD, "org/benchmark is a dataset; pass the evaluated model as --model"),
        (MODEL, "hf_nobody", "token"),
        (MODEL, "", "token"),
    ],
    ids=["missing", "a-data-set", "wrong-token", "no-token"],
)
def test_models_and_tokens_that_the_hub_refuses(
    submit, released: LoopbackHub, monkeypatch, model: str, token: str, said: str
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    else:
        monkeypatch.delenv("HF_TOKEN")
    content = real_results() | {"model_name": model}
    status, out, _ = submit(content, model=model)
    refused_by_the_hub(status, out, said)
    assert released.repository(MODEL, "model").pull_requests == {}


def test_no_right_to_commit_but_to_ask_for_it(submit, released: LoopbackHub, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", OTHER)
    refused_by_the_hub(*submit(real_results(), "--no-create-pr")[:2], "org/model")
    assert submit(real_results())[1].startswith("opened ")


def test_data_sets_that_are_not_the_benchmark(submit, released: LoopbackHub) -> None:
    api = released.api(GOOD)
    for options, said in (
        (("--dataset", "org/none"), "org/none"),
        (("--dataset-revision", "v9"), "v9|revision"),
        (("--dataset", MODEL), "org/model"),
    ):
        refused_by_the_hub(*submit(real_results(), *options)[:2], said)
    api.create_commit(
        DATASET, [CommitOperationAdd("manifest.json", b"{")], commit_message="m", repo_type="dataset"
    )
    refused_by_the_hub(*submit(real_results())[:2], "org/benchmark/manifest.json is damaged")
    api.delete_file("manifest.json", DATASET, repo_type="dataset")
    refused_by_the_hub(*submit(real_results())[:2], "org/benchmark has no manifest.json")


@pytest.mark.parametrize("kind", ["503", "412", "refuse", "timeout", "drop_after"])
def test_a_hub_that_fails_says_so_and_a_second_try_ends_it(submit, released: LoopbackHub, kind: str) -> None:
    released.hold = 0.1
    released.fail(kind, match=("POST", "/commit/"))
    refused_by_the_hub(*submit(real_results())[:2], "org/model")
    out = submit(real_results())[1]
    # where the answer alone was lost, the pull request was opened the first time
    assert out.startswith("nothing to do" if kind == "drop_after" else "opened")
    assert len(released.repository(MODEL, "model").pull_requests) == 1


def test_entries_that_came_in_meanwhile_are_not_overwritten(released: LoopbackHub) -> None:
    others = to_yaml([entry("gsm8k", 20.5, dataset="a/b")]).encode()

    class Overtaken(HfApi):
        """A client in whose repository somebody else commits first."""

        def create_commit(self, *args: Any, **options: Any) -> Any:
            operations = [CommitOperationAdd(FILE, others)]
            released.api(GOOD).create_commit(MODEL, operations, commit_message="others")
            return super().create_commit(*args, **options)

    with pytest.raises(InputError, match="someone else has changed the repository"):
        put(Overtaken(released.url, GOOD), MODEL, [entry("phone_book_20", 0.5)], create_pr=False)
    assert released.repository(MODEL, "model").files("main")[FILE] == others


# ---- the command line itself
