"""Models trained on MQAR from the command line, and logits only at the queries."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from dataset_builders.files import read_json
from dataset_builders.mqar import Mqar
from synthetic_training.__main__ import main
from synthetic_training.data.mqar.batches import MqarBatches
from synthetic_training.data.mqar.mqar_data import evaluate_mqar
from synthetic_training.data.training_data import training_data
from synthetic_training.evaluation.accuracy import Shard
from synthetic_training.models.output_positions import OutputPositions
from synthetic_training.models.registry import build_model
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.run_log import read_metrics
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.tiny_run import tiny

TOKENS = {"vocab_size": 40, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
SIZES = {"hidden_size": 16, "num_hidden_layers": 1}
MODELS: dict[str, dict[str, Any]] = {
    "T_rope": {**SIZES, "num_attention_heads": 1, "tie_word_embeddings": True},
    "T_alibi": {**SIZES, "num_attention_heads": 2},
    "mamba": {**SIZES, "state_size": 4},
    "lstm": SIZES,
    "tests.gated_linear_attention:GatedLinearAttention": {"hidden_size": 16},
}
MQAR = {"task": "mqar", "vocabulary": 16, "pairs": 2, "context_length": 16, "eval_lengths": [1, 2]}


def _model(name: str) -> Any:
    torch.manual_seed(0)
    return build_model(name, TOKENS, **MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_logits_at_positions_are_those_of_the_whole(name: str) -> None:
    model = _model(name)
    ids, positions = torch.randint(40, (3, 12)), torch.tensor([[5, 2], [11, 0], [3, 4]])

    def forward() -> Tensor:
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
        return logits

    whole = forward().gather(1, positions[:, :, None].expand(-1, -1, 40))
    with OutputPositions(model) as outputs:
        torch.testing.assert_close(outputs.logits(positions, forward), whole)
        assert forward().shape == (3, 12, 40)
        with pytest.raises(ZeroDivisionError):
            outputs.logits(positions, lambda: 1 / 0)
        assert forward().shape == (3, 12, 40)
    assert not any(module._forward_pre_hooks for module in model.modules() if type(module) is nn.Linear)


def test_a_step_is_that_of_all_logits() -> None:
    class AllLogits(MqarBatches):
        def batch(self, *arguments: Any, **named: Any) -> Any:
            packed = super().batch(*arguments, **named)
            object.__setattr__(packed, "predicted", None)
            return packed

    found = []
    for kind in (MqarBatches, AllLogits):
        model = _model("T_rope")
        step = TrainingStep(
            model,
            kind(Mqar(16, 2, 40), 4, seed=0),
            StepConfig(accumulation_steps=2),
            OptimizerConfig(0.1, 1.0),
            rows=4,
        )
        for number in range(3):
            step.run(number, 1e-2)
        found.append((step.read(), model.get_input_embeddings().weight))
    assert found[0][0].loss == pytest.approx(found[1][0].loss, rel=1e-5)
    assert found[0][0].examples == 12
    torch.testing.assert_close(found[0][1], found[1][1])


def test_accuracy_is_the_share_of_queries_that_are_answered_right() -> None:
    class Oracle(nn.Module):
        """Answers only the first query of each example."""

        device, config = torch.device("cpu"), None

        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            assert len(input_ids) > 0
            keys, values = input_ids[:, :8:2], input_ids[:, 1:8:2]
            logits = torch.zeros(*input_ids.shape, 40)
            for row, tokens in enumerate(input_ids.tolist()):
                place = next(i for i in range(8, len(tokens), 2) if tokens[i] in keys[row].tolist())
                logits[row, place, values[row][keys[row].tolist().index(tokens[place])]] = 1
            return type("Output", (), {"logits": logits})

    task = Mqar(32, 4, 40, random_non_queries=False)
    arguments: dict[str, Any] = {"seed": 0, "batch_tokens": 96, "bf16": False}
    score = evaluate_mqar(Oracle(), task, 10, shard=Shard(0, 1), **arguments)
    assert (score.length, score.num_examples, score.string_accuracy, score.string_accuracy_stderr) == (
        4,
        10,
        0.25,
        0,
    )
    assert score.letter_accuracy == score.exact_match == 0.25
    # two processes evaluate half of the examples each
    halves = [evaluate_mqar(Oracle(), task, 10, shard=Shard(i, 2), **arguments) for i in (0, 1)]
    assert [half.num_examples for half in halves] == [5, 5]
    # of more processes than examples, some evaluate none
    others = Shard(0, 16, lambda sums: sums.add_(torch.tensor([10.0, 2.5, 0.625])))
    assert evaluate_mqar(Oracle(), task, 10, shard=others, **arguments) == score


def test_evaluation_is_on_examples_that_training_does_not_have_and_in_evaluation_mode() -> None:
    class Recorder(nn.Module):
        device, config = torch.device("cpu"), None

        def __init__(self) -> None:
            super().__init__()
            self.rows: list[list[int]] = []
            self.modes: set[bool] = set()

        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            self.rows += input_ids.tolist()
            self.modes.add(self.training)
            return type("Output", (), {"logits": torch.zeros(*input_ids.shape, 40)})

    task, model = Mqar(32, 4, 40), Recorder()
    for seed, training in ((0, True), (1, False)):
        model.train(training)
        evaluate_mqar(model, task, 10, seed=seed, batch_tokens=96, bf16=False, shard=Shard(0, 1))
        assert model.training == training and model.modes == {False}
    trained = [
        row
        for seed in (0, 1)
        for fixed in (None, 10)
        for row in MqarBatches(task, 10, seed, fixed_examples=fixed).batch(0).input_ids.tolist()
    ]
    assert len({tuple(row) for row in model.rows}) == len(model.rows) == 20
    assert not {tuple(row) for row in model.rows} & {tuple(row) for row in trained}


def test_a_model_is_trained_and_evaluated_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["--task", "mqar", "--vocabulary", "8", "--pairs", "2", "--context-length", "8"]
    arguments += ["--model", "lstm", "--model-args", "hidden_size=32", "num_hidden_layers=2"]
    arguments += ["--task-args", "random_non_queries=false", "power_a=1", "--fixed-examples", "4096"]
    arguments += ["--steps", "240", "--batch-size", "32", "--lr", "1e-2", "--warmup-steps", "20"]
    arguments += ["--eval-every", "240", "--eval-lengths", "1", "2", "--device", "cpu"]
    main(["train", *arguments, "--out", str(run)])
    assert re.search(r"step 240: accuracy [.\d]+ at 1, [.\d]+ at 2 pairs", capsys.readouterr().out)
    scores = [record for record in read_metrics(run / "metrics.jsonl") if record["kind"] == "eval"]
    assert [score["length"] for score in scores] == [1, 2]
    # half of the queries are right if either of the two values is answered
    assert scores[1]["string_accuracy"] > 0.8
    assert scores[1]["examples"] == 240 * 32
    assert read_json(run / "run.json")["config"]["pairs"] == 2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert tokenizer("3 7 0").input_ids == [3, 7, 0] and tokenizer.decode([3, 7]) == "3 7"
    evaluated = ["evaluate", str(run), "--num-examples", "128", "--lengths"]
    main([*evaluated, "1", "2", "--out", str(tmp_path / "scores.json")])
    content = read_json(tmp_path / "scores.json")
    # the same examples as in training's own evaluation
    for found, expected in zip(content["results"], scores, strict=True):
        assert found["length"] == expected["length"] and found["num_examples"] == 128
        assert found["string_accuracy"] == pytest.approx(expected["string_accuracy"])
    # without --lengths, at the numbers of pairs of training, and with one accuracy
    capsys.readouterr()
    main(["evaluate", str(run), "--num-examples", "128"])
    header, _, *rows = capsys.readouterr().out.splitlines()[:4]
    assert header.split() == ["|", "pairs", "|", "examples", "|", "accuracy", "|"]
    assert [row.split()[1] for row in rows] == ["1", "2"]
    main(["plot", str(run), str(tmp_path / "scores.json"), "--out", str(tmp_path / "plots")])
    drawn = (tmp_path / "plots" / "accuracy_by_length.svg").read_text()
    assert "length (pairs)" in drawn and "string accuracy" not in drawn
    assert "run, 2 pairs" in (tmp_path / "plots" / "accuracy_by_examples.svg").read_text()
    for wrong, message in (
        (["3"], "context_length = 8 is too short: 3 pairs and their queries need 12 tokens"),
        (["2", "--generate"], "generate cannot be set for mqar"),
        (["2", "--documents", "benchmark"], "benchmark documents of mqar are evaluated with lm-eval"),
    ):
        with pytest.raises(SystemExit, match=message):
            main([*evaluated, *wrong])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context_length": 7}, "context_length = 7 is too short: 2 pairs and their queries need 8 tokens"),
        ({"eval_lengths": [5]}, "context_length = 16 is too short: 5 pairs and their queries need 20 tokens"),
        ({"task_args": {"gap": 1}}, "mqar has no setting 'gap'; it has power_a, random_non_queries"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training_data(tiny(**{**MQAR, **settings}))
