"""Runs a model during its training without changing the training."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from dataset_builders.random_states import preserved_random_states


@contextmanager
def preserved_training_state(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block, the model is in evaluation mode and computes no gradients.

    Afterwards, the mode of each module and the random states of Python, NumPy and PyTorch are restored, and
    parameters that FSDP gathered are sharded again.

    Compiled parts run uncompiled, because each new shape would be compiled, and would count towards the limit
    of recompilations that training has too.

    Args:
        model: the model whose modules are set to evaluation mode; the mode of each module is restored.
        device: the model's device, whose random state is restored too.
    """
    modes = [(module, module.training) for module in model.modules()]
    stance: Any = getattr(torch.compiler, "set_stance", None)
    with ExitStack() as stack:
        stack.enter_context(preserved_random_states(device))
        stack.callback(_reshard, model)
        # older versions of torch would go on to train with the casts of weights that are cached here
        stack.callback(torch.clear_autocast_cache)
        stack.enter_context(torch.no_grad())
        if stance is not None:  # new in torch 2.6
            stack.enter_context(stance("force_eager"))
        stack.callback(_restore, modes)
        model.eval()
        yield


def _reshard(model: nn.Module) -> None:
    """Shard the parameters of FSDP modules, as they are between two training steps.

    FSDP keeps the outermost module's parameters gathered after a forward pass, for the backward pass. Here
    there is none: an optimizer created now would get the gathered parameters, and an optimizer step would not
    change them before the next forward pass uses them.
    """
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")  # which takes a second to import
    if fsdp is None:
        return
    second = getattr(fsdp, "FSDPModule", ())  # FSDP2, new in torch 2.6
    for module in model.modules():
        if isinstance(module, second):
            module.reshard()
        elif isinstance(module, fsdp.FullyShardedDataParallel):
            handle = module._handle
            # with one process, or the strategy NO_SHARD, the parameters are not sharded
            if handle is not None and handle.uses_sharded_strategy:
                handle.reshard(free_unsharded_flat_param=True)


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    """Restore the modes of modules, of which parents come before their children.

    ``train`` is called where ``eval`` was called, because some modules do more in it: those of loralib add
    their adapters to the weights in evaluation mode, and train nothing until they have subtracted them.
    """
    for module, mode in modes:
        if module.training != mode:
            module.train(mode)
    for module, mode in modes:
        module.training = mode
