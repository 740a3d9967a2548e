"""A training run: from a configuration to a folder that holds its metrics, its checkpoints and its model.

::

    OUT/run.json         the settings, and the versions and revision that ran them
    OUT/metrics.jsonl    a line every few steps, and one for each length that was evaluated
    OUT/checkpoints/     the last two, to go on from
    OUT/model/           what was learned, for from_pretrained, once the run is finished
"""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.files import write_json
from synthetic_training.config import TrainConfig, as_json, check_run, checked, differing, read_run
from synthetic_training.data.tokens import encode
from synthetic_training.data.training_data import material_of
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.registry import build_model, is_own_code
from synthetic_training.models.user_code import check_causal, import_packages
from synthetic_training.provenance import provenance
from synthetic_training.training.checkpoint import window
from synthetic_training.training.device import resolve_device
from synthetic_training.training.loop import MODEL, TrainingRun
from synthetic_training.training.run_log import RUN

PROJECT = "repeat-after-me"
"""Under which trackers keep runs."""


def train(config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
    """Train a model; return its folder.

    Under ``accelerate launch`` or ``torchrun`` the processes share the rows of each batch; batches, losses
    and weights are those of one process, but for rounding.

    Args:
        config: the settings.
        out: the run's folder, new or empty.
        resume: go on with the run in ``out``, from its newest checkpoint that is not damaged.

    Raises:
        InputError: the settings cannot be run, ``out`` is taken, the run in ``out`` is another one, or the
            loss is not finite.
    """
    config = _resolved(checked(as_json(config)))
    accelerator = _accelerator(config)
    check_run(config, accelerator.num_processes)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    _check_folder(config, out, resume)
    if resume and (out / MODEL).exists():
        return out / MODEL
    torch.manual_seed(config.seed)
    material = material_of(config)
    import_packages(config.imports)
    model = build_model(
        config.model, material.tokens, trust_remote_code=config.trust_remote_code, **config.model_args
    )
    if config.embedding_std is not None:
        draw_embeddings(model, config.embedding_std)
    _check_window(config, material.longest, model)
    if config.isolate_examples:
        _check_isolation(config, model)
    if is_own_code(config.model):
        check_causal(config.model, model.to(accelerator.device))
    # every process looks at the folder before the first one writes to it
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not resume:
        _make(out)
        size = sum(parameter.numel() for parameter in model.parameters())
        write_json(out / RUN, {"config": as_json(config), "parameters": size, **provenance()})
    if config.tracker != "none":
        accelerator.init_trackers(PROJECT, as_json(config), {config.tracker: {"name": out.name}})
    return TrainingRun(config, out, accelerator, material, model, resume=resume).finish()


def _resolved(config: TrainConfig) -> TrainConfig:
    """With the device and precision that ``auto`` stands for."""
    device = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" else "fp32"
    return replace(config, device=device, precision=precision)


def _accelerator(config: TrainConfig) -> Accelerator:
    name = config.tracker
    if name != "none" and importlib.util.find_spec(name) is None:
        raise InputError(f"tracker {name} is not installed; pip install {name}")
    trackers = None if name == "none" else name
    return Accelerator(cpu=config.device == "cpu", mixed_precision="no", log_with=trackers)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None


def _check_folder(config: TrainConfig, out: Path, resume: bool) -> None:
    if resume:
        names = differing(read_run(out), config)
        if names:
            raise InputError(
                f"the run in {out} has other settings: {', '.join(names)}; resume it with its own, or train "
                "into another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "holds a run; pass --resume to go on with it, or" if (out / RUN).exists() else "is not empty;"
        raise InputError(f"{out} {what} train into another folder")


def _check_window(config: TrainConfig, longest: int, model: PreTrainedModel) -> None:
    room = window(model)
    if room is not None and longest > room:
        raise InputError(
            f"{config.model} has a window of {room} tokens, and rows of up to {longest} are asked for; "
            f"pass --model-args max_position_embeddings={longest}"
        )


@torch.no_grad()
def _check_isolation(config: TrainConfig, model: PreTrainedModel) -> None:
    """Refuse a model that does not begin anew where positions do, as recurrent ones do not."""
    examples = torch.tensor([encode("$ab|ab.$cd|cd."), encode("$ef|ef.$cd|cd.")])
    length = examples.shape[1] // 2
    positions = torch.arange(length).repeat(2).expand_as(examples)
    try:
        logits = model.eval()(input_ids=examples, position_ids=positions, use_cache=False).logits
    except TypeError:
        isolated = False
    else:
        one, other = logits[:, length:]
        isolated = bool((one - other).abs().max() <= 1e-5 * one.abs().max())
    if not isolated:
        raise InputError(f"{config.model} cannot keep packed examples apart; leave --isolate-examples out")
