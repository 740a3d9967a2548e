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
from dataset_builders.files import read_json
from synthetic_training.config import TrainConfig, differing
from synthetic_training.data.documents.byte_tokenizer import byte_tokenizer
from synthetic_training.figures.results import read_results
from synthetic_training.models.saved import save_tokenizer
from synthetic_training.settings import read_settings

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
    documents = list(phone_book.rows(entries, count))
    asked = tokenizer([one["prompt"] for one in documents], padding=True, return_tensors="pt")
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)[:, asked.input_ids.shape[1] :]
    answers = [tokenizer.decode(ids) for ids in made]
    return sum(a == f" {one['answer']}\n" for a, one in zip(answers, documents, strict=True))


def test_the_transformer_finds_numbers_in_books_of_the_benchmark() -> None:
    assert answers_right("transformer", 20, 8) >= 7


@pytest.mark.parametrize(("name", "labels"), [("transformer", ["T_rope"]), ("mamba", ["mamba", "mamba_hf"])])
def test_the_pair_is_trained_as_its_sweep_and_at_the_best_rate_of_it(name: str, labels: list[str]) -> None:
    package = Path(synthetic_training.__file__).parent
    config = TrainConfig(**read_settings(package / "configs" / f"pair_{name}.yaml"))
    sweep = read_results(package / "figures" / "results" / "pair_learning_rates_paper.jsonl")
    tried = [line for line in sweep if line["label"] in labels]
    best = min(tried, key=lambda line: line["final_loss"])["config"]
    assert (config.model, config.lr) == (best["model"], best["lr"])
    same = (
        "model_args",
        "task",
        "mix",
        "context_loss_weight",
        "context_length",
        "batch_size",
        "warmup_steps",
        "weight_decay",
    )
    for line in tried:
        assert {key: line["config"][key] for key in same} == {key: getattr(config, key) for key in same}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_model_was_trained_as_its_settings_say(folder: Path) -> None:
    written = read_settings(Path(synthetic_training.__file__).parent / "configs" / f"pair_{folder.name}.yaml")
    trained = read_json(folder / "run.json")
    assert not differing(
        TrainConfig(**{**written, "device": "cuda", "precision": "bf16"}), TrainConfig(**trained["config"])
    )
    assert re.fullmatch("[0-9a-f]{40}", trained["git_revision"])
    weights = load_file(folder / "model.safetensors")
    assert sum(w.numel() for w in weights.values()) == trained["parameters"]


def test_the_pair_is_equal_in_size_and_data() -> None:
    runs = [read_json(folder / "run.json") for folder in FOLDERS]
    assert [folder.name for folder in FOLDERS] == ["mamba", "transformer"]
    sizes = [run["parameters"] for run in runs]
    assert max(sizes) < 1.01 * min(sizes)
    assert set(differing(*(TrainConfig(**run["config"]) for run in runs))) == {"model", "model_args", "lr"}


def test_the_mamba_knows_small_books_and_not_large_ones() -> None:
    """It answers books of five entries, so its failures on larger books are not a loading error."""
    assert answers_right("mamba", 5, 8) >= 6
    assert answers_right("mamba", 30, 4) <= 1
