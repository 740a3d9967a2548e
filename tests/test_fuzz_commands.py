"""Untrusted folders of runs, given to the commands: each ends with a result or with one sentence."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dataset_builders.plotting import STYLE
from synthetic_training.__main__ import main
from synthetic_training.training.loop import TrainingRun
from synthetic_training.training.run import train
from tests.mutations import as_json, damaged_bytes, hostile_yaml, mutated, mutated_files
from tests.tiny_run import SETTINGS, tiny

pytestmark = pytest.mark.slow

MANY = settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, the same run without its model, and an evaluation."""
    folder = tmp_path_factory.mktemp("base")
    train(tiny(steps=8, eval_every=4, save_every=4, warmup_steps=1), folder / "done")
    shutil.copytree(folder / "done", folder / "going")
    shutil.rmtree(folder / "going" / "model")
    small = ["--lengths", "2", "--num-examples", "4"]
    main(["evaluate", str(folder / "done"), *small, "--out", str(folder / "evaluation.json")])
    return folder


@pytest.fixture(autouse=True)
def nothing_is_trained_or_rendered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(TrainingRun, "finish", lambda _: Path("not trained"))
    monkeypatch.setitem(STYLE, "savefig.dpi", 10)
    monkeypatch.setattr("synthetic_training.evaluation.plot.save_plot", lambda *_: [])
    yield


def one_sentence(*arguments: str | Path) -> None:
    """A command succeeds, or ends in one sentence."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main(list(map(str, arguments)))
        except SystemExit as stop:
            message = str(stop.code)
            assert message.startswith("error: ") and message.isprintable() and len(message) < 5000


def fuzz(files: st.SearchStrategy[bytes], use: Callable[[Path, bytes], None]) -> None:
    def in_a_folder(data: bytes) -> None:
        with TemporaryDirectory() as name:
            inner = Path(name) / "inner"
            inner.mkdir()
            use(inner, data)
            assert list(Path(name).iterdir()) == [inner]

    MANY(given(files)(in_a_folder))()


@pytest.mark.parametrize("file", ["run.json", "checkpoints/step_4/trainer.json", "metrics.jsonl"])
def test_resumed(base: Path, file: str) -> None:
    good = (base / "going" / file).read_bytes()

    def resume(folder: Path, data: bytes) -> None:
        shutil.copytree(base / "going", folder / "run")
        (folder / "run" / file).write_bytes(data)
        one_sentence("train", "--resume", "--out", folder / "run")

    fuzz(damaged_bytes(good) if file.endswith("l") else mutated_files(json.loads(good)), resume)


@pytest.mark.parametrize("file", ["config.json", "run.json"])
def test_evaluated(base: Path, file: str) -> None:
    def evaluate(folder: Path, data: bytes) -> None:
        shutil.copytree(base / "done" / "model", folder / "model")
        (folder / "model" / file).write_bytes(data)
        one_sentence("evaluate", folder / "model", "--lengths", "2", "--num-examples", "4")

    fuzz(mutated_files(json.loads((base / "done" / "model" / file).read_bytes())), evaluate)


def test_plotted(base: Path) -> None:
    lines = [json.loads(line) for line in (base / "done" / "metrics.jsonl").read_text().splitlines()]
    metrics = st.sampled_from(lines).flatmap(mutated).map(lambda line: as_json(line) + b"\n")

    def plot(folder: Path, data: bytes) -> None:
        (folder / "metrics.jsonl").write_bytes(data)
        (folder / "evaluation.json").write_bytes(data)
        for source in (folder, folder / "evaluation.json"):
            one_sentence("plot", source, "--out", folder / "plots")

    fuzz(metrics | mutated_files(json.loads((base / "evaluation.json").read_bytes())), plot)


def test_trained() -> None:
    good = {**SETTINGS, "steps": 8, "warmup_steps": 1}
    names = ("task", "lr", "model", "preset", "model_args", "eval_lengths", "steps", "imports", "mix")
    files = mutated(good).map(lambda found: yaml.safe_dump(found, allow_unicode=True)) | hostile_yaml(names)

    def begin(folder: Path, data: bytes) -> None:
        (folder / "settings.yaml").write_bytes(data)
        one_sentence("train", "--config", folder / "settings.yaml", "--out", folder / "run")

    fuzz(files.map(lambda text: text.encode(errors="replace")), begin)
