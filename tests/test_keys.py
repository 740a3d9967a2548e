"""The length of the key that a model uses, against a model whose key is known, and what training it takes."""

import math
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.registry import import_module
from dataset_builders.string_tasks import string_task
from synthetic_training.data.copy_few_letters import CopyFewLetters
from synthetic_training.data.copy_repeats import CopyRepeats
from synthetic_training.data.strings import evaluation_batches
from synthetic_training.evaluation.keys import LONGEST, KeyCounts, competitors, key_counts
from synthetic_training.figures.keys import Keys, fit, main, predicted, table
from synthetic_training.figures.results import write_results
from synthetic_training.models.modeling_alibi import KEYS_WITHOUT_SCALING
from synthetic_training.models.registry import build_model
from synthetic_training.theory.construction import construct
from tests.figure_lines import Line, a_line, a_test, rows_of
from tests.string_examples import chi_square, chi_square_bound, drawn_by_numpy, drawn_on_device
from tests.test_positions import attention_of, by_loops, left_padding


def by_comparing(string: str) -> list[Counter[int]]:
    """For each place, how many other places with another letter share how many letters before them."""
    found = []
    for i, letter in enumerate(string):
        counts: Counter[int] = Counter()
        for j, other in enumerate(string + "."):
            if other != letter:
                n = 0
                while n < min(i, j) and string[i - n - 1] == string[j - n - 1]:
                    n += 1
                counts[min(n, LONGEST)] += 1
        found.append(counts)
    return found


def test_competitors_are_those_found_by_comparing_letters() -> None:
    rng = Random(0)
    strings = ["".join(rng.choice("abc") for _ in range(30)) for _ in range(4)] + ["ab" * 14 + "ac"]
    letters = torch.tensor([["abc".index(letter) for letter in string] for string in strings])
    for string, counts in zip(strings, competitors(letters).tolist(), strict=True):
        expected = [[one[n] for n in range(LONGEST + 1)] for one in by_comparing(string)]
        assert counts == expected


def counts_of(model: Any, letters: int, length: int, count: int) -> KeyCounts:
    task = string_task("copy", length, length, letters)
    return key_counts(model, evaluation_batches(task, range(count), 50, 0, torch.device("cpu")))


@pytest.mark.parametrize("n", [2, 3])
def test_the_key_of_the_construction_has_its_n_letters(n: int) -> None:
    model = construct(8, n, 64).eval()
    counts = counts_of(model, 8, 24, 300)
    assert counts == KeyCounts.of_json(counts.as_json())
    # it errs only where n letters or more occur twice
    assert counts.wrong and all(sum(key[n:]) > 0 for key in counts.wrong)
    keys = fit({24: [counts]})
    assert all(keys.misled(m) < 1e-3 for m in range(n)) and keys.misled(n) > 0.3
    length = 40
    task = string_task("copy", length, length, 8)
    batches = evaluation_batches(task, range(300), 50, 1, torch.device("cpu"))
    right = [
        ((model(b.input_ids, attention_mask=b.attention_mask).logits.argmax(-1) == b.targets) | ~b.answers)
        .all(1)
        .float()
        for b in batches
    ]
    measured = float(torch.cat(right).mean())
    assert predicted(keys, length, 8) == pytest.approx(measured, abs=0.1)


def draw_counts(hazards: Tensor, length: int, growth: float) -> KeyCounts:
    """Counts of strings whose letters are copied with these hazards, which hold at 40 letters."""
    generator = torch.Generator().manual_seed(length)
    counts = competitors(torch.randint(4, (400, length), generator=generator))
    sums = (counts.double() @ hazards) * (length / 40) ** growth
    right = torch.rand(sums.shape, generator=generator) < torch.exp(-sums)
    wrong = Counter(tuple(row) for row in counts[~right].tolist())
    return KeyCounts(tuple(counts[right].sum(0).tolist()), dict(wrong))


def test_known_hazards_are_estimated() -> None:
    hazards = torch.tensor([1e-5, 1e-3, 0.02, 0.3, 0.7, *[1.5] * (LONGEST - 4)], dtype=torch.float64)
    keys = fit({length: [draw_counts(hazards, length, 1.5)] for length in (20, 30, 40)})
    assert keys.growth == pytest.approx(1.5, abs=0.2) and keys.reference == 40
    assert predicted(keys, 80, 4) < predicted(Keys(keys.hazards), 80, 4)
    keys = fit({40: [draw_counts(hazards, 40, 0.0)]})
    assert keys.growth == 0
    for n in (2, 3, 4):
        assert keys.hazards[n] == pytest.approx(float(hazards[n]), rel=0.2)
    assert 3.5 < (keys.length or 0) < 4.5
    assert Keys((9.0,)).length == 0 and Keys((0.0,) * 13).length is None
    assert Keys((0.0, 0.0, 9.0)).length == pytest.approx(1.5, abs=0.01)
    with pytest.raises(InputError, match="no letter was copied wrongly in these strings"):
        fit({40: [KeyCounts((5,) * 13, {})]})


