"""The parts of the comparison with Zoology's trainer that need neither a GPU nor a checkout."""

from pathlib import Path

import pytest

from dataset_builders import InputError
from dataset_builders.mqar import Mqar
from synthetic_training.data.training_data import training_data
from synthetic_training.speed.mqar import train_config
from synthetic_training.speed.mqar_report import save, table
from synthetic_training.speed.zoology_trainer import ZoologyRun, load_zoology
from tests.figure_lines import rows_of

CURVES = {
    "ours_curve": [{"examples": 99_840, "accuracy": 0.5}, {"examples": 199_680, "accuracy": 0.995}],
    "zoology_curve": [{"examples": 100_000 * i, "accuracy": 0.1 * i} for i in (1, 2, 3)],
}


def test_accuracies_are_compared_after_the_same_examples(tmp_path: Path) -> None:
    one = {"model": "attention", "length": 64, "pairs": 4, **CURVES}
    one |= {"ours_examples_per_s": 600_000.0, "zoology_examples_per_s": 50_000.0, "ratio": 12.0}
    failed = {"model": "mamba", "length": 64, "pairs": 4, "ours_curve": CURVES["ours_curve"],
              "ours_examples_per_s": 1.0, "zoology_failed": "InputError: no mamba_ssm"}  # fmt: skip
    _, _, *rows = rows_of(table([one, failed]))
    assert rows == [
        ["attention", "(64, 4)", "199,680", "0.200", "0.995", "0.300", "0.995", "50,000", "600,000", "12.0x",
         "10x"],
        ["mamba", "(64, 4)", "199,680", "failed", "0.995", "failed", "0.995", "failed", "1", "", "4x"],
    ]  # fmt: skip
    _, svg = save([one, failed], tmp_path / "mqar.json")
    assert svg.name == "mqar.svg" and "<!-- Zoology's trainer -->" in svg.read_text()


@pytest.mark.parametrize("model", ["attention", "mamba"])
def test_both_trainers_have_the_same_settings(model: str, tmp_path: Path) -> None:
    task = Mqar(64, 4, 128, random_non_queries=False)
    run = ZoologyRun(model, task, 32, 2, 1000, 50, 3, 1e-3, 0.99, 5, tmp_path)
    config = train_config(run, fresh=False)
    assert config.mqar == task and config.fixed_examples == 1000 and config.seed == 5
    assert (config.steps, config.eval_every, config.batch_size, config.lr) == (60, 20, 50, 1e-3)
    assert config.model_args["hidden_size"] == 32 and config.model_args["num_hidden_layers"] == 2
    assert train_config(run, fresh=True).fixed_examples is None
    assert training_data(config).tokens["vocab_size"] == 128


def test_a_folder_without_zoology_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a checkout of https://github.com/HazyResearch/zoology"):
        load_zoology(tmp_path)
