"""How often a forced task and its generated twin agree, document by document."""

from pathlib import Path

import pytest

from dataset_builders import InputError
from lm_eval_tasks.results.agreement import agreement_table, agreements
from tests.result_files import log_samples, result_file

TWINS = ("phone_book_20", "phone_book_20_forced")


def test_agreement_by_document_and_its_refusals(tmp_path: Path) -> None:
    alone = result_file(tmp_path / "alone", {TWINS[0]: 0.5})
    with pytest.raises(InputError, match="the results contain no task together with its forced twin"):
        agreements([alone])

    file = result_file(tmp_path, dict.fromkeys(TWINS, 0.6), documents=5)
    with pytest.raises(InputError, match=r"samples_phone_book_20_000.jsonl does not exist; .*--log_samples"):
        agreements([file])

    generated = log_samples(file, TWINS[0], [1.0, 1.0, 0.0, 0.0, 1.0])
    log_samples(file, TWINS[1], [1.0, 0.0, 1.0, 0.0, 1.0])
    (found,) = agreements([file]).values()
    counted = (found.both, found.neither, found.generated_alone, found.forced_alone)
    assert counted == (2, 1, 1, 1)
    assert found.differing == {"1": " 1", "2": " 2"}
    assert "| 0.600 " in agreement_table(agreements([file]))

    generated.write_text(generated.read_text().replace('" 1"', r'"\u001b[31m|"'))
    text = agreement_table(agreements([file]))
    assert "\x1b" not in text and r"generated '\x1b[31m|'" in text

    generated.write_text(generated.read_text()[:90])
    with pytest.raises(InputError, match="is not a complete file of lm-eval's samples"):
        agreements([file])
    log_samples(file, TWINS[0], [1.0, 1.0, 0.0, 0.0])
    with pytest.raises(InputError, match=r"it has 4 of 5 documents; run lm_eval again"):
        agreements([file])
    log_samples(file, TWINS[0], [1.0] * 5, metric="other")
    with pytest.raises(InputError, match="the samples of phone_book_20 lack exact_match"):
        agreements([file])


def test_the_table_has_a_row_for_each_length(tmp_path: Path) -> None:
    tasks = [*TWINS, "phone_book_40", "phone_book_40_forced"]
    file = result_file(tmp_path, dict.fromkeys(tasks, 0.5), documents=2)
    for task, values in zip(tasks, ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]), strict=True):
        log_samples(file, task, values)
    heads, _, *lines = agreement_table(agreements([file])).splitlines()[:4]
    assert heads.split("|")[-3].strip() == "generated alone"
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] == [
        ["model", "phone_book", "20", "2", "0.500", "1", "0", "1", "0"],
        ["model", "phone_book", "40", "2", "0.500", "0", "1", "0", "1"],
    ]


def test_runs_without_samples_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result_file(tmp_path / "early", dict.fromkeys(TWINS, 0.6), model="early", documents=5)
    file = result_file(tmp_path / "late", dict.fromkeys(TWINS, 0.6), model="late", documents=5)
    for task in TWINS:
        log_samples(file, task, [1.0, 0.0, 1.0, 0.0, 1.0])
    assert [label for label, _, _ in agreements([tmp_path])] == ["late"]
    assert "left out: phone_book at 20 of early, because lm_eval ran without --log_samples" in caplog.text


def test_tasks_with_several_questions_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    multi = ("phone_book_multi_20", "phone_book_multi_20_forced")
    several = result_file(tmp_path / "multi", dict.fromkeys(multi, 0.5), documents=5)
    several.write_text(several.read_text().replace("exact_match", "recall"))
    file = result_file(tmp_path / "one", dict.fromkeys(TWINS, 0.6), documents=5)
    for result, task in ((several, multi[0]), (several, multi[1]), (file, TWINS[0]), (file, TWINS[1])):
        log_samples(result, task, [1.0, 0.0, 1.0, 0.0, 1.0], "recall" if result == several else "exact_match")
    assert [benchmark for _, benchmark, _ in agreements([tmp_path])] == ["phone_book"]
    assert "left out: phone_book_multi at 20 of model, because its answers are not scored" in caplog.text
    with pytest.raises(InputError, match="the samples of phone_book_multi_20 lack exact_match"):
        agreements([several])
