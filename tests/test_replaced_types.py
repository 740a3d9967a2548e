"""Packages that register model types which transformers has already: nothing that is ours changes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

import synthetic_training
from dataset_builders import InputError
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.user_code import import_packages

CHECKPOINTS = Path(synthetic_training.__file__).parent / "checkpoints"


@pytest.fixture
def auto_classes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it."""
    for mapping in (CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING):
        monkeypatch.setattr(mapping, "_extra_content", dict(mapping._extra_content))
    yield


STAND_IN = """
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig
from tests.gated_linear_attention import GatedLinearAttentionConfig, GatedLinearAttentionForCausalLM

class OtherMambaConfig(GatedLinearAttentionConfig):
    model_type = "mamba"

class OtherMamba(GatedLinearAttentionForCausalLM):
    config_class = OtherMambaConfig

class NewConfig(GatedLinearAttentionConfig):
    model_type = "quite_new"

class New(GatedLinearAttentionForCausalLM):
    config_class = NewConfig

AutoConfig.register("mamba", OtherMambaConfig, exist_ok=True)
AutoModelForCausalLM.register(OtherMambaConfig, OtherMamba, exist_ok=True)
MambaConfig.__name__, kept = "OtherMambaConfig", MambaConfig.__name__
AutoModelForCausalLM.register(MambaConfig, OtherMamba, exist_ok=True)
MambaConfig.__name__ = kept
AutoConfig.register("quite_new", NewConfig)
AutoModelForCausalLM.register(NewConfig, New)
"""


def test_an_imported_package_changes_no_type_of_transformers(
    auto_classes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != ""])
    import_packages(["stand_in"])
    other = sys.modules["stand_in"]
    assert type(AutoConfig.for_model("mamba")) is other.OtherMambaConfig
    assert MODEL_FOR_CAUSAL_LM_MAPPING[MambaConfig] is other.OtherMamba

    sizes = {"hidden_size": 16, "num_hidden_layers": 1}
    for name in ("hf:mamba", "mamba"):
        assert type(build_model(name, **sizes)) is MambaForCausalLM
    assert type(load_model(CHECKPOINTS / "mamba")) is MambaForCausalLM
    assert type(build_model("hf:quite_new", **sizes)) is other.New

    clashing = build_model("stand_in:OtherMamba", **sizes)
    assert type(clashing) is other.OtherMamba
    save_with_code(clashing, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "stand_in.mamba"
    with pytest.raises(InputError, match="contains its own code"):
        load_model(tmp_path / "saved")
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=False)
    again = load_model(tmp_path / "saved", trust_remote_code=True)
    ids = torch.arange(9)[None]
    assert torch.equal(again(ids).logits, clashing(ids).logits)


FLA = """
import json, sys
from pathlib import Path
from transformers import AutoConfig
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.user_code import import_packages
checkpoint, out = map(Path, sys.argv[1:])
import_packages(["fla"])
sizes = {"hidden_size": 64, "num_hidden_layers": 1}
mamba2 = {"num_heads": 16, "head_dim": 8, "n_groups": 1, "state_size": 8}
gla = build_model("hf:gla", **sizes)
other = build_model("fla.models.mamba:MambaForCausalLM", **sizes)
for name, model in (("gla", gla), ("mamba", other)):
    save_with_code(model, out / name)
models = {
    "replaced": AutoConfig.for_model("mamba"),
    "hf:mamba": build_model("hf:mamba", **sizes),
    "hf:mamba2": build_model("hf:mamba2", **sizes, **mamba2),
    "checkpoint": load_model(checkpoint),
    "hf:gla": load_model(out / "gla", trust_remote_code=True),
    "other": load_model(out / "mamba", trust_remote_code=True),
}
print(json.dumps({key: type(model).__module__.split(".")[0] for key, model in models.items()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("fla") is None, reason="needs flash-linear-attention")
def test_flash_linear_attention_changes_no_type_of_transformers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FLA, str(CHECKPOINTS / "mamba"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "replaced": "fla",
        "hf:mamba": "transformers",
        "hf:mamba2": "transformers",
        "checkpoint": "transformers",
        "hf:gla": "fla",
        "other": "fla",
    }
