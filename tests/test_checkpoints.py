"""The trained models that the package carries."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import synthetic_training
from dataset_builders import phone_book

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
