"""Evaluation batches: which tokens are scored, and what an example depends on."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.string_tasks import Copy, DuplicateNgram, StringTask, SuffixNgram
from synthetic_training.data.strings import EvaluationBatch, PackedBatches, evaluation_batch
from synthetic_training.data.strings.device_sampling import tries_needed
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.data.symbol_tokenizer import decode
from synthetic_training.evaluation.accuracy import generated_answers, length_score
from synthetic_training.models.registry import build_model
from tests.string_examples import NAMES, TASKS, check_example, few_tasks, setting, solve, valid_places

each = pytest.mark.parametrize("kind", TASKS, ids=NAMES)


def values(batch: EvaluationBatch) -> list[Tensor]:
    return [batch.input_ids, batch.attention_mask, batch.targets, batch.answers]


@each
@settings(deadline=None, max_examples=20)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), count=st.integers(1, 8))
def test_a_row_holds_an_example_and_where_it_is_scored(
    kind: type[StringTask], data: st.DataObject, seed: int, count: int
) -> None:
    task = data.draw(st.sampled_from(few_tasks(kind)))
    batch = evaluation_batch(task, count, seed, "cpu")
    prompts, prompt_mask = batch.left_padded_prompts()
    lengths = batch.prompt_lengths.tolist()
    assert prompts.shape == prompt_mask.shape == (count, max(lengths))
    for i, ids in enumerate(batch.input_ids):
        text = decode(ids[batch.attention_mask[i] == 1])
        assert decode(ids) == text.ljust(len(ids), "*")
        _, right = check_example(task, text)
        prompt, answer = text[: lengths[i]], text[lengths[i] :]
        assert answer == solve(prompt, "symbols", task.name, setting(task, "k")) == right + "."
        assert decode(prompts[i]) == prompt.rjust(prompts.shape[1], "*")
        assert prompt_mask[i].tolist() == [0] * (prompts.shape[1] - len(prompt)) + [1] * len(prompt)
        targets = [-100] * len(ids)
        targets[lengths[i] - 1 : len(text) - 1] = ["abcdefghijklmnopqrstuvwxyz$|.*".index(a) for a in answer]
        assert batch.targets[i].tolist() == targets
        scored = [place for place, target in enumerate(targets) if 0 <= target < 26]
        assert batch.answers[i].nonzero()[:, 0].tolist() == scored


@each
def test_a_row_depends_on_its_number_alone(kind: type[StringTask]) -> None:
    whole = evaluation_batch(kind(10, 20), 12, 5, "cpu")
    part = evaluation_batch(kind(10, 20), 4, 5, "cpu", first=7)
    assert all(torch.equal(a[7:11], b) for a, b in zip(values(whole), values(part), strict=True))


def test_rows_differ_between_seeds_lengths_and_from_training() -> None:
    task = Copy(20, 20)
    made = [
        evaluation_batch(task, 50, 0, "cpu").input_ids,
        evaluation_batch(task, 50, 1, "cpu").input_ids,
        evaluation_batch(replace(task, max_length=21), 50, 0, "cpu").input_ids,
        evaluation_batch(replace(task, vocabulary=25), 50, 0, "cpu").input_ids,
        PackedBatches(task, 43, 50, 0).batch(0).input_ids,
        PackedBatches(task, 43, 50, 0).batch(1).input_ids,
        PackedBatches(task, 43, 50, 1).batch(0).input_ids,
    ]
    beginnings = [decode(row[1:9]) for rows in made for row in rows]
    assert len(set(beginnings)) == 7 * 50


@pytest.mark.parametrize(
    ("task", "rate"),
    [(SuffixNgram(6, 6, 2, n=2), None), (DuplicateNgram(2, 2, 2, n=1), 1 / 2), (Copy(1, 5), 1)],
)
def test_tries_fail_as_seldom_as_documented(task: StringTask, rate: float | None) -> None:
    if rate is None:
        found = [bool(valid_places("".join(letters), 2, None)) for letters in product("ab", repeat=6)]
        rate = float(np.mean(found))
        assert 0 < rate < 1
    tries = tries_needed(task)
    assert (1 - rate) ** tries <= 1e-12
    assert tries == 1 or (1 - rate) ** (0.85 * tries) > 1e-12


@pytest.mark.parametrize(("longest", "hardest"), [(20, 6), (30, 30)])
def test_a_range_of_lengths_has_the_tries_of_its_hardest_length(longest: int, hardest: int) -> None:
    task = SuffixNgram(6, longest, 2, n=3)
    alone = {n: tries_needed(replace(task, min_length=n, max_length=n)) for n in (6, 12, longest)}
    assert max(alone, key=alone.__getitem__) == hardest
    assert tries_needed(task) == alone[hardest]


def test_an_example_without_a_valid_try_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "synthetic_training.data.strings.device_sampling.tries_needed"
    task = DuplicateNgram(2, 2, 2, n=1)
    monkeypatch.setattr(module, lambda task: 1)
    batch = evaluation_batch(task, 150, 0, "cpu")
    scored = (batch.targets != -100).any(1)
    assert 40 < int(scored.sum()) < 110
    model = build_model("lstm", hidden_size=2)
    score = length_score(model, 2, [batch], lambda _model, batch: batch.targets)
    assert score.string_accuracy == pytest.approx(float(scored.float().mean()))
    packed = PackedBatches(task, 70, 8, 0).batch(0)
    assert packed.examples == 8 * 10
    assert 8 * 10 * 0.3 < int((packed.targets != -100).sum()) / 3 < 8 * 10 * 0.7
    monkeypatch.setattr(module, lambda task: 30)
    assert (evaluation_batch(task, 150, 0, "cpu").targets != -100).any(1).all()


@pytest.mark.parametrize(("shortest", "vocabulary", "n"), [(500, 26, 1), (100, 2, 2), (4, 2, 1)])
def test_strings_that_are_too_rare_are_refused(shortest: int, vocabulary: int, n: int) -> None:
    task = SuffixNgram(shortest, 500, vocabulary, n=n)
    with pytest.raises(InputError, match=r"of \d+ strings of (\d+ to )?\d+ letters, \d+ contain an n-gram"):
        PackedBatches(task, 2048, 1, 0)
    with pytest.raises(InputError, match="use a larger n"):
        evaluation_batch(task, 1, 0, "cpu")


@pytest.mark.parametrize(
    ("count", "first", "seed", "message"),
    [(0, 0, 0, "count must be"), (1, -1, 0, "first must be"), (2, 2**32 - 1, 0, "first"), (1, 0, -1, "seed")],
)
def test_rows_that_cannot_be_are_refused(count: int, first: int, seed: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluation_batch(Copy(5, 5), count, seed, "cpu", first)


@torch.no_grad()
def test_what_a_model_did_not_generate_is_minus_one() -> None:
    model = build_model("T_rope", hidden_size=8, num_hidden_layers=1, num_attention_heads=2).eval()
    model.gpt_neox.final_layer_norm.bias.fill_(1.0)
    model.lm_head.weight.zero_()
    batch = evaluation_batch(Copy(3, 3), 4, 0, "cpu")
    model.lm_head.weight[batch.end_id] = 1.0  # the answers end before their first letter
    generated, is_scored = generated_answers(model, batch), batch.targets != IGNORED
    assert generated[is_scored].view(4, 4).tolist() == [[batch.end_id, -1, -1, -1]] * 4
    assert (generated[~is_scored] == -1).all()


@pytest.mark.gpu
@each
def test_rows_are_the_same_on_a_gpu(kind: type[StringTask]) -> None:
    here, there = (evaluation_batch(kind(10, 300), 64, 5, device) for device in ("cpu", "cuda"))
    assert all(torch.equal(a, b.cpu()) for a, b in zip(values(here), values(there), strict=True))
