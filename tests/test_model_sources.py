"""Where a model's name leads: types, classes, folders, and the arguments that each takes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

import synthetic_training
from dataset_builders import InputError
from synthetic_training.__main__ import main
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.registry import MODELS, build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.user_code import check_causal, import_packages
from tests.gated_linear_attention import GatedLinearAttention
from tests.tiny_figure import a_figure
from tests.tiny_run import SETTINGS

HERE = __name__
CHECKPOINTS = Path(synthetic_training.__file__).parent / "checkpoints"


# ---- arguments under two names

COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
OWN_NAMES: dict[str, dict[str, int]] = {
    "bart": {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "ctrl": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
}


@pytest.mark.parametrize("model_type", OWN_NAMES)
def test_own_and_common_names_are_one_setting(model_type: str, tmp_path: Path) -> None:
    name, own = f"hf:{model_type}", OWN_NAMES[model_type]
    by_own, by_common = build_model(name, **own), build_model(name, **COMMON)
    shapes = [{key: p.shape for key, p in model.named_parameters()} for model in (by_own, by_common)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in by_own.parameters()) < 200_000
    by_own.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert {key: saved[key] for key in own} == own
    assert by_own(torch.arange(12)[None]).logits.shape == (1, 12, 30)
    for (key, value), common in zip(own.items(), COMMON, strict=True):
        if key != common:
            both = {**COMMON, key: value}
            assert build_model(name, **both).num_parameters() == by_own.num_parameters()
            with pytest.raises(InputError, match=f"{common}={COMMON[common]} and {key}={2 * value} are one"):
                build_model(name, **{**both, key: 2 * value})


def test_a_constructor_that_takes_the_common_name_takes_the_stored_one_too() -> None:
    for name in ("num_experts", "num_local_experts"):
        model = build_model("hf:kimi_linear", **COMMON, **{name: 2}, num_experts_per_tok=1)
        assert (model.config.num_experts, model.config.num_local_experts) == (2, 2)


def test_a_size_that_an_architecture_sets_itself_is_refused() -> None:
    with pytest.raises(InputError, match="hf:hrm_text sets num_hidden_layers itself, to"):
        build_model("hf:hrm_text", hidden_size=32, num_hidden_layers=2, num_attention_heads=4)


# ---- types that an imported package replaces


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
    with pytest.raises(InputError, match="carries its own code"):
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


# ---- names that lead nowhere


class Unnamed(nn.Module):
    """Takes no vocabulary."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()


class Needy(nn.Module):
    def __init__(self, vocab_size: int, width: int, depth: int) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("hf:gla", {}, "of the type 'gla'; pip install flash-linear-attention, and pass --import fla"),
        ("hf:rwkv7", {}, "pip install flash-linear-attention, and pass --import fla"),
        ("hf:gpt3", {}, "of the type 'gpt3'; did you mean 'hf:gptj'"),
        ("hf:bert_for_all", {}, "no causal language model of the type 'bert_for_all'"),
        ("hf:gemma3", {}, "hf:gemma3 is multimodal; its language model is hf:gemma3_text"),
        ("hf:gpt2", {"n_embed": 8}, "hf:gpt2 has no argument 'n_embed'; did you mean 'n_embd'"),
        ("no_such.module:Class", {}, "there is no module 'no_such' to import"),
        ("..:Class", {}, "'..' is not the name of a module"),
        (f"{HERE}:Unknown", {}, f"module {HERE} has no class 'Unknown'"),
        (f"{HERE}:HERE", {}, "is not a class of torch.nn.Module"),
        (f"{HERE}:Path", {}, "is not a class of torch.nn.Module"),
        (f"{HERE}:Unnamed", {}, "must take the argument vocab_size"),
        (f"{HERE}:Needy", {"width": 3}, "needs --model-args depth=...$"),
        ("tests.gated_linear_attention:GatedLinearAttention", {"width": 3}, "has no argument 'width'"),
        ("tests.gated_linear_attention:GatedLinearAttentionForCausalLM", {"n": 3}, "has no argument 'n'"),
    ],
)
def test_what_is_no_model_gets_one_sentence(name: str, overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised:
        build_model(name, **overrides)
    assert "\n" not in str(raised.value)


def test_packages_that_are_not_there_get_one_sentence() -> None:
    with pytest.raises(InputError, match="there is no module 'no_such_package' to import"):
        import_packages(["no_such_package"])


def test_an_error_inside_a_users_module_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        build_model("needs_another:Class")


# ---- bare modules


class Tricky(nn.Module):
    """With a tied head, a buffer that is not saved, and a tensor that is neither."""

    def __init__(self, vocab_size: int, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.full((width,), 3.0), persistent=False)
        self.shift = torch.linspace(0, 1, width)

    def forward(self, ids: Tensor) -> Tensor:
        # a sum over the past, which padding would change
        return self.head(self.embed(ids).cumsum(1) * self.scale + self.shift)


def tricky() -> Any:
    torch.manual_seed(0)
    return build_model(f"{HERE}:Tricky", width=4)


def test_a_bare_module_comes_back_with_all_its_tensors(tmp_path: Path) -> None:
    model = tricky()
    ids = torch.arange(9)[None]
    assert torch.equal(model(ids).logits, model.module(ids))
    save_with_code(model, tmp_path)
    for again in (
        load_model(tmp_path, trust_remote_code=True),
        type(model).from_pretrained(tmp_path),
        AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=True),
    ):
        assert torch.equal(again(ids).logits, model(ids).logits)
        assert again.module.head.weight is again.module.embed.weight
    rebuilt = build_model(str(tmp_path), trust_remote_code=True)
    assert rebuilt.num_parameters() == model.num_parameters() == 30 * 4


