"""Six tiny random models of the paper's classes, as a list for ``paper --model-list``.

python -m tests.paper_stand_ins FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.material import neox_tokenizer, prose
from tests.squad_sample import write_squad

SIZES = {"410m": (1, 16), "1.4b": (1, 32), "2.8b": (2, 32)}
"""Size in the paper -> layers and width here."""

_END = "<|endoftext|>"


def write_stand_ins(folder: Path) -> Path:
    """Save the models, and write their list."""
    entries = []
    for family, model_type in (("pythia", "gpt_neox"), ("mamba", "mamba")):
        for size, (layers, width) in SIZES.items():
            name = f"tiny-{family}-{size}"
            parameters = _save(folder / name, model_type, layers, width)
            entries.append(entry(name, folder / name, model_type, size, layers, width, parameters))
    file = folder / "stand_ins.yaml"
    file.write_text(yaml.safe_dump({"title": "Tiny stand-ins", "models": entries}, sort_keys=False))
    return file


def entry(
    name: str, pretrained: Path, model_type: str, size: str, layers: int, width: int, parameters: int
) -> dict[str, Any]:
    """The entry of a model in a list."""
    transformer = model_type == "gpt_neox"
    kind = {"kind": "transformer", "cache_per_token": 2 * layers * width} if transformer else {
        "kind": "recurrent", "compare_with": f"tiny-pythia-{size}"
    }  # fmt: skip
    return {
        "name": name,
        "pretrained": str(pretrained),
        "model_type": model_type,
        "dtype": "float32",
        "window": 2048,
        "batch_size": 8,
        "parameters": parameters,
        "layers": layers,
        "width": width,
        **kind,
        "released": {"pretrained": f"org/{name}", "backend": "hf", "dtype": "float32"},
    }


def sources(folder: Path) -> str:
    """``--metadata`` for all experiments without the Hub, as JSON."""
    found = {
        "source": str(prose()),
        "tokenizer": str(neox_tokenizer()),
        "squad_source": str(write_squad(folder / "squad.jsonl")),
    }
    return json.dumps(found)


def save_tokenizer(folder: Path, file: Path) -> PreTrainedTokenizerFast:
    """Save a ``tokenizer.json`` as a model's tokenizer."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(file)), eos_token=_END, pad_token=_END
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def _save(folder: Path, model_type: str, layers: int, width: int) -> int:
    tokenizer = save_tokenizer(folder, neox_tokenizer())
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    own = (
        {"num_attention_heads": 2, "intermediate_size": 2 * width}
        if model_type == "gpt_neox"
        else {"state_size": 4}
    )
    torch.manual_seed(layers * width)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes, **own))
    model.save_pretrained(folder)
    return int(model.num_parameters())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_stand_ins(target))
    print(sources(target))
