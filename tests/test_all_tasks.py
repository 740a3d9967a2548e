"""Every task and group of the package, for all benchmarks."""

from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedTokenizerFast

from dataset_builders.registry import benchmarks
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.catalog import TaskFile, task_files
from lm_eval_tasks.results.score import is_proportion
from lm_eval_tasks.twins import twin_of, without_twin
from tests.material import neox_tokenizer, prose
from tests.models import END, tiny_model
from tests.squad_sample import write_squad

_ANY_LENGTH = 20
"""A length that every task of any length has documents of."""


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Metadata that replaces the Hub."""
    squad = write_squad(tmp_path_factory.mktemp("squad") / "squad.parquet")
    return {"source": str(prose()), "tokenizer": str(neox_tokenizer()), "squad_source": str(squad)}


def metadata_for(entry: TaskFile, offline: dict[str, str]) -> dict[str, Any]:
    any_length = without_twin(entry.name).endswith("_n")
    lengths = {b.lengths.parameter: _ANY_LENGTH for b in benchmarks().values() if b.lengths.any_length}
    return {**offline, "num_docs": 2, "questions": 2, **(lengths if any_length else {})}


def manager_for(entry: TaskFile, offline: dict[str, str]) -> TaskManager:
    return TaskManager(
        include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata_for(entry, offline)
    )


TASKS = [entry for entry in task_files() if not entry.members]
INNER = {member for entry in task_files() for member in entry.members}
OUTER_GROUPS = [entry for entry in task_files() if entry.members and entry.name not in INNER]
"""Groups that are in no other group, which together have all groups and all but a few tasks."""


@pytest.mark.parametrize("entry", TASKS, ids=lambda entry: entry.name)
def test_every_task_loads(entry: TaskFile, offline: dict[str, str]) -> None:
    for name, task in manager_for(entry, offline).load([entry.name])["tasks"].items():
        document = task.test_docs()[0]
        assert task.doc_to_text(document) == document["prompt"]
        assert task.doc_to_target(document)
        assert task.config.metadata["length"] > 0
        assert twin_of(task.config.metadata["benchmark"]) == twin_of(name)
        assert "truncated" in task.aggregation()
        acceptance_tests(task)


def acceptance_tests(task: Any) -> None:
    """The checks of lm-eval's own tests of tasks (TestBaseTasks), for a loaded task."""
    before = task.test_docs()[:2]
    task.download()
    task.download(task.config.dataset_kwargs)
    assert task.dataset is not None and task.test_docs()[:2] == before
    assert not task.has_training_docs() and not task.has_validation_docs() and task.has_test_docs()
    assert task.should_decontaminate() in (True, False)
    documents = list(task.test_docs())[:2]
    for document in documents:
        text = task.doc_to_text(document)
        assert isinstance(text, str) and not text[-1].isspace()
        requests = task.construct_requests(doc=document, ctx=text)
    task.build_all_requests(rank=0, limit=2, world_size=1)
    each = len(requests) if isinstance(requests, list) else 1
    assert each and len(task.instances) == each * len(documents)


def test_every_file_is_one_name() -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False)
    names = [entry.name for entry in task_files()]
    assert sorted(names) == sorted(set(names)) == manager.all_tasks
    assert len(names) == len(list(TASKS_FOLDER.glob("**/*.yaml")))


def test_every_length_of_a_group_is_a_file() -> None:
    names = {entry.name for entry in task_files()}
    for entry in task_files():
        assert set(entry.members) <= names, entry.name


@pytest.fixture(scope="module")
def tiny() -> HFLM:
    """A random GPT-NeoX with the real vocabulary and a window of 256 tokens."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(neox_tokenizer()), eos_token=END)
    model = tiny_model("gpt_neox", vocab_size=50304, hidden_size=16, intermediate_size=16)
    return HFLM(pretrained=model, tokenizer=tokenizer, max_length=256, batch_size=2, device="cpu")


@pytest.mark.parametrize("entry", OUTER_GROUPS, ids=lambda entry: entry.name)
def test_every_group_runs_to_its_end(entry: TaskFile, offline: dict[str, str], tiny: HFLM) -> None:
    results = simple_evaluate(
        model=tiny,
        tasks=[entry.name],
        task_manager=manager_for(entry, offline),
        gen_kwargs="max_gen_toks=4",
        limit=1,
        bootstrap_iters=1,
    )
    leaves = results["configs"]
    assert leaves
    for task in leaves:
        values = {key: value for key, value in results["results"][task].items() if key.endswith(",none")}
        assert 0.0 <= values["truncated,none"] <= 1.0
        assert all(
            0.0 <= value <= 1.0
            for key, value in values.items()
            if isinstance(value, float) and is_proportion(key)
        )
    for group in results.get("groups", {}):
        assert "truncated,none" in results["groups"][group]
