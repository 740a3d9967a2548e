"""The page of ``paper``: claims and findings, figures, tables, models and deviations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dataset_builders.files import check_written_by_us
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.paper.claims import Claim, claims
from lm_eval_tasks.paper.model_list import Model
from lm_eval_tasks.paper.plan import Files, Run, not_shown
from lm_eval_tasks.results.capacity import capacity_table
from lm_eval_tasks.results.compare import p_text
from lm_eval_tasks.results.rows import by_benchmark
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.table import table
from lm_eval_tasks.results.text import in_markdown

_MARK = "<!-- written by python -m lm_eval_tasks paper -->"
"""The first line of a page, by which :func:`check_page` recognises it."""

_PAPER = "[Repeat After Me](https://arxiv.org/abs/2402.01032)"


def page_text(
    title: str,
    runs: Sequence[Run],
    files: Files,
    scores: Sequence[Score],
    drawn: Mapping[str, Sequence[Path]],
) -> str:
    """The page as Markdown.

    Args:
        title: title of the list of models.
        runs: the runs to show, complete or not.
        scores: scores of the complete runs, labelled with the models' names.
        drawn: figures by experiment, in the folder of the page.

    Raises:
        InputError: samples are missing or damaged.
    """
    models = list({run.model.name: run.model for run in runs}.values())
    parts = [_MARK, f"# {in_markdown(title)} on the experiments of {_PAPER}", _state(runs, files)]
    grouped = by_benchmark(scores)
    if any(model.compare_with for model in models):
        parts += ["## The paper's claims", *map(_claim, claims(models, grouped))]
    experiments = {run.experiment.name: run.experiment for run in runs}
    for name, own in grouped.items():
        heading = experiments[name].title
        parts.append(f"## {heading[0].upper()}{heading[1:]}")
        parts += [f"![{heading}]({figure.name})" for figure in drawn.get(name, ())]
        parts += filter(None, [table(own), capacity_table(own)])
    parts += ["## Models", _models(models, scores)]
    parts += ["## Deviations from the released code", _deviations(runs, scores)]
    return "\n\n".join(parts) + "\n"


def check_page(page: Path) -> None:
    """Check that a page can be written: the file is missing, or is an earlier page.

    Raises:
        InputError: there is another file of this name, or the file cannot be read.
    """
    check_written_by_us(page, _MARK, "was not written by this command", "give --out another folder")


def _state(runs: Sequence[Run], files: Files) -> str:
    missing = [str(run) for run in runs if not files.is_complete(run)]
    limits = sorted({run.limit for run in runs if run.limit is not None})
    text = f"{len(runs) - len(missing)} of {len(runs)} runs are complete."
    if missing:
        text += f" Missing: {', '.join(missing)}."
    if limits:
        text += f" Only the first {limits[0]} documents of each task were evaluated."
    if others := not_shown(runs, files):
        text += (
            f" Complete runs with other settings, or of another list of models, are not shown: "
            f"{', '.join(map(in_markdown, others))}."
        )
    return text


def _claim(claim: Claim) -> str:
    lines = [f"### {claim.text}", f"**{claim.summary[0].upper()}{claim.summary[1:]}.** {claim.reading}"]
    if claim.findings:
        rows = [
            [in_markdown(one.what), f"{one.difference.value:+.3f}",
             f"[{one.difference.low:+.2f}, {one.difference.high:+.2f}]",
             "" if one.p_value is None else p_text(one.p_value), one.verdict]
            for one in claim.findings
        ]  # fmt: skip
        lines.append(markdown_table(["difference", "value", "95% interval", "p", "verdict"], rows))
    return "\n\n".join(lines)


def _models(models: Sequence[Model], scores: Sequence[Score]) -> str:
    rows = []
    for model in models:
        commits = sorted({s.run.commit[:7] for s in scores if s.label == model.name and s.run.commit})
        revision = ", ".join(commits) or model.revision[:7]
        rows.append([
            model.name, in_markdown(model.pretrained), revision, model.backend, model.model_type, model.dtype,
            f"{model.window:,}", model.batch_size, f"{model.parameters:,}",
        ])  # fmt: skip
    headers = [
        "model", "pretrained", "revision", "lm-eval model", "type", "dtype", "window", "batch", "parameters",
    ]  # fmt: skip
    versions = sorted(
        {f"{name} {version}" for score in scores for name, version in score.run.versions.items()}
    )
    evaluated = f"\n\nEvaluated with {', '.join(versions)}." if versions else ""
    return markdown_table(headers, rows) + in_markdown(evaluated)


def _deviations(runs: Sequence[Run], scores: Sequence[Score]) -> str:
    models = {run.model.name: run.model for run in runs}
    lines = [line for model in models.values() if (line := model_deviation(model))]
    if any(model.released for model in models.values()):
        lines.append(_precision(list(models.values())))
    lines.append(
        f"Documents are the same for every model and every run{_documents(scores)}, with 95% intervals. The "
        "released code draws three batches of 32 for each model (30 paragraphs of SQuAD) and reports mean "
        "and standard deviation."
    )
    lines.append("Revisions are pinned where the list of models names them; the released code loads `main`.")
    pages = dict.fromkeys(run.experiment.deviations for run in runs)
    lines.append(
        "Prompts and scores: see *Deviations from the code released with the paper* in "
        + ", ".join(f"`lm_eval_tasks/{page}`" for page in pages)
        + "."
    )
    return "\n".join(f"- {line}" for line in lines)


def _documents(scores: Sequence[Score]) -> str:
    """How many documents were evaluated, as the middle of a sentence; nothing without scores."""
    squad = [score for score in scores if score.benchmark == "squad_v2_retrieval"]
    counts = sorted({score.documents for score in scores if score not in squad})
    parts = [f"{_range(counts)} per length"] if counts else []
    if squad:
        some = f"{_range(sorted({score.documents for score in squad}))} per length of SQuAD"
        parts.append(some if any(score.limited for score in squad) else "all of SQuAD's")
    return f", {' and '.join(parts)}" if parts else ""


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _precision(models: Sequence[Model]) -> str:
    """The precision of all models, next to that of the released code."""
    names = {dtype: [model.name for model in models if model.dtype == dtype] for dtype in _dtypes(models)}
    here = "; ".join(f"{dtype} for {', '.join(own)}" for dtype, own in names.items())
    return (
        "The released code loads Mamba in float16 and Pythia without a dtype, which means float32 in "
        f"versions of transformers below 5. Here: {here}."
    )


def _dtypes(models: Sequence[Model]) -> list[str]:
    return list(dict.fromkeys(model.dtype for model in models))


def model_deviation(model: Model) -> str | None:
    """How loading differs from the released code, as a sentence; None if it does not."""
    released = model.released
    if released is None:
        return None
    differences = []
    if (model.pretrained, model.backend) != (released.pretrained, released.backend):
        differences.append(
            f"`{model.pretrained}` by `{model.backend}` here, `{released.pretrained}` by "
            f"`{released.backend}` there"
        )
    if model.dtype != released.dtype:
        differences.append(f"{model.dtype} here, {released.dtype} there")
    return f"{model.name}: {'; '.join(differences)}." if differences else None
