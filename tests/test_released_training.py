"""Training with the released code; a stub takes its place here."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset_builders.files import read_json
from synthetic_training.deviations import released_training

TRAINER = """
import torch

def train(args, model, dataset, to_token):
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    for step, batch in enumerate(dataset, start=1):
        assert model.training
        model(batch).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        if step > args.steps:
            break
"""

DATA = """
import torch

def get_tokenizer(args):
    return range(args.vocab_size + 4), {}, {}

class Batches:
    def __getitem__(self, index):
        return torch.ones(1)

def get_train_dataset(args, tokenizer):
    assert (args.min_train_len, args.context_len) == (5, 220)
    return Batches()
"""

EVALUATION = """
def evaluation(args, model, tokenizer, to_token):
    assert not model.training and args.min_eval_len == args.max_train_len == args.max_eval_len - 1
    print("many lines")
    return [-float(model.weight)], [0.0], [2 * -float(model.weight)]
"""


class Model(torch.nn.Module):
    """Its weight is the number of updates, times minus the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch * (self.weight - self.weight.detach()) + self.weight.detach()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def build(args: Namespace, vocabulary: int) -> Any:
        assert (args.model, args.layers, vocabulary) == ("mamba", 24, 30)
        return Model()

    monkeypatch.setattr(released_training, "build", build)
    monkeypatch.setattr(released_training, "_check_gpu", lambda: None)
    for name in ("train_utils", "data_utils", "test_utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, text in (("train_utils", TRAINER), ("data_utils", DATA), ("test_utils", EVALUATION)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def test_the_model_is_evaluated_after_the_steps_that_the_row_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "run.json"
    arguments = [str(folder), "--out", str(out), "--lr", "0.01", "--steps", "10", "--eval-every", "4"]
    path = [*sys.path]
    released_training.main(arguments)
    content = read_json(out)
    rows = [(row["step"], row["string_accuracy"], row["letter_accuracy"]) for row in content["results"]]
    assert [step for step, _, _ in rows] == [4, 8, 10]
    for step, strings, letters in rows:
        assert (strings, letters) == pytest.approx((step * 0.01, 2 * step * 0.01))
    assert content["parameters"] == 1 and content["config"]["seed"] == 0
    assert set(content["released_files"]) == {"train_utils", "data_utils", "test_utils"}
    assert "many lines" not in capsys.readouterr().out
    assert sys.path == path


def test_training_ends_in_time_with_one_more_evaluation(folder: Path) -> None:
    out = folder / "run.json"
    released_training.main([str(folder), "--out", str(out), "--minutes", "1e-9"])
    assert [row["step"] for row in read_json(out)["results"]] == [0]


def test_an_interrupted_run_keeps_its_evaluations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = "raise KeyboardInterrupt"
    (folder / "train_utils.py").write_text(
        TRAINER.replace("step > args.steps", "step == 7").replace("break", stopped)
    )
    arguments = [str(folder), "--out", str(folder / "run.json"), "--lr", "0.01", "--eval-every", "3"]
    with pytest.raises(SystemExit) as stop:
        released_training.main(arguments)
    assert stop.value.code == 130 and "the file has the evaluations so far" in capsys.readouterr().err
    assert [row["step"] for row in read_json(folder / "run.json")["results"]] == [3, 6]


def test_seeds_that_numpy_does_not_take_are_refused(folder: Path) -> None:
    with pytest.raises(SystemExit, match="error: seed must be at most 4294967295, not 4294967296"):
        released_training.main([str(folder), "--out", str(folder / "run.json"), "--seed", str(2**32)])


def test_without_a_gpu_it_ends_in_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        SystemExit, match="error: there is no GPU that PyTorch can use, and the released code"
    ):
        released_training.main([str(folder), "--out", str(folder / "run.json"), "--model", "T_rope"])
    assert not (folder / "run.json").exists()


def test_a_folder_without_the_released_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: .* has no train_utils.py; pass the folder synthetic_exps"):
        released_training.main([str(tmp_path), "--out", str(tmp_path / "run.json")])
    assert not [*tmp_path.iterdir()]


def test_rope_is_the_model_of_the_paper() -> None:
    args = Namespace(model="T_rope", hidden_size=1024, heads=16, layers=12)
    with torch.device("meta"):
        model = released_training.build(args, 30)
    assert sum(one.numel() for one in model.parameters()) == 151_218_176
