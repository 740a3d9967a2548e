"""PyTorch code where CUDA kernels fail or are wrong, in models for which their packages are installed.

When transformers imports a modeling file, it decides whether its layers call PyTorch code or the functions of
causal-conv1d, mamba-ssm and flash-linear-attention, on whatever device they run later. On a CPU, and on
PyTorch's meta device, these functions fail. One of them is also wrong on a GPU: see ``_is_wrong``.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Function = Callable[..., Any]


def use_kernels_where_they_work(model: nn.Module) -> None:
    """Let the layers of a model call transformers' PyTorch code where a kernel would fail or be wrong.

    Kernels fail for tensors that are not on a GPU, and one of them is wrong on any device. The modules of the
    layers' classes and of their base classes are changed in this process.
    """
    classes = {one for layer in model.modules() for one in type(layer).__mro__}
    for name in {one.__module__ for one in classes} & sys.modules.keys():
        if not name.startswith("torch."):
            for key, function in [*vars(sys.modules[name]).items()]:
                if (plain := _pytorch_code(function)) is not None:
                    setattr(sys.modules[name], key, _by_device(function, plain))


def closure_of(function: object) -> dict[str, Any]:
    """The closure of a function that transformers has decorated; empty for any other object."""
    inner: Any = function if callable(function) and hasattr(function, "__wrapped__") else None
    while not inspect.isfunction(inner):
        inner = getattr(inner, "__wrapped__", None)
        if inner is None:
            return {}
    try:
        return dict(inspect.getclosurevars(inner).nonlocals)
    except ValueError:  # a variable of the closure has no value yet
        return {}


def _pytorch_code(function: object) -> Function | None:
    closure = closure_of(function)
    plain: Function | None = closure.get("torch_function")
    return plain if closure.get("is_new_implementation") is True else None


def _by_device(kernel: Function, plain: Function) -> Function:
    known = frozenset(inspect.signature(plain).parameters)

    @functools.wraps(plain)
    def function(*args: Any, **kwargs: Any) -> Any:
        if not _is_wrong(plain.__name__, kwargs):
            for value in (*args, *kwargs.values()):
                if isinstance(value, torch.Tensor) and value.is_cuda:
                    return kernel(*args, **kwargs)
        return plain(*args, **{key: value for key, value in kwargs.items() if key in known})

    return function


def _is_wrong(name: str, arguments: dict[str, Any]) -> bool:
    """Whether a kernel gives wrong results for these arguments.

    Falcon-Mamba normalises B, C and the time step. In training, transformers leaves this to the function
    ``mamba_inner_fn`` of mamba-ssm (2.3.2), which leaves the norms out of the gradient, and normalises the
    time step after its projection instead of before. Its stand-in returns None, and then transformers
    computes the norms itself and calls the kernel of the scan.
    """
    return name == "mamba_inner_fn" and arguments.get("b_rms_weight") is not None
