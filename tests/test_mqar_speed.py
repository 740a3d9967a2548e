"""The parts of the comparison with Zoology's trainer that need neither a GPU nor a checkout."""

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import read_json, write_json
from dataset_builders.mqar import Mqar
from synthetic_training.data.training_data import training_data
from synthetic_training.models.sizes import count_parameters
from synthetic_training.speed import mqar, mqar_report
from synthetic_training.speed.mqar_report import save, table
from synthetic_training.speed.mqar_run import Model, MqarRun, best_run, ranked, train_config, train_with_ours
from synthetic_training.speed.zoology_trainer import load_zoology, train_with_zoology
from tests.figure_lines import rows_of


def result(lr: float, *accuracies: float, speed: float = 1000.0) -> dict[str, Any]:
    """Result of a run with these accuracies after each 1,000 examples."""
    curve = [{"examples": 1000 * i, "accuracy": accuracy} for i, accuracy in enumerate(accuracies, 1)]
    return {"lr": lr, "curve": curve, "examples_per_s": speed, "end": "epochs"}


FAILED = {"lr": 1e-3, "failed": "InputError: no mamba_ssm"}
MEASURED = [
    {"model": "attention", "length": 64, "pairs": 4, "ratio": 12.0,
     "ours": [result(1e-3, 0.2, 0.3), result(2e-3, 0.5, 0.995, speed=12_000.0)],
     "zoology": [result(2e-3, 0.5, 0.7, 0.994)]},
    {"model": "attention_mlp", "length": 64, "pairs": 4, "ours": [result(1e-2, 0.999)], "zoology": []},
    {"model": "mamba", "length": 64, "pairs": 4, "ours": [result(1e-2, 0.9, 0.8)], "zoology": [FAILED]},
]  # fmt: skip


def test_the_table_shows_the_best_learning_rate_of_each_trainer(tmp_path: Path) -> None:
    _, _, *rows = rows_of(table(MEASURED))
    assert rows == [
        ["attention", "(64, 4)", "0.002", "0.002", "0.994", "0.995", "3,000", "2,000", "1,000", "12,000",
         "12.0x", "10x"],
        ["attention_mlp", "(64, 4)", "", "0.01", "", "0.999", "", "1,000", "", "1,000", "", ""],
        ["mamba", "(64, 4)", "failed", "0.01", "failed", "0.900", "failed", "1,000", "failed", "1,000", "",
         "4x"],
    ]  # fmt: skip
    _, svg = save(MEASURED, tmp_path / "mqar.json")
    assert svg.name == "mqar.svg" and "<!-- Zoology's trainer -->" in svg.read_text()


def test_learning_rates_are_ranked_by_examples_until_the_accuracy_is_reached() -> None:
    runs = [result(1.0, 0.6), FAILED, result(2.0, 0.5, 0.999), result(3.0, 0.5, 0.7), result(4.0, 0.991)]
    assert [run["lr"] for run in ranked(runs)] == [4.0, 2.0, 3.0, 1.0, 1e-3]
    assert best_run(runs) is runs[4] and best_run([FAILED]) is None
    # a run that failed later counts with what it had
    assert best_run([FAILED, {**result(1.0, 0.2), "failed": "RuntimeError: "}]) is not None


def run_of(model: Model, **others: Any) -> MqarRun:
    task = Mqar(16, 2, 40, random_non_queries=False)
    settings = {
        "width": 8,
        "layers": 2,
        "examples": 100,
        "batch_size": 50,
        "epochs": 3,
        "lr": 1e-3,
        "seed": 5,
    }
    return MqarRun(model, task, **{**settings, **others})


@pytest.mark.parametrize(("model", "parameters"), [("attention", 1_190_144), ("mamba", 1_282_048)])
def test_the_models_have_as_many_parameters_as_those_of_zoology(model: Model, parameters: int) -> None:
    task = Mqar(64, 4, 8192)
    config = train_config(MqarRun(model, task, 128, 2, 1000, 512, 1, 1e-3, 0), fresh=False)
    assert count_parameters(config.model, training_data(config).tokens, **config.model_args) == parameters


@pytest.mark.parametrize("model", ["attention", "attention_mlp", "mamba"])
def test_our_trainer_has_the_same_settings(model: Model) -> None:
    config = train_config(run := run_of(model, width=32, examples=1000, precision="fp32"), fresh=False)
    assert config.mqar == run.task and config.fixed_examples == 1000
    assert (config.seed, config.precision) == (5, "fp32")
    assert (config.steps, config.eval_every, config.batch_size, config.lr) == (60, 20, 50, 1e-3)
    assert (config.schedule, config.warmup, config.grad_clip, config.weight_decay) == ("cosine", 0, None, 0.1)
    assert config.model_args["hidden_size"] == 32 and config.model_args["num_hidden_layers"] == 2
    assert train_config(run, fresh=True).fixed_examples is None
    assert training_data(config).tokens["vocab_size"] == 40


