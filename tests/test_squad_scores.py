"""Exact match and F1 of the SQuAD retrieval: known answers, and properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tasks.answers import paragraph_answer as generated
from lm_eval_tasks.metrics import squad_exact_match, squad_f1, squad_normalize


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("The  Bell\tof\nOrsa", "bell of orsa"),
        ("a theatre, an anthem, the end", "theatre anthem end"),
        ("bath Athena the", "bath athena"),
        ("grey_seal__pup", "grey seal pup"),
        ("U.S. (1788)", "u s 1788"),
        ("‘Long’ ´Year` don’t", "long year don t"),
        ("“Long” – Year", "“long” – year"),
        ("?!...", ""),
        ("A-the-an", ""),
        ("", ""),
        ("Ærø", "ærø"),
    ],
)
def test_normal_form(raw: str, normal: str) -> None:
    assert squad_normalize(raw) == normal


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("1788", ["1788"], 1.0, 1.0),
        (" The herring-oil.", ["herring oil"], 1.0, 1.0),
        ("herring_oil", ["Herring Oil"], 1.0, 1.0),
        ("herringoil", ["herring oil"], 0.0, 0.0),
        ("‘stork’", ["stork"], 1.0, 1.0),
        ("“stork”", ["stork"], 0.0, 0.0),
        ("in 1788", ["1788"], 0.0, 2 / 3),
        ("Holm", ["Ida Holm", "Holm"], 1.0, 1.0),
        ("Ida", ["Ida Holm", "Ida Karin Holm"], 0.0, 2 / 3),
        ("Holm Ida", ["Ida Holm"], 0.0, 1.0),
        ("oil oil oil", ["oil"], 0.0, 1 / 2),
        ("oil oil", ["oil and oil"], 0.0, 4 / 5),
        ("athe", ["the a the"], 0.0, 0.0),
        ("theatre", ["atre"], 0.0, 0.0),
        ("", ["1788"], 0.0, 0.0),
        ("", ["?", "1788"], 1.0, 1.0),
        ("!!", ["the"], 1.0, 1.0),
        ("1788", ["the"], 0.0, 0.0),
        ("in \u00d6rsa", ["in O\u0308rsa"], 1.0, 1.0),
        ("a\u0301 b", ["\u00e1 b", "b"], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
        ("1788", [], 0.0, 0.0),
    ],
)
def test_scores_of_an_answer(prediction: str, answers: list[str], exact: float, f1: float) -> None:
    assert squad_exact_match(prediction, answers) == exact
    assert squad_f1(prediction, answers) == pytest.approx(f1)


TEXTS = st.text(st.sampled_from("aAbthe _.’ \n1é"), max_size=12) | st.text(max_size=12)


@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_properties_of_the_scores(prediction: str, answers: list[str]) -> None:
    exact, f1 = squad_exact_match(prediction, answers), squad_f1(prediction, answers)
    assert exact in (0.0, 1.0)
    assert exact <= f1 <= 1.0
    assert squad_f1(squad_normalize(prediction), answers) == f1
    assert (f1, exact) == (squad_f1(prediction, answers[::-1]), squad_exact_match(prediction, answers[::-1]))
    if answers:
        assert f1 == max(squad_f1(prediction, [answer]) for answer in answers)
        assert squad_exact_match(answers[-1], answers) == squad_f1(answers[-1], answers) == 1.0


@given(TEXTS, TEXTS)
def test_properties_of_the_normal_form_and_of_f1(a: str, b: str) -> None:
    normal = squad_normalize(a)
    assert squad_normalize(normal) == normal == squad_normalize(f"  The {a} ")
    assert not set(normal.split()) & {"a", "an", "the"}
    assert squad_f1(a, [b]) == squad_f1(b, [a])


@pytest.mark.parametrize(
    ("generation", "exact"),
    [
        (" 1788", 1.0),
        (" 1788\n\nQuestion: And then?", 1.0),
        (" 1788<|endoftext|>Another text", 1.0),
        (" 1788<|endoftext|>\n\n", 1.0),
        (" 1788\n", 1.0),
        (" 1788\nQuestion: And then?", 0.0),
        ("\n\n1788", 0.0),
        ("<|endoftext|>1788", 0.0),
    ],
)
def test_a_generated_answer_ends_at_an_empty_line_or_the_end_of_text(generation: str, exact: float) -> None:
    assert generated({"answers": ["1788"]}, [generation])["em"] == exact
