"""Saved models are loaded unchanged, also without this project if their code is trusted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from synthetic_training.data.symbol_tokenizer import decode, encode, symbol_tokenizer
from synthetic_training.models.paper_models import MODELS
from synthetic_training.training.run import train
from tests.test_train_documents import tiny as tiny_documents
from tests.tiny_synthetic_models import PROMPTS, letters, prompts, tiny, without_padding

OWN_TYPES = {
    "T_alibi": "modeling_alibi.py",
    "T_hard_alibi": "modeling_alibi.py",
    "lstm": "modeling_lstm.py",
}


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_saved_models_come_back(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    ids, mask = prompts()
    expected = model(ids, attention_mask=mask).logits
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(again) is type(model)
    if name.endswith("alibi"):
        assert again.config._attn_implementation == f"{name.removeprefix('T_')}_sdpa"
    torch.testing.assert_close(again(ids, attention_mask=mask).logits, expected, atol=0, rtol=0)
    code = sorted(path.name for path in tmp_path.glob("*.py"))
    assert code == ([OWN_TYPES[name]] if name in OWN_TYPES else [])


@torch.no_grad()
@pytest.mark.parametrize(("norm", "count"), [("layer", 3), ("final_layer", 1)])
def test_a_mamba_with_layer_norm_is_saved_with_its_code(tmp_path: Path, norm: str, count: int) -> None:
    model = tiny("mamba", norm=norm)
    assert sum(isinstance(part, torch.nn.LayerNorm) for part in model.modules()) == count
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.add_(torch.linspace(0, 1, len(parameter)))
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = letters(2, 9)
    torch.testing.assert_close(again(ids).logits, model(ids).logits)
    assert [path.name for path in tmp_path.glob("*.py")] == ["modeling_mamba_layer_norm.py"]


BARE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, *names = sys.argv[1:]

shown = {}
for name in ("documents", "documents-mamba"):
    autos = AutoModelForCausalLM, AutoTokenizer
    model, tokenizer = (auto.from_pretrained(f"{folder}/{name}") for auto in autos)
    batch = tokenizer(["Ann Lee: 6\\n\\nAnn Lee:", "\u00e9"], padding=True, return_tensors="pt")
    texts = [
        model.generate(**batch, max_new_tokens=8, do_sample=False, use_cache=use).tolist()
        for use in (True, False)
    ]
    ids = [model.config.vocab_size, model.config.eos_token_id, model.config.pad_token_id, len(tokenizer)]
    shown[name] = [type(model).__name__, ids, tokenizer.model_max_length, texts[0] == texts[1]]

for name in names:
    try:
        AutoModelForCausalLM.from_pretrained(f"{folder}/{name}", trust_remote_code=False)
    except ValueError as error:
        assert "trust_remote_code" in str(error), error
    else:
        raise AssertionError(f"{name} was loaded without trust")
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/{name}", trust_remote_code=True)
    saved = torch.load(f"{folder}/{name}.pt", weights_only=True)
    with torch.no_grad():
        logits = model(saved["ids"], attention_mask=saved["mask"]).logits
    assert torch.equal(logits, saved["logits"]), name
    model.save_pretrained(f"{folder}/{name}-again")
    print(name, model.config._attn_implementation)

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
path = f"{folder}/{names[0]}"
lm = HFLM(pretrained=path, trust_remote_code=True, device="cpu", batch_size=4, dtype="float32")
prompts = sys.stdin.read().split()
options = {"until": ["."], "max_gen_toks": 12, "do_sample": False}
asked = [Instance("generate_until", {}, (prompt, options), i) for i, prompt in enumerate(prompts)]
answers = lm.generate_until(asked, disable_tqdm=True)
with open(f"{folder}/answers.json", "w") as file:
    json.dump([answers, lm.tok_encode(prompts[0]), shown], file)
assert "synthetic_training" not in sys.modules
"""


DOCUMENTS: dict[str, dict[str, Any]] = {
    "documents": {},
    "documents-mamba": {"model": "mamba", "model_args": {"hidden_size": 16, "num_hidden_layers": 1}},
}


@torch.no_grad()
def test_saved_models_need_nothing_of_ours_but_trust(tmp_path: Path) -> None:
    """lm-eval also evaluates such a model, adds no token to its prompts and stops at the full stop.

    Models of documents need no trusted code. Everything is in one process, because imports take 5 s.
    """
    for name, settings in DOCUMENTS.items():
        with torch.enable_grad():
            train(tiny_documents(steps=3, eval_examples=2, **settings), tmp_path / "run" / name)
        (tmp_path / "run" / name / "model").rename(tmp_path / name)
    ids, mask = prompts()
    names = ["T_hard_alibi", "T_alibi", "lstm"]
    for name in names:
        model = tiny(name)
        model.save_pretrained(tmp_path / name)
        symbol_tokenizer(64).save_pretrained(tmp_path / name)
        logits = model(ids, attention_mask=mask).logits
        torch.save({"ids": ids, "mask": mask, "logits": logits}, tmp_path / f"{name}.pt")
    asked = [*PROMPTS, *(f"${decode(row)}|" for row in letters(12, 9))]
    done = subprocess.run(
        [sys.executable, "-I", "-c", BARE, str(tmp_path), *names],
        input=" ".join(asked),
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "T_hard_alibi hard_alibi_sdpa" in lines
    assert "T_alibi alibi_sdpa" in lines
    answered, tokens, documents = json.loads((tmp_path / "answers.json").read_text())
    symbols = [257, 256, 256, 257]
    assert documents == {
        "documents": ["GPTNeoXForCausalLM", symbols, 2048, True],
        "documents-mamba": ["MambaForCausalLM", symbols, 256, True],
    }
    assert all("auto_map" not in (tmp_path / name / "config.json").read_text() for name in documents)
    assert tokens == encode(PROMPTS[0])
    model = tiny("T_hard_alibi")
    answers = [decode(without_padding(model, prompt, 12)[0]) for prompt in asked]
    assert any("." in answer for answer in answers)
    assert answered == [answer.split(".")[0].replace("*", "") for answer in answers]
