"""Writes tables from results, and draws the plots of documents."""

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dataset_builders import InputError
from dataset_builders.files import atomic_file, read_json
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.documents.evaluate import result_file
from lm_eval_tasks.documents.plan import Evaluation, Model, Report
from lm_eval_tasks.results import read_reports
from lm_eval_tasks.results.agreement import agreement_table, agreements
from lm_eval_tasks.results.benchmark_report import BenchmarkReport
from lm_eval_tasks.results.compare import compare_rows, p_text
from lm_eval_tasks.results.controls import control_table, controls
from lm_eval_tasks.results.samples import logged
from lm_eval_tasks.twins import FORCED

_WINDOW = "1280,1335"


def report_page(
    name: str, evaluations: Sequence[Evaluation], reports: Sequence[BenchmarkReport], cache: Path
) -> str:
    """The commands of a report and all of its tables, each under a heading with its name.

    Args:
        cache: the folder with the results and samples of the evaluations.
    """
    parts = [f"# {name}", _commands(evaluations)]
    for one in reports:
        tables = {
            "scores": one.score_table(),
            "memory": one.capacity_table(),
            "position": one.position_table(),
            "wrong answers": one.error_table(),
            "first errors": one.first_error_table(),
        }
        parts += [f"## {one.benchmark}: {what}\n\n{table}" for what, table in tables.items() if table]
    if found := controls(logged([score for one in reports for score in one.scores])):
        parts.append(f"## controls\n\n{control_table(found)}")
    benchmarks = {one.benchmark for one in reports}
    if any(f"{benchmark}{FORCED}" in benchmarks for benchmark in benchmarks):
        twins = agreement_table(agreements([result_file(cache, one) for one in evaluations]))
        parts.append(f"## agreement\n\n{twins.partition(_END_OF_TABLE)[0]}")
    if compared := dtype_table(evaluations[0].model, reports):
        parts.append(f"## dtypes\n\n{compared}")
    return "\n\n".join(parts) + "\n"


_END_OF_TABLE = "\n\n"


def dtype_table(first: Model, reports: Sequence[BenchmarkReport]) -> str:
    """The first model compared with itself in other dtypes, as Markdown; empty if there are none."""
    scores = [score for one in reports for score in one.scores if score.run.model == first.shown]
    labels = {str(score.run.dtype): score.label for score in scores}
    own = first.arguments.get("dtype", "")
    rows = []
    for other in labels.keys() - {own} if own in labels else ():
        for (benchmark, length), c in compare_rows(scores, labels[own], labels[other]).items():
            row = [f"{own} - {other}", benchmark, length, str(c.documents), c.difference_text]
            rows.append([*row, f"{c.first_better} : {c.second_better}", p_text(c.p_value)])
    headers = ["dtypes", "benchmark", "length", "documents", "difference", "only one is right", "p"]
    return markdown_table(headers, sorted(rows)) if rows else ""


def _commands(evaluations: Sequence[Evaluation]) -> str:
    """The commands with which a user evaluates the packaged models, or the first of the bundled models."""
    first = evaluations[0].model
    lines = [_command(one) for one in evaluations if first.package or one.model == first]
    if package := first.package:
        note = f"`$FOLDER` is the folder of the package `{package}`, which contains {first.shown}."
    else:
        others = dict.fromkeys(one.model.name for one in evaluations if one.model != first)
        note = f"This is for {first.name}; the same was run for {', '.join(others)}." if others else ""
    return "\n".join([*([note, ""] if note else []), "<!-- needs: minutes -->", "```", *lines, "```"])


def _command(evaluation: Evaluation) -> str:
    model, run = evaluation.model, evaluation.run
    given = {"pretrained": "$FOLDER" if model.package else model.shown, **model.arguments}
    metadata = re.sub(r"\{(\w+)\}", r"\1", json.dumps(run.metadata))
    return " ".join(
        [
            "lm_eval --model hf --model_args",
            f'"{",".join(f"{key}={value}" for key, value in given.items())}"',
            f"--device cpu --batch_size {model.batch_size} --limit {run.limit}",
            f'--include_path "$(python -m lm_eval_tasks path)" --tasks {",".join(run.tasks)}',
            *([f"--metadata '{metadata}'"] if run.metadata else []),
            "--output_path results --log_samples",
        ]
    )


