"""Checkpoints: a model that ``from_pretrained`` can load, and the state from which a run continues.

::

    RUN/checkpoints/step_2000/
        config.json, model.safetensors, tokenizer.json, ...
        run.json                the run's settings
        optimizer.safetensors   AdamW's state
        trainer.json            the step and counts, and a checksum of each file

A folder is written under a temporary name and renamed when it is complete. If a checkpoint does not match its
checksums, the previous checkpoint is used, with a warning.
"""

import hashlib
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dataset_builders import InputError
from dataset_builders.checks import first_line, first_problem
from dataset_builders.files import atomic_folder, partial_path, read_json, write_json
from synthetic_training.models.construction import reraise_bug
from synthetic_training.models.saved import save_tokenizer, save_with_code
from synthetic_training.models.weights import LOADING_ERRORS, load_weights
from synthetic_training.training.run_folder import CHECKPOINTS, RUN

log = logging.getLogger(__name__)

KEPT = 2
"""Number of checkpoints of a run that are kept."""

_OPTIMIZER, _TRAINER = "optimizer.safetensors", "trainer.json"


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        step: number of steps done.
        examples: number of examples trained on.
        seconds: training time so far, including the time before the run was resumed.
    """

    step: int = 0
    examples: int = 0
    seconds: float = 0.0


class Checkpoints:
    """The checkpoints of a run.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._run, self._folder = run, run / CHECKPOINTS

    def save(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        optimizer: dict[str, Tensor],
        progress: Progress,
    ) -> Path:
        """Write a checkpoint, then remove all but the last ``KEPT``.

        Raises:
            InputError: the checkpoint cannot be written; earlier checkpoints still exist.
        """
        final = self._folder / f"step_{progress.step}"
        try:
            self.clean()
            partial = partial_path(final)
            partial.mkdir(parents=True)
            write_model(partial, model, tokenizer, self._run / RUN)
            save_file({key: value.contiguous() for key, value in optimizer.items()}, partial / _OPTIMIZER)
            files = {file.name: _sha256(file) for file in sorted(partial.iterdir())}
            write_json(partial / _TRAINER, {**asdict(progress), "sha256": files})
            if final.exists():  # a damaged checkpoint: the run would have continued from an intact one
                _remove(final)
            partial.rename(final)
            for old in self._complete()[:-KEPT]:
                _remove(old)
        except (OSError, SafetensorError) as error:  # such as a full disk
            raise InputError(f"{final} cannot be written: {first_line(error)}") from None
        return final

    def newest(self) -> tuple[Path, Progress] | None:
        """The newest undamaged checkpoint; None if none was written.

        Raises:
            InputError: there are checkpoints, and all are damaged.
        """
        folders = self._complete()
        for folder in reversed(folders):
            try:
                return folder, _check(folder)
            except InputError as error:
                log.warning("%s: using the previous checkpoint", error)
        if folders:
            raise InputError(
                f"all checkpoints in {self._folder} are damaged; train again with another folder"
            )
        return None

    def clean(self) -> None:
        """Remove checkpoints that were left partly written or partly removed."""
        for left in self._folder.glob(".step_*"):
            shutil.rmtree(left)

    def _complete(self) -> list[Path]:
        folders = [f for f in self._folder.glob("step_*") if f.name.removeprefix("step_").isdigit()]
        return sorted(folders, key=lambda f: int(f.name.removeprefix("step_")))


def write_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, run: Path) -> None:
    """Fill an empty folder with the model, the code that it needs, its tokenizer and the run's settings."""
    save_with_code(model, folder)
    save_tokenizer(tokenizer, folder)
    shutil.copyfile(run, folder / RUN)


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, run: Path) -> None:
    """Like ``write_model``, but the folder appears only once it is complete."""
    with atomic_folder(folder) as new:
        write_model(new, model, tokenizer, run)


def restore_weights(model: PreTrainedModel, checkpoint: Path) -> None:
    """Load the weights of a checkpoint of the same architecture into a model, in float32.

    Raises:
        InputError: the weights cannot be loaded, are incomplete or not finite, or belong to another
            architecture.
    """
    try:
        saved = load_weights(type(model), checkpoint)
    except InputError:
        raise
    except LOADING_ERRORS as error:
        reraise_bug(error)
        raise InputError(f"{checkpoint} contains no model that can be loaded: {first_line(error)}") from None
    try:
        model.load_state_dict(saved.state_dict())
    except RuntimeError:  # missing or unexpected weights, or weights of another shape
        raise InputError(
            f"the model in {checkpoint} has a different architecture from the run; restore {RUN}"
        ) from None


def load_optimizer(checkpoint: Path) -> dict[str, Tensor]:
    """The optimizer state that was passed to ``Checkpoints.save``, on the CPU.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        return load_file(checkpoint / _OPTIMIZER)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{checkpoint / _OPTIMIZER} cannot be read: {first_line(error)}") from None


class _Trainer(BaseModel):
    """The content of ``trainer.json``."""

    model_config = ConfigDict(strict=True)

    step: Annotated[int, Field(ge=1, le=2**31)]
    examples: Annotated[int, Field(ge=0, le=2**62)]
    seconds: Annotated[float, Field(ge=0, lt=1e12)]
    sha256: dict[Annotated[str, Field(pattern=r"^[\w.-]{1,200}$")], str]


def _check(folder: Path) -> Progress:
    try:
        trainer = _Trainer.model_validate(read_json(folder / _TRAINER))
    except ValidationError as error:
        raise InputError(f"{folder / _TRAINER} is damaged: {first_problem(error)}") from None
    for name, sha256 in trainer.sha256.items():
        file = folder / name
        if not file.is_file() or _sha256(file) != sha256:
            raise InputError(f"{file} is damaged: its checksum is wrong")
    return Progress(trainer.step, trainer.examples, trainer.seconds)


def _remove(folder: Path) -> None:
    """Remove a folder, so that no partial folder ever has its name."""
    gone = folder.with_name(f".{folder.name}.removed")
    folder.replace(gone)
    shutil.rmtree(gone)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
