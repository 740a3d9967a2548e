"""Every kind of model of lm-eval by every family of tasks: the score of ``hf`` on the same weights, or none.

Each case is a cell of the table in ``lm_eval_tasks/BACKENDS.md``.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from tests import mamba_ssm_stand_in
from tests.completions_server import CompletionsServer
from tests.conftest import Run
from tests.material import neox_tokenizer, prose
from tests.served_model import CHECKPOINTS, prompt_logprobs, served_tokenizer, write
from tests.squad_sample import squad_sample

GENERATED = ("phone_book_20", "string_copy_10", "c4_copy_25", "squad_v2_retrieval_50_100")
FORCED = ("phone_book_20_forced", "string_copy_10_forced", "c4_copy_25_forced")
TRANSFORMER = str(CHECKPOINTS / "transformer")
MAMBA = str(CHECKPOINTS / "mamba")

Samples = dict[str, list[dict[str, Any]]]
Runner = Callable[[tuple[str, ...]], Samples]


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    squad = tmp_path_factory.mktemp("squad") / "squad.parquet"
    Dataset.from_list(squad_sample()).to_parquet(squad)
    return {
        "num_docs": 3,
        "source": str(prose()),
        "tokenizer": str(neox_tokenizer()),
        "squad_source": str(squad),
    }


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The transformer with a chat template that adds nothing to the message."""
    folder = tmp_path_factory.mktemp("chatty") / "transformer"
    shutil.copytree(TRANSFORMER, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return str(folder)


@pytest.fixture(scope="module")
def hf(metadata: dict[str, Any]) -> Callable[[str, str], list[dict[str, Any]]]:
    """What ``--model hf`` gives on the CPU for a checkpoint and a task, each checkpoint run once."""

    @cache
    def samples(checkpoint: str) -> Samples:
        arguments = {"pretrained": checkpoint, "dtype": "float32"}
        return evaluated("hf", arguments, (*GENERATED, *FORCED), metadata)

    return lambda checkpoint, task: samples(checkpoint)[task]


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
        limit=3,
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
        metadata=metadata,
        bootstrap_iters=1,
        **options,
    )
    return results["samples"]


def check_same(samples: list[dict[str, Any]], expected: list[dict[str, Any]], shares: set[str]) -> None:
    """The same answers and scores; ``shares`` are those that the backend cannot know."""
    assert len(samples) == len(expected) == 3
    for sample, other in zip(samples, expected, strict=True):
        assert sample["doc"] == other["doc"]
        assert set(other["metrics"]) - set(sample["metrics"]) == shares
        assert not set(sample["metrics"]) - set(other["metrics"])
        for metric in sample["metrics"]:
            assert sample[metric] == pytest.approx(other[metric], rel=1e-4), metric
        if isinstance(sample["filtered_resps"][0], str):
            assert sample["filtered_resps"][0].strip() == other["filtered_resps"][0].strip()


def test_the_model_that_is_served_can_answer(hf: Any) -> None:
    """So that the same score is not the same nothing."""
    for task in (*GENERATED[:2], *FORCED[:2]):
        assert sum(sample["exact_match"] for sample in hf(TRANSFORMER, task)) >= 2, task
    assert any(sample["copied_fraction"] > 0 for sample in hf(TRANSFORMER, "c4_copy_25"))


# ---- models in this process


@pytest.fixture(scope="module")
def python_api(metadata: dict[str, Any]) -> Samples:
    lm = HFLM(pretrained=TRANSFORMER, dtype="float32", device="cpu")
    return evaluated(lm, None, (*GENERATED, *FORCED), metadata)


@pytest.mark.parametrize("task", [*GENERATED, *FORCED])
def test_python_api(task: str, python_api: Samples, hf: Any) -> None:
    check_same(python_api[task], hf(TRANSFORMER, task), set())


