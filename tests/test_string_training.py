"""String tasks from the command line: training, evaluation, and evaluation in lm-eval."""

import json
from pathlib import Path

import pytest

from dataset_builders.string_tasks import Reverse
from synthetic_training.__main__ import main
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.evaluation.strings import evaluated_tasks
from synthetic_training.training.run import train
from tests.evaluation import evaluate as evaluate_with_lm_eval
from tests.evaluation import scores
from tests.string_examples import NAMES
from tests.tiny_run import SETTINGS, tiny

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.mark.parametrize("task", NAMES)
def test_every_task_is_trained_on_and_evaluated(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, result = tmp_path / "run", tmp_path / "result.json"
    config = tmp_path / "config.yaml"
    settings = {"max_length": 10, "min_length": 6, "eval_lengths": [10], "context_length": 40, "steps": 12}
    config.write_text(json.dumps({**SETTINGS, **settings, "vocabulary": 5, "task": task}))
    main(["train", "--config", str(config), "--out", str(run)])
    evaluating = ["evaluate", str(run), "--lengths", "8", "--num-examples", "10"]
    main([*evaluating, "--out", str(result)])
    content = json.loads(result.read_text())
    assert content["config"]["task"] == task and content["results"][0]["num_examples"] == 10
    capsys.readouterr()
    main([*evaluating, "--documents", "benchmark", "--generate"])
    assert capsys.readouterr().out.count("[") == 3


def test_only_the_length_of_the_key_carries_over_to_another_task() -> None:
    trained = {"task": "suffix_ngram", "n": 2, "k": 4, "vocabulary": 5}
    (same,) = evaluated_tasks(EvaluateConfig(Path("run"), lengths=(9,)), trained)
    assert (same.name, same.vocabulary, same.settings) == ("suffix_ngram", 5, {"n": 2, "k": 4})
    (other,) = evaluated_tasks(EvaluateConfig(Path("run"), task="prefix_ngram", lengths=(9,)), trained)
    assert (other.name, other.vocabulary, other.settings) == ("prefix_ngram", 5, {"n": 2, "k": None})


@pytest.mark.slow
def test_a_model_learns_to_reverse_and_lm_eval_agrees(tmp_path: Path) -> None:
    config = tiny(
        task=Reverse.name,
        model="T_rope",
        model_args=SIZES,
        vocabulary=26,
        min_length=1,
        max_length=4,
        context_length=64,
        batch_size=16,
        steps=600,
        lr=3e-3,
        eval_every=600,
        save_every=600,
    )
    run = tmp_path / "run"
    model = train(config, run)
    (score,) = evaluate(EvaluateConfig(run, lengths=(4,), num_examples=200))["results"]
    assert score["string_accuracy"] > 0.9
    ours = evaluate(EvaluateConfig(run, lengths=(4,), num_examples=100, documents="benchmark", generate=True))
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=str(model), device="cpu", batch_size=16)
    results = evaluate_with_lm_eval(lm, "string_reverse_n", length=4, num_docs=100, spelling="symbols")
    assert scores(results, "string_reverse_n")["exact_match"] == ours["results"][0]["exact_match"]
