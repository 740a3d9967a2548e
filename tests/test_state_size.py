"""Bytes of a model's state beside its accuracy: measured in a run, kept in its results, shown in reports."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from dataset_builders import InputError, phone_book
from dataset_builders.inference_state import bits_of, state_of
from dataset_builders.mqar import documents as mqar
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.results.capacity import capacities, capacity_table
from lm_eval_tasks.results.plots import draw_by_state, styles
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.state_size import before_query, state_bytes
from tests import mamba_ssm_stand_in
from tests.models import ARCHITECTURES, byte_tokenizer, tiny_model
from tests.result_files import result_file
from tests.scripted import Scripted, look_up

WIDTH, LAYERS = 64, 2
PROMPT = "Ada Byron: 6000000000\n"


def hf(architecture: str, **options: Any) -> HFLM:
    tokenizer = byte_tokenizer(model_max_length=512)
    model = tiny_model(architecture)
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", max_length=512, **options)


def test_complex_numbers_are_counted_and_integers_are_not() -> None:
    state = {"layers": [torch.zeros(3, dtype=torch.complex64), torch.zeros(2)], "seen": torch.zeros(9).long()}
    assert bits_of(state) == 8 * (3 * 8 + 2 * 4)


def test_keys_and_values_are_counted_by_hand() -> None:
    lm = hf("gpt_neox")
    assert state_bytes(lm, PROMPT) == 4 * 2 * LAYERS * WIDTH * len(PROMPT)
    assert state_bytes(lm, PROMPT * 3) == 3 * 4 * 2 * LAYERS * WIDTH * len(PROMPT)


def test_a_recurrent_state_does_not_grow() -> None:
    lm = hf("mamba")
    # inner width 2 W; a state of 8 numbers a channel, and 4 inputs of the convolution
    assert state_bytes(lm, PROMPT) == state_bytes(lm, PROMPT * 3) == 4 * LAYERS * 2 * WIDTH * (8 + 4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_state_is_the_one_that_the_model_hands_on(architecture: str) -> None:
    """As for the whole model, whose output has the same cache; refused if it has none."""
    lm = hf(architecture)
    tokens = torch.tensor([lm.tok_encode(PROMPT)])
    with torch.no_grad():
        output = lm.model(tokens, use_cache=True)
    try:
        expected = bits_of(state_of(output)) // 8
    except InputError:
        with pytest.raises(InputError, match="the model returns no cache"):
            state_bytes(lm, PROMPT)
    else:
        assert state_bytes(lm, PROMPT) == expected


def test_models_of_the_mamba_ssm_package_have_the_state_of_the_same_model_in_transformers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mamba_ssm_stand_in.install(monkeypatch)
    lm = hf("mamba")
    expected = state_bytes(lm, PROMPT)
    lm._model = mamba_ssm_stand_in.MambaLMHeadModel(lm.model)
    assert expected is not None
    assert state_bytes(lm, PROMPT) == state_bytes(lm, PROMPT * 3) == expected


def test_models_in_other_processes_have_no_state() -> None:
    assert state_bytes(Scripted(look_up), PROMPT) is None


def without_cache(lm: HFLM, *, takes_use_cache: bool) -> HFLM:
    """The same model, whose forward pass does not take ``use_cache``, as a bare module's, or ignores it."""
    inner = lm.model.base_model
    forward = inner.forward

    def bare(input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> Any:
        return forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)

    def ignoring(input_ids: torch.Tensor, use_cache: bool = True) -> Any:
        return forward(input_ids=input_ids, use_cache=False)

    inner.forward = ignoring if takes_use_cache else bare
    return lm


def test_a_run_says_that_a_model_returns_no_cache_and_so_does_the_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model returns no cache"):
        state_bytes(without_cache(hf("gpt_neox"), takes_use_cache=True), PROMPT)
    metadata = {"entries": [5], "num_docs": 1}
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
    lm = without_cache(hf("gpt_neox"), takes_use_cache=False)
    results = simple_evaluate(
        model=lm, tasks=["phone_book_n_forced"], task_manager=manager, bootstrap_iters=1
    )
    assert results is not None
    recorded = results["configs"]["phone_book_5_forced"]["metadata"]
    assert recorded["no_state"] == "the model returns no cache" and "state_bytes" not in recorded

    reason = {"no_state": recorded["no_state"]}
    for model, measured in (("a", {"state_bytes": 1000}), ("b_b", reason), ("c", {})):
        result_file(tmp_path, {"phone_book_20": 0.9}, model=model, metadata=measured)
    scores = read_scores([tmp_path])
    assert capacity_table(scores).split("\n\n")[2:] == [
        "b_b: no state was measured, because the model returns no cache. c: no state was measured."
    ]
    alone = [score for score in scores if score.label == "b_b"]
    assert capacity_table(alone).endswith(
        "\n\nb_b: no state was measured, because the model returns no cache."
    )
    assert "no state" not in capacity_table([score for score in scores if score.label != "b_b"][:1])
    assert "no state" not in capacity_table([score for score in scores if score.label == "c"])


