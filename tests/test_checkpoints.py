"""The trained models that the package carries."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import synthetic_training
from dataset_builders import phone_book
from synthetic_training.config import checked, read_settings
from synthetic_training.figures.results import read_results

FOLDERS = sorted(
    f.parent for f in (Path(synthetic_training.__file__).parent / "checkpoints").glob("*/config.json")
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_model_is_stock_and_small(folder: Path) -> None:
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    assert {f.suffix for f in folder.iterdir()} <= {".json", ".jsonl", ".safetensors"}
    assert "auto_map" not in (folder / "config.json").read_text()


@torch.no_grad()
def test_the_transformer_finds_numbers_in_books_of_the_benchmark() -> None:
    folder = next(folder for folder in FOLDERS if folder.name == "transformer")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    documents = list(phone_book.rows(20, 8))
    asked = tokenizer([one["prompt"] for one in documents], padding=True, return_tensors="pt")
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)[:, asked.input_ids.shape[1] :]
    answers = [tokenizer.decode(ids) for ids in made]
    assert sum(a == f" {one['answer']}\n" for a, one in zip(answers, documents, strict=True)) >= 7


@pytest.mark.parametrize(("name", "label"), [("transformer", "T_rope"), ("mamba", "mamba")])
def test_the_pair_is_trained_as_its_sweep_and_at_the_best_rate_of_it(name: str, label: str) -> None:
    package = Path(synthetic_training.__file__).parent
    config = checked(read_settings(package / "configs" / f"pair_{name}.yaml"))
    sweep = read_results(package / "figures" / "results" / "pair_learning_rates_paper.jsonl")
    tried = [line for line in sweep if line["label"] == label]
    assert config.lr == min(tried, key=lambda line: line["final_loss"])["config"]["lr"]
    same = ("model", "model_args", "task", "mix", "rest", "context", "batch_size", "warmup", "weight_decay")
    for line in tried:
        assert {key: line["config"][key] for key in same} == {key: getattr(config, key) for key in same}
