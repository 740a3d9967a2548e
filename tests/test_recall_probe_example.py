"""The example of PROBE.md, with fewer steps."""

import runpy
from pathlib import Path

import pytest

from lm_eval_tasks.results.rows import read_scores

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
