"""A table of the bytes in each part of the bundled models' state."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_builders import phone_book
from dataset_builders.inference_state import counted, state_of
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.documents.plan import Model
from lm_eval_tasks.state_size import before_query

ENTRIES = 5


def state_page(models: Sequence[Model]) -> str:
    """Table of the state of each model after it has read a phone book of 5 entries, as Markdown.

    Shapes are from a real cache object on PyTorch's ``meta`` device, which needs no weights.
    """
    headers = ["model", "tokens read", "part", "tensors", "shape of each", "bytes per number", "bytes"]
    rows = [row for model in models if model.folder for row in _rows(model.name, model.folder)]
    return f"# state\n\n## {ENTRIES} entries\n\n{markdown_table(headers, rows)}\n"


def _rows(name: str, folder: Path) -> Iterator[list[str]]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from dataset_builders.device_functions import use_kernels_where_they_work

    (document,) = phone_book.rows(ENTRIES, num_docs=1)
    tokens = AutoTokenizer.from_pretrained(folder)(before_query(document["prompt"], document)).input_ids
    with torch.device("meta"), torch.no_grad():
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).eval()
        use_kernels_where_they_work(model)
        state = state_of(model(torch.zeros(1, len(tokens), dtype=torch.int64), use_cache=True))
    parts = Counter((part, tuple(one.shape), one.element_size()) for part, one in counted(state))
    total = 0
    for (part, shape, size), count in parts.items():
        held = count * torch.Size(shape).numel() * size
        total += held
        words = [part, str(count), " x ".join(map(str, shape)), str(size), f"{held:,}"]
        yield [name, str(len(tokens)), *words]
    yield [name, str(len(tokens)), "all", "", "", "", f"{total:,}"]
