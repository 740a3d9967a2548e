"""Checks before training that a user's own model is the same after it is saved and loaded."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.models.compared_logits import SEED, Forward
from synthetic_training.models.construction import MISFITS, reraise_bug
from synthetic_training.models.saved import save_with_code, why_not_copied
from synthetic_training.models.unsaved import rounded_in_loading, saved_shapes, why_not_saved
from synthetic_training.models.weights import LOADING_ERRORS, load_weights
from synthetic_training.seeding import seed_everything


def check_saving(run: Forward, model: PreTrainedModel, ids: Tensor) -> list[str]:
    """Save and load a model after three training passes, and compare the two.

    Returns:
        Warnings if their logits differ in training mode, and if the code cannot be saved.

    Raises:
        InputError: the model cannot be saved or loaded, or their logits differ in evaluation mode.
    """
    before = saved_shapes(model)
    rows = run.pass_in_training_mode(model, ids)
    with TemporaryDirectory() as folder:
        try:
            save_with_code(model.eval(), Path(folder) / "model")
        except (OSError, SafetensorError) as error:  # such as a full disk
            raise InputError(
                f"{run.name} cannot be saved in {folder}, a temporary folder: {first_line(error)}; TMPDIR "
                "can name a folder with more room"
            ) from error
        except MISFITS as error:
            if (reason := why_not_saved(model, before)) is None:
                reraise_bug(error)
            raise InputError(f"{run.name} cannot be saved: {reason or first_line(error)}") from error
        seed_everything(SEED + 1)  # other random values than the saved model was built with
        try:
            again = load_weights(type(model), Path(folder) / "model").to(model.device).eval()
        except LOADING_ERRORS as error:
            reraise_bug(error)
            message = first_line(error).replace(f"{folder}/model", "the saved model")
            reason = why_not_saved(model, before) or f"it cannot be loaded again: {message}"
            raise InputError(f"{run.name} cannot be saved: {reason}") from error
    if (reason := rounded_in_loading(model, again)) is not None:
        raise InputError(
            f"weights of {run.name} would be rounded when it is loaded, because {reason}; build it in "
            "float32, and pass --precision bf16 to train it in bfloat16"
        )
    if not run.equal(run.logits(again, ids), run.logits(model, ids), 1e-4):
        raise InputError(
            f"{run.name} has other logits after it is saved and loaded; register each tensor that its "
            "constructor draws at random, or that forward changes, as a parameter or with register_buffer"
        )
    with torch.enable_grad():
        one, other = (run.logits(each.train(), rows).detach() for each in (again, model))
    what = "carries something from one training step to the next that is not saved, so a resumed run differs"
    warnings = [] if run.equal(one, other, 1e-4, 1e-3) else [f"{run.name} {what}; use register_buffer"]
    if (reason := why_not_copied(model)) is not None:
        warnings.append(
            f"the code of {run.name} will not be saved with it, because {reason}, so the saved model can "
            "only be loaded where its modules can be imported; put them into one folder to change this"
        )
    return warnings
