"""The parts of the comparison with Zoology's trainer that need neither a GPU nor a checkout."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import read_json
from dataset_builders.mqar import Mqar
from synthetic_training.config import differing
from synthetic_training.data.training_data import training_data
from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.plan import plan
from synthetic_training.models.sizes import count_parameters
from synthetic_training.speed import mqar
from synthetic_training.speed.mqar_run import Model, MqarRun, train_config, train_with_ours
from synthetic_training.speed.zoology_trainer import load_zoology, train_with_zoology
from tests.mqar_results import result


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


def test_the_figure_trains_mamba_with_these_settings() -> None:
    runs = [run.config for run in plan(read_figure(shipped()["mqar"]).scales["paper"], "mqar")]
    for config in (one for one in runs if one.model == "mamba"):
        width: Any = config.model_args["hidden_size"]
        sizes = width, 2, 100_000, config.batch_size, 64
        run = MqarRun("mamba", config.mqar, *sizes, config.lr, config.seed)
        assert differing(config, train_config(run, fresh=False)) == []


def test_our_trainer_trains_the_attention_model() -> None:
    found = train_with_ours(run_of("attention"), fresh=False)
    assert [point["examples"] for point in found["curve"]] == [100, 200, 300]
    assert found["end"] == "epochs" and found["examples_per_s"] > 0 and found["lr"] == 1e-3
    assert (found["seed"], found["precision"]) == (5, "fp32")
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
    "model.py": """
class TokenEmbeddings:
    def __init__(self, device="cuda"): pass


class LanguageModel:
    def forward(self, input_ids, state=None): pass
""",
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


def test_a_revision_whose_model_returns_no_logits_is_refused(zoology: Path) -> None:
    set_accuracies(zoology, {})
    model = zoology / "zoology" / "model.py"
    model.write_text(model.read_text().replace("state=None", "return_embeddings=True"))
    with pytest.raises(InputError, match=f"hidden states.*; run: git -C {zoology} checkout dbcb60d"):
        load_zoology(zoology)
