"""Plain-torch kernels of Zoology's Mamba, against the layers of transformers."""

import sys
from pathlib import Path

import pytest
import torch
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer, MambaRMSNorm

from dataset_builders import InputError
from dataset_builders.device_functions import use_kernels_where_they_work
from synthetic_training.speed import zoology_kernels


@torch.no_grad()
def test_a_layer_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    layer = MambaMixer(MambaConfig(hidden_size=8, state_size=3, num_hidden_layers=1), layer_idx=0).double()
    use_kernels_where_they_work(layer)
    for parameter in layer.parameters():
        parameter.uniform_(-0.5, 0.5)
    x = torch.randn(2, 7, 8, dtype=torch.double)
    y = zoology_kernels.mamba_inner_fn(
        layer.in_proj(x).transpose(1, 2),
        layer.conv1d.weight,
        layer.conv1d.bias,
        layer.x_proj.weight,
        layer.dt_proj.weight,
        layer.out_proj.weight,
        None,
        -layer.A_log.exp(),
        None,
        None,
        layer.D,
        delta_bias=layer.dt_proj.bias,
        delta_softplus=True,
    )
    torch.testing.assert_close(y, layer(x), atol=1e-5, rtol=1e-5)  # transformers' scan is in float32


def test_the_norm_is_that_of_the_residual_sum() -> None:
    ours, theirs = zoology_kernels.RMSNorm(8), MambaRMSNorm(8, 1e-5)
    for norm in (ours, theirs):
        torch.nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(0))
    x, residual = torch.randn(2, 2, 3, 8)
    options = {"prenorm": True, "residual_in_fp32": True, "eps": ours.eps}
    for added, total in ((None, x), (residual, x + residual)):
        y, kept = zoology_kernels.rms_norm_fn(x, ours.weight, ours.bias, residual=added, **options)
        torch.testing.assert_close(y, theirs(total))
        torch.testing.assert_close(kept, total)


MIXER = """
from causal_conv1d import causal_conv1d_fn
from zoology.mixers.mamba_ssm.selective_scan_interface import mamba_inner_fn
from zoology.mixers.mamba_ssm.triton.layernorm import RMSNorm, rms_norm_fn
"""


def test_zoologys_layer_is_imported_with_these_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "zoology" / "mixers"
    folder.mkdir(parents=True)
    (folder / "mamba.py").write_text(MIXER)
    monkeypatch.syspath_prepend(tmp_path)
    before, package = set(sys.modules), sys.modules.get("causal_conv1d")
    zoology_kernels.use_plain_kernels()
    mixer = sys.modules["zoology.mixers.mamba"]
    assert mixer.mamba_inner_fn is zoology_kernels.mamba_inner_fn
    assert mixer.RMSNorm is zoology_kernels.RMSNorm
    assert sys.modules.get("causal_conv1d") is package
    for name in set(sys.modules) - before:
        del sys.modules[name]
    (folder / "mamba.py").write_text("import einops_of_another_name")
    with pytest.raises(InputError, match="zoology's Mamba cannot be imported: No module named 'einops_of"):
        zoology_kernels.use_plain_kernels()
    for name in set(sys.modules) - before:
        del sys.modules[name]
