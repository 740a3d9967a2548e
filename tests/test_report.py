import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from lm_eval_tasks.results.agreement import agreement_table, agreements
from lm_eval_tasks.results.reader import read_scores
from lm_eval_tasks.results.report import by_benchmark, draw, table
from tests.conftest import Run


def result_file(folder: Path, model: str, exact: dict[int, float], date: float = 1.0, **values: Any) -> Path:
    """A result file as lm-eval writes it, cut down to what a report reads."""
    configs, results = {}, {}
    for length, accuracy in exact.items():
        task = f"phone_book_{length}"
        metadata = {
            "benchmark": "phone_book",
            "length_of": "entries",
            "length": length,
            "documents_sha256": values.get("documents", "a"),
        }
        configs[task] = {"metadata": metadata}
        results[task] = {
            "alias": task,
            "sample_len": 50,
            "exact_match,none": accuracy,
            "exact_match_stderr,none": values.get("error", 0.0625),
            "truncated,none": values.get("truncated", 0.0),
            "truncated_stderr,none": 0.0,
        }
    content = {"configs": configs, "results": results, "model_name": model, "date": date}
    file = folder / f"results_{model.replace('/', '_')}_{date}.json"
    file.write_text(json.dumps(content))
    return file


def test_a_table_sorted_by_number_with_errors(tmp_path: Path) -> None:
    first = result_file(tmp_path, "org/a", {100: 0.25, 20: 0.75})
    second = result_file(tmp_path, "org/b", {20: 0.5}, truncated=0.5)
    lines = table(read_scores([first, second])).splitlines()
    header, _, a, _, b, *_ = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert header == ["model", "metric", "20 entries", "100 entries"]
    assert a == ["org/a", "exact_match", "0.750 ± 0.062", "0.250 ± 0.062"]
    assert b == ["org/b", "exact_match", "0.500 ± 0.062 *", ""]
    assert "50 documents" in lines[-1]
    assert "did not fit the model's window" in lines[-1]


def test_a_single_document_has_no_standard_error(tmp_path: Path) -> None:
    file = result_file(tmp_path, "a", {20: 1.0}, error="N/A")
    assert "| 1.000 " in table(read_scores([file]))
    assert "±" not in table(read_scores([file]))


def test_the_newest_of_repeated_results_is_shown(tmp_path: Path) -> None:
    result_file(tmp_path, "a", {20: 0.1, 40: 0.2}, date=1.0)
    result_file(tmp_path, "a", {20: 0.9}, date=2.0)
    scores = read_scores([tmp_path])
    assert [(s.length, s.values["exact_match"][0]) for s in scores] == [(20, 0.9), (40, 0.2)]


def test_other_documents_are_said_to_be_others(tmp_path: Path) -> None:
    result_file(tmp_path, "a", {20: 0.1})
    result_file(tmp_path, "b", {20: 0.9}, documents="b")
    assert "were asked different documents at 20 entries" in table(read_scores([tmp_path]))


def test_the_plot_marks_errors_and_truncation(tmp_path: Path) -> None:
    result_file(tmp_path, "org/a", {20: 0.75, 100: 0.25})
    result_file(tmp_path, "org/b", {20: 0.5}, truncated=0.5)
    (scores,) = by_benchmark(read_scores([tmp_path])).values()
    files = draw("phone_book", scores, tmp_path)
    assert [file.name for file in files] == ["phone_book.png", "phone_book.svg"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    drawing = files[1].read_text()
    for text in ("org/a", "org/b", "length (entries)", "hollow: truncated"):
        assert f"<!-- {text}" in drawing or text in drawing
    again = draw("phone_book", scores, tmp_path)
    assert again[1].read_text() == drawing
    assert not list(tmp_path.glob(".*"))


def test_a_model_in_a_folder_is_called_as_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    file = result_file(tmp_path / "results", "a", {20: 1.0})
    content = json.loads(file.read_text()) | {"model_name": str(tmp_path / "my-model")}
    file.write_text(json.dumps(content))
    assert read_scores([file])[0].model == "my-model"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is not a whole result file of lm-eval"),
        ("[1]", "is not a whole result file of lm-eval"),
        (
            json.dumps(
                {
                    "configs": {"a": {"metadata": {"length_of": "n"}}},
                    "results": {"a": {}},
                    "model_name": "a",
                    "date": 1,
                }
            ),
            "is not a whole result file of lm-eval",
        ),
        ("not JSON", "is not a whole result file of lm-eval"),
        (
            '{"configs": {"arc": {}}, "results": {"arc": {}}, "model_name": "a", "date": 1}',
            "holds none of our tasks, but arc",
        ),
    ],
)
def test_other_files_are_refused(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_scores([tmp_path / "r.json"])
    result = run("-m", "lm_eval_tasks", "report", "r.json", "--out", "drawn")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not (tmp_path / "drawn").exists()


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.json does not exist"):
        read_scores([tmp_path / "nowhere.json"])
    with pytest.raises(InputError, match=r"holds no results_\*.json"):
        read_scores([tmp_path])


def test_agreement_a_document_and_its_refusals(tmp_path: Path) -> None:
    file = result_file(tmp_path, "a", {20: 0.5})
    with pytest.raises(InputError, match="no task stands there beside its forced twin"):
        agreements([file])
    content = json.loads(file.read_text())
    for part in ("configs", "results"):
        content[part]["phone_book_20_forced"] = json.loads(json.dumps(content[part]["phone_book_20"]))
    content["configs"]["phone_book_20_forced"]["metadata"]["benchmark"] = "phone_book_forced"
    file.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"samples_phone_book_20_a_1.0.jsonl does not exist; .*--log_samples"
    ):
        agreements([file])

    def log(task: str, right: list[float]) -> Path:
        lines = [
            {"doc": {"id": str(i)}, "exact_match": r, "filtered_resps": [f" {i}"]}
            for i, r in enumerate(right)
        ]
        samples = tmp_path / f"samples_{task}_a_1.0.jsonl"
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return samples

    generated = log("phone_book_20", [1.0, 1.0, 0.0, 0.0, 1.0])
    log("phone_book_20_forced", [1.0, 0.0, 1.0, 0.0, 1.0])
    (found,) = agreements([file]).values()
    counted = (found.both, found.neither, found.generated_alone, found.forced_alone)
    assert counted == (2, 1, 1, 1)
    assert found.differing == {"1": " 1", "2": " 2"}
    assert "| 0.600 " in agreement_table(agreements([file]))

    generated.write_text(generated.read_text()[:90])
    with pytest.raises(InputError, match="is not a whole file of lm-eval's samples"):
        agreements([file])
