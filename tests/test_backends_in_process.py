"""lm-eval's models in this process on every family of tasks: the same scores as ``hf`` on the same weights.

Each case is a cell of the table in ``lm_eval_tasks/BACKENDS.md``.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM

from lm_eval_tasks import TASKS_FOLDER
from tests import mamba_ssm_stand_in
from tests.backends import (
    FORCED,
    GENERATED,
    MAMBA,
    ROOM,
    SHORT,
    TRANSFORMER,
    Samples,
    check_same,
    evaluated,
    hf,
    metadata,
)
from tests.conftest import Run


def test_the_model_that_is_served_can_answer(hf: Any) -> None:
    """Otherwise equal scores could all be 0."""
    for task in (*GENERATED[:2], *FORCED[:2]):
        assert sum(sample["exact_match"] for sample in hf(TRANSFORMER, task)) >= 2, task
    assert any(sample["copied_fraction"] > 0 for sample in hf(TRANSFORMER, "c4_copy_25"))


@pytest.fixture(scope="module")
def python_api(metadata: dict[str, Any]) -> Samples:
    lm = HFLM(pretrained=TRANSFORMER, dtype="float32", device="cpu")
    return evaluated(lm, None, (*GENERATED, *FORCED), metadata)


@pytest.mark.parametrize("task", [*GENERATED, *FORCED])
def test_python_api(task: str, python_api: Samples, hf: Any) -> None:
    check_same(python_api[task], hf(TRANSFORMER, task), set())


@pytest.fixture(scope="module", params=[True, False], ids=["is_hf", "mamba_ssm"])
def mamba_ssm(request: pytest.FixtureRequest, metadata: dict[str, Any]) -> Samples:
    if find_spec("causal_conv1d") is not None:
        pytest.skip("transformers calls the kernels of causal_conv1d on a CPU too")
    arguments = {"pretrained": MAMBA, "tokenizer": MAMBA, "dtype": "float32", "max_length": 4096}
    arguments["is_hf"] = request.param
    with pytest.MonkeyPatch.context() as monkeypatch:
        mamba_ssm_stand_in.install(monkeypatch)
        return evaluated("mamba_ssm", arguments, (*GENERATED, *FORCED), metadata, **SHORT)


@pytest.mark.parametrize("task", [*GENERATED, *FORCED])
def test_mamba_ssm(task: str, mamba_ssm: Samples, hf: Any) -> None:
    check_same(mamba_ssm[task], hf(MAMBA, task), set())


class Engine:
    """A model that is called like those of OpenVINO, and is no ``torch.nn.Module``."""

    def __init__(self, model: Any) -> None:
        self.forward, self.generate = model.forward, model.generate
        self.config, self.generation_config, self.device = model.config, model.generation_config, "cpu"

    def __call__(self, input_ids: torch.Tensor) -> Any:
        return self.forward(input_ids=input_ids)


@pytest.fixture(scope="module")
def engine(metadata: dict[str, Any]) -> Samples:
    lm = HFLM(pretrained=TRANSFORMER, dtype="float32", device="cpu")
    lm._model = Engine(lm.model)
    return evaluated(lm, None, (*GENERATED, *FORCED), metadata)


@pytest.mark.parametrize("task", [*GENERATED, *FORCED])
def test_an_engine_that_is_not_pytorch(task: str, engine: Samples, hf: Any) -> None:
    check_same(engine[task], hf(TRANSFORMER, task), set())


@pytest.mark.gpu
def test_the_package_mamba_ssm_itself(metadata: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("mamba_ssm")
    model = AutoModelForCausalLM.from_pretrained(MAMBA, dtype=torch.float32)
    config = model.config
    sizes = {"d_state": config.state_size, "d_conv": config.conv_kernel, "expand": config.expand}
    settings = {
        "d_model": config.hidden_size,
        "n_layer": config.num_hidden_layers,
        "vocab_size": config.vocab_size,
        "ssm_cfg": {**sizes, "dt_rank": config.time_step_rank},
        "pad_vocab_size_multiple": 1,
        "tie_embeddings": config.tie_word_embeddings,
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    weights = {
        k.replace("backbone.embeddings", "backbone.embedding"): v for k, v in model.state_dict().items()
    }
    torch.save(weights, tmp_path / "pytorch_model.bin")
    arguments = {"pretrained": str(tmp_path), "tokenizer": MAMBA, "dtype": "float32", "max_length": 4096}
    tasks, timed = (*GENERATED, *FORCED), {**metadata, "timing": 2}
    found = evaluated("mamba_ssm", arguments, tasks, timed, "cuda", **SHORT)
    # on the GPU too: with the package installed, transformers' Mamba uses its kernels, on a CPU as well
    hf = {"pretrained": str(MAMBA), "dtype": "float32"}
    expected = evaluated("hf", hf, tasks, metadata, "cuda", **SHORT)
    for task in tasks:
        for sample, other in zip(found[task], expected[task], strict=True):
            assert sample["metrics"] == other["metrics"]
            for metric in sample["metrics"]:
                assert sample[metric] == pytest.approx(other[metric], rel=1e-2), (task, metric)


@pytest.mark.slow
def test_hf_with_accelerate_on_two_processes(
    hf: Any, metadata: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    launch = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no"
    command = f"--dynamo_backend no -m lm_eval --model hf --limit 2 --include_path {TASKS_FOLDER}"
    done = run(
        *launch.split(),
        *command.split(),
        *("--model_args", f"pretrained={TRANSFORMER},dtype=float32"),
        *("--tasks", ",".join([*GENERATED, *FORCED])),
        *("--gen_kwargs", ROOM["gen_kwargs"]),
        *("--metadata", json.dumps({**metadata, "timing": 2}), "--output_path", "out", "--log_samples"),
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob("out/*/results_*.json")
    for task, config in json.loads(results.read_text())["configs"].items():
        (timing,) = config["metadata"]["timing"]  # of the first process
        assert timing["batch_size"] == 2, task
    for task in (*GENERATED, *FORCED):
        (file,) = tmp_path.glob(f"out/*/samples_{task}_2*.jsonl")
        lines = sorted(map(json.loads, file.read_text().splitlines()), key=lambda line: line["doc_id"])
        check_same(lines, hf(TRANSFORMER, task), set())
