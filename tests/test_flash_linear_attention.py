"""Models of flash-linear-attention: names, side effects of importing it, and training on a GPU."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import synthetic_training
from synthetic_training.config import TrainConfig
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.theory.state import state_bits
from synthetic_training.training.run import train
from synthetic_training.training.run_log import read_metrics

pytestmark = pytest.mark.skipif(find_spec("fla") is None, reason="needs flash-linear-attention")

CHECKPOINTS = Path(synthetic_training.__file__).parent / "checkpoints"

ISOLATION = """
import json, sys
from pathlib import Path
from transformers import AutoConfig, AutoModelForCausalLM
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.user_code import import_packages
checkpoint, out = map(Path, sys.argv[1:])
sizes = {"hidden_size": 64, "num_hidden_layers": 1}
mamba2 = {"num_heads": 16, "head_dim": 8, "n_groups": 1, "state_size": 8}
linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "num_experts": 2, "num_experts_per_tok": 1}
models = {}
models["hf:qwen3_next"] = build_model("hf:qwen3_next", **sizes, **linear, num_attention_heads=2)
models["hf:mamba2 after hf:qwen3_next"] = AutoConfig.for_model("mamba2")
import_packages(["fla"])
hybrid = {"attn": {"layers": [0], "num_heads": 2}}
for name in ("gla", "mamba", "mamba2", "hybrid"):
    arguments = hybrid if name == "hybrid" else {}
    models[f"fla:{name}"] = build_model(f"fla:{name.replace('hybrid', 'gla')}", **sizes, **arguments)
    save_with_code(models[f"fla:{name}"], out / name)
    models[f"fla:{name} saved"] = load_model(out / name)
    trusted = AutoModelForCausalLM.from_pretrained(out / name, trust_remote_code=True)
    models[f"fla:{name} in transformers"] = trusted
