"""``python -m lm_eval_tasks paper`` from end to end, with a fake runner that writes results."""

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from lm_eval_tasks.__main__ import main
from lm_eval_tasks.paper import batches, execute, figures
from lm_eval_tasks.paper.experiments import experiments
from lm_eval_tasks.paper.figures import read_scores
from lm_eval_tasks.paper.model_list import read_model_list
from lm_eval_tasks.paper.plan import Files, Run, plan
from lm_eval_tasks.results import compare, effective_length
from tests.paper_results import Accuracy, FakeRunner, write_results


def as_in_the_paper(model: str, experiment: str, length: int) -> float:
    """A transformer that is nearly always right, and a Mamba that gets worse with length."""
    if "pythia" in model:
        return 1.0 if experiment != "c4_copy_random" else 0.9
    size = {"370m": 0.5, "1.4b": 0.7, "2.8b": 0.9}[model.split("-")[-2]]
    most = {"phone_book": 120, "c4_copy": 500, "c4_copy_random": 500, "squad_v2_retrieval": 400}[experiment]
    shuffled = 0.3 if experiment == "c4_copy_random" else 1.0
    return max(0.0, size * shuffled * (1 - length / most))


Install = Callable[..., FakeRunner]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Use a fake runner with two GPUs; models are not checked, and figures are drawn only if asked for."""

    def put(accuracy: Accuracy = as_in_the_paper, draw: bool = False, **options: object) -> FakeRunner:
        runner = FakeRunner(accuracy, **options)
        monkeypatch.setattr(execute, "run_jobs", runner)
        if not draw:
            for function in ("draw", "draw_by_state", "draw_by_time"):
                monkeypatch.setattr(figures, function, lambda *_, **__: [])
        return runner

    for module in (compare, effective_length):
        monkeypatch.setattr(module, "RESAMPLES", 199)
    monkeypatch.setattr("lm_eval_tasks.paper.model_check.check_models", lambda models, device: None)
    places = [{"CUDA_VISIBLE_DEVICES": str(i)} for i in range(2)]
    monkeypatch.setattr("dataset_builders.workers.worker_slots", lambda gpu: places)
    return put


def run(*words: str | Path) -> None:
    main(["paper", *map(str, words)])


def test_the_whole_command(install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runner = install(draw=True)
    out = tmp_path / "out"
    run("--out", out, "--batches")
    assert len(runner.done) == len(set(runner.done)) == 24 and len(runner.places) == 2
    assert capsys.readouterr().out.endswith(f"24 runs, 0 complete, 24 to do\nwritten: {out / 'paper.md'}\n")
    page = (out / "paper.md").read_text()
    words = " ".join(page.split())
    assert "\n# Pythia and Mamba on the experiments of [Repeat After Me]" in page
    assert "24 of 24 runs are complete.\n" in page
    assert page.count("found: all") + page.count("Found: all") == 5
    # 96 documents: 2.8b at 80 entries is right on .9 * (1 - 80 / 120) of them
    assert "| pythia-410m minus mamba-2.8b, 80 entries | +0.698 " in words
    assert "not evaluated" not in page
    for name in experiments():
        for stem in (name, f"{name}_batches"):
            assert f"]({stem}.png)" in page
            assert (out / f"{stem}.png").stat().st_size > 10_000 and (out / f"{stem}.svg").is_file()
    assert "mamba-370m: `state-spaces/mamba-370m-hf` by `hf` here" in page
    assert "every run, 96 per length and 96 per length of SQuAD, with 95% intervals" in page
    assert "Here: float32 for pythia-410m, pythia-1.4b, pythia-2.8b; float16 for mamba-370m" in page
    assert "Evaluated with lm-eval 0.4.13." in page and page.count("effective length") == 3
    assert not list((out / "runs").glob(".*")) and len(list((out / "runs").iterdir())) == 24

    run("--out", out, "--dry-run")
    shown = capsys.readouterr().out
    assert "0 of 24 runs to do: about 0.0 hours" in shown


def test_complete_runs_are_not_done_again_and_other_settings_are_other_runs(
    install: Install, tmp_path: Path
) -> None:
    options = ("--out", tmp_path, "--models", "pythia-410m", "--tasks", "phone_book")
    install()
    run(*options)
    page = (tmp_path / "paper.md").read_text()
    again = install()
    run(*options)
    assert again.done == [] and (tmp_path / "paper.md").read_text() == page
    run(*options, "--limit", "96")
    assert again.done == ["EleutherAI/pythia-410m phone_book"]
    page = (tmp_path / "paper.md").read_text()
    assert "Only the first 96 documents" in page


def test_the_page_shows_every_complete_run_of_the_list(install: Install, tmp_path: Path) -> None:
    runner = install()
    options = ("--out", tmp_path, "--tasks", "phone_book")
    run(*options, "--models", "pythia-410m", "mamba-2.8b")
    both = (tmp_path / "paper.md").read_text()
    assert "2 of 2 runs are complete." in both
    run(*options, "--models", "mamba-2.8b")
    assert len(runner.done) == 2 and (tmp_path / "paper.md").read_text() == both
    run("--out", tmp_path, "--models", "mamba-2.8b", "--tasks", "c4_copy")
    page = (tmp_path / "paper.md").read_text()
    assert "3 of 3 runs are complete." in page and "## Phone book" in page
    assert "pythia-410m minus mamba-2.8b, 80 entries" in page and "not shown" not in page
    # a model is shown in one precision: mamba's in the one asked for, pythia's own, which is the same
    run(*options, "--models", "mamba-2.8b", "--dtype", "float32")
    page = (tmp_path / "paper.md").read_text()
    assert "2 of 2 runs are complete. Complete runs with other settings, or of another list" in page
    hidden = page.split("are not shown: ")[1].split(".\n")[0].replace("\\", "").split(", ")
    assert [name.rpartition("-")[0] for name in hidden] == ["mamba-2.8b-c4_copy", "mamba-2.8b-phone_book"]
    assert all((tmp_path / "runs" / name).is_dir() for name in hidden)


def test_a_page_of_others_is_not_overwritten(install: Install, tmp_path: Path) -> None:
    runner = install()
    (tmp_path / "paper.md").write_text("hello")
    for words in ((), ("--dry-run",)):
        with pytest.raises(
            SystemExit, match=r"paper.md was not written by this command and is not overwritten"
        ):
            run("--out", tmp_path, *words)
    assert runner.done == [] and (tmp_path / "paper.md").read_text() == "hello"
    assert [file.name for file in tmp_path.iterdir()] == ["paper.md"]


@pytest.mark.parametrize("name", ["phone_book.png", "c4_copy_by_state.svg", "squad_v2_retrieval_batches.png"])
def test_a_picture_of_others_is_not_overwritten(install: Install, tmp_path: Path, name: str) -> None:
    runner = install()
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(SystemExit, match=f"{name} was not drawn by repeat-after-me and is not overwritten"):
        run("--out", tmp_path, "--models", "pythia-410m", "--tasks", "phone_book")
    assert runner.done == [] and (tmp_path / name).read_bytes() == b"mine"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_opposite_and_what_is_undecided(install: Install, tmp_path: Path) -> None:
    def opposite(model: str, experiment: str, length: int) -> float:
        if experiment == "squad_v2_retrieval":
            return 0.5
        return 1.0 if "mamba" in model else 0.3

    install(opposite)
    run("--out", tmp_path)
    page = (tmp_path / "paper.md").read_text()
    claims = [part.split("\n")[2] for part in page.split("\n### ")[1:]]
    assert [claim.split("**")[1] for claim in claims] == [
        "Of 3 differences, 3 the opposite.",
        "Of 6 differences, 6 undecided.",
        "Of 3 differences, 3 undecided.",
        "Of 3 differences, 3 the opposite.",
        "Of 3 differences, 3 undecided.",
    ]


def test_two_documents_decide_nothing(install: Install, tmp_path: Path) -> None:
    install(lambda model, experiment, length: float("pythia" in model), documents=2)
    run("--out", tmp_path, "--tasks", "phone_book")
    page = " ".join((tmp_path / "paper.md").read_text().split())
    assert "80 entries | +1.000 | [-0.32, +1.00] | 0.500 | undecided |" in page
    assert "Of 3 differences, 3 undecided." in page


def test_a_failure_of_one_model_leaves_the_others(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = install(failing=["state-spaces/mamba-2.8b-hf"])
    with pytest.raises(SystemExit) as ended:
        run("--out", tmp_path, "--tasks", "phone_book")
    log = next((tmp_path / "logs").glob("mamba-2.8b-phone_book-*.log"))
    assert ended.value.code == f"error: mamba-2.8b on phone_book failed: it does not fit ({log})"
    assert len(runner.done) == 6 and len(list((tmp_path / "runs").iterdir())) == 5
    page = (tmp_path / "paper.md").read_text()
    assert "5 of 6 runs are complete. Missing: mamba-2.8b on phone_book." in page
    assert page.count("Not evaluated: the required results are missing") == 5
    capsys.readouterr()

    again = install()
    run("--out", tmp_path, "--tasks", "phone_book")
    assert again.done == ["state-spaces/mamba-2.8b-hf phone_book"]
    assert "6 runs, 5 complete, 1 to do" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_complete_and_says_so(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = install(stop_after=3)
    options = ("--out", tmp_path, "--tasks", "phone_book")
    with pytest.raises(SystemExit) as ended:
        run(*options)
    assert ended.value.code == 130
    said = capsys.readouterr().err
    assert f"interrupted: 3 of 6 runs are complete in {tmp_path / 'runs'}; run the same command again" in said
    second = install()
    run(*options)
    assert len(second.done) == 3 and not set(second.done) & set(first.done)


def test_the_longest_runs_come_first(install: Install, tmp_path: Path) -> None:
    runner = install()
    run("--out", tmp_path, "--models", "pythia-410m", "pythia-2.8b", "--tasks", "c4_copy", "phone_book")
    assert runner.done == [
        "EleutherAI/pythia-2.8b c4_copy",
        "EleutherAI/pythia-2.8b phone_book",
        "EleutherAI/pythia-410m c4_copy",
        "EleutherAI/pythia-410m phone_book",
    ]


def test_a_plan_writes_and_runs_nothing(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = install()
    run("--out", tmp_path / "out", "--dry-run")
    shown = capsys.readouterr().out
    assert runner.done == [] and not (tmp_path / "out").exists()
    assert "Estimate, not measured" in shown
    *_, table, total = shown.split("\n\n")
    assert len(table.splitlines()) == 2 + 24 and total.startswith("24 of 24 runs to do: about 2.")
    commands = [line for line in shown.splitlines() if line.startswith("lm_eval --model hf")]
    assert len(commands) == 24 and all("cuda:0" in command for command in commands)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpus", "3"], "--gpus is 3, but only 2 can be used"),
        (["--gpus", "0"], "--gpus must be an integer of at least 1, not 0"),
        (["--limit", "0"], "--limit must be an integer of at least 1, not 0"),
        (["--models", "pythia"], "there is no model 'pythia'"),
        (["--tasks", "squad"], "there is no experiment 'squad'"),
        (["--model-list", "others"], "there is no list of models 'others'"),
        (["--metadata", "{"], "--metadata must be a JSON object"),
        (["--metadata", '{"num_docs": "ten"}'], "num_docs must be an integer of at least 1, not 'ten'"),
        (["--metadata", '{"num_docs": null}'], "num_docs must be an integer of at least 1, not None"),
        (["--metadata", '{"num_docs": -5}'], "num_docs must be an integer of at least 1, not -5"),
        (["--metadata", '{"num_docs": NaN}'], "num_docs must be an integer of at least 1, not nan"),
        (["--metadata", '{"seed": 1.5}'], "seed must be an integer, not 1.5"),
        (["--metadata", '{"position": 2}'], "position must be a number from 0"),
        (["--metadata", '{"source": 3}'], "source must be a file, a folder or a name on the Hub, not 3"),
        (["--metadata", '{"timing": "yes"}'], "timing must be true, a batch size from 1"),
    ],
)
def test_invalid_input_is_one_sentence(install: Install, tmp_path: Path, words: list[str], said: str) -> None:
    runner = install()
    for more in ([],) if words[0] == "--gpus" else ([], ["--dry-run"]):
        with pytest.raises(SystemExit, match=f"^error: {said}"):
            run("--out", tmp_path / "out", *words, *more)
    assert runner.done == [] and not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(install: Install, tmp_path: Path) -> None:
    install()
    (tmp_path / "file").write_text("")
    for more in ([], ["--dry-run"]):
        with pytest.raises(SystemExit, match="^error: .*file cannot be written: .*file is not a folder"):
            run("--out", tmp_path / "file", *more)


def test_one_command_at_a_time(install: Install, tmp_path: Path) -> None:
    install()
    with FileLock(tmp_path / ".lock"), pytest.raises(SystemExit, match="another process is working in"):
        run("--out", tmp_path)


def test_gpus_are_limited(install: Install, tmp_path: Path) -> None:
    runner = install()
    run("--out", tmp_path, "--gpus", "1", "--tasks", "phone_book")
    assert runner.places == [{"CUDA_VISIBLE_DEVICES": "0"}]


def test_half_of_a_killed_run_is_not_taken_for_results(install: Install, tmp_path: Path) -> None:
    listed = read_model_list("paper").models[0]
    one = Run(listed, experiments()["phone_book"], {}, None)
    left = tmp_path / "runs" / f".{one.name}.partial"
    write_results(left, "m", {"phone_book_20": (20, 1.0)}, 4)
    runner = install()
    run("--out", tmp_path, "--models", "pythia-410m", "--tasks", "phone_book")
    assert len(runner.done) == 1
    assert not left.exists() and len(list((tmp_path / "runs").rglob("results_*.json"))) == 6


def test_the_figures_can_have_the_papers_bars(install: Install, tmp_path: Path) -> None:
    install(lambda model, experiment, length: 0.5)
    run("--out", tmp_path, "--models", "pythia-410m", "--tasks", "phone_book", "squad_v2_retrieval")
    names = ("phone_book", "squad_v2_retrieval")
    runs = plan(read_model_list("paper").models[:1], [experiments()[name] for name in names], {}, None)
    found = batches.as_in_the_paper(read_scores(runs, Files(tmp_path)))
    assert {(s.benchmark, s.documents) for s in found} == {("phone_book", 96), ("squad_v2_retrieval", 30)}
    assert {s.values["exact_match"] for s in found if s.benchmark == "phone_book"} == {(0.5, 0.0)}
    assert {s.values["f1"] for s in found if s.benchmark != "phone_book"} == {(0.5, 0.5)}
