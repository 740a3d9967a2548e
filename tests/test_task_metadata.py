"""The metadata of a task: what is refused, and that the model's arguments do not interfere."""

from functools import partial
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from dataset_builders.phone_book import rows
from lm_eval_tasks import TASKS_FOLDER
from tests.evaluation import evaluate
from tests.material import neox_tokenizer
from tests.scripted import Scripted, look_up


@pytest.mark.parametrize(
    ("task", "metadata", "said"),
    [
        ("phone_book_20", {"num_doc": 3}, "unknown metadata key 'num_doc'; .*; did you mean 'num_docs'?"),
        (
            "phone_book_20",
            {"colour": 3},
            "metadata key 'colour'; the keys are num_docs, seed, position, dataset",
        ),
        ("phone_book_20", {"num_docs": 0}, "num_docs must be an integer of at least 1, not 0"),
        ("phone_book_20", {"entries": 30}, "'entries' is 20 in this task .*; use the task phone_book_n"),
        ("phone_book_20_forced", {"entries": 30}, "'entries' is 20 .*; use the task phone_book_n_forced"),
        (
            "c4_copy_random_25",
            {"tokens": 30},
            "'tokens' is 25 .*; use the task c4_copy_random_n",
        ),
        (
            "c4_copy_25",
            {"order": "random"},
            "is 'standard' .*; use a task of c4_copy, c4_copy_random",
        ),
        ("phone_book_n", {}, "pass 'entries', as in --metadata"),
        ("phone_book_n", {"entries": 2}, "entries must be an integer of at least 3, not 2"),
        (
            "phone_book_n",
            {"entries": 100_000, "num_docs": 10_000_000},
            r"10000000 documents of this length need at least [\d,]+ GiB of memory, but this machine has",
        ),
        ("phone_book_n", {"entries": 5, "dataset": "x/y"}, "releases do not contain this task's documents"),
        ("phone_book_20", {"dataset_revision": "v1"}, "'dataset_revision' needs a 'dataset'"),
        ("phone_book_20", {"dataset": None}, "dataset must be a folder or a name on the Hub, not None"),
        ("phone_book_20", {"dataset": ["x/y"]}, "dataset must be a folder or a name on the Hub, not .'x/y'."),
        (
            "phone_book_20",
            {"dataset": "x/y", "dataset_revision": 1},
            "dataset_revision must be a branch",
        ),
        ("phone_book_20", {"dataset": "x/y", "seed": 1}, "'seed' cannot be combined with 'dataset'"),
        (
            "phone_book_20",
            {"dataset": "nobody/nothing"},
            "the data set 'nobody/nothing': .*local folder",
        ),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(task: str, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}") as refusal:
        evaluate(Scripted(look_up), task, **metadata)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("task", "metadata"),
    [
        ("c4_copy_25", {"source": "x" * 5000}),
        ("c4_copy_25", {"source": __file__, "tokenizer": "x" * 5000}),
        ("squad_v2_retrieval_50_100", {"squad_source": "x" * 5000}),
        ("phone_book_20", {"dataset": "x" * 5000}),
        ("phone_book_20", {"dataset": "~nobody_of_this_name/x"}),
        ("phone_book_20", {"dataset": "a\0b"}),
    ],
)
def test_paths_that_cannot_be_looked_up_are_refused(task: str, metadata: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"^{task}: .* (cannot be read: File name|is not a path)") as refusal:
        evaluate(Scripted(look_up), task, **{"tokenizer": str(neox_tokenizer()), **metadata})
    assert len(str(refusal.value)) < 300


class Registered(Scripted):
    """A model with arguments that have the names of metadata keys and fields."""

    def __init__(self, seed: int = 0, colour: str = "", unit: str = "", **_: Any) -> None:
        super().__init__(look_up)


@pytest.fixture
def run_registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``simple_evaluate``, which finds the tasks without a task manager of the caller."""
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
    """Also if the model has an argument of the same name, with the same or another value."""
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