def test_our_trainer_trains_the_attention_model() -> None:
    found = train_with_ours(run_of("attention"), fresh=False)
    assert [point["examples"] for point in found["curve"]] == [100, 200, 300]
    assert found["end"] == "epochs" and found["examples_per_s"] > 0 and found["lr"] == 1e-3
    assert found["parameters"] == 40 * 8 + 16 * 8 + 2 * (4 * 8 * 8 + 4 * 8 + 4 * 8) + 2 * 8


ZOOLOGY = {
    "train.py": """
import json
import time
from pathlib import Path

from torch import nn

ACCURACIES = json.loads((Path(__file__).parent / "accuracies.json").read_text())


class Trainer:
    def __init__(self, config):
        self.config, self.model = config, nn.Linear(2, 3)

    def train_epoch(self, epoch):
        time.sleep(0.02)

    def test(self, epoch):
        accuracy = ACCURACIES[str(self.config.learning_rate)][epoch]
        if accuracy is None:
            raise RuntimeError("out of memory")
        return {"valid/accuracy": accuracy}

    def fit(self):
        for epoch in range(self.config.max_epochs):
            self.train_epoch(epoch)
            if self.test(epoch)["valid/accuracy"] > self.config.early_stopping_threshold:
                break


def train(config):
    print("hidden")
    Trainer(config).fit()
""",
    "model.py": "class TokenEmbeddings:\n    def __init__(self, device='cuda'): pass\n",
    "config.py": """
from types import SimpleNamespace

TrainConfig = DataConfig = ModelConfig = SimpleNamespace
""",
    "data/multiquery_ar.py": "from types import SimpleNamespace as MQARConfig\n",
}
"""A stand-in for Zoology's modules, with accuracies by learning rate and epoch."""


