"""Models of the same name but with other weights are rows of their own in reports."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from lm_eval_tasks.results.rows import read_scores, row_labels
from lm_eval_tasks.weights_checksum import weights_checksum
from tests.evaluation import evaluate
from tests.models import byte_tokenizer, tiny_model
from tests.result_files import result_file
from tests.scripted import Scripted, look_up


def hf(model: Any) -> HFLM:
    return HFLM(pretrained=model, tokenizer=byte_tokenizer(), device="cpu", max_length=512)


def test_the_checksum_changes_with_the_weights_and_is_recorded() -> None:
    model = tiny_model("llama")
    other = deepcopy(model)
    optimizer = torch.optim.SGD(other.parameters(), 1e-3)
    other(torch.arange(20)[None]).logits.sum().backward()
    optimizer.step()
    checksums = [weights_checksum(hf(one)) for one in (model, deepcopy(model), other)]
    assert checksums[0] == checksums[1] != checksums[2] and None not in checksums
    recorded = [
        evaluate(hf(one), "string_copy_n_forced", length=5, num_docs=1)["configs"]["string_copy_n_forced"]
        for one in (model, other)
    ]
    assert [config["metadata"]["weights"] for config in recorded] == checksums[::2]


class Quantized(torch.nn.Parameter):
    pass


def test_weights_that_are_not_ordinary_tensors_in_this_process_have_none() -> None:
    model = tiny_model("llama")
    assert weights_checksum(Scripted(look_up)) is None
    model.lm_head.weight = Quantized(model.lm_head.weight.data)
    assert weights_checksum(hf(model)) is None
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.data.to("meta"))
    lm = hf(tiny_model("llama"))
    lm._model = model
    assert weights_checksum(lm) is None


@pytest.mark.parametrize(
    ("weights", "rows"),
    [
        (("aaaaaaaa1", "bbbbbbbb1"), ["model, weights aaaaaaa", "model, weights bbbbbbb"]),
        (("aaaaaaaa1", "aaaaaaaa1"), ["model"]),
        (("aaaaaaaa1", None), ["model"]),
        ((None, None), ["model"]),
        (([1], [2]), ["model, weights [1]", "model, weights [2]"]),
        (("aaaaaaaa1", None, "bbbbbbbb1"), ["model", "model, weights aaaaaaa", "model, weights bbbbbbb"]),
    ],
)
def test_known_weights_distinguish_models(weights: tuple[Any, ...], rows: list[str], tmp_path: Path) -> None:
    """Also if the models were evaluated at different lengths, which would otherwise be one row."""
    for number, one in enumerate(weights):
        metadata = {} if one is None else {"weights": one}
        task = f"phone_book_{20 * (1 + number)}"
        result_file(tmp_path, {task: number / 4}, metadata=metadata, date=1.7e9 + number)
    assert row_labels(read_scores([tmp_path])) == rows
