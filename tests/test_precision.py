"""The precision study: its arms, its tables, and gradient errors against float64."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import fisher_exact

import synthetic_training
from dataset_builders import InputError
from dataset_builders.files import read_json
from synthetic_training.models.mamba import FastMambaMixer
from synthetic_training.models.registry import build_model
from synthetic_training.precision import study
from synthetic_training.precision.arms import ARMS, Arm, applied, arm_named
from synthetic_training.precision.study import PAPER_RUN, Study, run_study
from synthetic_training.precision.summary import ABOVE_CHANCE, LEARNED, RELEASED, float32_table, report
from synthetic_training.training import step
from synthetic_training.training.run_log import read_lines

FOLDER = Path(synthetic_training.__file__).parent / "precision"


def test_the_readme_has_the_tables_of_the_committed_results() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- summary -->\n(.*)\n<!-- /summary -->", text, re.DOTALL)
    assert shown is not None and shown[1] == report()


def test_the_readme_has_the_runs_in_float32_and_what_they_suggest() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- float32 -->\n(.*)\n<!-- /float32 -->", text, re.DOTALL)
    assert shown is not None and shown[1] == float32_table()
    released = [read_json(file)["results"][-1] for file in RELEASED.glob("released_mamba_*.json")]
    ours = [one["curve"][-1] for one in read_lines(FOLDER / "results/float32.jsonl")]
    others = [one["curve"][-1] for one in read_lines(FOLDER / "results/mamba_authors_weights.jsonl")]
    assert [one["string_accuracy"] >= LEARNED for one in ours].count(True) == 3 < len(ours) == 5
    every = [*released, *ours]
    for score, least, sentence in (
        ("string_accuracy", LEARNED, "three learned, against 3 of 34 in [the other precisions]"),
        ("letter_accuracy", ABOVE_CHANCE, "five were above chance, against 8 of 34"),
    ):
        counts = [sum(one[score] >= least for one in rows) for rows in (every, others)]
        assert counts == {LEARNED: [3, 3], ABOVE_CHANCE: [5, 8]}[least] and len(others) == 34
        p = fisher_exact([[counts[0], 7 - counts[0]], [counts[1], 34 - counts[1]]]).pvalue
        assert sentence in " ".join(text.split()) and f"(p = {p:.2g})".replace("0.", ".") in " ".join(
            text.split()
        )
    alike = [one for one in read_lines(FOLDER / "results/float32.jsonl") if not one["config"]["model_args"]]
    learned = [one["seed"] for one in alike if one["curve"][-1]["string_accuracy"] >= LEARNED]
    assert (len(alike), learned) == (4, [0, 2])
    p = fisher_exact([[2, 2], [3, 31]]).pvalue
    assert f"(RMSNorm), two learned (p = {p:.2g})".replace("0.", ".") in " ".join(text.split())


def test_the_errors_with_the_scan_of_mamba_ssm_are_those_in_the_text() -> None:
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    files = {
        name: read_json(FOLDER / f"results/gradient_errors_{name}.json") for name in ("mamba_ssm", "learned")
    }
    errors, learned = (file["errors"] for file in files.values())
    assert files["mamba_ssm"]["rows"] == 4
    rows = (
        "bf16_without_copies",
        "bf16_float32_recurrence",
        "bf16_mamba_ssm_scan",
        "bf16_mamba_ssm_scan_float32",
    )
    gradients = {arm: one["gradient"] for arm, one in errors.items()}
    of_d = {arm: one["parameters"]["backbone.layers.mixer.D"]["largest"] for arm, one in errors.items()}

    assert "the gradient has nearly the same error with it as with our scan" in text
    assert max(gradients[arm] for arm in rows) < 1.05 * min(gradients[arm] for arm in rows)
    alone, tf32 = (f"{gradients[arm]:.1e}".replace("e-0", "e-") for arm in ("bf16_float32_scan", "tf32"))
    assert f"with our scan alone in float32, it is as large ({alone}), but in TF32 it is {tf32}." in text
    assert gradients["bf16_float32_scan"] == pytest.approx(gradients["bf16_without_copies"], rel=0.01)

    assert (
        "the largest error of a parameter is that of `D` in one layer. It differs by a factor of two" in text
    )
    for arm in rows:
        assert of_d[arm] == max(one["largest"] for one in errors[arm]["parameters"].values())
    assert 2 < max(of_d[arm] for arm in rows) / min(of_d[arm] for arm in rows) < 2.5
    convolution = f"{of_d['bf16_float32_convolution']:.1e}".replace("e-0", "e-")
    assert f"and is {convolution} with our convolution alone in float32." in text

    assert "has about half the error of this model, and `bf16_float32_recurrence` nearly twice." in text
    ratios = [learned[arm]["gradient"] / gradients[arm] for arm in rows[:2]]
    assert ratios == pytest.approx([0.54, 1.78], abs=0.005)


def test_every_run_is_of_one_revision_and_differs_in_arm_and_seed_alone() -> None:
    for file in (FOLDER / "results").glob("mamba_*.jsonl"):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert len({line["git_revision"] for line in lines}) == 1
        assert len({(line["arm"], line["seed"]) for line in lines}) == len(lines)
        settings = [
            {k: v for k, v in line["config"].items() if k not in ("seed", "precision")} for line in lines
        ]
        assert all(one == settings[0] for one in settings)
        assert all(line["config"]["precision"] == ARMS[line["arm"]].precision for line in lines)


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.float32_operations])
def test_an_operation_in_float32_is_nearer_to_float32(name: str) -> None:
    """Each arm changes what the layer computes; all three operations together bring it closer."""
    torch.manual_seed(0)
    model = build_model("mamba", hidden_size=64, num_hidden_layers=2, state_size=16)
    assert sum(isinstance(layer, FastMambaMixer) for layer in model.modules()) == 2
    ids = torch.randint(0, 26, (4, 60))

    def logits(arm: Arm, bf16: bool) -> torch.Tensor:
        with applied(arm), torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.no_grad():
            return model(input_ids=ids, use_cache=False).logits.double()

    exact, plain, changed = logits(Arm(), False), logits(Arm(), True), logits(ARMS[name], True)
    assert not torch.equal(changed, plain) or name == "bf16_float32_scan"
    if name == "bf16_float32_recurrence":
        assert (changed - exact).norm() < (plain - exact).norm()


def test_what_an_arm_changes_is_undone() -> None:
    optimizer, precision = step.ClippedAdamW, torch.get_float32_matmul_precision()
    with applied(ARMS["bf16_float32_recurrence"]):
        assert step.ClippedAdamW is not optimizer and FastMambaMixer.float32_operations
        torch.set_float32_matmul_precision("high")
    assert step.ClippedAdamW is optimizer and not FastMambaMixer.float32_operations
    assert torch.get_float32_matmul_precision() == precision


def test_an_unknown_arm_is_refused() -> None:
    with pytest.raises(InputError, match="there is no arm 'tf23'"):
        arm_named("tf23")


def test_finished_runs_with_other_settings_are_not_taken_for_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "resolve_device", lambda _: "cuda")
    committed = FOLDER / "results" / "mamba_authors_weights.jsonl"
    (tmp_path / "out.jsonl").write_bytes(committed.read_bytes())
    options = {"out": tmp_path / "out.jsonl", "folder": tmp_path / "runs", "arms": ("bf16",), "seeds": (0,)}
    run_study(Study(**options))  # nothing is left to do
    with pytest.raises(
        InputError, match=r"has bf16 with seed 0 and other settings \(lr\); pass another --out"
    ):
        run_study(Study(**options, settings=replace(PAPER_RUN, lr=1e-3)))
    assert (tmp_path / "out.jsonl").read_bytes() == committed.read_bytes()