@pytest.fixture
def zoology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout of the stand-in."""
    checkout = tmp_path / "checkout"
    for name, text in ZOOLOGY.items():
        file = checkout / "zoology" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(sys.modules)
    yield checkout
    for name in sys.modules.keys() - before.keys():
        if name.split(".")[0] in ("zoology", "wandb", "torchvision"):
            del sys.modules[name]


def set_accuracies(checkout: Path, accuracies: dict[float, list[float | None]]) -> None:
    """Set the accuracies by learning rate, after each epoch; None for an error in the epoch."""
    (checkout / "zoology" / "accuracies.json").write_text(json.dumps(accuracies))


def test_zoologys_training_ends_before_the_epoch_for_which_there_is_no_time(
    zoology: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_accuracies(zoology, {1e-3: [0.1, 0.2, 0.3], 2e-3: [0.1, 0.995]})
    load_zoology(zoology)
    seen: list[int] = []

    def train(lr: float, seconds: float) -> dict[str, Any]:
        return train_with_zoology(
            run_of("attention", lr=lr),
            tmp_path,
            lambda so_far: seen.append(len(so_far["curve"])),
            time.monotonic() + seconds,
        )

    found = train(1e-3, 0.03)
    assert [point["accuracy"] for point in found["curve"]] == [0.1] and found["end"] == "time"
    found = train(1e-3, 60)
    assert [point["examples"] for point in found["curve"]] == [100, 200, 300] and found["end"] == "epochs"
    assert train(2e-3, 60)["end"] == "accuracy"
    assert found["parameters"] == 9 and 0 < found["examples_per_s"] < 100 / 0.02
    assert seen == [1, 1, 2, 3, 1, 2] and "hidden" not in capsys.readouterr().out


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["mqar", *arguments])
    mqar.main()


def test_zoology_takes_our_best_rates_first_and_keeps_what_it_had(
    zoology: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = {0.1: 0.3, 0.2: 0.5, 0.3: 0.4}
    monkeypatch.setattr(mqar, "train_with_ours", lambda run, fresh: result(run.lr, ours[run.lr]))
    set_accuracies(zoology, {0.2: [0.4, None], 0.3: [0.1, 0.999], 0.1: [0.2, 0.2]})
    out = tmp_path / "mqar.json"
    arguments = [str(zoology), "--models", "attention", "--sizes", "16x2", "--batch-size", "50"]
    arguments += ["--epochs", "2", "--lr", "0.1", "0.2", "0.3", "--out", str(out)]
    run_command(monkeypatch, *arguments)
    (one,) = read_json(out)["measured"]
    assert [run["lr"] for run in one["ours"]] == [0.1, 0.2, 0.3]
    first, second = one["zoology"]  # 0.1 is not tried after 0.3 has reached the accuracy
    assert (first["lr"], len(first["curve"]), first["failed"]) == (0.2, 1, "RuntimeError: out of memory")
    assert (second["lr"], second["end"]) == (0.3, "accuracy") and one["ratio"] > 0
    assert "| attention | (16, 2)" in capsys.readouterr().out and out.with_suffix(".svg").exists()

    before = out.read_bytes()
    with pytest.raises(InputError, match=r"mqar.json exists; pass another file with --out"):
        run_command(monkeypatch, *arguments)
    assert out.read_bytes() == before


def test_no_run_begins_after_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqar, "train_with_ours", lambda run, fresh: pytest.fail("it was trained"))
    out = tmp_path / "mqar.json"
    arguments = ["--models", "mamba", "--sizes", "64x4", "--no-baseline", "--minutes", "1e-9"]
    run_command(monkeypatch, str(tmp_path), *arguments, "--out", str(out))
    assert read_json(out)["measured"][0]["ours"] == []


def test_files_of_several_learning_rates_become_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"model": "attention", "length": 64, "pairs": 4}
    runs: list[dict[str, Any]]
    runs = [{"ours": [result(1e-3, 0.6)], "zoology": [result(1e-3, 0.3)]},
            {"ours": [result(1e-2, 0.9, speed=8000.0)], "zoology": [], "ratio": 1.0}]  # fmt: skip
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    for file, one in zip(files, runs, strict=True):
        write_json(file, {"measured": [{**about, **one}], "machine": file.stem})
    out = tmp_path / "both.json"
    mqar_report.main([*map(str, files), str(files[0]), "--out", str(out)])
    content = read_json(out)
    assert [one["machine"] for one in content["files"]] == ["1", "2", "1"]
    (one,) = content["measured"]
    assert [run["lr"] for run in one["ours"]] == [1e-3, 1e-2] and one["ratio"] == 8.0
    assert "0.900" in capsys.readouterr().out and out.with_suffix(".png").exists()
    with pytest.raises(SystemExit, match="both.json exists; pass another file with --out"):
        mqar_report.main([str(files[0]), "--out", str(out)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "Input should be"),
        ({"measured": []}, "measured: List should have at least 1 item"),
        ({"measured": [{"ours": 3}]}, "measured.0.model: Field required"),
        ({"measured": [{**MEASURED[1], "model": ["mamba"]}]}, "measured.0.model: "),
        ({"measured": [{**MEASURED[1], "ours": [{"lr": 1e-3}]}]}, "measured.0.ours.0"),
        ({"measured": [{**MEASURED[1], "ours": [{**result(1e-3), "curve": [{}]}]}]}, "measured.0.ours.0"),
        ({"measured": [{**MEASURED[1], "zoology": [result(1e-3, 0.5, speed=0.0)]}]}, "measured.0.zoology.0"),
        ({"measured": [{**MEASURED[1], "zoology": [result(1e-3, math.nan)]}]}, "measured.0.zoology.0"),
    ],
)
def test_files_of_others_are_refused_and_nothing_is_written(
    content: Any, message: str, tmp_path: Path
) -> None:
    write_json(tmp_path / "bad.json", content)
    with pytest.raises(SystemExit, match=f"bad.json was not written by synthetic_training.* {message}"):
        mqar_report.main([str(tmp_path / "bad.json"), "--out", str(tmp_path / "out.json")])
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


def test_merging_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is nothing to merge; pass files"):
        mqar_report.main(["--out", str(tmp_path / "out.json")])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--minutes", "0", "minutes must be a number above 0, not 0.0"),
        ("--minutes", "inf", "minutes must be a number above 0, not inf"),
        ("--lr", "-1", "lr must be learning rates above 0"),
        ("--width", "0", "hidden_size of .* must be an integer of at least 1, not 0"),
        ("--layers", "0", "num_hidden_layers of .* must be an integer of at least 1, not 0"),
        ("--batch-size", "0", "batch_size must be an integer of at least 1, not 0"),
        ("--epochs", "0", "steps = 0: it should be greater"),
        ("--seed", "-1", "seed = -1: it should be greater"),
        ("--sizes", "64", "size '64' is not LENGTHxPAIRS, such as 64x4"),
        ("--sizes", "32x4", "Zoology has no batch size for 32 tokens; pass --batch-size"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_trained(
    option: str, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=message):
        run_command(monkeypatch, str(tmp_path), option, value, "--no-baseline")


@pytest.mark.parametrize("name", ["models", "sizes"])
def test_a_comparison_of_nothing_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=f"there are no {name} to compare; omit --{name}"):
        run_command(monkeypatch, str(tmp_path), "--no-baseline", f"--{name}")


def test_a_folder_without_zoology_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a checkout of https://github.com/HazyResearch/zoology"):
        load_zoology(tmp_path)
