"""Accuracy of a saved model: scores of known answers, equal to lm-eval's, and plots."""

import json
import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.string_tasks import Copy, StringTask
from dataset_builders.string_tasks import documents as string_documents
from lm_eval_tasks import TASKS_FOLDER
from synthetic_training.__main__ import main
from synthetic_training.data.strings import (
    EvaluationBatch,
    batch_of_texts,
    evaluation_batch,
    evaluation_batches,
)
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.data.symbol_tokenizer import END, USUAL, decode, encode
from synthetic_training.evaluation.accuracy import length_score
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.evaluation.plot import plot, read_points
from synthetic_training.models.mamba import FastMambaMixer
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model
from synthetic_training.training.run import train
from tests.conftest import Run
from tests.string_examples import TASKS, few_tasks
from tests.tiny_run import tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on strings of 1 to 5 of three letters that learned to copy some of them."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(tiny(steps=400, lr=5e-3, eval_every=100, save_every=200), out)
    return out


def in_place(answers: list[str], batch: EvaluationBatch) -> Tensor:
    """Answers at the positions of the tokens before them, as a model predicts them."""
    given = torch.full_like(batch.input_ids, encode("*")[0])
    for row, start, answer in zip(given, batch.prompt_lengths.tolist(), answers, strict=True):
        ids = encode(answer)[: len(row) - start + 1]
        row[start - 1 : start - 1 + len(ids)] = torch.tensor(ids)
    return given


def score(answers: list[str], right: list[str]) -> dict[str, float]:
    """``length_score`` of answers, with their full stops, to prompts of the copy task."""
    batch = batch_of_texts([(f"${text}|", text) for text in right], USUAL, CPU)
    given = in_place(answers, batch)
    result = length_score(build_model("lstm", hidden_size=2), 3, [batch], lambda _model, _batch: given)
    return {"string": result.string_accuracy, "letter": result.letter_accuracy, "exact": result.exact_match}


@pytest.mark.parametrize(
    ("answer", "right", "string", "letter", "exact"),
    [
        ("abc.", "abc", 1, 1, 1),
        ("abd.", "abc", 0, 2 / 3, 0),
        ("abca", "abc", 1, 1, 0),
        ("abc", "abc", 1, 1, 0),
        ("ab.", "abc", 0, 2 / 3, 0),
        ("....", "abc", 0, 0, 0),
        ("bc.", "abc", 0, 0, 0),
    ],
)
def test_scores_of_an_answer(answer: str, right: str, string: float, letter: float, exact: float) -> None:
    # the second example is right, and longer: what stands beside an answer's end does not count
    scores = score([answer, "abcab."], [right, "abcab"])
    assert scores == pytest.approx(
        {"string": (string + 1) / 2, "letter": (letter + 1) / 2, "exact": (exact + 1) / 2}
    )


def test_standard_errors_are_those_of_the_sample() -> None:
    batch = batch_of_texts([("$ab|", "ab")] * 4, USUAL, CPU)
    given = in_place(["ab.", "ab.", "ab.", "ac."], batch)
    result = length_score(build_model("lstm", hidden_size=2), 2, [batch], lambda _model, _batch: given)
    strings, letters = torch.tensor([1.0, 1, 1, 0]), torch.tensor([1.0, 1, 1, 0.5])
    assert result.string_accuracy_stderr == pytest.approx(float(strings.std() / 2))
    assert result.letter_accuracy_stderr == pytest.approx(float(letters.std() / 2))


@settings(max_examples=30, deadline=None)
@given(task=st.sampled_from([task for kind in TASKS for task in few_tasks(kind)]), seed=st.integers(0, 99))
def test_batches_of_texts_are_those_of_the_sampler(task: StringTask, seed: int) -> None:
    drawn = evaluation_batch(task, 3, seed, CPU)
    texts = [decode(ids[mask == 1]) for ids, mask in zip(drawn.input_ids, drawn.attention_mask, strict=True)]
    cuts = drawn.prompt_lengths.tolist()
    documents = [(text[:cut], text[cut:].removesuffix(END)) for text, cut in zip(texts, cuts, strict=True)]
    again, width = batch_of_texts(documents, USUAL, CPU), max(map(len, texts))
    for name in ("input_ids", "attention_mask", "targets", "answers"):
        assert torch.equal(getattr(again, name), getattr(drawn, name)[:, :width])
    assert torch.equal(again.prompt_lengths, drawn.prompt_lengths)
    assert (again.pad_id, again.end_id) == (drawn.pad_id, drawn.end_id)
    scored = [decode(row[row != IGNORED]) for row in again.targets]
    assert scored == [answer + END for _, answer in documents]


