"""Small random models of many architectures, over bytes."""

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from dataset_builders.device_functions import use_kernels_where_they_work

END = "<|endoftext|>"

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "gpt_neox": {},
    "llama": {},
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 16, "n_groups": 1, "state_size": 16, "chunk_size": 16},
    "recurrent_gemma": {"num_hidden_layers": 3, "head_dim": 16, "lru_width": 64, "attention_window_size": 64},
    "jamba": {
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "mamba_d_state": 8,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "use_mamba_kernels": False,
    },
    "falcon_mamba": {"state_size": 8},
    "rwkv": {"attention_hidden_size": 64},
    "xlstm": {"num_heads": 4, "num_blocks": 2, "qk_dim_factor": 1.0, "v_dim_factor": 1.0},
    "minimax": {
        "layer_types": ["linear_attention", "full_attention"],
        "head_dim": 16,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "block_size": 16,
    },
}
ARCHITECTURES = tuple(_ARGUMENTS)


def byte_tokenizer(model_max_length: int = 100_000) -> PreTrainedTokenizerFast:
    """One token per byte, and one for the end of the text."""
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary[END] = 256
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, model_max_length=model_max_length
    )


def tiny_model(architecture: str, **overrides: Any) -> Any:
    """A random model of two layers, with weights scaled up so that no two answers are nearly tied."""
    sizes = {
        "vocab_size": 257,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 256,
        "eos_token_id": 256,
        "pad_token_id": 256,
    }
    known = AutoConfig.for_model(architecture)
    arguments = {key: value for key, value in sizes.items() if hasattr(known, key)}
    arguments |= _ARGUMENTS[architecture] | overrides
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **arguments))
    model = model.float().eval()
    use_kernels_where_they_work(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    return model
