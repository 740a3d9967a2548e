"""Theorem 2.3's transformer copies every string without a repeated n-gram, and refuses invalid sizes."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.string_tasks import Copy
from lm_eval_tasks import TASKS_FOLDER
from synthetic_training.data.strings import evaluation_batch
from synthetic_training.data.symbol_tokenizer import BAR_ID, START_ID, decode, encode
from synthetic_training.evaluation.accuracy import forced_answers, generated_answers
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.theory.__main__ import main
from synthetic_training.theory.construction import _Features, codes, construct
from synthetic_training.theory.design import ROUNDOFF, Design
from synthetic_training.theory.measure import copy, measure, occurs_again, sizes
from synthetic_training.theory.unrepeated import unrepeated_strings
from tests.conftest import Run

SIZES = [(letters, n) for letters in (2, 4, 26) for n in (2, 3, 4, 5, 6)]


def has_repeat(string: list[int], n: int) -> bool:
    grams = [tuple(string[i : i + n]) for i in range(len(string) - n + 1)]
    return len(set(grams)) < len(grams)


def generate(model: Any, string: list[int]) -> str:
    prompt = torch.tensor([[START_ID, *string, BAR_ID]])
    text = model.generate(prompt, max_new_tokens=len(string) + 1, do_sample=False)[0, prompt.shape[1] :]
    return decode(text)


@pytest.mark.parametrize(("letters", "n", "longest"), [(2, 1, 3), (2, 2, 6), (2, 3, 10), (3, 2, 6)])
def test_every_short_string_without_a_repeat_is_copied(letters: int, n: int, longest: int) -> None:
    model = construct(letters, n, longest)
    copied = 0
    for length in range(2 * n, longest + 1):
        strings = [list(s) for s in itertools.product(range(letters), repeat=length)]
        done = copy(model, torch.tensor(strings), n)
        repeats = torch.tensor([has_repeat(s, n) for s in strings])
        assert torch.equal(done.repeated, repeats)
        assert (done.right & done.ended)[~repeats].all()
        assert done.explained[~done.right].all()
        copied += int((~repeats).sum())
    assert copied > 0


@pytest.mark.parametrize(("letters", "n"), SIZES)
def test_random_strings_are_copied_unless_an_ngram_stands_twice(letters: int, n: int) -> None:
    lengths = sorted({2 * n, 3 * n, min(letters**n, 40)} - set(range(2 * n)))
    for line in measure([(letters, n, length) for length in lengths], 40, "cpu"):
        assert (line.wrong_without_repeat, line.wrong_elsewhere, line.unrepeated_wrong) == (0, 0, 0)
        assert line.error <= line.repeated
        assert line.unrepeated or line.beyond


@pytest.mark.parametrize(("letters", "n", "length"), [(2, 6, 64), (4, 4, 256), (26, 2, 676)])
def test_strings_of_every_ngram_once_are_copied(letters: int, n: int, length: int) -> None:
    (string,) = unrepeated_strings(letters, n, length, 1, seed=1)
    assert not has_repeat(string, n)
    assert length == letters**n
    done = copy(construct(letters, n, length), torch.tensor([string]), n)
    assert (done.right & done.ended).all()


def test_unrepeated_strings_are_the_longest_there_are_and_no_longer() -> None:
    strings = unrepeated_strings(2, 4, 19, 20)
    assert len({tuple(s) for s in strings}) > 1
    assert all(len({tuple(s[i : i + 4]) for i in range(16)}) == 16 for s in strings)
    with pytest.raises(InputError, match="length must be at most 19, not 20"):
        unrepeated_strings(2, 4, 20, 1)


def test_generation_gives_what_one_pass_gives() -> None:
    rows = evaluation_batch(Copy(6, 14, 4), 60, 0, "cpu")
    model: Any = construct(4, 3)
    forced, generated = forced_answers(model, rows), generated_answers(model, rows)
    right, known = rows.targets, rows.targets != -100
    exact = ((forced == right) | ~known).all(1)
    assert 0.3 < exact.float().mean() < 0.8
    assert torch.equal(exact, ((generated == right) | ~known).all(1))
    first_wrong = [(((a == right) | ~known).int().argmin(1))[~exact] for a in (forced, generated)]
    assert torch.equal(*first_wrong)


@pytest.mark.parametrize(
    ("text", "n", "places"),
    [
        ("abcdefabcg", 3, {3, 9}),
        ("xyzabxyzcd", 3, {3, 8}),
        ("abababcdef", 3, {3, 4, 5, 6}),
        ("aab", 1, {1, 2}),
    ],
)
def test_the_first_wrong_letter_follows_an_ngram_that_stands_twice(
    text: str, n: int, places: set[int]
) -> None:
    answer = generate(construct(26, n, 20), encode(text))
    wrong = [i for i, (a, b) in enumerate(zip(answer, f"{text}.", strict=False)) if a != b]
    assert wrong[0] in places


def test_repeats_are_found_where_ngrams_exceed_64_bits() -> None:
    text = encode("abcdefghijklmnopqrst" + "z" + "abcdefghijklmnopqrst")
    again = occurs_again(torch.tensor([text]), 20)
    assert again[0].nonzero().flatten().tolist() == [0, 21]


def look_up(model: Any, strings: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of layer 2's last head at the answers, (B, L + 1, T), and the expected positions."""
    length = strings.shape[1]
    start, bar = strings.new_full((len(strings), 1), START_ID), strings.new_full((len(strings), 1), BAR_ID)
    model.set_attn_implementation("hard_alibi_eager")
    with torch.no_grad():
        output = model(torch.cat([start, strings, bar, strings], dim=1), output_attentions=True)
    return output.attentions[1][:, -1, length + 1 :], torch.arange(1, length + 2)


