"""The tasks through lm-eval's own evaluator, asked to models that answer by rule."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from dataset_builders.phone_book import rows
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks import TASKS_FOLDER
from tests.scripted import Scripted, look_up


def evaluate(lm: Any, *tasks: str, **metadata: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
    return simple_evaluate(model=lm, tasks=list(tasks), task_manager=manager, bootstrap_iters=1)


def scores(results: dict[str, Any], task: str) -> dict[str, float]:
    return {
        key.removesuffix(",none"): value
        for key, value in results["results"][task].items()
        if key.endswith(",none")
    }


def wrong_last_digit(prompt: str) -> str:
    answer = look_up(prompt)
    return answer[:-2] + str((int(answer[-2]) + 1) % 10) + "\n"


def never_stops(prompt: str) -> str:
    return look_up(prompt).removesuffix("\n") * 5


@pytest.mark.parametrize(
    ("rule", "exact", "letters", "forced"),
    [
        (look_up, 1.0, 1.0, 1.0),
        (wrong_last_digit, 0.0, 0.9, 0.0),
        (lambda prompt: look_up(prompt).strip() + "\n", 1.0, 1.0, 0.0),
        (lambda prompt: look_up(prompt) + "More Lines: 1", 1.0, 1.0, 1.0),
        (lambda prompt: " " + look_up(prompt), 1.0, 1.0, 0.0),
        (lambda prompt: look_up(prompt).replace("\n", " \n"), 1.0, 1.0, 0.0),
        (never_stops, 0.0, 10 / 54, 0.0),
        (lambda prompt: "", 0.0, 0.0, 0.0),
    ],
    ids=[
        "perfect",
        "last-digit",
        "no-space",
        "goes-on",
        "two-spaces",
        "trailing-space",
        "never-stops",
        "silent",
    ],
)
def test_a_rule_gets_the_score_that_it_should(rule, exact: float, letters: float, forced: float) -> None:
    results = evaluate(Scripted(rule), "phone_book_20", "phone_book_20_forced", num_docs=7)
    generated = scores(results, "phone_book_20")
    assert generated["exact_match"] == exact
    assert generated["char_accuracy"] == pytest.approx(letters)
    assert generated["truncated"] == 0.0
    one_pass = scores(results, "phone_book_20_forced")
    assert one_pass["exact_match"] == forced
    assert one_pass["logprob_per_token"] == -1.0


def test_standard_errors_and_the_mean_over_sizes() -> None:
    def up_to_60(prompt: str) -> str:
        return look_up(prompt) if prompt.count("\n") < 70 else " 1\n"

    results = evaluate(Scripted(up_to_60), "phone_book", num_docs=6)
    assert scores(results, "phone_book")["exact_match"] == pytest.approx(3 / 6)
    by_size = [scores(results, f"phone_book_{n}")["exact_match"] for n in (20, 40, 60, 80, 100, 120)]
    assert by_size == [1, 1, 1, 0, 0, 0]
    assert "exact_match_stderr" in scores(results, "phone_book_20")
    assert "char_accuracy_stderr" in scores(results, "phone_book_20")


def test_samples_show_prompt_answer_prediction_and_position() -> None:
    results = evaluate(Scripted(look_up), "phone_book_20", num_docs=3, seed=4)
    for sample, row in zip(results["samples"]["phone_book_20"], rows(20, 3, 4), strict=True):
        assert sample["doc"] == row
        assert sample["arguments"][0][0] == row["prompt"]
        assert sample["filtered_resps"][0].strip() == sample["target"] == row["answer"]


def test_results_say_which_documents_they_are_of() -> None:
    results = evaluate(Scripted(look_up), "phone_book_n", entries=5, num_docs=2, seed=9)
    metadata = results["configs"]["phone_book_n"]["metadata"]
    said = {key: metadata[key] for key in ("benchmark", "length", "entries", "num_docs", "seed", "version")}
    assert said == {
        "benchmark": "phone_book",
        "length": 5,
        "entries": 5,
        "num_docs": 2,
        "seed": 9,
        "version": 1.0,
    }
    assert len(metadata["documents_sha256"]) == 64


def test_the_default_is_500_documents_with_the_released_checksum() -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False)
    task = manager.load(["phone_book_20_forced"])["tasks"]["phone_book_20_forced"]
    assert len(task.test_docs()) == 500
    assert task.config.metadata["documents_sha256"] == known_checksums()["phone_book_20"]
    assert task.doc_to_target(task.test_docs()[0]).endswith("\n")


# ---- truncation


def test_prompts_that_do_not_fit_are_counted_warned_of_and_wrong(caplog: pytest.LogCaptureFixture) -> None:
    documents = list(rows(20, 6, 0))
    lengths = sorted(len(row["prompt"]) for row in documents)
    window = lengths[3] + 50  # characters are tokens; the four shortest fit with 50 new tokens
    fit = sum(length + 50 <= window for length in lengths)
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=6)
    generated = scores(results, "phone_book_20")
    assert 0 < fit < 6
    assert generated["exact_match"] == generated["char_accuracy"] == fit / 6
    assert generated["truncated"] == pytest.approx(1 - fit / 6)
    (warning,) = [r.getMessage() for r in caplog.records if "do not fit" in r.getMessage()]
    assert f"phone_book_20: {6 - fit} of 6 prompts" in warning
    assert f"window of {window} tokens" in warning
    assert "max_length=" in warning
    # the forced twin needs 12 tokens for the answer, not 50
    assert scores(results, "phone_book_20_forced")["exact_match"] == 1.0


def test_forced_truncation_is_exact_to_the_token() -> None:
    row = next(rows(20, 1, 0))
    needed = len(row["prompt"]) + len(f" {row['answer']}\n")
    for window, truncated in ((needed, 0.0), (needed - 1, 1.0)):
        results = evaluate(Scripted(look_up, window), "phone_book_20_forced", num_docs=1)
        got = scores(results, "phone_book_20_forced")
        assert (got["truncated"], got["exact_match"]) == (truncated, 1.0 - truncated)
        assert ("logprob_per_token" in got) == (truncated == 0.0)


def test_a_model_without_a_window_is_scored_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, None), "phone_book_20", num_docs=2)
    assert scores(results, "phone_book_20")["exact_match"] == 1.0
    assert "truncated" not in scores(results, "phone_book_20")
    assert any(
        "does not know this model's context window" in record.getMessage() for record in caplog.records
    )


@pytest.mark.parametrize("window", [5, 50])
def test_a_window_smaller_than_the_answer_holds_no_document(window: int) -> None:
    results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=2)
    for task in ("phone_book_20", "phone_book_20_forced"):
        assert scores(results, task)["truncated"] == 1.0
        assert scores(results, task)["exact_match"] == 0.0
    (sample, _) = results["samples"]["phone_book_20"]
    assert sample["arguments"][0][1]["max_gen_toks"] == 1


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


# ---- metadata


@pytest.mark.parametrize(
    ("task", "metadata", "said"),
    [
        ("phone_book_20", {"num_doc": 3}, "unknown metadata key 'num_doc'; did you mean 'num_docs'?"),
        ("phone_book_20", {"colour": 3}, "unknown metadata key 'colour' .known: num_docs, seed, dataset"),
        ("phone_book_20", {"num_docs": 0}, "num_docs must be an integer of at least 1, not 0"),
        ("phone_book_20", {"entries": 30}, "'entries' is 20 in this task"),
        ("phone_book_n", {}, "pass 'entries', as in --metadata"),
        ("phone_book_n", {"entries": 2}, "entries must be an integer of at least 3, not 2"),
        ("phone_book_n", {"entries": 5, "dataset": "x/y"}, "releases do not contain this task's documents"),
        ("phone_book_20", {"dataset_revision": "v1"}, "'dataset_revision' needs a 'dataset'"),
        ("phone_book_20", {"dataset": "x/y", "seed": 1}, "'seed' cannot be combined with 'dataset'"),
        ("phone_book_20", {"dataset": "nobody/nothing"}, "'nobody/nothing' cannot be read: .*local folder"),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(task: str, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}") as refusal:
        evaluate(Scripted(look_up), task, **metadata)
    assert "\n" not in str(refusal.value)


class Registered(Scripted):
    """A model that takes arguments which are called as metadata keys and fields are."""

    def __init__(self, seed: int = 0, colour: str = "", unit: str = "", **_: Any) -> None:
        super().__init__(look_up)


@pytest.fixture
def run_registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``simple_evaluate`` that finds the tasks without a task manager of the caller's own."""
    from lm_eval.api.registry import model_registry, register_model

    if "scripted-with-arguments" not in model_registry:
        register_model("scripted-with-arguments")(Registered)
    manager = partial(TaskManager, include_path=TASKS_FOLDER, include_defaults=False)
    monkeypatch.setattr("lm_eval.evaluator.TaskManager", manager)

    def run(
        model_args: Any, manager_metadata: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        if manager_metadata is not None:
            options["task_manager"] = manager(metadata=manager_metadata)
        results = simple_evaluate(
            model="scripted-with-arguments", model_args=model_args, tasks=["phone_book_20"], **options
        )
        return results["configs"]["phone_book_20"]["metadata"]

    return run


@pytest.mark.parametrize("model_args", [{"seed": 1, "colour": "red"}, "seed=1,colour=red"])
def test_arguments_of_the_model_are_no_metadata(run_registered: Any, model_args: Any) -> None:
    metadata = run_registered(model_args, metadata={"num_docs": 2})
    assert (metadata["seed"], metadata["num_docs"]) == (0, 2)


def test_what_the_user_wrote_in_the_metadata_holds(run_registered: Any) -> None:
    """Also where the model has an argument of that name, of the same value or of another."""
    for model_args in ("seed=1", "seed=2", ""):
        metadata = run_registered(model_args, metadata={"seed": 1, "num_docs": 2})
        assert metadata["documents_sha256"] == content_sha256(rows(20, 2, 1))
    assert run_registered("seed=3", {"num_docs": 2}, metadata={"seed": 5})["seed"] == 5
    assert run_registered("seed=3", {"num_docs": 2, "seed": 3})["seed"] == 3


def test_an_argument_of_the_model_does_not_pass_for_a_documents_source(run_registered: Any) -> None:
    assert "dataset" not in run_registered("dataset=x/y", metadata={"num_docs": 2})


@pytest.mark.parametrize("key", ["version", "benchmark", "length_of", "unit", "new_tokens"])
def test_a_tasks_own_fields_cannot_be_replaced(run_registered: Any, key: str) -> None:
    for arguments in ({"metadata": {key: 7}}, {"manager_metadata": {key: 7}}):
        with pytest.raises(InputError, match=f"^phone_book_20: {key!r} is set by the task"):
            run_registered("", **arguments)
    with pytest.raises(InputError, match=f"^phone_book_20: {key!r} is set by the task .*to 7, by"):
        run_registered({key: 7})
    with pytest.raises(InputError, match=f"^phone_book_20: {key!r} is set by the task"):
        evaluate(Scripted(look_up), "phone_book_20", **{key: 7})
    with pytest.raises(InputError, match="'version' is set by the task"):
        run_registered("", metadata={"version": 1.0})


def test_the_documents_can_be_asked_for_again() -> None:
    """As lm-eval's acceptance tests do; the metadata says by then what the documents are."""
    manager = TaskManager(
        include_path=TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 3, "seed": 2}
    )
    task = manager.load(["phone_book_20"])["tasks"]["phone_book_20"]
    before = dict(task.config.metadata)
    task.download(task.config.dataset_kwargs)
    assert task.dataset["test"].to_list() == list(rows(20, 3, 2))
    assert task.config.metadata == before


