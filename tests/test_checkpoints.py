"""The trained models in the repository."""

import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import synthetic_training
from dataset_builders import phone_book
from dataset_builders.device_functions import use_kernels_where_they_work
from dataset_builders.files import read_json
from synthetic_training.bundled.recipe import best_run
from synthetic_training.config import TrainConfig, differing
from synthetic_training.data.documents.byte_tokenizer import byte_tokenizer
from synthetic_training.figures.results import read_results
from synthetic_training.figures.stages import read_stages
from synthetic_training.models.saved import save_tokenizer

FOLDERS = sorted(
    f.parent for f in (Path(synthetic_training.__file__).parent / "checkpoints").glob("*/config.json")
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_model_is_stock_and_small(folder: Path) -> None:
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    assert {f.suffix for f in folder.iterdir()} <= {".json", ".jsonl", ".md", ".safetensors"}
    assert "auto_map" not in (folder / "config.json").read_text()
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "transformers")
    for part in ("## Data", "## Training", "## Scores", "## What it is not for"):
        assert part in card.text


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_tokenizer_is_what_the_trainer_saves_with_a_model_of_bytes(
    folder: Path, tmp_path: Path
) -> None:
    save_tokenizer(byte_tokenizer(4096), tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert read_json(folder / name) == read_json(tmp_path / name)


@torch.no_grad()
def answers_right(name: str, entries: int, count: int) -> int:
    """The number of right answers of a bundled model to the benchmark's books."""
    folder = next(folder for folder in FOLDERS if folder.name == name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    use_kernels_where_they_work(model)
    documents = list(phone_book.rows(entries, count))
    asked = tokenizer([one["prompt"] for one in documents], padding=True, return_tensors="pt")
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)[:, asked.input_ids.shape[1] :]
    answers = [tokenizer.decode(ids) for ids in made]
    return sum(a == f" {one['answer']}\n" for a, one in zip(answers, documents, strict=True))


@pytest.mark.parametrize("name", ["hybrid", "transformer"])
def test_attention_finds_numbers_in_books_of_the_benchmark(name: str) -> None:
    assert answers_right(name, 20, 8) >= 7


RESULTS = Path(synthetic_training.__file__).parent / "figures" / "results"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_model_is_the_best_seed_at_the_best_rate_of_its_sweep(folder: Path) -> None:
    tried = [
        r for r in read_results(RESULTS / "trio_learning_rates_paper.jsonl") if r["label"] == folder.name
    ]
    seeds = [r for r in read_results(RESULTS / "trio_paper.jsonl") if r["label"] == folder.name]
    assert sorted(r["seed"] for r in seeds) == [0, 1, 2]
    rate = min(tried, key=lambda r: r["final_loss"])["config"]["lr"]
    assert {r["config"]["lr"] for r in seeds} == {rate}
    rates = sorted(r["config"]["lr"] for r in tried)
    assert rates[0] < rate < rates[-1]  # so a better one is not likely to be outside
    trained = read_json(folder / "run.json")
    assert trained["config"] == best_run(seeds)["config"]
    assert re.fullmatch("[0-9a-f]{40}", trained["git_revision"])
    weights = load_file(folder / "model.safetensors")
    assert sum(w.numel() for w in weights.values()) == trained["parameters"]
    same = set(differing(TrainConfig(**tried[0]["config"]), TrainConfig(**trained["config"])))
    assert same <= {
        "lr",
        "steps",
        "seed",
        "eval_every",
        "eval_lengths",
        "eval_examples",
        "save_every",
        "pool_rows",
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_model_was_trained_as_the_figure_says(folder: Path) -> None:
    trained = TrainConfig(
        **{**read_json(folder / "run.json")["config"], "device": "auto", "precision": "auto"}
    )
    stage = read_stages(["trio"], "paper", models=[folder.name])[-1]
    assert any(not differing(trained, run.config) for run in stage.planned)


def test_the_trio_is_equal_in_size_and_data() -> None:
    runs = [read_json(folder / "run.json") for folder in FOLDERS]
    assert [folder.name for folder in FOLDERS] == ["hybrid", "mamba", "transformer"]
    sizes = [run["parameters"] for run in runs]
    assert max(sizes) < 1.01 * min(sizes)
    for one in runs[1:]:
        both = TrainConfig(**runs[0]["config"]), TrainConfig(**one["config"])
        assert set(differing(*both)) <= {"model", "model_args", "lr", "seed", "embedding_std"}


def test_the_mamba_knows_small_books_and_not_large_ones() -> None:
    """It answers books of five entries, so its failures on larger books are not a loading error."""
    assert answers_right("mamba", 5, 8) >= 6
    assert answers_right("mamba", 40, 4) <= 2
