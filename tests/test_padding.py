"""Answers must not depend on the batch: tested for real architectures with lm-eval's own model class."""

import logging
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from packaging.version import Version

from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.padding import PADDING_DEPENDENT, padding_dependence
from tests.models import ARCHITECTURES, byte_tokenizer, tiny_model

TASKS = ("phone_book_n", "phone_book_n_forced")
DOCUMENTS = 8


def build(task: str) -> Any:
    manager = TaskManager(
        include_path=TASKS_FOLDER,
        include_defaults=False,
        metadata={"entries": 3, "num_docs": DOCUMENTS},
    )
    built = manager.load([task])["tasks"][task]
    built.build_all_requests(limit=None, rank=0, world_size=1)
    return built


@cache
def answers(architecture: str, batch_size: int) -> tuple[list[str], list[tuple[float, bool]]]:
    lm = HFLM(
        pretrained=tiny_model(architecture),
        tokenizer=byte_tokenizer(),
        batch_size=batch_size,
        device="cpu",
    )
    generated, forced = (build(task).instances for task in TASKS)
    for request in generated:
        request.args[1]["max_gen_toks"] = 8
    return lm.generate_until(generated, True), lm.loglikelihood(forced, True)


def architectures(*faulty: str) -> list[Any]:
    """All architectures; some are expected to fail with an old transformers."""
    old = Version(transformers.__version__) < Version("5.17")
    fault = pytest.mark.xfail(old, reason=f"their code in transformers {transformers.__version__} is faulty")
    return [pytest.param(name, marks=fault if name in faulty else ()) for name in ARCHITECTURES]


# recurrent_gemma's answers depend on the length of the batch, xlstm's chunks must divide a prompt
@pytest.mark.parametrize("architecture", architectures("recurrent_gemma", "xlstm"))
def test_forced_scores_do_not_depend_on_the_batch(architecture: str) -> None:
    for one, eight in zip(answers(architecture, 1)[1], answers(architecture, 8)[1], strict=True):
        assert eight[0] == pytest.approx(one[0], rel=1e-4)
        assert eight[1] == one[1]


@pytest.mark.parametrize("architecture", architectures("recurrent_gemma", "xlstm"))
def test_generated_answers_depend_on_the_batch_where_the_list_says_so(architecture: str) -> None:
    one, eight = answers(architecture, 1)[0], answers(architecture, 8)[0]
    assert len(set(one)) > 1
    assert (one != eight) == (architecture in PADDING_DEPENDENT)


def test_every_architecture_of_the_list_is_measured() -> None:
    assert set(ARCHITECTURES) >= PADDING_DEPENDENT


@pytest.mark.parametrize(("batch_size", "warned"), [(8, True), (1, False)])
def test_a_dependence_is_warned_of(batch_size: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    from lm_eval import simple_evaluate

    lm = HFLM(pretrained=tiny_model("rwkv"), tokenizer=byte_tokenizer(), batch_size=batch_size, device="cpu")
    manager = TaskManager(
        include_path=TASKS_FOLDER, include_defaults=False, metadata={"entries": 3, "num_docs": 2}
    )
    with caplog.at_level(logging.WARNING):
        simple_evaluate(model=lm, tasks=list(TASKS), task_manager=manager)
    warnings = [r.getMessage() for r in caplog.records if "padding" in r.getMessage()]
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith("phone_book_n: the answers of rwkv models")
        assert "--batch_size 1, or run the forced tasks" in warnings[0]


def test_mamba_ssm_models_are_warned_of() -> None:
    wrapper = type("MambaLMWrapper", (), {"__module__": "lm_eval.models.mamba_lm", "config": None})
    assert "no attention mask" in (padding_dependence(wrapper()) or "")
    assert padding_dependence(object()) is None


def test_rwkv_mixes_the_rows_of_a_batch_when_it_reads_single_tokens() -> None:
    """Without padding too, as the FAQ says: each row of logits appears once for each row of the batch."""
    model, ids = tiny_model("rwkv").eval(), torch.arange(12).view(3, 4)
    with torch.no_grad():
        state = model(ids[:, :3], use_cache=True).state
        assert model(ids[:, 3:], state=state, use_cache=True).logits.shape[:2] == (3, 3)
        state = model(ids[:1, :3], use_cache=True).state
        one = model(ids[:1, 3:], state=state, use_cache=True).logits
        torch.testing.assert_close(one, model(ids[:1]).logits[:, -1:], rtol=1e-2, atol=1e-3)
