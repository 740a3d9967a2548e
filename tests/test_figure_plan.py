"""The shipped figures, the runs of a figure, and errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from dataset_builders import InputError
from synthetic_training.config import CHANGEABLE, TrainConfig
from synthetic_training.figures.figure_file import SHIPPED, figure_path, read_figure, shipped
from synthetic_training.figures.plan import Run, key_of, plan
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.results import done, read_results
from synthetic_training.figures.stages import read_stages
from synthetic_training.models.registry import build_model
from tests.tiny_figure import LSTM, SMALL, a_figure, runs_of
from tests.tiny_run import SETTINGS

RESULTS = SHIPPED.parent / "results"
COMMITTED = [f for f in sorted(RESULTS.glob("*.jsonl")) if f.stem.rsplit("_", 1)[0] in shipped()]


@pytest.mark.parametrize(
    "name", ["efficiency", "length_generalization", "ngram_lookup", "duplicates", "learning_rates"]
)
@pytest.mark.parametrize("scale", ["small", "paper"])
def test_the_shipped_figures_can_be_run(name: str, scale: Literal["small", "paper"]) -> None:
    figure = read_figure(shipped()[name])
    size = figure.scales[scale]
    runs = plan(size, name)
    assert len(runs) == len({run.key for run in runs}) == len({run.name for run in runs})
    labels = {run.label: run.config for run in runs}
    assert {"T_hard_alibi", "mamba"} <= set(labels)
    assert bool(size.tests) == (figure.x == "length") and bool(size.sweep) == (figure.x == "lr")
    if scale == "small":
        for config in labels.values():
            parameters = sum(p.numel() for p in build_model(config.model, **config.model_args).parameters())
            assert 1e5 < parameters < 1e6


@pytest.mark.parametrize("name", shipped())
def test_every_scale_of_every_shipped_figure_has_runs(name: str) -> None:
    for scale in read_figure(shipped()[name]).scales.values():
        for run in plan(scale, name):
            assert run.config.steps > run.config.warmup


def test_duplicates_shares_its_runs_with_length_generalization() -> None:
    for scale in ("small", "paper"):
        one, other = (
            {run.name for run in plan(read_figure(shipped()[name]).scales[scale], name)}
            for name in ("duplicates", "length_generalization")
        )
        assert one <= other


def test_small_models_have_the_best_rates_of_their_sweep() -> None:
    """Except for Mamba-2, whose best learning rate fails for one of three seeds."""
    lines = [
        line for line in read_results(RESULTS / "learning_rates_small.jsonl") if line["panel"] == "falling"
    ]
    runs = plan(read_figure(shipped()["length_generalization"]).scales["small"], "")
    for label, rate in {run.label: run.config.lr for run in runs}.items():
        tried = [line for line in lines if line["label"] == label.removesuffix("_isolated")]
        best = min(tried, key=lambda line: line["final_loss"])["config"]["lr"]
        assert rate == best or (label, rate, best) == ("mamba2", 4e-3, 1.6e-2)


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.stem)
def test_committed_results_are_of_the_settings_that_ship(file: Path) -> None:
    name, scale = file.stem.rsplit("_", 1)
    lines = read_results(file)
    seeds = sorted({line["seed"] for line in lines})
    own = next(one for one in read_stages([name], scale, seeds=seeds) if not one.of_trials)
    assert {run.key for run in own.planned} >= {key_of(line) for line in lines}
    # at the learning rate that each line has, because trials may have chosen another one than the file's
    rates = {key_of(line): line["config"]["lr"] for line in lines} if own.trials else {}
    runs = [
        replace(run, config=replace(run.config, lr=rates.get(run.key, run.config.lr))) for run in own.planned
    ]
    assert len(done(lines, runs, own.tests, file)) == len(lines)


def test_runs_are_in_the_order_of_the_file_and_named_after_what_they_train(tmp_path: Path) -> None:
    panels = {"few": {"vocabulary": 2}, "many": {"vocabulary": 20, "model_args": {"num_hidden_layers": 3}}}
    file = a_figure(tmp_path / "f.yaml", seeds=[0, 1], panels=panels, sweep={"lr": ["1e-3", 0.01]})
    runs = runs_of(file)
    assert [(r.seed, r.panel, r.label, r.config.lr) for r in runs] == [
        (seed, panel, label, lr)
        for seed in (0, 1)
        for panel in panels
        for label in ("T_hard_alibi", "lstm")
        for lr in (1e-3, 1e-2)
    ]
    assert all(r.config.seed == r.seed and r.sweep == {"lr": r.config.lr} for r in runs)
    assert [r.config.model_args["num_hidden_layers"] for r in runs[2:5]] == [
        1,
        1,
        2,
    ]  # a run goes before its panel
    assert runs[6].config.model_args == {"num_hidden_layers": 3, "hidden_size": 16}
    assert len({run.name for run in runs}) == len(runs)
    assert [r.name for r in runs_of(file, models=["lstm"], seeds=[1])] == [
        r.name for r in runs if r.label == "lstm" and r.seed == 1
    ]
    free = a_figure(tmp_path / "free.yaml", settings={**SETTINGS, "log_every": 1, "save_every": 9})
    plain = a_figure(tmp_path / "plain.yaml", settings=SETTINGS)
    assert {"log_every", "save_every"} <= CHANGEABLE
    assert [r.name for r in runs_of(free)] == [r.name for r in runs_of(plain)]


def test_a_model_of_the_list_can_have_settings_of_its_own(tmp_path: Path) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key not in ("model", "model_args", "lr")}
    plain = runs_of(a_figure(tmp_path / "p.yaml", settings=settings, runs=["lstm", "T_rope"]))
    other = runs_of(
        a_figure(tmp_path / "o.yaml", settings=settings, runs=[{"lstm": {"steps": 77}}, "T_rope"])
    )
    assert plain[1] == other[1]
    assert replace(plain[0].config, steps=77) == other[0].config and plain[0].config.steps != 77
    wider = {"lstm": {"model_args": {"hidden_size": 64}}}
    (run,) = runs_of(a_figure(tmp_path / "w.yaml", settings=settings, runs=[wider]))
    assert run.config.model_args == {**plain[0].config.model_args, "hidden_size": 64}


def test_a_preset_sets_settings_of_the_run_too(tmp_path: Path) -> None:
    """As on the command line; what the file sets overrides them."""
    settings = {"preset": "released", "eval_examples": 9}
    a_figure(tmp_path / "f.yaml", settings=settings, runs={"lstm": {"model": "lstm"}}, tests=[])
    (run,) = runs_of(tmp_path / "f.yaml")
    assert (run.config.steps, run.config.schedule, run.config.precision) == (2000, "linear_from_zero", "fp32")
    assert run.config.eval_lengths == (*range(10, 20),) and run.config.eval_examples == 9


def test_a_size_of_the_model_can_be_swept(tmp_path: Path) -> None:
    name = "model_args.hidden_size"
    file = a_figure(tmp_path / "f.yaml", x=name, sweep={name: [16, 32], "lr": [1e-3]}, runs={"lstm": LSTM})
    runs = runs_of(file)
    assert [r.sweep for r in runs] == [{name: 16, "lr": 1e-3}, {name: 32, "lr": 1e-3}]
    assert [r.config.model_args for r in runs] == [
        {"num_hidden_layers": 1, "hidden_size": size} for size in (16, 32)
    ]
    assert str(runs[0]) == "lstm, seed 3, model_args.hidden_size 16, lr 0.001"
    # the same run, written without a sweep
    plain = a_figure(tmp_path / "p.yaml", settings={**SMALL, "lr": 1e-3}, runs={"lstm": LSTM})
    assert runs_of(plain)[0].name == runs[0].name


def test_a_setting_at_its_default_does_not_change_the_name() -> None:
    run = Run("a", None, 0, {}, TrainConfig())
    assert run.name == "a-44136fa355"  # of {}
    assert Run("a", "panel", 0, {"lr": 1}, TrainConfig(seed=0, log_every=7)).name == run.name
    assert Run("a", None, 1, {}, TrainConfig(seed=1)).name != run.name


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seedz": [0]}, "there is no setting 'seedz'; did you mean 'seeds'?"),
        ({"seeds": [-1]}, "seeds.0 = -1: it should be greater than or equal to 0"),
        ({"runs": {}}, "runs"),
        ({"sweep": {"lr": []}}, "sweep.lr = []: list should have at least 1 item"),
        ({"runs": {"a b": {}}}, "the label 'a b' may contain only letters"),
        ({"runs": {"a": {"lrr": 1}}}, "run a: there is no setting 'lrr'; did you mean 'lr'?"),
        ({"runs": {"a": {"seed": 1}}}, "run a has a seed; list all of them under seeds"),
        ({"runs": {"a": {"context_length": 9}}}, "run a: "),
        (
            {"runs": {"a": {}}, "panels": {"x": {}, "y": {}}},
            "(a, y, seed 3) is the same run as (a, x, seed 3)",
        ),
        ({"tests": [{"task": "copy"}]}, "test 1 lacks lengths"),
        ({"tests": [{"task": "cpy", "lengths": [2]}]}, "test 1: task = 'cpy'"),
        ({"tests": [{"task": "copy", "lengths": [2], "m": 3}]}, "there is no setting 'm'"),
        ({"runs": ["T_ropee"]}, "scale small has no model 'T_ropee'; add its settings, or use one of "),
        ({"runs": 1}, "runs = 1"),
        ({"runs": [["lstm"]]}, "scale small has no model"),
        ({"runs": ["lstm", {"lstm": {"steps": 3}}]}, "scale small lists lstm twice"),
        ({"runs": [{"T_rope": 3}]}, "T_rope must have settings, not 3"),
        (
            {"runs": [{"T_rope": {"stepz": 3}}]},
            "run T_rope: there is no setting 'stepz'; did you mean 'steps'?",
        ),
    ],
)
def test_slips_in_a_figure_are_named(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    file = a_figure(tmp_path / "f.yaml", **changes)
    with pytest.raises(InputError) as caught:
        reproduce(str(file), out=tmp_path / "out")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_axis_must_be_there_to_draw(tmp_path: Path) -> None:
    file = a_figure(tmp_path / "f.yaml", x="lrr", sweep={"lr": [1e-3]})
    with pytest.raises(InputError, match=r"x = 'lrr' must be one of examples, length, lr; a setting can be"):
        read_figure(file)
    with pytest.raises(InputError, match=r"x = 'lr' must be one of examples, length;"):
        read_figure(a_figure(file, x="lr"))
    for name, value in (("task", "copy"), ("weight_decay", 0.0), ("compile", True)):
        with pytest.raises(
            InputError, match=f"{name} = {value!r} cannot be on a logarithmic axis; use numbers"
        ):
            read_figure(a_figure(file, x=name, sweep={name: [value]}))
    file.write_text(a_figure(file, x="lr", sweep={"lr": [1e-3]}).read_text() + "best_of: lr\n")
    with pytest.raises(InputError, match="best_of = 'lr' must be a setting that every scale sweeps, other"):
        read_figure(file)
    with pytest.raises(InputError, match=r"there is no setting 'model_arg.hidden_size'"):
        runs_of(a_figure(file, sweep={"model_arg.hidden_size": [16]}))


def test_tests_are_checked_before_training(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    with pytest.raises(InputError, match="scale small: x = 'length' needs the lengths to draw"):
        read_figure(a_figure(file, x="length", tests=[]))
    tests = [{"lengths": [7]}, {"lengths": [5, 2]}]
    panels = {"first": {"task": "prefix_ngram", "n": 2, "min_length": 5, "eval_lengths": [5]}}
    a_figure(file, x="length", panels=panels, tests=tests)
    short = r"panel first: test 2: prefix_ngram with n = 2 needs strings of at least 5 letters, not 2"
    with pytest.raises(InputError, match=short):
        reproduce(str(file), out=tmp_path / "out", dry_run=True)
    a_figure(file, x="length", panels=panels, tests=[{"task": "copy", "lengths": [2]}])
    assert len(runs_of(file)) == 2


def test_slips_on_the_command_line_are_named(tmp_path: Path) -> None:
    file = a_figure(tmp_path / "f.yaml")
    with pytest.raises(InputError, match=r"no figure 'efficency'; use .*; did you mean 'efficiency'\?"):
        figure_path("efficency")
    with pytest.raises(InputError, match=r"no file 'figures/configs/mqar.yaml'; .* mqar, .*mean 'mqar'\?"):
        figure_path("figures/configs/mqar.yaml")
    with pytest.raises(InputError, match=r"no file 'my_figure.yml'; use .*efficiency.* or a YAML file$"):
        figure_path("my_figure.yml")
    with pytest.raises(InputError, match=f"no figure '{tmp_path}'; use"):  # it exists, but is a folder
        figure_path(str(tmp_path))
    with pytest.raises(InputError, match=r"no run 'lstn'; its runs are .*; did you mean 'lstm'\?"):
        runs_of(file, models=["lstn"])
    with pytest.raises(InputError, match=r"no figure is named; use .*efficiency.* or a YAML file"):
        reproduce([], out=tmp_path / "out")
    with pytest.raises(InputError, match="per_gpu must be an integer of at least 1, not 0"):
        reproduce(str(file), out=tmp_path / "out", per_gpu=0)
    with pytest.raises(InputError, match=r"has no scale 'paper'; pass --scale small"):
        reproduce(str(file), "paper", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_model_that_does_not_exist_is_named_before_the_first_run(tmp_path: Path, dry_run: bool) -> None:
    file = a_figure(tmp_path / "f.yaml", runs={"lstm": LSTM, "new": {"model": "tests.models:NoSuchModel"}})
    with pytest.raises(InputError, match="NoSuchModel"):
        reproduce(str(file), out=tmp_path / "out", dry_run=dry_run)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**LSTM, "model_args": {"hiden_size": 16}}, "hiden_size.*did you mean 'hidden_size'"),
        ({"model": "hf:mamba2", "preset": "papr"}, "there is no preset 'papr'.*did you mean 'paper'"),
        ({"model": "T_rope", "model_args": {"num_attention_heads": 7}}, "7"),
        ({"model_args": 3}, "model_args must be a mapping, as in {hidden_size: 64}, not 3"),
        ({**LSTM, "imports": ["no_such_module"]}, "there is no module 'no_such_module' to import"),
        (
            {"model": "tests.gated_linear_attention:GatedLinearAttention", "model_args": {"breadth": 16}},
            "breadth",
        ),
    ],
)
def test_arguments_of_models_are_checked_before_the_first_run(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    file = a_figure(tmp_path / "f.yaml", runs={"lstm": LSTM, "new": settings})
    with pytest.raises(InputError, match=f"run new: .*{message}"):
        reproduce(str(file), out=tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()


def test_the_papers_scale_needs_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="need a GPU, and PyTorch finds none; use --scale small"):
        reproduce("efficiency", "paper", out=tmp_path / "out")
    assert not (tmp_path / "out").exists() and not capsys.readouterr().out
    reproduce("efficiency", "paper", out=tmp_path / "out", dry_run=True)
    assert "GPU hours" in capsys.readouterr().out
