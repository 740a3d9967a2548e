"""The command that trains, packs and installs the bundled models; nothing is trained here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from synthetic_training.bundled import train as train_module
from synthetic_training.bundled.__main__ import main
from synthetic_training.bundled.fitting import steps_that_fit
from synthetic_training.bundled.install import install
from synthetic_training.bundled.recipe import TRIO, best_rates, best_run, scale_of, with_choices
from synthetic_training.config import TrainConfig
from synthetic_training.data.training_data import training_data
from synthetic_training.figures.estimate import RESULTS
from synthetic_training.figures.figure_file import figure_path, read_figure
from synthetic_training.figures.plan import Run, plan
from synthetic_training.figures.progress import tokens
from synthetic_training.figures.reproduce import RunsFailed
from synthetic_training.figures.results import read_results
from synthetic_training.models.sizes import count_parameters

REVISION = "0123456789abcdef0123456789abcdef01234567"


def a_result(run: Run, **changes: Any) -> dict[str, Any]:
    """The result of a run: the loss is lowest at 6e-3, and accuracies depend on the seed."""
    curve = [
        {
            "step": run.config.steps, "examples": 100, "tokens": tokens(run), "length": length,
            "string_accuracy": 0.5 + 0.1 * (run.seed == 1), "string_accuracy_stderr": 0.1,
            "letter_accuracy": 0.9,
        }
        for length in run.config.eval_lengths
    ]  # fmt: skip
    return {
        "figure": "x", "scale": "paper", "label": run.label, "panel": None, "seed": run.seed,
        "sweep": run.sweep, "run": run.name, "config": {**run.config.as_json(), "device": "cpu"},
        "parameters": 10,
        "git_revision": REVISION, "versions": {}, "machine": "m", "seconds": 60.0, "tokens": tokens(run),
        "tokens_per_second": tokens(run) / 20, "curve": curve, "tests": [],
        "final_loss": 1 + abs(run.config.lr - 6e-3) * 100, **changes,
    }  # fmt: skip


def runs_of(figure: str, scale: str = "paper") -> list[Run]:
    return plan(read_figure(figure_path(figure)).scales[scale], figure)


def test_the_sweep_has_the_settings_of_the_models() -> None:
    """The same settings, except learning rate, steps, evaluation and checkpoints."""
    assert [run.label for run in runs_of(TRIO)] == ["mamba", "hybrid", "transformer"] * 3
    own = {"lr", "steps", "pool_rows", "seed", "eval_every", "eval_lengths", "eval_examples", "save_every"}
    for scale in ("small", "paper"):
        models = {run.label: run.config.as_json() for run in runs_of(TRIO, scale)}
        for run in runs_of("trio_learning_rates", scale):
            assert {k for k, v in run.config.as_json().items() if models[run.label][k] != v} <= own
            assert run.config.pool_rows == run.config.steps * run.config.batch_size  # each row once


def test_the_models_are_of_the_same_size_and_fit_into_six_megabytes() -> None:
    configs = {run.label: run.config for run in runs_of(TRIO)[:3]}
    sizes = {
        label: count_parameters(config.model, training_data(config).tokens, **config.model_args)
        for label, config in configs.items()
    }
    assert max(sizes.values()) < 1.01 * min(sizes.values()) and 4 * max(sizes.values()) < 5.9e6


def test_rates_and_runs_are_chosen_by_loss_and_by_accuracy() -> None:
    sweep = [a_result(run) for run in runs_of("trio_learning_rates")]
    assert best_rates(sweep) == {"mamba": 6e-3, "hybrid": 6e-3, "transformer": 6e-3}
    own = [a_result(run) for run in runs_of(TRIO) if run.label == "hybrid"]
    assert best_run(own)["seed"] == 1
    equal = [
        {**one, "curve": own[0]["curve"], "final_loss": loss}
        for one, loss in zip(own, (3, 2, 1), strict=True)
    ]
    assert best_run(equal)["seed"] == 2


def test_choices_are_written_into_the_figure_and_nothing_else_is(tmp_path: Path) -> None:
    text = figure_path(TRIO).read_text()
    file = tmp_path / "trio.yaml"
    file.write_text(with_choices(text, "paper", {"mamba": 1.5e-3, "transformer": 6e-3}, 3250))
    before, after = read_figure(figure_path(TRIO)), read_figure(file)
    assert after.scales["small"] == before.scales["small"]
    runs = {run.label: run.config for run in plan(after.scales["paper"], "x")}
    assert (runs["mamba"].lr, runs["transformer"].lr) == (1.5e-3, 6e-3)
    assert {run.steps for run in runs.values()} == {3250}
    assert runs["hybrid"].lr == runs_of(TRIO)[1].config.lr
    with pytest.raises(InputError, match=r"no line for lstm at the scale paper"):
        with_choices(text, "paper", {"lstm": 1e-3}, 10)


@pytest.mark.parametrize("seconds_left", [0, 200, 400, 1e6])
@pytest.mark.parametrize("at_once", [12, 4])
def test_as_many_steps_as_fit(seconds_left: float, at_once: int) -> None:
    """A run starts for 15 s, compiles for 30 s and trains for 20 s; one more may start while others train."""
    sweep = [a_result(run, seconds=50.0) for run in runs_of("trio_learning_rates")]
    models = scale_of(TRIO, "paper")
    usual = runs_of(TRIO)[0].config.steps
    took = (15 + 50) * len(sweep) / at_once
    steps = steps_that_fit(sweep, took, at_once, seconds_left, models, "x")
    assert steps % (usual // 10) == 0 and 0.4 * usual <= steps <= 1.6 * usual
    if 0.4 * usual < steps < 1.6 * usual:
        ratio = sum(map(tokens, runs_of(TRIO))) / sum(map(tokens, runs_of("trio_learning_rates")))
        needs = [45 + (took - 45) * ratio * some / usual for some in (steps, 1.3 * steps + usual // 10)]
        assert needs[0] <= seconds_left < needs[1]


@pytest.mark.parametrize("before", [10, 60])
@pytest.mark.parametrize("steps", [1250, 2500, 3750])
def test_the_steps_fit_into_the_time_that_was_measured(before: float, steps: int) -> None:
    """On four H100s, with three runs of the sweep on each, and then two runs of the models.

    Results do not contain the time before a run's first step, in which its process starts.
    """
    names = ("trio_learning_rates_paper", "trio_1250_steps")
    sweep, runs = (read_results(RESULTS / f"{name}.jsonl") for name in names)
    took = before + max(result["seconds"] for result in sweep)
    training = max(result["seconds"] for result in runs) - 20
    left = before + 20 + training * steps / 1250
    models = scale_of(TRIO, "paper")
    models = replace(models, settings={**models.settings, "steps": 2500})
    found = steps_that_fit(sweep, took, 12, left, models, "x")
    assert 0.75 * steps < found <= steps


class Stand:
    """Replaces ``reproduce``: writes results at once, and models of a few bytes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, figure: str, scale: str, *, out: Path, models: Any = (), **others: Any) -> list[Path]:
        content = read_figure(figure_path(figure))
        self.calls.append((figure, others["minutes"]))
        name = Path(figure).stem
        results = [a_result(run) for run in plan(content.scales[scale], figure, models)]
        for result in results:
            folder = out / "runs" / result["run"]
            (folder / "model").mkdir(parents=True)
            (folder / "run.json").write_text(json.dumps({"config": result["config"], "git_revision": None}))
            (folder / "metrics.jsonl").write_text("{}\n")
            (folder / "model" / "model.safetensors").write_bytes(result["run"].encode() * 30)
        (out / f"{name}_{scale}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
        for kind in ("md", "png"):
            (out / f"{name}_{scale}.{kind}").write_text(f"{name} {kind}")
        return []


def test_trained_packed_unpacked_and_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand = Stand()
    monkeypatch.setattr(train_module, "reproduce", stand)
    out, packed, package = tmp_path / "out", tmp_path / "packed", tmp_path / "package"
    main(["train", "--out", str(out), "--minutes", "8", "--steps", "3000"])
    assert [figure for figure, _ in stand.calls] == ["trio_learning_rates", str(out / "trio.yaml")]
    assert stand.calls[0][1] == 4 and 7.5 < stand.calls[1][1] <= 8
    said = capsys.readouterr().out
    assert all(f"{label} 0.006" in said for label in ("mamba", "hybrid", "transformer"))
    assert "; 3000 steps" in said
    with pytest.raises(SystemExit, match=r"error: .*trio.yaml exists; pass --resume"):
        main(["train", "--out", str(out)])

    main(["pack", str(out), "--to", str(packed)])
    with pytest.raises(SystemExit, match="packed contains archives, which are not overwritten"):
        main(["pack", str(out), "--to", str(packed)])
    assert sorted(file.name for file in packed.iterdir()) == [
        "hybrid.tar.gz", "mamba.tar.gz", "results.tar.gz", "transformer.tar.gz",
    ]  # fmt: skip
    file = package / "figures" / "configs" / "trio.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(figure_path(TRIO).read_text())
    card = package / "checkpoints" / "mamba" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("A card.")
    (card.parent / "old.json").write_text("{}")
    folders = install(packed, "paper", package)
    assert {folder.name for folder in folders} == {"mamba", "hybrid", "transformer"}
    assert card.read_text() == "A card." and not (card.parent / "old.json").exists()
    chosen = {run.label: run for run in plan(read_figure(file).scales["paper"], "x", seeds=[1])}
    for folder in folders:
        run = json.loads((folder / "run.json").read_text())
        assert run["git_revision"] == REVISION
        assert TrainConfig(**{**run["config"], "device": "auto"}) == chosen[folder.name].config
        assert chosen[folder.name].name.encode() in (folder / "model.safetensors").read_bytes()
    tables = (package / "checkpoints" / "results" / "training.md").read_text()
    assert "| mamba       | **1**  |" in tables and "0.533 ± 0.058 (0.500 to 0.600)" in tables
    assert (package / "figures" / "results" / "trio_paper.md").read_text() == "trio md"


def test_steps_that_are_not_possible_are_refused_before_the_sweep(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="error: steps must be more than the 200 warm-up steps, not 200"):
        main(["train", "--out", str(out), "--steps", "200"])
    for option, value in (("minutes", "-1.0"), ("minutes", "nan"), ("sweep_per_gpu", "0"), ("per_gpu", "0")):
        with pytest.raises(SystemExit, match=rf"error: {option} must be .* not {value}$"):
            main(["train", "--out", str(out), f"--{option.replace('_', '-')}", value])
    assert not out.exists()
    out.mkdir()
    (out / "trio.yaml").write_text(figure_path(TRIO).read_text())
    with pytest.raises(
        SystemExit, match=r"trio.yaml have 5000 steps, not 3000; omit --steps, or pass another"
    ):
        main(["train", "--out", str(out), "--steps", "3000", "--resume"])


def begun(out: Path, *labels: str) -> Path:
    """A folder with the results of a sweep for some of the models."""
    out.mkdir()
    results = [a_result(run) for run in runs_of("trio_learning_rates") if run.label in labels]
    (out / "trio_learning_rates_paper.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    return out


def test_rates_are_chosen_only_after_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from a sweep that was cut off, nor while another process is working on it."""
    out = begun(tmp_path / "out", "mamba", "hybrid")
    with pytest.raises(SystemExit, match=r"error: .*trio_learning_rates_paper.jsonl exists; pass --resume"):
        main(["train", "--out", str(out)])

    def busy(*_: Any, **__: Any) -> None:
        raise InputError("another process is working on it")

    monkeypatch.setattr(train_module, "reproduce", busy)
    with pytest.raises(SystemExit, match="error: another process is working on it$"):
        main(["train", "--out", str(out), "--resume"])
    assert not (out / "trio.yaml").exists()


def test_models_without_a_run_in_the_sweep_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = begun(tmp_path / "out", "mamba", "hybrid")
    calls = []

    def failing(*_: Any, models: Any = (), **__: Any) -> None:
        calls.append(models)
        if not models:
            raise RunsFailed("one failed")

    monkeypatch.setattr(train_module, "reproduce", failing)
    with pytest.raises(
        SystemExit, match="error: one failed; not trained, because none of .* has ended: transformer; pass"
    ):
        main(["train", "--out", str(out), "--resume"])
    assert sorted(calls[1]) == ["hybrid", "mamba"]


def test_the_command_that_continues_has_the_users_own_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(train_module, "reproduce", lambda *_, again, **__: told.append(again))
    out = begun(tmp_path / "an out", "mamba", "hybrid", "transformer")
    (out / "trio.yaml").write_text(figure_path(TRIO).read_text())
    main(["train", "--out", str(out), "--minutes", "7.5", "--resume"])
    command = f"python -m synthetic_training.bundled train --out '{out}' --scale paper --minutes 7.5"
    assert told == [f"{command} --per-gpu 2 --sweep-per-gpu 3 --resume"]


def test_runs_without_their_model_are_neither_packed_nor_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written before all files are known to be there."""
    monkeypatch.setattr(train_module, "reproduce", Stand())
    out, packed, package = tmp_path / "out", tmp_path / "packed", tmp_path / "package"
    main(["train", "--out", str(out), "--steps", "3000"])
    with pytest.raises(SystemExit, match="error: one transformer is larger than 0.0001 MiB; pass a larger"):
        main(["pack", str(out), "--to", str(packed), "--largest", "0.0001"])
    assert not list(packed.iterdir())
    (out / "trio_learning_rates_paper.md").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"trio_learning_rates_paper.md is missing"):
        install(out, "paper", package)
    (tmp_path / "moved").rename(out / "trio_learning_rates_paper.md")
    best = best_run([one for one in read_results(out / "trio_paper.jsonl") if one["label"] == "transformer"])
    shutil.rmtree(out / "runs" / best["run"] / "model")
    with pytest.raises(SystemExit, match=f"error: .*{best['run']}/model is missing"):
        main(["pack", str(out), "--to", str(packed)])
    with pytest.raises(InputError, match=f"{best['run']}/model is missing"):
        install(out, "paper", package)
    assert not list(packed.iterdir()) and not package.exists()


def test_what_cannot_be_packed_or_installed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .* has no trio_paper.jsonl"):
        main(["pack", str(tmp_path), "--to", str(tmp_path / "to")])
    with pytest.raises(SystemExit, match=r"error: .*nowhere is not a folder"):
        main(["pack", str(tmp_path / "nowhere"), "--to", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"error: .* has no trio_paper.jsonl"):
        main(["install", str(tmp_path)])
    (tmp_path / "mamba.tar.gz").write_bytes(b"no archive")
    with pytest.raises(SystemExit, match=r"error: .*mamba.tar.gz cannot be unpacked"):
        main(["install", str(tmp_path)])
