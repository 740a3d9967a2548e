"""The results behind the documents belong to the current models, and name no machine."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from dataset_builders import InputError
from lm_eval_tasks.documents import __main__ as command
from lm_eval_tasks.documents.evaluate import arguments, evaluate, evaluate_all, portable, result_file
from lm_eval_tasks.documents.pages import dtype_table, models_page, read
from lm_eval_tasks.documents.plan import REPOSITORY, RUNS, Evaluation, Model, Plan, Run, with_folders
from lm_eval_tasks.documents.state_page import ENTRIES, state_page
from lm_eval_tasks.results import read_reports
from tests.conftest import missing
from tests.figure_lines import rows_of
from tests.quick_lm_eval import our_tasks_alone
from tests.result_files import log_samples
from tests.result_files import result_file as results_of

PLAN = Plan()
EVALUATIONS = [one for name in PLAN.reports for one in PLAN.evaluations(name)]
FILES = sorted(command.RESULTS.glob("*/*.json"))


def own_plan(folder: Path) -> Plan:
    """The plan for a repository with copies of a bundled model, without its weights."""
    for name in ("first", "second"):
        model = folder / "synthetic_training" / "checkpoints" / name
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(name.encode())
    (folder / "synthetic_training" / "checkpoints" / "no_model").mkdir()
    return Plan(RUNS, folder)


def test_the_committed_results_are_of_the_present_models_and_settings() -> None:
    assert command.stale(PLAN) == []


def test_the_bundled_models_are_the_folders_with_a_configuration(tmp_path: Path) -> None:
    assert [model.name for model in own_plan(tmp_path).bundled()] == ["first", "second"]


def test_retrained_new_and_removed_models_make_results_stale(tmp_path: Path) -> None:
    plan = own_plan(tmp_path)
    results = tmp_path / "results"
    for name in plan.reports:
        for one in plan.evaluations(name):
            file = result_file(results, one)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"made_from": one.made_from()}))
        (results / f"{name}.md").write_text("")
    of_bundled = [name for name, report in plan.reports.items() if report.of == "bundled"]
    assert len(of_bundled) > 1 and command.stale(plan, results) == []
    models = tmp_path / "synthetic_training" / "checkpoints"
    (models / "first" / "model.safetensors").write_bytes(b"retrained")
    assert command.stale(plan, results) == of_bundled
    (models / "first" / "model.safetensors").write_bytes(b"first")
    assert command.stale(plan, results) == []
    shutil.copytree(models / "first", models / "third")
    assert command.stale(plan, results) == of_bundled
    shutil.rmtree(models / "third")
    shutil.rmtree(models / "second")
    assert command.stale(plan, results) == of_bundled


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_committed_result_says_where_it_is_from_and_names_no_machine_path(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    content = json.loads(text)
    assert len(text) < 40_000 and "samples" not in content
    assert not re.search(r'"/|\.venv|site-packages|/home/|/tmp', text)
    assert re.fullmatch("[0-9a-f]{7,40}", content["git_hash"])
    assert content["lm_eval_version"] and content["transformers_version"] and content["torch_version"]
    assert content["configs"]
    for config in content["configs"].values():
        metadata = config["metadata"]
        assert metadata["repeat_after_me"] and re.fullmatch("[0-9a-f]{64}", metadata["documents_sha256"])
        assert metadata["seed"] == 0


@pytest.mark.parametrize("name", PLAN.reports)
def test_tables_of_a_report_are_those_of_its_results(name: str) -> None:
    page = (command.RESULTS / f"{name}.md").read_text(encoding="utf-8")
    for one in read(command.RESULTS, PLAN.evaluations(name)):
        assert f"## {one.benchmark}: scores\n\n{one.score_table()}\n" in page
        if memory := one.capacity_table():
            assert f"## {one.benchmark}: memory\n\n{memory}\n" in page


def test_the_facts_about_models_are_those_of_their_files() -> None:
    assert (command.RESULTS / "models.md").read_text(encoding="utf-8") == models_page(PLAN.bundled())


def test_the_accuracies_of_a_bundled_model_are_those_of_its_seed() -> None:
    """A model's card has both tables."""
    header, _, *facts = rows_of((command.RESULTS / "models.md").read_text(encoding="utf-8"))
    summary = (REPOSITORY / "synthetic_training/checkpoints/results/training.md").read_text(encoding="utf-8")
    best = {row[0]: row[2:-1] for row in rows_of(summary) if row[1].startswith("**")}
    assert set(best) == set(header[1:])
    for column, model in enumerate(header[1:], 1):
        shown = [row[column] for row in facts if row[0].startswith("final accuracy")]
        assert shown == [cell.strip("*") for cell in best[model]]