@pytest.mark.parametrize(("letters", "n", "length"), [(2, 5, 32), (4, 3, 64), (26, 2, 200), (26, 6, 100)])
def test_attention_is_as_hard_as_the_inequality_says(letters: int, n: int, length: int) -> None:
    design = Design(letters, n)
    weights, right = look_up(
        construct(letters, n, length), torch.tensor(unrepeated_strings(letters, n, length, 4))
    )
    picked = weights.gather(2, right.expand(4, -1)[..., None])
    assert picked.min() >= 1 - 1 / (4 * (design.marker + 1))


@pytest.mark.parametrize(
    ("dtype", "letters", "n"),
    [
        *((dtype, d, n) for dtype in (torch.float64, torch.float32) for d, n in ((2, 4), (4, 3), (26, 2))),
        *((torch.bfloat16, d, n) for d, n in ((2, 3), (4, 2), (26, 1))),
    ],
)
def test_formats_copy_up_to_the_length_that_is_proven(letters: int, n: int, dtype: torch.dtype) -> None:
    length = min(letters**n, 300)
    design = Design(letters, n)
    name = str(dtype).removeprefix("torch.")
    assert design.proven_length(design.inverse_temperature(1000), name) >= length
    model = construct(letters, n, 1000).to(dtype)
    done = copy(model, torch.tensor(unrepeated_strings(letters, n, length, 4)), n)
    assert (done.right & done.ended).all()


@pytest.mark.parametrize("name", ROUNDOFF)
def test_the_unit_roundoff_is_half_the_distance_from_1_to_the_next_number(name: str) -> None:
    assert ROUNDOFF[name] == torch.finfo(getattr(torch, name)).eps / 2


def test_nothing_is_proven_of_a_format_that_is_too_coarse() -> None:
    assert Design(4, 3).proven_length(16.0, "bfloat16") == 0
    assert Design(26, 6).proven_length(16.0, "bfloat16") == 0
    assert Design(26, 6).proven_length(0.5, "float32") == 0


def test_too_low_a_temperature_fails() -> None:
    model: Any = construct(4, 3, 64)
    query = model.gpt_neox.layers[1].attention.query_key_value.weight.view(5, 3, 10, 50)[-1, 0]
    query.data.div_(64)
    done = copy(model, torch.tensor(unrepeated_strings(4, 3, 64, 4)), 3)
    assert not done.right.any()


def test_the_table_has_the_sizes_of_the_theorem() -> None:
    asked = list(sizes())
    assert {(letters, n) for letters, n, _ in asked} == set(SIZES)
    for letters, n in SIZES:
        lengths = [length for d, k, length in asked if (d, k) == (letters, n)]
        assert min(lengths) == 2 * n
        assert max(lengths) == min(2 * letters**n, 2000)
        assert min(letters**n, 2000) in lengths


def least_leads(design: Design, t: int) -> list[float]:
    """By how much the correct score exceeds others at worst, for each place of ``|`` in the query, with t.

    The other windows are one with a letter at the place of ``|``, and one that begins before the text.
    """
    b, n = design.bits, design.n
    letters, unbegun, before = b + 1, -b - (t - 1) / 2, b + t * (t - 1) / 2
    leads = []
    for k in range(n):
        right = k * letters + (b + t * t) + (n - 1 - k) * unbegun
        leads.append(right - ((n - 1) * letters + b - t))
        if k > 0:
            leads.append(right - (before + (n - 2) * letters + b - t))
    return leads