models |= {
    "hf:gla": build_model("hf:gla", **sizes),
    "hf:mamba": build_model("hf:mamba", **sizes),
    "hf:mamba2": build_model("hf:mamba2", **sizes, **mamba2),
    "config of mamba": AutoConfig.for_model("mamba"),
    "config of mamba2": AutoConfig.for_model("mamba2"),
    "bundled": load_model(checkpoint),
    "bundled in transformers": AutoModelForCausalLM.from_pretrained(checkpoint),
}
print(json.dumps({key: type(model).__module__ for key, model in models.items()}))
"""


@pytest.mark.slow
def test_importing_it_changes_no_type_of_transformers(tmp_path: Path) -> None:
    """In its own process, because the package's registrations cannot be undone."""
    command = [sys.executable, "-c", ISOLATION, str(CHECKPOINTS / "mamba"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, module in found.items():
        package = "fla" if "fla:" in name or name == "hf:gla" else "transformers"
        assert module.split(".")[0] == package, (name, module)


WINDOW = {"num_hidden_layers": 2, "attn": {"layers": [1], "num_heads": 4, "window_size": 8}}


@pytest.mark.parametrize(
    ("model", "arguments", "numbers"),
    [
        # per layer: heads, keys and values of each; inputs of three convolutions over four tokens
        ("fla:gla", {}, 32 * 2 * 4 * 16 * 32),
        ("fla:gated_deltanet", {}, 2 * (32 * 4 * 32 * 64 + 16 * 4 * (128 + 128 + 256))),
        # one convolution, which also runs over the two projections of the state's size
        ("fla:mamba2", {}, 3 * (32 * 8 * 32 * 112 + 16 * 4 * (256 + 2 * 112))),
        # the last input of each of two blocks
        ("fla:rwkv7", {}, 2 * (32 * 4 * 32 * 32 + 16 * 2 * 128)),
        # retention, and the keys and values of the last eight tokens
        ("fla:retnet", WINDOW, 32 * 4 * 32 * 64 + 16 * 2 * 8 * 128),
    ],
)
def test_the_state_is_counted_without_a_gpu(model: str, arguments: dict[str, Any], numbers: int) -> None:
    """Recurrent states are in float32, everything else in the precision of training."""
    sizes = preset_arguments("small", model, arguments)
    with torch.device("meta"):
        untrained = build_model(model, **sizes)
    for length in (9, 70):
        assert state_bits(untrained, length, torch.bfloat16) == numbers


TRAINED: dict[str, dict[str, Any]] = {
    "gla": {"model": "fla:gla"},
    "gated_deltanet": {"model": "fla:gated_deltanet"},
    "hybrid": {"model": "fla:gla", "model_args": {"attn": {"layers": [1], "num_heads": 4}}},
}


@pytest.fixture(scope="module", params=TRAINED)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, trained on a GPU for 100 steps."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    train(settings(request.param), out)
    return out


def settings(name: str) -> TrainConfig:
    return TrainConfig(
        **TRAINED[name], preset="small", min_length=3, max_length=8, context_length=64,
        batch_size=64, lr=2e-3,
        steps=100, warmup_steps=10, eval_every=50, eval_lengths=(5,), save_every=50, log_every=10,
    )  # fmt: skip


@pytest.mark.gpu
def test_it_trains_and_resumes(run: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    losses = [line["loss"] for line in read_metrics(run / "metrics.jsonl") if line["kind"] == "train"]
    assert losses[-1] < 0.9 * losses[0]
    again = tmp_path / "again"
    shutil.copytree(run, again)
    shutil.rmtree(again / "model")
    shutil.rmtree(again / "checkpoints" / "step_100", ignore_errors=True)
    train(settings(request.node.callspec.params["run"]), again, resume=True)
    resumed = [line["loss"] for line in read_metrics(again / "metrics.jsonl") if line["kind"] == "train"]
    assert len(resumed) == len(losses) and resumed[:5] == losses[:5]
    # the first ten steps after the checkpoint; sums in another order later lead to other losses
    assert resumed[5] == pytest.approx(losses[5], rel=0.01) and resumed[-1] < 0.9 * losses[5]


@pytest.mark.gpu
def test_it_is_evaluated_without_trusting_code(run: Path) -> None:
    forced, generated = (
        evaluate(EvaluateConfig(run, lengths=(4,), num_examples=32, generate=generate))["results"][0]
        for generate in (False, True)
    )
    assert generated["string_accuracy"] == pytest.approx(forced["string_accuracy"], abs=0.1)


@pytest.mark.gpu
def test_padding_changes_no_logits(run: Path) -> None:
    model = load_model(run / "model").to("cuda").eval()
    ids = torch.randint(26, (4, 20), generator=torch.Generator().manual_seed(0)).cuda()
    padded = torch.cat([torch.zeros_like(ids[:, :7]), ids], dim=1)
    mask = (torch.arange(27, device="cuda") >= 7).long().expand(4, -1)
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        alone = model(input_ids=ids).logits[:, -1].float()
        beside = model(input_ids=padded, attention_mask=mask).logits[:, -1].float()
    assert (alone - beside).abs().max() < 0.05 * alone.abs().max()


@pytest.mark.gpu
def test_lm_eval_generates_the_same_in_any_batch(run: Path) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    prompts = ("$a|", "$ccccbb|", "$abcabcab|", "$zz|", "$bca|", "$qwertyu|", "$b|", "$abab|", "$ca|")
    options = {"until": [".\n"], "max_gen_toks": 10, "do_sample": False}
    answers = []
    for batch_size in (1, 8):
        lm = HFLM(
            pretrained=str(run / "model"), trust_remote_code=True, dtype="bfloat16", batch_size=batch_size
        )
        asked = [Instance("generate_until", {}, (prompt, options), i) for i, prompt in enumerate(prompts)]
        answers.append(lm.generate_until(asked, disable_tqdm=True))
    # near ties of bfloat16 logits are broken differently
    assert sum(a == b for a, b in zip(*answers, strict=True)) >= len(prompts) - 1