def test_fresh_rows_do_not_depend_on_the_batch() -> None:
    task = Copy(7, 7)

    def tokens(size: int) -> Tensor:
        batches = evaluation_batches(task, range(2, 12), size, 0, CPU)
        return torch.cat([batch.input_ids for batch in batches])

    assert torch.equal(tokens(3), tokens(10))


def test_forced_and_generated_answers_agree_on_whole_strings(trained: Path) -> None:
    results = {}
    for generate in (False, True):
        config = EvaluateConfig(trained, lengths=(1, 2, 3), generate=generate, num_examples=100)
        results[generate] = evaluate(config)["results"]
    accuracies = [result["string_accuracy"] for result in results[False]]
    assert 0 < accuracies[1] < 1
    assert accuracies == [result["string_accuracy"] for result in results[True]]
    assert results[False][2]["letter_accuracy"] != results[True][2]["letter_accuracy"]
    for key in ("exact_match", "exact_match_stderr"):
        assert [r[key] for r in results[False]] == [r[key] for r in results[True]]


def test_the_batch_changes_no_result(trained: Path) -> None:
    for generate in (False, True):
        config = EvaluateConfig(trained, lengths=(2,), generate=generate, num_examples=40)
        results = [evaluate(replace(config, batch_size=size)) for size in (1, 7, 40)]
        assert results[0]["results"] == results[1]["results"] == results[2]["results"]


def test_lm_eval_agrees_on_the_same_documents(trained: Path, run_forked: Run, tmp_path: Path) -> None:
    documents = {"spelling": "symbols", "num_docs": 100, "vocabulary": 3}
    names = ("string_copy_n", "string_copy_n_forced")
    model = f"pretrained={trained / 'model'},trust_remote_code=True,dtype=float32"
    options = {
        "--model": "hf",
        "--model_args": model,
        "--include_path": TASKS_FOLDER,
        "--tasks": ",".join(names),
        "--metadata": json.dumps({**documents, "length": 2}),
        "--device": "cpu",
        "--batch_size": 16,
        "--output_path": tmp_path / "results",
    }
    done = run_forked("-m", "lm_eval", *chain(*options.items()))
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results").rglob("results_*.json")
    theirs = json.loads(file.read_text())["results"]
    for name, generate in zip(names, (True, False), strict=True):
        config = EvaluateConfig(
            trained, lengths=(2,), num_examples=100, documents="benchmark", generate=generate
        )
        (ours,) = evaluate(config)["results"]
        assert 0 < ours["exact_match"] < 1
        assert ours["exact_match"] == theirs[name]["exact_match,none"]


def test_benchmark_documents_are_the_benchmarks() -> None:
    documents = list(string_documents.rows("suffix_ngram", 9, 5, 0, "symbols", settings={"n": 2}))
    batch = batch_of_texts([(one["prompt"], one["answer"]) for one in documents], USUAL, CPU)
    model = build_model("lstm", hidden_size=2)
    assert length_score(model, 9, [batch], lambda _model, batch: batch.targets).exact_match == 1
    assert [decode(ids).rstrip("*") for ids in batch.input_ids] == [
        one["prompt"] + one["answer"] + END for one in documents
    ]