@pytest.fixture(scope="module", params=[True, False], ids=["is_hf", "mamba_ssm"])
def mamba_ssm(request: pytest.FixtureRequest, metadata: dict[str, Any]) -> Samples:
    arguments = {"pretrained": MAMBA, "tokenizer": MAMBA, "dtype": "float32", "max_length": 4096}
    with pytest.MonkeyPatch.context() as monkeypatch:
        mamba_ssm_stand_in.install(monkeypatch)
        return evaluated("mamba_ssm", {**arguments, "is_hf": request.param}, (*GENERATED, *FORCED), metadata)


@pytest.mark.parametrize("task", [*GENERATED, *FORCED])
def test_mamba_ssm(task: str, mamba_ssm: Samples, hf: Any) -> None:
    check_same(mamba_ssm[task], hf(MAMBA, task), set())


@pytest.mark.gpu
def test_the_package_mamba_ssm_itself(hf: Any, metadata: dict[str, Any], tmp_path: Path) -> None:
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
    found = evaluated("mamba_ssm", arguments, (*GENERATED, *FORCED), metadata, device="cuda")
    for task in (*GENERATED, *FORCED):
        for sample, other in zip(found[task], hf(MAMBA, task), strict=True):
            assert sample["metrics"] == other["metrics"]
            for metric in sample["metrics"]:
                assert sample[metric] == pytest.approx(other[metric], rel=1e-2), (task, metric)


@pytest.mark.slow
def test_hf_with_accelerate_on_two_processes(
    hf: Any, metadata: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    launch = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no"
    command = f"--dynamo_backend no -m lm_eval --model hf --limit 3 --include_path {TASKS_FOLDER}"
    done = run(
        *launch.split(),
        *command.split(),
        *("--model_args", f"pretrained={TRANSFORMER},dtype=float32"),
        *("--tasks", ",".join([*GENERATED, *FORCED])),
        *("--metadata", json.dumps(metadata), "--output_path", "out", "--log_samples"),
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    for task in (*GENERATED, *FORCED):
        (file,) = tmp_path.glob(f"out/*/samples_{task}_2*.jsonl")
        lines = sorted(map(json.loads, file.read_text().splitlines()), key=lambda line: line["doc_id"])
        check_same(lines, hf(TRANSFORMER, task), set())


# ---- models behind a server

COUNTED = set[str]()
UNCOUNTED = {"truncated", "unknown_tokens"}
SERVED: dict[str, tuple[dict[str, Any], bool, set[str]]] = {
    "local-completions, token ids": ({"tokenizer": TRANSFORMER, "max_length": 4097}, False, COUNTED),
    "local-completions, text": (
        {"tokenizer": TRANSFORMER, "max_length": 4097, "tokenized_requests": False},
        False,
        COUNTED,
    ),
    "local-completions, no tokenizer": ({"tokenizer_backend": None}, False, UNCOUNTED),
    "local-chat-completions": ({}, True, UNCOUNTED),
}


def served(
    url: Callable[[str], str],
    backend: str,
    tasks: tuple[str, ...],
    metadata: dict[str, Any],
    model: str = "m",
    **options: Any,
) -> Samples:
    arguments, chat, _ = SERVED[backend]
    name = "local-chat-completions" if chat else "local-completions"
    given = {"model": model, "base_url": url("chat/completions" if chat else "completions"), "max_retries": 1}
    return evaluated(name, given | arguments, tasks, metadata, apply_chat_template=chat, **options)


@pytest.fixture(scope="module")
def scripted() -> Iterator[CompletionsServer]:
    with CompletionsServer(write, served_tokenizer(), prompt_logprobs) as server:
        yield server


@pytest.fixture(scope="module")
def over_http(scripted: CompletionsServer, metadata: dict[str, Any]) -> Callable[[str], Samples]:
    @cache
    def samples(backend: str) -> Samples:
        tasks = GENERATED if SERVED[backend][2] else (*GENERATED, *FORCED)
        return served(scripted.url, backend, tasks, metadata)

    return samples


@pytest.mark.parametrize("task", GENERATED)
@pytest.mark.parametrize("backend", SERVED)
def test_answers_over_http(backend: str, task: str, over_http: Any, hf: Any) -> None:
    check_same(over_http(backend)[task], hf(TRANSFORMER, task), SERVED[backend][2])


@pytest.mark.parametrize("task", FORCED)
@pytest.mark.parametrize("backend", ["local-completions, token ids", "local-completions, text"])
def test_given_answers_over_http(backend: str, task: str, over_http: Any, hf: Any) -> None:
    check_same(over_http(backend)[task], hf(TRANSFORMER, task), COUNTED)


@pytest.mark.parametrize("task", FORCED)
@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("local-completions, no tokenizer", "needs the model's tokenizer"),
        ("local-chat-completions", "chat endpoints return no log-probabilities"),
    ],
)
def test_given_answers_are_refused(
    backend: str, said: str, task: str, scripted: CompletionsServer, metadata: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}"):
        served(scripted.url, backend, (task,), metadata)


