"""Measures how tokenizers split the strings of ``string_copy`` in each spelling for pretrained models.

python -m lm_eval_tasks.speed.spelling TOKENIZER [TOKENIZER ...]
"""

from typing import Annotated

import tyro

from dataset_builders.command_line import cli, command_errors
from dataset_builders.markdown import markdown_table
from dataset_builders.sources.tokenizer import TextTokenizer, load_tokenizer
from dataset_builders.string_tasks.documents import rows


def main(
    tokenizers: Annotated[tuple[str, ...], tyro.conf.Positional], length: int = 20, num_docs: int = 200
) -> None:
    """Print tokens per letter, and how often a string is split in the same way in question and answer.

    Args:
        tokenizers: Names on the Hub, folders or tokenizer.json files.
        length: Letters per string.
        num_docs: Number of documents.
    """
    lines = []
    for name in tokenizers:
        tokenizer = load_tokenizer(name)
        for spelling in ("plain", "spaced"):
            answers = [row["answer"] for row in rows("copy", length, num_docs, 0, spelling)]
            tokens = sum(len(tokenizer.encode(f" {answer}")) for answer in answers)
            alike = sum(_pieces(tokenizer, f" {answer}") == _pieces(tokenizer, answer) for answer in answers)
            letters = f"{tokens / length / num_docs:.2f}"
            lines.append([name, spelling, letters, f"{alike} of {len(answers)}"])
    headers = ["tokenizer", "spelling", "tokens per letter", "cut alike"]
    print(markdown_table(headers, lines))


def _pieces(tokenizer: TextTokenizer, text: str) -> list[str]:
    return [tokenizer.decode([token]).strip() for token in tokenizer.encode(text)]


if __name__ == "__main__":
    with command_errors():
        cli(main, prog="python -m lm_eval_tasks.speed.spelling")