def test_evaluate_prints_a_table_and_writes_a_file_once(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "result.json"
    command = ["evaluate", str(trained), "--lengths", "2", "5", "--num-examples", "20", "--out", str(out)]
    main(command)
    shown = capsys.readouterr().out
    assert "string accuracy" in shown and shown.count("[") == 6
    content = json.loads(out.read_text())
    assert content["config"]["vocabulary"] == 3 and content["training"]["max_length"] == 5
    assert [result["length"] for result in content["results"]] == [2, 5]
    assert "torch" in content["versions"] and "git_revision" in content
    written = out.read_bytes()
    with pytest.raises(SystemExit, match="exists; pass another file"):
        main(command)
    assert out.read_bytes() == written


def test_lengths_beyond_the_window_keep_their_place(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = evaluate(EvaluateConfig(trained, num_examples=2))["results"]
    assert [score["length"] for score in results] == [10, 20, 50, 100]  # as the help text says
    asked = EvaluateConfig(trained, lengths=(2, 1100, 5), num_examples=2, batch_size=2**31)
    assert [result["length"] for result in evaluate(asked)["results"]] == [2, 1100, 5]
    assert [text[:15] for text in caplog.messages if "context window" in text] == ["strings of 1100"]


def test_a_checkpoint_can_be_evaluated_too(trained: Path) -> None:
    config = EvaluateConfig(trained / "checkpoints" / "step_200", lengths=(2,), num_examples=10)
    assert evaluate(config)["results"][0]["num_examples"] == 10


def test_a_loaded_model_has_the_fastest_way_that_a_new_one_has(tmp_path: Path) -> None:
    build_model("mamba", hidden_size=16, num_hidden_layers=1).save_pretrained(tmp_path / "mamba")
    assert isinstance(load_model(tmp_path / "mamba").backbone.layers[0].mixer, FastMambaMixer)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_masked_heads": 1}
    for name in ("T_rope", "T_hard_alibi"):
        new = build_model(
            name, **{k: v for k, v in sizes.items() if name == "T_hard_alibi" or "masked" not in k}
        )
        new.save_pretrained(tmp_path / name)
        loaded = load_model(tmp_path / name)
        assert loaded.config._attn_implementation == new.config._attn_implementation


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lengths": (0,)}, "length must be an integer of at least 1, not 0"),
        ({"num_examples": 1}, "num_examples must be an integer of at least 2, not 1"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, not 0"),
        ({"task": "prefix_ngram", "lengths": (5,)}, "needs strings of at least 6 letters, not 5"),
        ({"task": "prefix"}, "did you mean 'prefix_ngram'"),
        ({"vocabulary": 0}, "vocabulary must be an integer of at least 1, not 0"),
        ({"num_examples": 10**12}, "num_examples must be at most 2147483648"),
        (
            {"num_examples": 2**31, "batch_size": 2**31, "lengths": (1000,)},
            r"a pass over 2147483648 rows of 2003 tokens needs .* reduce batch_size or lengths",
        ),
        ({"k": 2, "task": "reverse"}, "reverse has no setting 'k'"),
        ({"vocabulary": 27}, "has a vocabulary of 30 tokens, not the 31 symbols of the task"),
        ({"checkpoint": Path("none")}, "none is not a folder"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(trained: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        evaluate(EvaluateConfig(**{"checkpoint": trained, **changes}))


def test_folders_without_a_model_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains no model: it has neither"):
        evaluate(EvaluateConfig(tmp_path))
    (tmp_path / "run.json").touch()
    with pytest.raises(InputError, match="is not finished; pass one of the folders in .*checkpoints, or fin"):
        evaluate(EvaluateConfig(tmp_path))
    damaged = shutil.copytree(trained / "model", tmp_path / "damaged")
    data = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(data[:100])
    with pytest.raises(InputError, match="contains no model that can be loaded") as error:
        evaluate(EvaluateConfig(damaged))
    assert "\n" not in str(error.value)


def test_a_model_of_other_tokens_is_refused(model_folder: Path) -> None:
    with pytest.raises(InputError, match="has a vocabulary of 257 tokens, not the 30 symbols"):
        evaluate(EvaluateConfig(model_folder))


def test_plots_show_what_the_files_hold(trained: Path, tmp_path: Path) -> None:
    result = tmp_path / "long.json"
    evaluate(EvaluateConfig(trained, lengths=(3, 9), num_examples=10, out=result))
    points = read_points(trained, "run")
    assert [(p.length, p.last) for p in points] == [(2, False), (5, False)] * 3 + [(2, True), (5, True)]
    seen = [p.examples or 0 for p in points[::2]]
    assert 0 < seen[0] < seen[1] < seen[2] < seen[3]
    assert [p.length for p in read_points(result, "long")] == [3, 9]
    files = plot([trained, result], tmp_path / "plots")
    assert {file.name for file in files} == {
        f"accuracy_by_{x}.{kind}" for x in ("length", "examples") for kind in ("png", "svg")
    }
    texts = (tmp_path / "plots" / "accuracy_by_length.svg").read_text()
    assert all(file.stat().st_size > 1000 for file in files) and "<svg" in texts
    again = plot([trained, result], tmp_path / "again")
    assert [file.read_bytes() for file in files] == [file.read_bytes() for file in again]


def test_what_cannot_be_plotted_is_refused(trained: Path, tmp_path: Path) -> None:
    score = {"length": 10**400, "string_accuracy": 0.5, "string_accuracy_stderr": 0.1}
    lengths = [10**400, 0, 1.5, True, None]
    hostile = [json.dumps({"results": [{**score, "length": length}]}) for length in lengths]
    hostile.append(json.dumps({"results": [{**score, "length": 5, "string_accuracy_stderr": -1}]}))
    for text in ("[1]", '{"results": [{}]}', '{"results": 3}', *hostile):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(InputError, match="is neither a folder of a run nor a file written by evaluate"):
            plot([tmp_path / "other.json"], tmp_path / "plots")
    with pytest.raises(InputError, match="it has no metrics.jsonl"):
        plot([tmp_path], tmp_path / "plots")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(InputError, match="has no evaluation to plot yet"):
        plot([tmp_path], tmp_path / "plots")
    assert not (tmp_path / "plots").exists()
