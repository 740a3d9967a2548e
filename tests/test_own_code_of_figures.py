"""A figure of the user's own model, whose code changes between two calls of reproduce."""

import sys
from pathlib import Path

import pytest

from dataset_builders import InputError
from synthetic_training.figures import job
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.plan import Run
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.stages import Stage, read_stages
from synthetic_training.training.run import train
from tests.tiny_figure import a_figure
from tests.tiny_run import SETTINGS

CODE = """
from torch import nn

class Changing(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)

    def forward(self, ids):
        return self.head(self.embed(ids).cumsum(1) / 8)
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage of a figure with two seeds of a model in ``changing.py``, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "changing", raising=False)
    Path("changing.py").write_text(CODE)
    runs = {"mine": {"model": "changing:Changing", "steps": 6, "eval_every": 6}}
    settings = {**SETTINGS, "model_args": {}}
    a_figure(tmp_path / "f.yaml", settings=settings, seeds=[0, 1], runs=runs, tests=[])
    (found,) = read_stages(["f.yaml"], "small")
    return found


def trained(run: Run) -> Path:
    folder = Path("out") / "runs" / run.name
    folder.parent.mkdir(parents=True, exist_ok=True)
    train(run.config, folder)
    return folder


def test_results_of_other_code_are_not_mixed_with_new_ones(stage: Stage) -> None:
    run, other = stage.planned
    result = job.trained(trained(run))
    head = {"figure": "f", "scale": "small", "label": "mine", "panel": None, "seed": 0, "sweep": {}}
    Ledger([stage], Path("out")).add(stage, {**head, **result, "run": run.name, "tests": []})
    reproduce("f.yaml", out=Path("out"), resume=True, dry_run=True)

    Path("changing.py").write_text(CODE.replace("/ 8", "/ 4"))
    sentence = (
        r"changing.py has changed since the run \(mine, seed 0\) in .*f_small.jsonl; restore the old code"
    )
    for arguments in ({"out": Path("out"), "resume": True}, {"out": Path("new"), "known": Path("out")}):
        with pytest.raises(InputError, match=sentence):
            reproduce("f.yaml", **arguments)  # type: ignore[arg-type]
    assert not Path("new").exists()
    assert [one["seed"] for one in Ledger([stage], Path("out")).results(stage)] == [0]
    assert other.name != run.name


def test_a_trained_model_of_other_code_is_not_evaluated_as_a_new_one(stage: Stage) -> None:
    folder = trained(stage.planned[0])
    Path("changing.py").write_text(CODE.replace("/ 8", "/ 4"))
    with pytest.raises(
        InputError, match=f"has changed since the run in {folder} began: changing.py; restore"
    ):
        reproduce("f.yaml", out=Path("out"))
