"""Pretrain a tiny Llama on strings to copy, and watch when it learns to recall.

    pip install 'repeat-after-me[hf]'
    python docs/examples/recall_probe.py
    python -m lm_eval_tasks report tiny_llama --out plots

The probe uses the documents of lm-eval's forced tasks (seed 0); the training texts have other seeds.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.utils.data import IterableDataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_folder
from dataset_builders.registry import find
from lm_eval_tasks.probe import RecallProbe

END = "<|endoftext|>"
ROW = 80  # tokens


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte, and one for the end of the text."""
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab={**vocabulary, END: 256}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


class Strings(IterableDataset[dict[str, torch.Tensor]]):
    """New strings of 4 to 10 letters with their copies, in the form of the benchmark's documents."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        builder = find("string_copy").builder
        seed = 0
        while True:
            seed += 1
            lengths = [
                builder(length=length, num_docs=256, seed=seed, spelling="plain") for length in range(4, 11)
            ]
            for documents in zip(*lengths, strict=True):
                for document in documents:
                    text = f"{document['prompt']} {document['answer']}\n"
                    ids = torch.tensor(self.tokenizer.encode(text)[:ROW])
                    padding = (0, ROW - len(ids))
                    yield {
                        "input_ids": torch.nn.functional.pad(ids, padding, value=256),
                        "labels": torch.nn.functional.pad(ids, padding, value=-100),
                    }


def main(
    out: Path = Path("tiny_llama"), steps: int = 1000, every: int = 100, num_docs: int = 100, seed: int = 0
) -> None:
    """Train for about a minute on a CPU core.

    Args:
        out: Folder for checkpoints and the probe's results.
        steps: Number of training steps.
        every: Number of training steps between two probes.
        num_docs: Number of documents per task.
        seed: Seed of the initial weights.
    """
    check_integer("--steps", steps, 1)
    check_integer("--every", every, 1)
    check_integer("--num-docs", num_docs, 2)
    check_integer("--seed", seed, 0, 2**32 - 1)
    check_folder(out)
    set_seed(seed)
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
        initializer_range=0.1,  # with the default, 0.02, such a narrow model learns much later
    )
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=32,
        learning_rate=3e-3,
        warmup_steps=steps // 20,
        logging_steps=every,
        save_strategy="no",
        report_to="none",
        seed=seed,
        # without a GPU, processes of torchrun train one model together only if this is set
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = Trainer(
        LlamaForCausalLM(config), arguments, train_dataset=Strings(tokenizer), processing_class=tokenizer
    )
    tasks = ["string_copy_5", "string_copy_10", "string_copy_20"]
    trainer.add_callback(
        RecallProbe(trainer, tasks, every=every, num_docs=num_docs, metadata={"spelling": "plain"})
    )
    trainer.train()


if __name__ == "__main__":
    with command_errors():  # invalid input is one sentence, without a traceback
        cli(main)
