"""The YAML files are generated from the benchmarks, and tasks of any length from the metadata."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import lm_eval.tasks
import pytest
import yaml
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from dataset_builders import InputError
from dataset_builders.registry import find, own_benchmarks
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.__main__ import main
from lm_eval_tasks.generate import check, generate, yaml_files
from tests.echo_benchmark import ECHO
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted, look_up


def test_the_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    main(["generate", "--check"])
    assert "up to date" in capsys.readouterr().out


def test_a_file_that_was_edited_or_is_left_over_is_named(tmp_path: Path) -> None:
    generate(own_benchmarks().values(), tmp_path)
    check(tmp_path)
    edited = tmp_path / "phone_book" / "phone_book_20.yaml"
    left = tmp_path / "phone_book" / "phone_book_21.yaml"
    edited.write_text(edited.read_text().replace("entries: 20", "entries: 21"))
    left.write_text((tmp_path / "phone_book" / "phone_book_40.yaml").read_text())
    (tmp_path / "strings" / "string_copy_10.yaml").unlink()
    with pytest.raises(
        InputError, match="^phone_book/phone_book_20.yaml, phone_book/phone_book_21.yaml, strings/str"
    ):
        check(tmp_path)
    assert len(generate(own_benchmarks().values(), tmp_path)) == 3
    check(tmp_path)
    assert not left.exists()


def test_one_benchmark_of_a_family_leaves_the_files_of_the_others(tmp_path: Path) -> None:
    generate(own_benchmarks().values(), tmp_path)
    assert generate([find("string_copy")], tmp_path) == []
    assert (tmp_path / "strings" / "string_prefix_ngram_20.yaml").exists()


@pytest.mark.parametrize(
    "name", ["strings/string_copy_10.yaml", "strings/mine.yaml", "notes.txt", "link", "strings"]
)
def test_a_folder_with_files_of_others_is_refused(name: str, tmp_path: Path) -> None:
    out = tmp_path / "tasks"
    generate([find("string_reverse")], out)
    (out / ".gitignore").write_text("*\n")
    mine, content = out / name, "task: mine\n"
    if name == "link":
        mine.symlink_to(tmp_path)
    elif name == "strings":
        mine = mine.rename(tmp_path / "elsewhere")
        (out / name).symlink_to(mine)
        mine = next(mine.iterdir())
        content = mine.read_text()
    else:
        mine.write_text(content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match=rf"error: .*tasks contains {name}, which this command did not wri"):
        main(["generate", "--out", str(out), "--benchmarks", "string_copy"])
    assert sorted(tmp_path.rglob("*")) == before
    assert mine.is_dir() or mine.read_text() == content


def test_damaged_files_are_written_again_and_folders_in_their_place_are_refused(tmp_path: Path) -> None:
    generate([find("string_reverse")], tmp_path)
    file = tmp_path / "strings/string_reverse_10.yaml"
    before = file.read_bytes()
    file.write_bytes(before + b"\xff\xfe")
    assert generate([find("string_reverse")], tmp_path) == [file] and file.read_bytes() == before
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match=r"contains strings/string_reverse_10.yaml, which this command did"):
        generate([find("string_reverse")], tmp_path)


def test_files_of_benchmarks_that_this_call_does_not_know_are_kept(tmp_path: Path) -> None:
    """As of two modules with string tasks, each imported in a call of its own."""
    other = replace(find("string_copy"), name="string_other", aliases=())
    generate([other], tmp_path)
    before = {file: file.read_text() for file in tmp_path.rglob("*yaml")}
    generate([find("string_copy")], tmp_path)
    assert before.items() <= {file: file.read_text() for file in tmp_path.rglob("*yaml")}.items()
    assert (tmp_path / "strings" / "string_copy.yaml").exists()


def test_the_files_of_an_earlier_call_are_replaced(tmp_path: Path) -> None:
    main(["generate", "--out", str(tmp_path), "--benchmarks", "string_copy"])
    main(["generate", "--out", str(tmp_path), "--benchmarks", "string_copy", "phone_book"])
    assert (tmp_path / "phone_book" / "phone_book_20.yaml").exists()


@pytest.mark.parametrize("benchmark", own_benchmarks().values(), ids=lambda benchmark: benchmark.name)
def test_files_say_what_the_benchmark_says(benchmark: Any) -> None:
    folder = TASKS_FOLDER / benchmark.family
    for config in benchmark.configs():
        task = load_yaml(folder / f"{config.name}.yaml")
        assert task["dataset_path"] == benchmark.name
        assert {**benchmark.defaults, **task["dataset_kwargs"]} == dict(config.arguments)
        assert callable(task["process_results"])
        assert tuple(task["generation_kwargs"]["until"]) == benchmark.evaluation.stop
        metrics = {metric["metric"]: metric["higher_is_better"] for metric in task["metric_list"]}
        assert metrics.items() >= dict.fromkeys(benchmark.evaluation.metrics, True).items()
        forced = folder / f"{config.name}_forced.yaml"
        assert forced.exists() == (benchmark.evaluation.forced_target is not None)


def test_a_benchmark_without_forced_tasks_or_long_lengths_has_no_such_files() -> None:
    names = yaml_files(replace(ECHO, evaluation=replace(ECHO.evaluation, forced_target=None)))
    assert set(names) == {
        f"echo/{name}" for name in ("_echo_yaml", "echo_3.yaml", "echo_5.yaml", "echo_n.yaml", "echo.yaml")
    }


def test_squad_v2_is_our_group() -> None:
    groups = [yaml.safe_load((TASKS_FOLDER / "squad_v2_retrieval" / f"{name}.yaml").read_text())
              for name in ("squad_v2", "squad_v2_retrieval")]  # fmt: skip
    assert groups[0]["task"] == groups[1]["task"]
    theirs = Path(lm_eval.tasks.__file__).parent / "squadv2"
    manager = TaskManager(include_path=[theirs, TASKS_FOLDER], include_defaults=False)
    assert "squad_v2" in manager.all_groups
    assert manager.task_index["squadv2"].yaml_path.parent == theirs  # lm-eval's other task


# ---- several lengths at once


@pytest.mark.parametrize("given", [[4, 6], "4:6:2", ["4:6:2", 4]], ids=str)
def test_several_lengths_are_a_task_each(given: Any) -> None:
    def up_to_4(prompt: str) -> str:
        return look_up(prompt) if prompt.count("\n") < 10 else " 1\n"

    results = evaluate(Scripted(up_to_4), "phone_book_n", "phone_book_n_forced", num_docs=3, entries=given)
    found = results["configs"]
    assert set(found) == {"phone_book_4", "phone_book_6", "phone_book_4_forced", "phone_book_6_forced"}
    assert {name: found[name]["metadata"]["length"] for name in found if "forced" not in name} == {
        "phone_book_4": 4, "phone_book_6": 6,
    }  # fmt: skip
    assert (
        scores(results, "phone_book_4")["exact_match"]
        == scores(results, "phone_book_4_forced")["exact_match"]
        == 1
    )
    assert scores(results, "phone_book_6")["exact_match"] == 0
    alone = evaluate(Scripted(up_to_4), "phone_book_n", num_docs=3, entries=4)
    assert scores(alone, "phone_book_n") == scores(results, "phone_book_4")
    assert (
        alone["configs"]["phone_book_n"]["metadata"]["documents_sha256"]
        == found["phone_book_4"]["metadata"]["documents_sha256"]
    )


def test_a_released_length_in_a_list_has_the_released_documents() -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata={"entries": [20, 21]})
    tasks = manager.load(["phone_book_n"])["tasks"]
    fixed = TaskManager(include_path=TASKS_FOLDER, include_defaults=False).load(["phone_book_20"])["tasks"]
    assert list(tasks) == ["phone_book_20", "phone_book_21"]
    one, other = tasks["phone_book_20"].config.metadata, fixed["phone_book_20"].config.metadata
    assert one["documents_sha256"] == other["documents_sha256"] and one["num_docs"] == 500


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([20, 2], "phone_book_2: entries must be an integer of at least 3, not 2"),
        ([], "phone_book_n: entries must contain at least one integer"),
        ("20:10", "phone_book_n: entries: the range '20:10' is empty"),
        (
            [20, "x"],
            "phone_book_n: entries must be integers .* or ranges such as 20:120:20, not 'x'",
        ),
        ([[20]], r"phone_book_n: entries must be an integer, .* not \[20\]"),
        (2.5, "phone_book_n: entries must be an integer of at least 3, not 2.5"),
    ],
)
def test_lengths_that_cannot_be_read_are_one_sentence(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}") as refusal:
        evaluate(Scripted(look_up), "phone_book_n", entries=given)
    assert "\n" not in str(refusal.value)
