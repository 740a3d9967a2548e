"""The example of PROBE.md, with fewer steps."""

import json
import os
import runpy
import socket
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from lm_eval_tasks.results.rows import read_scores
from tests.forked import Forked

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "recall_probe.py"


def test_the_example_trains_and_is_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE))["main"](steps=4, every=2, num_docs=4)
    scores = read_scores([tmp_path / "tiny_llama"])
    assert {(score.checkpoint.step, score.length) for score in scores if score.checkpoint} == {
        (step, length) for step in (0, 2, 4) for length in (5, 10, 20)
    }
    likelihood = {
        score.checkpoint.step: score.values["logprob_per_token"][0]
        for score in scores
        if score.checkpoint and score.length == 10
    }
    assert (likelihood[4] or 0) > (likelihood[0] or 0)


def test_the_committed_results_start_from_the_weights_of_the_seed(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE))["main"](out=tmp_path / "again", steps=1, every=10)

    def first(folder: Path) -> dict[int, float]:
        scores = read_scores([folder / "results_step0.json"])
        return {score.length: score.values["logprob_per_token"][0] or 0 for score in scores}

    committed = first(EXAMPLE.parent / "tiny_llama" / "recall_probe")
    assert first(tmp_path / "again" / "recall_probe") == pytest.approx(committed, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "--every must be an integer of at least 1, not 0"),
        ({"steps": -1}, "--steps must be an integer of at least 1, not -1"),
        ({"num_docs": 1}, "--num-docs must be an integer of at least 2, not 1"),
        ({"seed": -1}, "--seed must be an integer of at least 0, not -1"),
        ({"seed": 2**32}, "--seed must be at most 4294967295, not 4294967296"),
        ({"out": EXAMPLE}, f"{EXAMPLE} cannot be written: {EXAMPLE} is not a folder"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        runpy.run_path(str(EXAMPLE))["main"](**options)
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


TRAIN = """
import json, runpy, sys
from pathlib import Path
from transformers import Trainer

def train(trainer, train=Trainer.train):
    train(trainer)
    norm = sum(float(p.detach().double().norm()) for p in trainer.model.parameters())
    found = [norm, trainer.args.world_size]
    Path(f"rank{trainer.args.process_index}.json").write_text(json.dumps(found))

Trainer.train = train
runpy.run_path(sys.argv[1])["main"](steps=2, every=2, num_docs=2)
"""


def test_two_processes_train_one_model_on_cpus(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        launched = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    pair = [
        Forked(
            ["-c", TRAIN, EXAMPLE],
            tmp_path,
            {**os.environ, **launched, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    shown = [process.communicate(timeout=200) for process in pair]
    assert [process.wait() for process in pair] == [0, 0], shown
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first == second and first[1] == 2
    files = {file.name for file in (tmp_path / "tiny_llama").rglob("*") if file.is_file()}
    assert files == {"results_step0.json", "results_step2.json"}
