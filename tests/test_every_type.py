"""Every causal language model of transformers: it trains at a tiny size, or says what to pass."""

import multiprocessing
import queue
import traceback
from typing import Any

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dataset_builders import InputError
from dataset_builders.string_tasks import Copy
from synthetic_training.data.strings import PackedBatches
from synthetic_training.models.config_arguments import ConfigArguments
from synthetic_training.models.model_types import is_shipped
from synthetic_training.models.registry import build_model, find_architecture
from synthetic_training.models.sizes import check_forward, count_parameters
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.step import StepConfig, TrainingStep

TYPES = sorted(filter(is_shipped, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LARGE = 300_000_000
"""Parameters of a model that is not built: most of them are of parts that these sizes do not change."""

UNEXPECTED = "unexpected"

AT_LEAST = 145
"""Of the 189 types of transformers 5.23, as many train with these sizes alone."""


def outcome(model_type: str) -> str:
    """``trained``, ``large``, or the sentence of the error."""
    name = f"hf:{model_type}"
    try:
        architecture = find_architecture(name)
        known = ConfigArguments(name, architecture.config_class).known
        sizes = {key: value for key, value in SIZES.items() if key in known}
        if count_parameters(name, **sizes) > LARGE:
            return "large"
        torch.manual_seed(0)
        model = build_model(name, **sizes)
        check_forward(name, model, 32, bf16=False)
        batches = PackedBatches(Copy(3, 5), 32, 2, seed=0, device="cpu")
        step = TrainingStep(model, batches, StepConfig("fp32"), OptimizerConfig(0.1, 1.0), rows=2)
        for number in range(2):
            step.run(number, 1e-3)
        return "trained" if step.read().finite else f"{UNEXPECTED} loss"
    except InputError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  counted, and refused below
        trace = traceback.extract_tb(error.__traceback__)[-1]
        return f"{UNEXPECTED} {type(error).__name__}: {error} in {trace.filename}:{trace.lineno}"


def answer(model_type: str, answers: Any) -> None:
    torch.set_num_threads(1)
    answers.put(outcome(model_type))


@pytest.mark.slow
def test_every_type_trains_or_says_what_to_pass() -> None:
    """Each in its own process, so that a type that needs too much time or memory does not stop the others."""
    context = multiprocessing.get_context("fork")
    outcomes = {}
    for model_type in TYPES:
        answers = context.Queue()
        process = context.Process(target=answer, args=(model_type, answers))
        process.start()
        try:
            outcomes[model_type] = answers.get(timeout=120)
        except queue.Empty:
            outcomes[model_type] = f"{UNEXPECTED} end"
        process.kill()
        process.join()
    failed = {key: value for key, value in outcomes.items() if value != "trained"}
    print(f"{len(TYPES) - len(failed)} of {len(TYPES)} types train")
    for key, value in failed.items():
        print(f"hf:{key}: {value}")
    assert all("\n" not in one and not one.startswith(UNEXPECTED) for one in failed.values())
    assert len(outcomes) - len(failed) >= AT_LEAST
