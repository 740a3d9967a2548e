"""``paper`` on six tiny models of its classes, with the real lm_eval: stopped, killed and continued."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_tasks.paper.experiments import experiments
from lm_eval_tasks.paper.figures import read_scores
from lm_eval_tasks.paper.model_list import read_model_list
from lm_eval_tasks.paper.plan import Files, plan
from tests.models import ARCHITECTURES

LIMIT = 2


def wait_until(moment: Callable[[], Any], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 900
    while not moment():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)


def lm_evals(out: Path) -> list[str]:
    """The command lines of processes that write to a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if b"lm_eval_tasks.paper.job" in words and any(str(out).encode() in word for word in words):
            found.append(" ".join(word.decode() for word in words))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are counted in /proc")
def test_six_models_ended_killed_and_continued(tmp_path: Path) -> None:
    from tests.paper_stand_ins import sources, write_stand_ins

    listed = write_stand_ins(tmp_path)
    metadata = sources(tmp_path)
    out = tmp_path / "out"
    options = ["--out", str(out), "--model-list", str(listed), "--metadata", metadata, "--limit", str(LIMIT)]
    command = [sys.executable, "-m", "lm_eval_tasks", "paper", *options, "--batches", "--gpus", "2"]
    models = read_model_list(str(listed)).models
    runs = plan(models, list(experiments().values()), json.loads(metadata), LIMIT)
    files = Files(out)

    def complete() -> list[str]:
        return sorted(path.name for path in files.runs.glob("*") if not path.name.startswith("."))

    def answers() -> list[Path]:
        return [path for path in files.unfinished.glob("*.db") if path.stat().st_size > 0]

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    # SIGTERM: what is complete is kept, and the message says how much
    process = start()
    wait_until(lambda: complete() and answers(), process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    first = complete()
    assert f"interrupted: {len(first)} of 24 runs are complete in {files.runs}" in err
    assert set(first) < {run.name for run in runs} and not lm_evals(out)

    # SIGKILL: the runs at work end too, and nothing that they left is taken for results
    process = start()
    wait_until(lambda: len(complete()) > len(first) and lm_evals(out), process)
    process.kill()
    process.communicate()
    end = time.monotonic() + 60
    while lm_evals(out) and time.monotonic() < end:
        time.sleep(0.2)
    assert not lm_evals(out)
    second = complete()
    times = {name: files.runs.joinpath(name).stat().st_mtime for name in second}

    process = start()
    shown, err = process.communicate(timeout=3000)
    assert process.returncode == 0, err
    assert f"24 runs, {len(second)} complete, {24 - len(second)} to do" in shown
    assert complete() == sorted(run.name for run in runs)
    assert not [*files.runs.glob(".*"), *files.unfinished.iterdir()]
    assert times == {name: files.runs.joinpath(name).stat().st_mtime for name in second}

    scores = read_scores(runs, files)
    assert len(scores) == sum(len(run.experiment.tasks) for run in runs)
    assert {score.documents for score in scores} == {LIMIT}
    page = (out / "paper.md").read_text()
    assert f"24 of 24 runs are complete. Only the first {LIMIT} documents" in page
    assert page.count("### ") == 5 and "Not evaluated" not in page
    for picture in re.findall(r"!\[.*\]\((.*)\)", page):
        assert (out / picture).is_file()
    assert all(f"]({name}.png)" in page for name in experiments())


HYBRIDS: dict[str, dict[str, Any]] = {
    "falcon_h1": {
        "mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1,
        "mamba_chunk_size": 16, "head_dim": 16,
    },
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention"], "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16,
        "mamba_chunk_size": 16, "num_local_experts": 0, "shared_intermediate_size": 128,
    },
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid"], "num_mem_blocks": 1, "mamba_d_state": 16,
        "mamba_headdim": 16, "n_mamba_heads": 8, "mamba_ngroups": 1, "chunk_size": 16, "adapter_rank": 4,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "olmo_hybrid": {
        "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 4,
        "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    },
    "qwen3_5_text": {
        "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 4,
        "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16, "head_dim": 16,
    },
}  # fmt: skip
"""Classes of the shipped lists whose batches tests/test_padding.py does not measure, with small sizes."""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", HYBRIDS)
def test_answers_of_the_hybrids_do_not_depend_on_the_batch(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import models, test_padding

    monkeypatch.setitem(models._ARGUMENTS, architecture, HYBRIDS[architecture])
    one, eight = (test_padding.answers(architecture, size)[0] for size in (1, 8))
    assert one == eight and len(set(one)) > 1


def test_the_batches_of_every_listed_class_are_measured() -> None:
    measured = {*ARCHITECTURES, *HYBRIDS, "qwen3_5"}  # whose text model is qwen3_5_text
    listed = read_model_list("recurrent_and_hybrid").models
    assert {model.model_type for model in listed if model.batch_size > 1} <= measured


@pytest.mark.gpu
def test_by_the_package_mamba_ssm_itself(tmp_path: Path) -> None:
    """The list for mamba_ssm, with a tiny model in that package's format."""
    pytest.importorskip("mamba_ssm")
    import yaml
    from mamba_ssm.models.config_mamba import MambaConfig
    from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel

    from tests.material import neox_tokenizer
    from tests.paper_stand_ins import entry, save_tokenizer

    folder = tmp_path / "tiny-mamba"
    tokenizer = save_tokenizer(tmp_path / "tokenizer", neox_tokenizer())
    model = MambaLMHeadModel(MambaConfig(d_model=64, n_layer=2, vocab_size=len(tokenizer)), device="cuda")
    model.save_pretrained(folder)
    one = entry("tiny-mamba", folder, "mamba", "410m", 2, 64, 1000)
    del one["compare_with"]
    one |= {"backend": "mamba_ssm", "batch_size": 1, "dtype": "float16"}
    one |= {"tokenizer": str(tmp_path / "tokenizer")}
    listed = tmp_path / "list.yaml"
    listed.write_text(yaml.safe_dump({"title": "mamba_ssm", "models": [one]}))
    options = ["--out", tmp_path / "out", "--model-list", listed, "--tasks", "phone_book", "--limit", "2"]
    command = [sys.executable, "-m", "lm_eval_tasks", "paper", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs are complete." in (tmp_path / "out" / "paper.md").read_text()
