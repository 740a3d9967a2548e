"""State is counted from real tensors: compared with known sizes, and in several kinds of containers."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dataset_builders import InputError
from dataset_builders.inference_state import bits_of, state_of
from synthetic_training.figures.style import style_of
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import save_with_code
from synthetic_training.theory.__main__ import main
from synthetic_training.theory.figure import _constant, _most, _read, draw
from synthetic_training.theory.state import state_bits

WIDTH, LAYERS = 32, 2
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS}
HEADS = {**SIZES, "num_attention_heads": 4}
GROUPED = {**HEADS, "num_key_value_heads": 2, "intermediate_size": 64}
MAMBA2 = {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 16, "chunk_size": 8}
JAMBA = {
    "num_hidden_layers": 4,
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "num_experts": 2,
    "mamba_d_state": 8,
}
FALCON = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64, "mamba_d_state": 8}

KEYS_AND_VALUES = 2 * LAYERS * WIDTH


def attention(length: int) -> int:
    return KEYS_AND_VALUES * length


NUMBERS: list[tuple[str, dict[str, Any], Any]] = [
    ("T_rope", HEADS, attention),
    ("T_nope", HEADS, attention),
    ("T_hard_alibi", {**HEADS, "num_masked_heads": 3}, attention),
    ("hf:llama", GROUPED, lambda length: attention(length) // 2),
    ("hf:mistral", {**GROUPED, "sliding_window": 8}, lambda length: attention(min(length, 7)) // 2),
    # inner width 2 W; transformers holds 4 inputs of the convolution
    ("mamba", {**SIZES, "state_size": 5}, lambda _: LAYERS * 2 * WIDTH * (5 + 4)),
    # the convolution also runs over the two projections of the state's size
    ("hf:mamba2", {**SIZES, **MAMBA2}, lambda _: LAYERS * (64 * 16 + (64 + 2 * 16) * 4)),
    ("lstm", SIZES, lambda _: LAYERS * 2 * WIDTH),
    # attention and Mamba-2 side by side in each layer
    (
        "hf:falcon_h1",
        {**GROUPED, **FALCON},
        lambda length: attention(length) // 2 + LAYERS * (64 * 8 + (64 + 2 * 8) * 4),
    ),
    # two layers of Mamba, two of attention with two keys for four heads; a mixture of experts
    ("hf:jamba", {**GROUPED, **JAMBA}, lambda length: attention(length) // 2 + 2 * 64 * (8 + 4)),
]


@pytest.mark.parametrize(("name", "arguments", "numbers"), NUMBERS, ids=[name for name, *_ in NUMBERS])
def test_the_bits_are_those_counted_by_hand(name: str, arguments: dict[str, Any], numbers: Any) -> None:
    model = build_model(name, **arguments).eval()
    for length in (5, 12):
        assert state_bits(model, length) == 32 * numbers(length)
        with torch.no_grad():
            held = state_of(model(torch.zeros(1, length, dtype=torch.int64), use_cache=True))
        assert bits_of(held) == 32 * numbers(length)


def test_half_the_bits_in_half_the_precision() -> None:
    model = build_model("T_nope", **HEADS)
    assert state_bits(model, 6, torch.bfloat16) == 16 * attention(6)
    assert model.dtype == torch.float32


def test_mamba_keeps_its_recurrent_state_in_float32() -> None:
    model = build_model("mamba", **SIZES, state_size=5)
    assert state_bits(model, 6, torch.bfloat16) == LAYERS * 2 * WIDTH * (5 * 32 + 4 * 16)


def test_a_model_that_reads_values_is_measured_in_its_own_dtype_alone() -> None:
    model = build_model("T_rope", **HEADS)

    class ReadsValues(type(model)):
        def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
            assert input_ids.sum().item() == 0
            return super().forward(input_ids, **options)

    model.__class__ = ReadsValues
    assert state_bits(model, 5) == state_bits(model, 5, torch.float32) == 32 * attention(5)
    with pytest.raises(InputError, match="gpt_neox cannot run on the meta device"):
        state_bits(model, 5, torch.bfloat16)


def test_kernels_that_need_a_gpu_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton")

    def kernel(x):
        pass

    configs = [triton.Config({}, num_warps=warps) for warps in (1, 2)]
    plain = triton.jit(kernel)
    given = triton.heuristics({"BLOCK": lambda arguments: arguments["x"].item()})(triton.jit(kernel))
    tuned = triton.autotune(configs, key=[])(triton.jit(kernel))

    class HasKernels(type(build_model("lstm", **SIZES))):
        def forward(self, input_ids: torch.Tensor, **options: Any) -> Any:
            for one in (plain, given, tuned):
                one[(1,)](input_ids)
            return super().forward(input_ids, **options)

    model = build_model("lstm", **SIZES)
    model.__class__ = HasKernels
    assert state_bits(model, 5, torch.bfloat16) == 16 * LAYERS * 2 * WIDTH
    launched: list[torch.Tensor] = []
    monkeypatch.setattr(type(plain), "run", lambda _, x, **__: launched.append(x))
    plain[(1,)](torch.zeros(1))
    assert len(launched) == 1


def test_a_model_of_the_papers_size_takes_no_memory() -> None:
    with torch.device("meta"):
        model = build_model("T_rope")
    assert state_bits(model, 1000, torch.bfloat16) == 12 * 2 * 1024 * 1000 * 16


def test_a_tensor_that_is_held_twice_counts_once_and_counters_not_at_all() -> None:
    x = torch.zeros(3, 5)
    layer = SimpleNamespace(first=x, again={"x": x}, more=[(torch.zeros(2, dtype=torch.float64),)])
    state = SimpleNamespace(layers=[layer], position=torch.tensor(7), name="cache", nothing=None)
    layer.parent = state
    assert bits_of(state) == 15 * 32 + 2 * 64


@dataclass
class _Output:
    """An output without a state, as transformers from 5.24 on returns it."""

    cache: None = None

    @property
    def past_key_values(self) -> None:
        pytest.fail("transformers warns of this name")


def test_a_model_without_a_state_is_refused() -> None:
    with pytest.raises(InputError, match="returns no state"):
        state_of(_Output())
    with pytest.raises(InputError, match="returns no state under any of the names cache, past_key_values"):
        state_of(SimpleNamespace(logits=torch.zeros(1)))
    with pytest.raises(InputError, match="the state, a list, contains no floating-point numbers"):
        bits_of([torch.tensor(3)])
    with pytest.raises(InputError, match="length must be an integer of at least 1, not 0"):
        state_bits(build_model("lstm", **SIZES), 0)


def evaluation(folder: Path, name: str, model: Any, **changed: Any) -> Path:
    """A checkpoint, and a file like that of ``evaluate``."""
    model.save_pretrained(folder / name)
    score = {"num_examples": 25, "string_accuracy": 0.5, "string_accuracy_stderr": 0.1}
    results = [{"length": length, **score} for length in (10, 20, 50)]
    config = {"task": "copy", "vocabulary": 4, "checkpoint": str(folder / name), **changed}
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"kind": "evaluation", "config": config, "results": results}))
    return file


def test_the_figure_has_each_model_and_its_bound(tmp_path: Path) -> None:
    lstm = evaluation(tmp_path, "small_lstm", build_model("lstm", hidden_size=1, num_hidden_layers=1))
    rope = evaluation(tmp_path, "rope", build_model("T_rope", **HEADS))
    main(["figure", str(lstm), str(rope), "--n", "3", "--out", str(tmp_path / "figures")])
    assert (tmp_path / "figures" / "theory.png").read_bytes().startswith(b"\x89PNG")
    one, other = (_read(file) for file in (lstm, rope))
    assert one.bits == dict.fromkeys((10, 20, 50), 2 * 32)
    assert other.bits == {length: 32 * attention(length + 2) for length in (10, 20, 50)}
    # 64 bits hold 32 of four letters; one letter more leaves a quarter
    assert dict(zip(*_most(64, 4), strict=True))[32] == 1
    assert dict(zip(*_most(64, 4), strict=True))[33] == 0.25
    assert _constant(one.bits) and not _constant(other.bits) and not _constant({10: 64})


def test_models_look_as_in_the_figures_of_training(tmp_path: Path) -> None:
    """Trained models are named after their architecture; several of one, and others, after their files."""

    def svg_of(**architectures: str | None) -> str:
        files = []
        for name, architecture in architectures.items():
            file = evaluation(tmp_path, name, build_model("lstm", hidden_size=1, num_hidden_layers=1))
            training = None if architecture is None else {"model": architecture}
            file.write_text(json.dumps({**json.loads(file.read_text()), "training": training}))
            files.append(file)
        _, svg = draw(files, tmp_path, 3)
        return svg.read_text()

    text = svg_of(one_run="lstm", other_run="T_hard_alibi", built_3=None)
    assert all(f"<!-- {name} -->" in text for name in ("LSTM", "Transformer: Hard-ALiBi", "built_3"))
    assert all(str(style_of(name, [])["color"]) in text for name in ("lstm", "T_hard_alibi"))
    text = svg_of(one_run="lstm", other_run="lstm")
    assert (
        all(f"<!-- {name} -->" in text for name in ("one_run", "other_run")) and "<!-- LSTM -->" not in text
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"task": "suffix_ngram"}, "is not an evaluation of the copy task"),
        ({"k": 3}, "has copies of the first 3 letters; the theory is about whole strings"),
        ({"vocabulary": 5}, r"must have the same alphabet; these have \[4, 5\] letters"),
    ],
)
def test_other_results_are_not_drawn(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    model = build_model("lstm", hidden_size=2, num_hidden_layers=1)
    files = [evaluation(tmp_path, "one", model), evaluation(tmp_path, "two", model, **changed)]
    with pytest.raises(SystemExit, match=sentence):
        main(["figure", *map(str, files), "--out", str(tmp_path / "figures")])
    assert not (tmp_path / "figures").exists()


def test_points_are_drawn_where_the_checkpoint_is_gone(tmp_path: Path) -> None:
    model = build_model("lstm", hidden_size=2, num_hidden_layers=1)
    file = evaluation(tmp_path, "one", model, checkpoint=str(tmp_path / "gone"))
    assert _read(file).bits == {}
    assert len(draw([file], tmp_path / "figures", 3)) == 2


def test_a_model_that_does_not_show_its_state_is_drawn_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = build_model("tests.gated_linear_attention:GatedLinearAttention", hidden_size=8)
    file = evaluation(tmp_path, "one", model)
    save_with_code(model, tmp_path / "one")
    with pytest.raises(InputError, match="pass --trust-remote-code"):
        draw([file], tmp_path / "figures", 3)
    assert len(draw([file], tmp_path / "figures", 3, trust_remote_code=True)) == 2
    assert "one are not plotted: the model returns no state" in caplog.text
