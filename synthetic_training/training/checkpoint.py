"""Checkpoints: a model as ``from_pretrained`` reads it, and all that a run needs to go on from there.

::

    RUN/checkpoints/step_2000/
        config.json, model.safetensors, tokenizer.json, ...
        run.json                the run's settings
        optimizer.safetensors   AdamW's state
        trainer.json            the step and counts, and a checksum of each file

A folder is written under another name and renamed when it is whole. A checkpoint that was damaged later
is told by its checksums: it is passed over for the one before it, with a warning.
"""

import hashlib
import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dataset_builders import InputError
from dataset_builders.files import atomic_folder, partial_path, read_json, write_json
from synthetic_training.models.saved import save_with_code
from synthetic_training.training.run_log import RUN

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints of a run that are kept."""

_OPTIMIZER, _TRAINER = "optimizer.safetensors", "trainer.json"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: steps done.
        examples: number of examples trained on.
        seconds: time taken, over all processes that worked on the run one after the other.
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
        self._run, self._folder = run, run / "checkpoints"

    def save(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        optimizer: dict[str, Tensor],
        progress: Progress,
    ) -> Path:
        """Write a checkpoint, then remove those beyond the last ``KEPT``."""
        self.clean()
        final = self._folder / f"step_{progress.step}"
        partial = partial_path(final)
        partial.mkdir(parents=True)
        write_model(partial, model, tokenizer, self._run / RUN)
        save_file({key: value.contiguous() for key, value in optimizer.items()}, partial / _OPTIMIZER)
        files = {file.name: _sha256(file) for file in sorted(partial.iterdir())}
        write_json(partial / _TRAINER, {**asdict(progress), "sha256": files})
        if final.exists():  # damaged, or it would have been gone on from
            _remove(final)
        partial.rename(final)
        for old in self._whole_names()[:-KEPT]:
            _remove(old)
        return final

    def newest(self) -> tuple[Path, Progress] | None:
        """The newest checkpoint that is as it was written; None where none was written.

        Raises:
            InputError: there are checkpoints, and all are damaged.
        """
        folders = self._whole_names()
        for folder in reversed(folders):
            try:
                return folder, _check(folder)
            except InputError as error:
                log.warning("%s: going back to the checkpoint before it", error)
        if folders:
            raise InputError(
                f"all checkpoints in {self._folder} are damaged; train again into another folder"
            )
        return None

    def clean(self) -> None:
        """Remove what was left half written, or half removed."""
        for left in self._folder.glob(".step_*"):
            shutil.rmtree(left)

    def _whole_names(self) -> list[Path]:
        folders = [f for f in self._folder.glob("step_*") if f.name.removeprefix("step_").isdigit()]
        return sorted(folders, key=lambda f: int(f.name.removeprefix("step_")))


def write_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, run: Path) -> None:
    """Fill an empty folder with the model, the code that it needs, its tokenizer and the run's settings."""
    save_with_code(model, folder)
    tokenizer.save_pretrained(folder)
    shutil.copyfile(run, folder / RUN)


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, run: Path) -> None:
    """As ``write_model``, so that the folder never is there in part."""
    with atomic_folder(folder) as new:
        write_model(new, model, tokenizer, run)


def load_optimizer(checkpoint: Path) -> dict[str, Tensor]:
    """What was given to ``Checkpoints.save``, on the CPU."""
    return load_file(checkpoint / _OPTIMIZER)


def window(model: PreTrainedModel) -> int | None:
    """Tokens that a model was made for; None where its configuration does not say."""
    lengths = (getattr(model.config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def _check(folder: Path) -> Progress:
    content = read_json(folder / _TRAINER)
    try:
        progress = Progress(int(content["step"]), int(content["examples"]), float(content["seconds"]))
        files = dict(content["sha256"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{folder / _TRAINER} is damaged: it lacks a value") from None
    for name, sha256 in files.items():
        file = folder / name
        if not file.is_file() or _sha256(file) != sha256:
            raise InputError(f"{file} is damaged: it is not as it was written")
    return progress


def _remove(folder: Path) -> None:
    """Remove a folder so that it is never there in part under its name."""
    gone = folder.with_name(f".{folder.name}.removed")
    folder.replace(gone)
    shutil.rmtree(gone)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