@pytest.mark.skipif(bool(missing("hf")), reason=f"needs transformers: {missing('hf')}")
def test_the_counted_state_is_the_one_that_the_evaluations_measured() -> None:
    page = (command.RESULTS / "state.md").read_text(encoding="utf-8")
    assert page == state_page(PLAN.bundled())
    for one in PLAN.evaluations("phone_book"):
        configs = json.loads(result_file(command.RESULTS, one).read_text())["configs"]
        if f"phone_book_{ENTRIES}" in configs:
            measured = configs[f"phone_book_{ENTRIES}"]["metadata"]["state_bytes"]
            (total,) = (
                row.split("|")[-2].strip()
                for row in page.splitlines()
                if row.startswith(f"| {one.model.name} ") and " all " in row
            )
            assert total == f"{measured:,}"


def test_a_package_that_is_not_installed_is_named() -> None:
    assert with_folders({"a": [1], "b": "c/{d"}) == {"a": [1], "b": "c/{d"}
    with pytest.raises(InputError, match="package 'no_such_package' is not installed"):
        with_folders({"source": "{no_such_package}/texts"})


def test_a_path_of_this_machine_is_refused() -> None:
    (evaluation,) = [one for one in EVALUATIONS if one.report == "copies"][:1]
    installed = Path(torch.__file__).parent / "version.py"  # also in a virtual environment of the repository
    content = {"configs": {"a": {"metadata": {"source": str(installed)}}}, "config": {}}
    assert portable(content, evaluation)["configs"]["a"]["metadata"]["source"] == "torch/version.py"
    content = {"configs": {"a": {"metadata": {"source": "/somewhere/else"}}}, "config": {}}
    with pytest.raises(InputError, match="name /somewhere/else, which is neither in the repository nor"):
        portable(content, evaluation)


def test_a_model_is_compared_with_itself_in_another_dtype(tmp_path: Path) -> None:
    files = []
    for dtype, values in (("float32", [1.0] * 5), ("bfloat16", [1.0, 1.0, 1.0, 0.0, 1.0])):
        task = {"phone_book_20": sum(values) / 5}
        file = results_of(tmp_path, task, model="a/m", documents=5, config={"model_dtype": f"torch.{dtype}"})
        log_samples(file, "phone_book_20", values)
        files.append(file)
    model = Model("m", "a/m", None, {"dtype": "float32"}, 8)
    *_, row = dtype_table(model, read_reports(files)).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["float32 - bfloat16", "phone_book", "20 entries", "5"]
    assert cells[4].startswith("+0.200 [") and cells[5:] == ["1 : 0", "1.000"]
    assert dtype_table(model, read_reports(files[:1])) == ""


def test_the_command_names_reports_that_there_are() -> None:
    with pytest.raises(SystemExit, match="there is no report phone_boo; the reports are phone_book, "):
        command.main(["--reports", "phone_boo"])
    command.main(["--check"])


@pytest.mark.skipif(bool(missing("hf")), reason=f"evaluates a model: {missing('hf')}")
def test_an_evaluation_is_kept_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads a bundled model, because lm-eval itself has to write the result."""
    folder = REPOSITORY / "synthetic_training" / "checkpoints" / "transformer"
    model = Model("t", "synthetic_training/checkpoints/transformer", folder, {}, 2)
    run = Run(tasks=("string_copy_n_forced",), metadata={"length": 5, "spelling": "plain"}, limit=2)
    one = Evaluation("report", "run", run, model)
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", ["lm_eval"])
    with our_tasks_alone():
        evaluate(one, tmp_path)
    file = result_file(tmp_path, one)
    assert one.matches(file) and [found.name for found in tmp_path.iterdir()] == ["report"]
    content = json.loads(file.read_text())
    assert content["model_name"] == content["config"]["model_args"]["pretrained"] == model.shown
    assert content["made_from"]["limit"] == 2 and str(tmp_path) not in file.read_text()
    (report,) = read(tmp_path, [one])
    assert len(report.samples[0][1]) == 2 and "| transformer " in report.score_table()
    monkeypatch.setattr("lm_eval_tasks.documents.evaluate.ProcessPoolExecutor", None)
    evaluate_all([one], tmp_path, 1)
    other = Evaluation("report", "run", run.model_copy(update={"limit": 3}), model)
    assert not other.matches(file)
    assert set(arguments(other, tmp_path)) - set(arguments(one, tmp_path)) == {"3"}
