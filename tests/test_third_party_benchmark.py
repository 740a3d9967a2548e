"""A benchmark of another package, in one Python file: build, verify, load, card, generate, evaluate."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from huggingface_hub import DatasetCard
from lm_eval.tasks import TaskManager

from dataset_builders import InputError, registry
from dataset_builders.__main__ import main as build_main
from lm_eval_tasks.__main__ import main
from tests import echo_benchmark
from tests.conftest import Run

MODULE = "my_echo_benchmark"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the module, which can be imported during the test."""
    folder = tmp_path / "their package"
    folder.mkdir()
    shutil.copy(str(echo_benchmark.__file__), folder / f"{MODULE}.py")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "_imported", {})
    yield folder
    sys.modules.pop(MODULE, None)


def test_one_file_is_all_that_a_benchmark_needs(
    module: Path, run_forked: Run, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, tasks = tmp_path / "data", tmp_path / "tasks"
    added = ["--import", MODULE]
    build_main(["build", "echo", "--words", "3:5", "--num-docs", "4", "--out", str(data), *added])
    capsys.readouterr()
    build_main([*added, "verify", str(data)])
    lines = capsys.readouterr().out.splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [
        ("echo_3", "same"), ("echo_4", "same"), ("echo_5", "same"),
    ]  # fmt: skip
    assert len(load_dataset(str(data), "echo_4", split="test")[0]["answer"].split()) == 4

    card = DatasetCard.load(data / "README.md")
    assert card.data.license == "mit"
    assert "## echo: a sentence again" in card.text and "under the MIT licence" in card.text
    assert all("2402.01032" not in (data / name).read_text() for name in ("README.md", "eval.yaml"))

    main(["generate", "--out", str(tasks), *added])
    assert yaml.safe_load((tasks / "echo" / "echo.yaml").read_text())["task"] == ["echo_3", "echo_5"]
    result = run_forked(
        "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model_folder}", "--device", "cpu",
        "--include_path", tasks, "--tasks", "echo,echo_3_forced", "--metadata", json.dumps({"num_docs": 2}),
        "--output_path", "out", PYTHONPATH=_path(module),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (file,) = tmp_path.glob("out/**/results_*.json")
    content = json.loads(file.read_text())
    for task in ("echo_3", "echo_5"):
        assert 0.0 <= content["results"][task]["repeated,none"] <= 1.0
        assert content["configs"][task]["metadata"]["length"] == int(task[-1])
    assert "logprob_per_token,none" in content["results"]["echo_3_forced"]

    capsys.readouterr()
    main([*added, "report", str(file), "--out", str(tmp_path / "plots")])
    assert capsys.readouterr().out.startswith("## echo\n")
    assert (tmp_path / "plots" / "echo.png").is_file()


def _path(module: Path) -> str:
    return f"{module}:{Path(__file__).parents[1]}"


def test_an_entry_point_is_found_by_its_name(module: Path, run_forked: Run, tmp_path: Path) -> None:
    about = module / "echo_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\necho = {MODULE}\n")
    done = run_forked(
        *("-m", "dataset_builders", "build", "echo", "--words", "3", "--out", "data"),
        anew=("dataset_builders",),
        PYTHONPATH=_path(module),
    )
    assert done.returncode == 0, done.stderr
    assert "echo_3" in done.stdout and (tmp_path / "data" / "manifest.json").exists()


def test_generated_tasks_find_the_module_again(module: Path, tmp_path: Path) -> None:
    main(["generate", "--out", str(tmp_path / "tasks"), "--import", MODULE])
    registry._imported.clear()
    manager = TaskManager(
        include_path=tmp_path / "tasks", include_defaults=False, metadata={"num_docs": 2, "words": [2, 4]}
    )
    loaded = manager.load(["echo_n"])["tasks"]
    assert {name: task.config.metadata["length"] for name, task in loaded.items()} == {
        "echo_2": 2,
        "echo_4": 4,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "echo", "--import"], "--import needs the name of a module"),
        (
            ["build", "echo", "--import", "no_such_module"],
            "'no_such_module' cannot be imported: No module named",
        ),
        (["build", "echo", "--import", "../x"], "'../x' is not the name of a module"),
        (["build", "echo", "--import=json"], "the module 'json' contains no Benchmark"),
        (["verify", "data", "--import", "dataset_builders.phone_book"], "there is no folder 'data'"),
    ],
)
def test_a_module_that_gives_no_benchmark_is_one_sentence(words: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{said}"):
        build_main(words)


def test_a_name_that_is_taken_is_refused(module: Path) -> None:
    file = module / f"{MODULE}.py"
    file.write_text(file.read_text().replace('name="echo"', 'name="phone_book"'))
    with pytest.raises(InputError, match="the name 'phone_book' is taken by another benchmark"):
        registry.import_module(MODULE)
    assert registry.find("phone_book") is registry.own_benchmarks()["phone_book"]


def test_files_of_other_benchmarks_do_not_go_into_this_package(module: Path) -> None:
    with pytest.raises(SystemExit, match="error: echo is not in this package; pass a folder .* with --out"):
        main(["generate", "--import", MODULE])
