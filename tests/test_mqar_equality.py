"""The check that both trainers do the same, with a stand-in for Zoology's modules."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_builders.files import read_json
from synthetic_training.speed import mqar_equality
from tests.figure_lines import rows_of

ZOOLOGY = {
    "train.py": """
import torch


class Trainer:
    def __init__(self, model, train_dataloader, max_epochs, learning_rate, logger, **others):
        self.model, self.batches, self.epochs, self.logger = model, train_dataloader, max_epochs, logger
        self.adamw = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)

    def fit(self):
        print("hidden")
        for _ in range(self.epochs):
            for ids, targets, _ in self.batches:
                self.adamw.zero_grad()
                loss = torch.nn.functional.cross_entropy(self.model(ids).flatten(0, 1), targets.flatten())
                loss.backward()
                self.adamw.step()
                self.logger.log({"train/loss": loss})
""",
    "model.py": """
from torch import nn

from synthetic_training.models.registry import build_model


class TokenEmbeddings:
    def __init__(self, device="cuda"):
        pass


class LanguageModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        sizes = {"hidden_size": config.d_model, "num_hidden_layers": config.n_layers, "state_size": 16}
        model = build_model("mamba", {"vocab_size": config.vocab_size}, norm="final_layer", **sizes)
        embeddings = nn.ModuleDict({"word_embeddings": model.backbone.embeddings})
        parts = {"embeddings": embeddings, "layers": model.backbone.layers, "ln_f": model.backbone.norm_f}
        self.backbone, self.lm_head = nn.ModuleDict(parts), model.lm_head

    def forward(self, ids):
        x = self.backbone["embeddings"]["word_embeddings"](ids)
        for layer in self.backbone["layers"]:
            x = layer(x)
        return self.lm_head(self.backbone["ln_f"](x))
""",
    "config.py": """
from types import SimpleNamespace

TrainConfig = DataConfig = SimpleNamespace


class ModelConfig(SimpleNamespace):
    def __init__(self, sequence_mixer, **others):
        super().__init__(sequence_mixer=SimpleNamespace(**sequence_mixer), **others)
""",
    "data/multiquery_ar.py": "from types import SimpleNamespace as MQARConfig\n",
    "mixers/mamba.py": "",
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in ZOOLOGY.items():
        file = tmp_path / "checkout" / "zoology" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(sys.modules)
    yield tmp_path / "checkout"
    for name in sys.modules.keys() - before.keys():
        if name.split(".")[0] in ("zoology", "wandb", "torchvision"):
            del sys.modules[name]


@pytest.mark.parametrize(("weight_decay", "same"), [(0.1, True), (3.0, False)])
def test_a_trainer_that_does_something_else_is_found(
    weight_decay: float,
    same: bool,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = checkout / "zoology" / "train.py"
    file.write_text(f"WEIGHT_DECAY = {weight_decay}\n" + file.read_text())
    sizes = ["--length", "16", "--pairs", "2", "--width", "8", "--vocabulary", "40", "--batch-size", "8"]
    out = tmp_path / "equality.json"
    arguments = [str(checkout), "--models", "mamba", *sizes, "--steps", "4", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["mqar_equality", *arguments])
    mqar_equality.main()
    (one,) = read_json(out)["measured"]
    assert (
        one["last_losses"].keys() == {"ours", "zoology"}
        and one["logits"] < 1e-6
        and one["accuracy"].keys() == {"ours", "zoology"}
    )
    *_, row = rows_of(printed := capsys.readouterr().out)
    assert row[0] == "mamba" and "hidden" not in printed
    # a step whose loss differs; that of the first step does not depend on the optimizer
    assert row[3] == ("none" if same else "2")
