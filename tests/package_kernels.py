"""The loss of a model of transformers and its gradient, with or without the packages of its kernels.

    python -m tests.package_kernels MODEL DEVICE OUT [PACKAGE ...] [any_kernel]

writes them to the file OUT, as if the packages were not installed; with ``any_kernel``, also with kernels
that this project avoids because they are wrong. Each call is a process of its own, because transformers looks
for the packages once, when it imports a model's file.
"""

import sys
from pathlib import Path

PACKAGES = ("mamba_ssm", "causal_conv1d", "fla")
"""Import names of the packages whose kernels transformers calls."""

ANY_KERNEL = "any_kernel"


def write_gradients(name: str, device: str, out: Path) -> None:
    """The loss, and the gradients of all parameters by name; in float32, at the small preset's sizes."""
    import torch
    from safetensors.torch import save_file

    from synthetic_training.models.registry import build_model
    from synthetic_training.models.sizes import preset_arguments
    from synthetic_training.models.slow_paths import missing_kernels

    torch.manual_seed(0)
    model = build_model(name, **preset_arguments("small", name, {}))
    ids = torch.randint(0, 26, (4, 96))
    model, ids = model.to(device).train(), ids.to(device)
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    found = {key: p.grad.cpu().contiguous() for key, p in model.named_parameters() if p.grad is not None}
    save_file({**found, "loss": loss.detach().cpu()}, out, {"missing": " ".join(missing_kernels(model))})


if __name__ == "__main__":
    for package in sys.argv[4:]:
        if package == ANY_KERNEL:
            from dataset_builders import device_functions

            device_functions._is_wrong = lambda *_: False
        else:
            sys.modules[package] = None  # type: ignore[assignment]  # Python's way to say: not there
    write_gradients(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