@contextmanager
def transformers_serve(checkpoint: str) -> Iterator[Callable[[str], str]]:
    """The server of ``transformers serve``, in a thread."""
    import socket

    from transformers.cli.serve import Serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Serve(checkpoint, host="127.0.0.1", port=port, device="cpu", dtype="float32", non_blocking=True)
    try:
        while not server.server.started:
            server._thread.join(timeout=0.05)
        yield lambda endpoint: f"http://127.0.0.1:{port}/v1/{endpoint}"
    finally:
        server.kill_server()


@pytest.fixture(scope="module")
def real(chatty: str) -> Iterator[Callable[[str], str]]:
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    pytest.importorskip("openai")
    with transformers_serve(chatty) as url:
        yield url


@pytest.fixture(scope="module")
def from_transformers(real: Any, chatty: str, metadata: dict[str, Any]) -> Callable[[str], Samples]:
    return cache(lambda backend: served(real, backend, GENERATED, metadata, model=chatty))


@pytest.mark.parametrize("task", GENERATED)
@pytest.mark.parametrize("backend", [name for name in SERVED if name != "local-completions, token ids"])
def test_answers_of_transformers_serve(backend: str, task: str, from_transformers: Any, hf: Any) -> None:
    """It takes text alone, not token ids."""
    check_same(from_transformers(backend)[task], hf(TRANSFORMER, task), SERVED[backend][2])


@pytest.mark.parametrize("backend", ["local-completions, text"])
def test_given_answers_are_refused_by_transformers_serve(
    backend: str, real: Any, chatty: str, metadata: dict[str, Any]
) -> None:
    """It ignores that it is asked to return log-probabilities of the prompt."""
    with pytest.raises(InputError, match="returns no log-probabilities of the prompt; run the task without"):
        served(real, backend, FORCED[:1], metadata, model=chatty)


@pytest.mark.parametrize("backend", ["local-completions, no tokenizer", "local-chat-completions"])
def test_the_settings_for_reasoning_models_are_understood(
    backend: str, real: Any, chatty: str, hf: Any, metadata: dict[str, Any]
) -> None:
    """A server may mind an empty list of stop strings; the answer is cut here instead."""
    settings = {"until": [], "max_gen_toks": 40}
    found = served(real, backend, GENERATED[:1], metadata, model=chatty, gen_kwargs=dict(settings))
    local = evaluated("hf", {"pretrained": TRANSFORMER}, GENERATED[:1], metadata, gen_kwargs=dict(settings))
    for samples in (found[GENERATED[0]], local[GENERATED[0]]):
        expected = hf(TRANSFORMER, GENERATED[0])
        assert [s["exact_match"] for s in samples] == [s["exact_match"] for s in expected]
        assert all("\n" in s["filtered_resps"][0].strip() for s in samples)
