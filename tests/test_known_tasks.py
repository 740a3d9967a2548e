"""The tasks known to reports are those of the YAML files that lm-eval reads."""

from lm_eval.tasks._yaml_loader import load_yaml

from lm_eval_tasks.catalog import task_files
from lm_eval_tasks.results.known_tasks import benchmarks, task_config, task_configs


def test_known_tasks_are_what_their_yaml_files_say() -> None:
    files = {
        entry.name: load_yaml(entry.file, resolve_func=False) for entry in task_files() if not entry.members
    }
    known = task_configs()
    assert set(known) == set(files)
    for name, content in files.items():
        for field in ("generation_kwargs", "doc_to_text", "metadata", "dataset_kwargs", "num_fewshot"):
            assert known[name].get(field) == content.get(field), (name, field)
    assert {"phone_book", "phone_book_forced", "c4_copy_random"} <= benchmarks()


def test_tasks_of_any_length_are_known_by_their_names() -> None:
    assert task_config("phone_book_37") == task_configs()["phone_book_n"]
    assert task_config("c4_copy_random_7_forced") == task_configs()["c4_copy_random_n_forced"]
    assert task_config("phone_book_gap_37_gain") == task_configs()["phone_book_gap_n_gain"]
    assert task_config("phone_book_20") == task_configs()["phone_book_20"]
    for name in (
        "phone_book",
        "phone_book_x",
        "../phone_book_20",
        "phone_book_37\n",
        "phone_book_37/..",
        "n_7",
    ):
        assert task_config(name) is None, name
