"""What a package does to register its architecture with transformers; ``--import`` runs it."""

from transformers import AutoConfig, AutoModelForCausalLM

from tests.gated_linear_attention import GatedLinearAttentionConfig, GatedLinearAttentionForCausalLM


class RegisteredConfig(GatedLinearAttentionConfig):
    model_type = "registered_gla"


class RegisteredForCausalLM(GatedLinearAttentionForCausalLM):
    config_class = RegisteredConfig


AutoConfig.register(RegisteredConfig.model_type, RegisteredConfig)
AutoModelForCausalLM.register(RegisteredConfig, RegisteredForCausalLM)