@pytest.mark.parametrize("letters", [2, 3, 5, 9, 26])
def test_the_marker_is_the_smallest_that_leads_by_enough(letters: int) -> None:
    for n in range(1, 33):
        design = Design(letters, n)
        enough = [min(least_leads(design, t)) >= 2 + t * t / 8 for t in range(2, design.marker + 1)]
        assert enough == [False] * (design.marker - 2) + [True]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_gap_is_2_minus_the_errors_of_both_windows(n: int) -> None:
    design, u = Design(4, n), 2.0**-24
    of_codes = sum(4 * h + 5 for h in range(n)) + sum(4 * h + 5 for h in range(1, n + 1))
    of_norms = 2 * n * design.code * design.norm_drift
    error = (design.code * of_codes + 4 * n * design.marker) * u + of_norms
    assert design.gap("float32") == pytest.approx(2 - 2.5 * error, rel=1e-12)


def test_the_stream_has_every_feature_with_its_negative() -> None:
    model: Any = construct(4, 3)
    half = Design(4, 3).dimension // 2
    layers = [layer.attention.dense.weight.T for layer in model.gpt_neox.layers]
    for written in (model.gpt_neox.embed_in.weight, *layers):
        assert written.any() and torch.equal(written[:, half : 2 * half], -written[:, :half])


def test_layer_1_writes_the_codes_of_the_tokens_before() -> None:
    design, tokens = Design(4, 3), torch.tensor([encode("$abcdabd|abc")])
    with torch.no_grad():
        stream = construct(4, 3)(tokens, output_hidden_states=True).hidden_states[1][0]
    for back in range(4):
        written = stream[3:, list(_Features(design).token(back))]
        expected = codes(design)[tokens[0, 3 - back : tokens.shape[1] - back]]
        torch.testing.assert_close(written, expected, atol=1e-3, rtol=1e-3)


def test_the_dimension_grows_as_n_times_log_of_the_alphabet() -> None:
    for letters, n in SIZES:
        design = Design(letters, n)
        assert design.dimension <= 12 * n * design.bits + 24
        assert design.dimension <= design.hidden_size == construct(letters, n).config.hidden_size


def test_the_checkpoint_is_evaluated_like_any_other(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "construction"
    main(["construction", "--letters", "4", "--n", "3", "--length", "500", "--out", str(folder)])
    printed = capsys.readouterr().out
    assert "dimension: 34 numbers in use; n ceil(log2 D) is 6" in printed
    assert "inverse temperature: 16" in printed
    config = EvaluateConfig(folder, lengths=(6, 10), num_examples=60, generate=True)
    results = evaluate(config)["results"]
    expected = [measure([(4, 3, length)], 60, "cpu")[0] for length in (6, 10)]
    assert [r["string_accuracy"] for r in results] == [pytest.approx(1 - line.error) for line in expected]
    with pytest.raises(SystemExit, match="exists; pass a new folder"):
        main(["construction", "--letters", "4", "--n", "3", "--out", str(folder)])


def test_the_table_is_written_once(tmp_path: Path, capsys: Any) -> None:
    options = ["table", "--strings", "4", "--longest", "12", "--device", "cpu", "--out", str(tmp_path / "t")]
    main(options)
    content = json.loads((tmp_path / "t" / "construction.json").read_text())
    assert {line["wrong_without_repeat"] for line in content["results"]} == {0}
    assert (tmp_path / "t" / "construction.md").read_text() in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"construction\.json exists"):
        main(options)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1, 3, 10), "letters must be an integer of at least 2, not 1"),
        ((27, 3, 10), "letters must be at most 26, not 27"),
        ((4, 0, 10), "n must be an integer of at least 1, not 0"),
        ((4, 33, 100), "n must be at most 32, not 33"),
        ((4, 3, 5), "length must be an integer of at least 6, not 5"),
    ],
)
def test_what_cannot_be_built(arguments: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        construct(*arguments)


@pytest.mark.slow
def test_lm_eval_takes_the_checkpoint(tmp_path: Path, run_forked: Run) -> None:
    folder = tmp_path / "construction"
    main(["construction", "--letters", "26", "--n", "3", "--out", str(folder)])
    model = f"pretrained={folder},trust_remote_code=True,dtype=float32"
    command = ["-m", "lm_eval", "--model", "hf", "--model_args", model, "--include_path", str(TASKS_FOLDER)]
    command += ["--tasks", "string_copy_20_forced", "--device", "cpu", "--batch_size", "50"]
    command += ["--metadata", '{"spelling": "symbols", "num_docs": 100}', "--output_path", "results"]
    done = run_forked(*command)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "results").rglob("results_*.json")
    theirs = json.loads(file.read_text())["results"]["string_copy_20_forced"]["exact_match,none"]
    config = EvaluateConfig(folder, lengths=(20,), num_examples=100, documents="benchmark")
    assert theirs == evaluate(config)["results"][0]["exact_match"] > 0.9


def test_the_window_holds_the_longest_string_and_its_copy() -> None:
    assert construct(2, 1, 1100).config.max_position_embeddings == len("$|.") + 2 * 1100