def test_gradients_flow_as_in_the_bare_module() -> None:
    model = build_model("tests.gated_linear_attention:GatedLinearAttention", hidden_size=16)
    bare = GatedLinearAttention(30, hidden_size=16)
    bare.load_state_dict(model.module.state_dict())
    ids = torch.randint(0, 26, (3, 11), generator=torch.Generator().manual_seed(0))
    loss = model(ids, labels=ids).loss
    loss.backward()
    expected = nn.functional.cross_entropy(bare(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for one, other in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize(("left", "right"), [(3, 0), (0, 3), (2, 2)])
@torch.no_grad()
def test_padding_changes_no_logits_of_a_bare_module(left: int, right: int) -> None:
    model = tricky()
    ids = torch.randint(0, 26, (2, 7), generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(ids, (left, right), value=29)
    mask = nn.functional.pad(torch.ones_like(ids), (left, right))
    padded[1, : left + 1], mask[1, : left + 1] = 29, 0  # rows of different lengths
    logits = model(padded, attention_mask=mask).logits
    torch.testing.assert_close(logits[:1, left : left + 7], model(ids[:1]).logits)
    torch.testing.assert_close(logits[1:, left + 1 : left + 7], model(ids[1:, 1:]).logits)


class Uncausal(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids) + self.embed(ids).mean(1, keepdim=True)


class Hidden(Uncausal):
    def forward(self, ids: Tensor) -> Tensor:
        return self.embed(ids)[..., :-1]


def test_a_model_that_sees_the_future_is_refused(tmp_path: Path) -> None:
    check_causal("it", build_model("tests.gated_linear_attention:GatedLinearAttention"))
    with pytest.raises(InputError, match="it is not causal: its logits depend on later tokens"):
        check_causal("it", build_model(f"{HERE}:Uncausal"))
    (tmp_path / "run.json").write_text(json.dumps({**SETTINGS, "model_args": {}}))
    command = ["train", "--config", str(tmp_path / "run.json"), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=f"error: {HERE}:Uncausal is not causal"):
        main([*command, "--model", f"{HERE}:Uncausal"])
    assert not (tmp_path / "run").exists()


def test_logits_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Hidden must map ids \(1, 16\) to logits \(1, 16, 30\), not"):
        check_causal("it", build_model(f"{HERE}:Hidden"))


def test_embeddings_that_cannot_be_found_are_not_drawn() -> None:
    with pytest.raises(InputError, match="leave --embedding-std out"):
        draw_embeddings(tricky(), 1.0)


def test_a_class_has_one_wrapper() -> None:
    one = BareModuleForCausalLM.around(Tricky)
    assert one is BareModuleForCausalLM.around(Tricky) and one.__name__ == "TrickyForCausalLM"


# ---- folders, and the command line


def test_a_folder_of_a_stock_model_is_its_architecture_untrained(tmp_path: Path) -> None:
    stock = build_model("hf:llama", hidden_size=16, num_hidden_layers=3, num_attention_heads=2)
    stock.save_pretrained(tmp_path)
    again = build_model(str(tmp_path), num_hidden_layers=1)
    assert type(again) is type(stock)
    assert (again.config.num_hidden_layers, again.config.hidden_size) == (1, 16)
    assert not torch.equal(again.model.embed_tokens.weight, stock.model.embed_tokens.weight)


def test_code_in_a_folder_runs_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto_map = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "secret", "auto_map": auto_map}))
    command = ["train", "--model", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cpu"]
    with pytest.raises(
        SystemExit, match=r"carries its own code \(code.py\); read it, and pass --trust-remote"
    ):
        main(command)
    assert not (tmp_path / "ran").exists()


def test_packages_are_imported_by_every_command(auto_classes: None, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({**SETTINGS, "model_args": {}, "steps": 6}))
    out, package = tmp_path / "run", "tests.registered_gated_linear_attention"
    main(
        [
            *(
                "train",
                "--config",
                str(tmp_path / "run.json"),
                "--out",
                str(out),
                "--model-args",
                "hidden_size=16",
            ),
            *("--model", "hf:registered_gla", "--import", package),
        ]
    )
    assert json.loads((out / "run.json").read_text())["config"]["imports"] == [package]
    main(["evaluate", str(out), "--lengths", "3", "--num-examples", "4", "--import", package])
    main(["train", "--out", str(out), "--resume"])
    with pytest.raises(SystemExit, match="there is no module 'no_such' to import"):
        main(["evaluate", str(out), "--lengths", "3", "--import", "no_such"])


@pytest.mark.slow
def test_figures_take_the_same_models(tmp_path: Path) -> None:
    """Also: the package that the command line names reaches each run's process."""
    runs = {
        "bare": {"model": "tests.gated_linear_attention:GatedLinearAttention"},
        "registered": {"model": "hf:registered_gla"},
    }
    file = a_figure(tmp_path / "own.yaml", runs=runs, settings={**SETTINGS, "model_args": {}})
    main(
        [
            *("reproduce", str(file), "--out", str(tmp_path / "out")),
            *("--import", "tests.registered_gated_linear_attention"),
        ]
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "own_small.jsonl").read_text().splitlines()]
    assert {line["label"] for line in lines} == set(runs)
    assert all(len(line["tests"]) == 2 for line in lines)


def test_importing_the_package_imports_no_framework() -> None:
    code = "import sys, synthetic_training; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "set()"


def test_names_of_models_stand_in_the_registry_alone() -> None:
    package = Path(synthetic_training.__file__).parent
    for file in (package / "models").glob("*.py"):
        if file.name not in ("registry.py", "mamba.py"):
            text = file.read_text()
            assert not [name for name in MODELS if f'"{name}"' in text], file