def read(folder: Path, evaluations: Iterable[Evaluation]) -> list[BenchmarkReport]:
    """The reports of these evaluations, from the cache or from the committed results."""
    return read_reports([result_file(folder, one) for one in evaluations])


def copy_pictures(report: Report, found: Sequence[BenchmarkReport], repository: Path) -> list[Path]:
    """Draw a report's plots, and copy the plots that documents show.

    Raises:
        InputError: a plot that a document shows was not drawn.
    """
    with TemporaryDirectory() as folder:
        drawn = {file.stem: file for one in found for file in one.draw(Path(folder)) if file.suffix == ".png"}
        for name, target in report.pictures.items():
            if name not in drawn:
                raise InputError(f"no plot {name!r} was drawn for {target}; there are {', '.join(drawn)}")
            _copy(drawn[name], repository / target)
    return [repository / target for target in report.pictures.values()]


def _copy(file: Path, target: Path) -> None:
    with atomic_file(target) as stream:
        stream.write(file.read_bytes())


def picture_of_page(results: Sequence[Path], target: Path) -> bool:
    """Take a screenshot of the leaderboard in a browser; returns False if there is no browser."""
    from lm_eval_tasks.publish.leaderboard_command import leaderboard

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return False
    with TemporaryDirectory() as folder:
        with redirect_stdout(io.StringIO()):
            leaderboard(tuple(results), Path(folder))
        picture = Path(folder) / "page.png"
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_WINDOW}",
                f"--screenshot={picture}", f"file://{folder}/index.html",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        _copy(picture, target)
    return True


def models_page(models: Sequence[Model]) -> str:
    """A table of the bundled models and their training, from the models' own files; one column per model."""
    facts = [_facts(model.folder) for model in models if model.folder is not None]
    names = list(dict.fromkeys(name for one in facts for name in one))
    rows = [[name, *(one.get(name, "") for one in facts)] for name in names]
    return (
        f"# models\n\n## facts\n\n{markdown_table(['property', *(model.name for model in models)], rows)}\n"
    )


_SIZES = {
    "num_hidden_layers": "layers",
    "hidden_size": "wide",
    "num_attention_heads": "heads",
    "state_size": "states per channel",
    "mamba_d_state": "states per channel",
}
"""Fields of configurations that give the size of a model, with their names in the table."""


def _facts(folder: Path) -> dict[str, str]:
    config, run = read_json(folder / "config.json"), read_json(folder / "run.json")
    trained = run["config"]
    log = [_line(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last = max(line["step"] for line in log)
    sizes = [f"{config[field]} {what}" for field, what in _SIZES.items() if field in config]
    rows = trained["steps"] * trained["batch_size"]
    facts = {
        "type": f"`{config['model_type']}`",
        "size": ", ".join(sizes),
        "parameters": f"{run['parameters']:,}",
        "weights (MB, float32)": f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f}",
        "learning rate": f"{trained['lr']:g}",
        "warm-up (steps)": f"{trained['warmup_steps']:,}",
        "weight decay": f"{trained['weight_decay']:g}",
        "seed": str(trained["seed"]),
        "steps": f"{trained['steps']:,}",
        "rows per step": f"{trained['batch_size']:,}",
        "bytes per row": f"{trained['context_length']:,}",
        "tokens": f"{rows * trained['context_length']:,}",
        "different rows": f"{trained['pool_rows']:,}",
        "epochs": f"{rows / trained['pool_rows']:.1f}",
        "training time (s)": f"{max(line['seconds'] for line in log):,.0f}",
        "machine": run["machine"],
        "final loss": f"{[line['loss'] for line in log if 'loss' in line][-1]:.3f}",
    }
    for line in log:
        if line["kind"] == "eval" and line["step"] == last:
            facts[f"final accuracy, {line['length']} entries"] = f"{line['string_accuracy']:.3f}"
    return facts


def _line(text: str) -> dict[str, Any]:
    return dict(json.loads(text))
