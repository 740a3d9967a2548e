"""Damaged and hostile result files: commands end in a report or in one sentence."""

import contextlib
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from lm_eval_tasks import __main__ as command_line
from lm_eval_tasks.publish.submit import merged
from lm_eval_tasks.results.agreement import agreement_table, agreements
from tests.mutations import as_json, damaged_bytes, mutated, mutated_files, tree
from tests.result_files import content, log_samples

TWINS = ("phone_book_20", "phone_book_20_forced")

GOOD = content(
    {TWINS[0]: 0.5, TWINS[1]: 0.25},
    model="org/model",
    date=1.75e9,
    error=0.0223830,
    model_args={"pretrained": "org/model", "revision": "step1000", "dtype": "float32"},
    config={
        "model_dtype": "torch.float32",
        "model_revision": "main",
        "model_sha": "abc",
        "model_num_parameters": 10,
        "batch_size": "8",
        "gen_kwargs": {},
        "random_seed": 0,
    },
    chat_template="{{ messages }}",
    system_instruction=None,
    transformers_version="5.0",
    higher_is_better={TWINS[0]: {"exact_match": True}},
    **{"n-shot": {TWINS[0]: 0}},
)
for _config in GOOD["configs"].values():
    _config["generation_kwargs"] = {"until": ["\n"], "do_sample": False, "max_gen_toks": 50}

ENTRIES = [
    {"dataset": {"id": "org/benchmark", "task_id": TWINS[0], "revision": "abc"}, "value": 0.5, "notes": "x"},
    {"dataset": {"id": "a/b", "task_id": "c"}, "value": 20.9, "date": "2026-01-02", "source": {"url": "u"}},
]


@pytest.fixture(autouse=True)
def quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not rendered, since rendering takes most of the time."""

    def save_plot(figure: object, folder: Path, name: str) -> list[Path]:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        return [path]

    monkeypatch.setattr("lm_eval_tasks.results.plots.save_plot", save_plot)


def run_all_commands(result: bytes) -> None:
    """Run report, leaderboard and submit on a result file; files are only written to the given folder."""
    with TemporaryDirectory() as name:
        root = Path(name)
        inputs = root / "deep" / "in"
        inputs.mkdir(parents=True)
        (inputs / "results_1.json").write_bytes(result)
        before = tree(root)
        out = root / "deep" / "out"
        for arguments in (
            ("report", inputs, "--out", out),
            ("leaderboard", inputs, "--out", out),
            ("submit", inputs, "--model", "org/model", "--dataset", "org/benchmark", "--dry-run",
             "--every-eval-ever", out / "record.json"),
        ):  # fmt: skip
            shown = run(*arguments)
            assert not set(shown) & set(map(chr, (*range(9), *range(11, 32), 127, *range(128, 160))))
        after = {path: data for path, data in tree(root).items() if not path.startswith("deep/out/")}
        assert after == before
        known = {"phone_book.png", "phone_book_forced.png", "index.html", "record.json"}
        assert {path.name for path in out.glob("**/*")} <= known


def run(*arguments: Path | str) -> str:
    """The output of a command that succeeds or ends in one sentence."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lm_eval_tasks", *map(str, arguments)])
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                command_line.main()
            except SystemExit as error:
                message = str(error.code)
                assert message.startswith("error: ") and "\n" not in message
                printed.write(message)
    text = printed.getvalue()
    text.encode()  # no halves of surrogate pairs
    return text


def test_the_good_file_passes_every_command() -> None:
    run_all_commands(as_json(GOOD))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated_files(GOOD))
@example(as_json(GOOD).replace(b'"until"', b'"a\\u0000b"'))
@example(as_json(GOOD).replace(b'"sample_len": 500', b'"sample_len": ' + b"9" * 5000))
def test_a_mutated_result_file_is_a_report_or_one_sentence(result: bytes) -> None:
    run_all_commands(result)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated_files(GOOD))
def test_two_thousand_mutated_result_files(result: bytes) -> None:
    run_all_commands(result)


LINE = {"doc": {"id": "1", "x": [1]}, "doc_hash": "h", "filtered_resps": ["a"], "exact_match": 1.0}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated(LINE).map(as_json) | damaged_bytes(as_json(LINE) + b"\n" + as_json(LINE)))
def test_mutated_samples_are_a_table_or_one_sentence(line: bytes) -> None:
    with TemporaryDirectory() as name:
        file = Path(name) / "results_1.json"
        file.write_bytes(as_json(GOOD))
        log_samples(file, TWINS[1], [1.0, 0.0, 1.0])
        log_samples(file, TWINS[0], []).write_bytes(line)
        with contextlib.suppress(InputError):
            assert all(part.isprintable() for part in agreement_table(agreements([file])).split("\n"))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    mutated(ENTRIES).map(lambda items: yaml.safe_dump(items, allow_unicode=True))
    | damaged_bytes(yaml.safe_dump(ENTRIES).encode()).map(lambda raw: raw.decode(errors="replace"))
    | st.text(alphabet="-: []{}&*!|>'\"\n ab#%@`1", max_size=60)
)
def test_mutated_entries_of_a_model_are_merged_or_one_sentence(text: str) -> None:
    from huggingface_hub import EvalResultEntry

    with contextlib.suppress(InputError):
        result = merged(text, [EvalResultEntry("org/benchmark", TWINS[0], 0.75)])
        assert result is None or isinstance(yaml.safe_load(result), list)
