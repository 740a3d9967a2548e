"""Runs every family of tasks on one of lm-eval's models, to compare it with ``--model hf``."""

from collections.abc import Callable
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER
from tests.material import neox_tokenizer, prose
from tests.served_model import CHECKPOINTS
from tests.squad_sample import write_squad

GENERATED = ("phone_book_20", "string_copy_10", "c4_copy_25", "squad_v2_retrieval_50_100")
FORCED = ("phone_book_20_forced", "string_copy_10_forced", "c4_copy_25_forced")
TRANSFORMER = str(CHECKPOINTS / "transformer")
MAMBA = str(CHECKPOINTS / "mamba")

ROOM = {"gen_kwargs": "max_gen_toks=24"}
"""Tokens of an answer, unless a test asks for another number: a string and its spaces have 20 bytes.

What a task itself asks of a server is tested in ``test_api_models`` and ``test_api_models_forced``.
"""

SHORT = {"gen_kwargs": "max_gen_toks=16"}
"""For Mamba, whose plain implementation generates slowly; a phone number has 10 bytes."""

Samples = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {
        "num_docs": 2,
        "source": str(prose()),
        "tokenizer": str(neox_tokenizer()),
        "squad_source": str(write_squad(tmp_path_factory.mktemp("squad") / "squad.parquet")),
    }


_runs: dict[str, Samples] = {}


@pytest.fixture(scope="session")
def hf(metadata: dict[str, Any]) -> Callable[[str, str], list[dict[str, Any]]]:
    """The results of ``--model hf`` on the CPU for a checkpoint and a task.

    Each checkpoint is run once for all test files.
    """

    def samples(checkpoint: str, task: str) -> list[dict[str, Any]]:
        if checkpoint not in _runs:
            arguments = {"pretrained": checkpoint, "dtype": "float32"}
            options = SHORT if checkpoint == MAMBA else {}
            _runs[checkpoint] = evaluated("hf", arguments, (*GENERATED, *FORCED), metadata, **options)
        return _runs[checkpoint][task]

    return samples


def evaluated(
    model: Any,
    model_args: Any,
    tasks: tuple[str, ...],
    metadata: dict[str, Any],
    device: str = "cpu",
    **options: Any,
) -> Samples:
    results = simple_evaluate(
        model=model,
        model_args=model_args,
        tasks=list(tasks),
        device=device,
        limit=2,
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
        metadata=metadata,
        bootstrap_iters=1,
        **{**ROOM, **options},
    )
    return results["samples"]


def check_same(samples: list[dict[str, Any]], expected: list[dict[str, Any]], shares: set[str]) -> None:
    """Check that answers and scores are the same, except the ``shares`` that the backend cannot know."""
    assert len(samples) == len(expected) == 2
    for sample, other in zip(samples, expected, strict=True):
        assert sample["doc"] == other["doc"]
        assert set(other["metrics"]) - set(sample["metrics"]) == shares
        assert not set(sample["metrics"]) - set(other["metrics"])
        for metric in sample["metrics"]:
            assert sample[metric] == pytest.approx(other[metric], rel=1e-4), metric
        if isinstance(sample["filtered_resps"][0], str):
            assert sample["filtered_resps"][0].strip() == other["filtered_resps"][0].strip()