# ---- released data sets


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "phone_book_20").mkdir(parents=True)
    Dataset.from_list(list(rows(20, 500, 0))).to_parquet(folder / "phone_book_20" / "test-00000.parquet")
    return folder


def test_a_release_in_a_folder_gives_the_same_scores(release: Path) -> None:
    built = evaluate(Scripted(wrong_last_digit), "phone_book_20", num_docs=20)
    read = evaluate(Scripted(wrong_last_digit), "phone_book_20", num_docs=20, dataset=str(release))
    assert scores(built, "phone_book_20") == scores(read, "phone_book_20")
    assert [s["doc_hash"] for s in built["samples"]["phone_book_20"]] == [
        s["doc_hash"] for s in read["samples"]["phone_book_20"]
    ]
    assert read["configs"]["phone_book_20"]["metadata"]["dataset"] == str(release)


def test_a_release_that_is_not_the_benchmark_is_refused(release: Path) -> None:
    file = release / "phone_book_20" / "test-00000.parquet"
    with pytest.raises(InputError, match="from 1 to 500, the size of the data set, not 501"):
        evaluate(Scripted(look_up), "phone_book_20", num_docs=501, dataset=str(release))
    with pytest.raises(InputError, match=r"has no file phone_book_40/test\*.parquet"):
        evaluate(Scripted(look_up), "phone_book_40", dataset=str(release))
    changed = list(rows(20, 500, 0))
    changed[250]["answer"] = "6000000000"
    Dataset.from_list(changed).to_parquet(file)
    with pytest.raises(InputError, match="does not have this version's documents"):
        evaluate(Scripted(look_up), "phone_book_20", dataset=str(release))
    Dataset.from_list([{"text": "a"}]).to_parquet(file)
    with pytest.raises(
        InputError, match="is not a release of this benchmark: .* lacks the columns id, prompt"
    ):
        evaluate(Scripted(look_up), "phone_book_20", dataset=str(release))