def test_without_data_a_hazard_equals_that_of_fewer_letters() -> None:
    one, three = ((*(int(n == own) for n in range(LONGEST + 1)),) for own in (0, 2))
    right = (900, 0, 50, *[0] * (LONGEST - 2))
    hazards = fit({40: [KeyCounts(right, {one: 100, three: 50})]}).hazards
    assert hazards[0] == hazards[1] == pytest.approx(-math.log(0.9), rel=1e-3)
    assert hazards[2] == hazards[-1] == pytest.approx(-math.log(0.5), rel=1e-3)


@pytest.mark.parametrize(("misled", "key"), [(40, "more than 3"), (60, "2.8")])
def test_a_key_is_not_longer_than_the_longest_competitors_that_occurred(misled: int, key: str) -> None:
    """Whether those of three letters mislead the model in slightly more or less than half of the cases."""
    one, three = ((*(int(n == own) for n in range(LONGEST + 1)),) for own in (1, 3))
    counts = KeyCounts((0, 9000, 0, 100 - misled, *[0] * (LONGEST - 3)), {one: 9, three: misled})
    line: Line = {**a_line("T_hard_alibi"), "tests": [{**a_test(10, 0.5), "keys": counts.as_json()}]}
    line["config"] = {**line["config"], "vocabulary": 26}
    (_, _, row, *_) = rows_of(table([line], 10))
    assert row[2] == key and row[4].split(", ")[2:] == [f"0.{misled // 10}"]


def test_predictions_vary_little_with_the_strings_drawn() -> None:
    hazards = torch.tensor([7e-6, 5e-4, 0.032, *[0.72] * (LONGEST - 2)], dtype=torch.float64)
    letters = torch.randint(26, (4000, 120), generator=torch.Generator().manual_seed(1))
    sums = torch.cat([competitors(some).sum(1) for some in letters.split(200)])
    expected = float(torch.exp(-(sums.double() @ hazards)).mean())
    assert predicted(Keys(tuple(hazards.tolist())), 120, 26) == pytest.approx(expected, abs=0.015)


def test_the_table_of_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = counts_of(construct(8, 2, 64).eval(), 8, 24, 100)
    tests = [{**a_test(length, 0.5), "keys": counts.as_json()} for length in (24, 30)]
    line: Line = {**a_line("T_hard_alibi"), "tests": tests}
    line["config"] = {**line["config"], "vocabulary": 8}
    perfect = KeyCounts((9,) * 13, {}).as_json()
    other: Line = {**a_line("T_rope"), "tests": [{**tests[0], "keys": perfect}]}
    with pytest.raises(InputError, match="^T_hard_alibi has results of several panels or swept values"):
        table([line, {**line, "panel": "other"}], 24)
    rare = KeyCounts((9000,) * 13, {(1,) * 13: 1}).as_json()
    long: Line = {**line, "label": "lstm", "tests": [{**tests[0], "keys": rare}]}
    text = table([line, other, long], 24)
    assert "more than 12" in text and f"| {fit({24: [counts]}).length:.1f} " in text
    assert "| T_rope " in text and "unknown" in text and "| predicted " in text
    assert "the largest difference between the accuracies is 0." in text
    assert table([line, other, long], 30).endswith("\n\nEstimated from strings of up to 30 letters.")
    file, out = tmp_path / "f.jsonl", tmp_path / "keys.md"
    write_results(tmp_path / "keys.jsonl", [line, other, long])
    main([str(tmp_path / "keys.jsonl"), "--fit-to", "24", "--out", str(out)])
    assert out.read_text() == capsys.readouterr().out == f"{text}\n"
    write_results(file, [a_line("T_rope")])
    with pytest.raises(SystemExit, match="these results have no counts of keys"):
        main([str(file)])
    with pytest.raises(SystemExit, match="none.jsonl: no such file"):
        main([str(tmp_path / "none.jsonl")])


