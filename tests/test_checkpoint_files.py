"""Checkpoints without a run: which are kept, and what comes back from the newest."""

from pathlib import Path

import pytest
import torch

from dataset_builders import InputError
from synthetic_training.data.symbol_tokenizer import symbol_tokenizer
from synthetic_training.models.registry import build_model
from synthetic_training.training.checkpoint import Checkpoints, Progress, load_optimizer, restore_weights
from synthetic_training.training.run_folder import CHECKPOINTS, RUN


def test_the_last_two_are_kept_and_the_newest_comes_back(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text("{}")
    folder, checkpoints = tmp_path / CHECKPOINTS, Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    model = build_model("lstm", hidden_size=8, num_hidden_layers=1)
    state = {"moment": torch.arange(6.0).view(2, 3).T, "step": torch.tensor(3.0)}
    for step in (8, 9, 10):  # by number, not by name
        with torch.no_grad():
            model.lm_head.weight.fill_(step)
        saved = checkpoints.save(model, symbol_tokenizer(32), state, Progress(step, 10 * step, 1.5 * step))
        (folder / "step_of_another").mkdir(exist_ok=True)
        (folder / f".step_{step + 1}.partial").mkdir()
    saved = checkpoints.save(model, symbol_tokenizer(32), state, Progress(10, 100, 15.0))
    assert saved == folder / "step_10", "a checkpoint of the same step is replaced"
    assert checkpoints.newest() == (saved, Progress(10, 100, 15.0))
    assert (saved / RUN).read_text() == "{}"
    assert {name: value.tolist() for name, value in load_optimizer(saved).items()} == {
        name: value.tolist() for name, value in state.items()
    }
    other = build_model("lstm", hidden_size=8, num_hidden_layers=1)
    restore_weights(other, saved)
    assert all(value.equal(model.state_dict()[name]) for name, value in other.state_dict().items())
    with pytest.raises(InputError, match="a different architecture from the run"):
        restore_weights(build_model("lstm", hidden_size=8, num_hidden_layers=2), saved)
    checkpoints.clean()
    assert {one.name for one in folder.iterdir()} == {"step_9", "step_10", "step_of_another"}