def test_the_query_is_not_read() -> None:
    (row,) = phone_book.rows(5, num_docs=1)
    text = before_query(row["prompt"], row)
    assert row["prompt"].startswith(text) and text.endswith("\n\n")
    assert before_query(f"<user>{row['prompt']}</user><assistant>", row) == f"<user>{text}"
    assert before_query("another prompt", row) == "another prompt"
    for spelling in ("spaced", "symbols"):
        for row in mqar.rows(4, num_docs=5, spelling=spelling):
            text = before_query(row["prompt"], row)
            assert row["prompt"].removeprefix(text).removesuffix(" ->") == row["key"]


def test_a_run_writes_it_into_its_results_unless_the_document_does_not_fit() -> None:
    metadata = {"entries": [5, 30], "num_docs": 1}
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
    tasks = ["phone_book_n", "phone_book_n_forced"]
    results = simple_evaluate(model=hf("gpt_neox"), tasks=tasks, task_manager=manager, bootstrap_iters=1)
    assert results is not None
    sizes = {name: config["metadata"].get("state_bytes") for name, config in results["configs"].items()}
    (row,) = phone_book.rows(5, num_docs=1)
    size = 4 * 2 * LAYERS * WIDTH * len(before_query(row["prompt"], row))
    assert sizes == {
        "phone_book_5": size,
        "phone_book_5_forced": size,
        "phone_book_30": None,
        "phone_book_30_forced": None,
    }


def test_reports_set_accuracy_and_bits_against_the_state(tmp_path: Path) -> None:
    for model, size in (("a", 1000), ("b", 64_000), ("c", None)):
        metadata = {} if size is None else {"state_bytes": size}
        result_file(tmp_path, {"phone_book_20": 0.9, "phone_book_40": 0.5}, model=model, metadata=metadata)
    scores = read_scores([tmp_path])
    found = capacities(scores)
    assert list(found) == ["a", "b", "c"]  # the size tells no rows apart
    length, bits = found["a"].most_bits or (0, 0.0)
    assert found["a"].bits_per_bit == pytest.approx(bits / 8000)
    assert found["c"].bits_per_bit is None
    row = capacity_table(scores).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[5:-1]] == [
        f"{length} entries", "1,000", f"at least {bits / 8000:.2g}"
    ]  # fmt: skip
    files = draw_by_state("phone_book", scores, styles(["a", "b", "c"]), tmp_path)
    assert [file.name for file in files] == ["phone_book_by_state.png", "phone_book_by_state.svg"]
    drawing = files[1].read_text()
    assert "<!-- a -->" in drawing and "<!-- c -->" not in drawing
    assert draw_by_state("phone_book", scores[-1:], styles(["c"]), tmp_path) == []


def _memory(scores: list[Score]) -> dict[str, list[str]]:
    """The memory table: column -> cells."""
    lines = capacity_table(scores).split("\n\n")[0].splitlines()
    head, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "---" not in line)
    return {name: list(cells) for name, *cells in zip(head, *rows, strict=True)}


def test_the_bytes_are_shown_without_a_bound_on_the_bits(tmp_path: Path) -> None:
    for length, size in ((20, 1000), (40, 2000)):
        for task, score in ((f"phone_book_{length}", 0.0), (f"c4_copy_{5 * length}", 1.0)):
            result_file(tmp_path / task, {task: score}, metadata={"state_bytes": size})
    scores = read_scores([tmp_path])
    memory = _memory([score for score in scores if score.benchmark == "phone_book"])
    assert memory["recalled bits"] == ["no bound"] and "recalled bits per bit of state" not in memory
    assert (memory["at"], memory["state there (bytes)"]) == (["40 entries"], ["2,000"])
    memory = _memory([score for score in scores if score.benchmark == "c4_copy"])
    assert list(memory)[-2:] == ["at", "state there (bytes)"] and "recalled bits" not in memory
    assert (memory["at"], memory["state there (bytes)"]) == (["200 tokens"], ["2,000"])


def test_bytes_at_another_length_than_the_bits_name_it(tmp_path: Path) -> None:
    result_file(tmp_path / "20", {"phone_book_20": 0.9}, metadata={"state_bytes": 1000})
    result_file(tmp_path / "40", {"phone_book_40": 0.9})
    memory = _memory(read_scores([tmp_path]))
    assert (memory["at"], memory["state there (bytes)"]) == (["40 entries"], ["1,000 at 20 entries"])


@pytest.mark.parametrize("size", [0, -1, "1", 1.5, 2**61])
def test_sizes_that_are_none_are_refused(tmp_path: Path, size: object) -> None:
    result_file(tmp_path, {"phone_book_20": 0.9}, metadata={"state_bytes": size})
    with pytest.raises(InputError, match="state_bytes"):
        read_scores([tmp_path])