@pytest.mark.parametrize("draw", [drawn_by_numpy, drawn_on_device])
def test_strings_with_a_repeat_of_random_length(draw: Any) -> None:
    task = CopyRepeats(4, 30, 26, longest=6)
    found: Counter[int] = Counter()
    for text, _, key in draw(task, 600):
        string, answer = text.removeprefix("$").removesuffix(".").split("|")
        assert answer == string and 4 <= len(string) <= 30 and key == ""
        longest = max(n for n in range(16) if any(string.find(string[i : i + n], i + n) >= 0
                                                   for i in range(len(string) - n + 1)))  # fmt: skip
        found[longest] += 1
    assert set(found) <= set(range(1, 9)) and all(found[n] > 30 for n in range(1, 7))
    places = Counter[tuple[int, ...]]()
    for text, _, _ in draw(CopyRepeats(4, 4, 10_000, longest=1), 600):
        letters = text.split()[1:5]
        places[tuple(i for i in range(4) if letters.count(letters[i]) > 1)] += 1
    pairs = dict.fromkeys(combinations(range(4), 2), 100.0)
    assert chi_square(places, pairs) < chi_square_bound(len(pairs))
    with pytest.raises(InputError, match="longest must be an integer of at least 1"):
        CopyRepeats(4, 30, longest=0)
    with pytest.raises(InputError, match="needs strings of at least 2 letters, not 1"):
        CopyRepeats(1, 30)
    with pytest.raises(InputError, match="contains no Benchmark"):
        import_module(CopyRepeats.__module__)


@pytest.mark.parametrize("draw", [drawn_by_numpy, drawn_on_device])
def test_strings_of_few_letters(draw: Any) -> None:
    found: Counter[tuple[int, int]] = Counter()
    for text, _, key in draw(CopyFewLetters(80, 90, 6, fewest=3), 900):
        string, answer = text.removeprefix("$").removesuffix(".").split("|")
        assert answer == string and 80 <= len(string) <= 90 and key == ""
        letters = {"abcdef".index(letter) for letter in string}
        first = [one for one in letters if (one - 1) % 6 not in letters]
        assert len(first) <= 1  # the letters follow each other
        found[len(letters), first[0] if first else -1] += 1
    expected = {(count, first): 900 / 24 for count in (3, 4, 5) for first in range(6)} | {(6, -1): 900 / 4}
    assert chi_square(found, expected) < chi_square_bound(len(expected))
    with pytest.raises(InputError, match="fewest must be at most 26, not 27"):
        CopyFewLetters(4, 30, fewest=27)


def scaled_by_loops(qkv: Tensor, heads: int, masked: int, real: Tensor) -> Tensor:
    """``by_loops`` of queries that are multiplied by the logarithm of the number of visible keys."""
    visible = real.cumsum(1).clamp(min=1).double()
    scale = torch.log1p(visible) / math.log1p(KEYS_WITHOUT_SCALING)
    split = qkv.view(*qkv.shape[:2], heads, 3, -1).clone()
    split[:, :, masked:, 0] *= scale[:, :, None, None]
    return by_loops(
        split.reshape(qkv.shape),
        heads,
        lambda head, distance: None if head < masked and distance > head else 0.0,
        real,
    )


@pytest.mark.parametrize("kind", ["sdpa", "eager", "split"])
@torch.no_grad()
def test_scores_scaled_by_the_logarithm_of_the_length(kind: str) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes |= {"num_masked_heads": 2, "attn_implementation": f"hard_alibi_{kind}"}
    model = build_model("T_hard_alibi", **sizes, log_length_scaling=True).double().eval()
    model.gpt_neox.layers[0].attention.query_key_value.weight.data *= 20
    ids = torch.randint(0, 30, (3, 9))
    for mask in (torch.ones_like(ids), left_padding([0, 3, 6], 9)):
        arguments = {} if bool(mask.all()) else {"attention_mask": mask}
        qkv, mixed = attention_of(model, ids, **arguments)
        expected = scaled_by_loops(qkv, 4, 2, mask)
        torch.testing.assert_close(mixed * mask[..., None], expected, atol=1e-6, rtol=1e-6)
    plain = build_model("T_hard_alibi", **sizes).double().eval()
    plain.load_state_dict(model.state_dict())
    assert (plain(ids).logits - model(ids).logits).abs().max() > 1e-6
    options: dict[str, Any] = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, **options)
    assert model(made[:, :-1]).logits[:, 8:].argmax(-1).equal(made[:, 9:])
    with pytest.raises(InputError, match="log_length_scaling must be true or false, not 2"):
        build_model("T_hard_alibi", log_length_scaling=2)
