"""Packages that register model types which transformers already has do not change our models."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

import synthetic_training
from dataset_builders import InputError
from synthetic_training.models.model_types import PACKAGES
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.user_code import import_packages

CHECKPOINTS = Path(synthetic_training.__file__).parent / "checkpoints"


@pytest.fixture
def auto_classes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test registers."""
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
    assert type(AutoConfig.for_model("mamba")) is MambaConfig
    assert MODEL_FOR_CAUSAL_LM_MAPPING[MambaConfig] is MambaForCausalLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1}
    for name in ("hf:mamba", "mamba"):
        assert type(build_model(name, **sizes)) is MambaForCausalLM
    assert type(load_model(CHECKPOINTS / "mamba")) is MambaForCausalLM
    assert type(AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "mamba")) is MambaForCausalLM
    assert type(build_model("hf:quite_new", **sizes)) is other.New
    with pytest.raises(InputError, match="no model type or class 'quite_old'; did you mean 'quite_new'"):
        build_model("stand_in:quite_old", **sizes)

    clashing = build_model("stand_in:mamba", **sizes)
    assert type(clashing) is other.OtherMamba
    save_with_code(clashing, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "stand_in.mamba"
    with pytest.raises(ValueError, match="trust_remote_code"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "saved", trust_remote_code=False)
    again = load_model(tmp_path / "saved")
    assert type(again) is other.OtherMamba
    ids = torch.arange(9)[None]
    assert torch.equal(again(ids).logits, clashing(ids).logits)


def test_a_saved_model_of_a_known_package_needs_no_trust_here(
    auto_classes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder names classes of the installed package, and contains no code to run."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "other_stand_in.py").write_text(STAND_IN.replace("quite_new", "newer"))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr("synthetic_training.models.code_files.is_installed", lambda file: file.parent == site)
    monkeypatch.setitem(PACKAGES, "other_stand_in", "stand-in-package")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1}
    for model_type in ("mamba", "newer"):
        folder = tmp_path / model_type
        model = build_model(f"other_stand_in:{model_type}", **sizes)
        save_with_code(model, folder)
        again = load_model(folder)
        assert type(again) is type(model)
        ids = torch.arange(9)[None]
        assert torch.equal(again(ids).logits, model(ids).logits)
        trusted = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
        assert torch.equal(trusted(ids).logits, model(ids).logits)
    monkeypatch.delitem(sys.modules, "other_stand_in")
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(site)])
    with pytest.raises(
        InputError, match="no module 'other_stand_in' to import; run: pip install stand-in-package"
    ):
        load_model(tmp_path / "mamba")
    with pytest.raises(
        ImportError, match="this model needs stand-in-package; run: pip install stand-in-package"
    ):
        AutoModelForCausalLM.from_pretrained(tmp_path / "mamba", trust_remote_code=True, force_download=True)
