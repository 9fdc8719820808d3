"""Remarks for people: one entry per code, the most harmful first, nothing twice; the same function in every output."""

import tomllib
from importlib import resources

import pytest
from test_remark_codes import MADE, RULES

from voxeldose.cli.terminal import print_warnings
from voxeldose.model.remark_groups import group_remarks, harm_of, texts_of
from voxeldose.model.remarks import Remark
from voxeldose.planning.answers.facts import basis_lines, note_lines
from voxeldose.report.wording import sentences


def of(code, *texts):
    return [Remark(code, {}, text) for text in texts]


SEGMENTS = of("role-from-name", *(f"Role segment taken from the name of ROI segment_{n}." for n in range(1, 9)))


def test_eight_sentences_that_differ_by_a_name_are_one():
    (text,) = texts_of(SEGMENTS)
    names = ", ".join(f"segment_{n}" for n in range(1, 9))
    assert text == f"Role segment taken from the name of ROI {names}."


def test_sentences_of_one_code_that_have_little_in_common_stay_apart():
    others = of(
        "role-from-name",
        "Role liver taken from the name of ROI liver.",
        "Role other was stated with its code: stomach.",
    )
    assert texts_of([*SEGMENTS, *others])[1:] == [others[0].sentence, others[1].sentence]


def test_names_and_numbers_that_differ_together_stay_together():
    small = of(
        "tumor-volume-small",
        "Tumor a is 1.20 mL: blur of the image lowers its mean dose by about a third.",
        "Tumor b is 0.50 mL: blur of the image lowers its mean dose by about a third.",
    )
    assert texts_of(small) == [
        "Tumor a is 1.20; b is 0.50 mL: blur of the image lowers its mean dose by about a third."
    ]


def test_marks_at_the_end_of_what_differs_stand_once():
    rows = of("x", "ROI a has no dose here, in tumors;", "ROI a has no dose here, in liver;")
    assert texts_of(rows) == ["ROI a has no dose here, in tumors, liver;"]


def test_groups_come_by_harm_then_in_the_order_made():
    remarks = [
        *of("dome-margin-missing", "No margin."),
        *of("no-level-stated", "Something."),
        *of("rois-overlap", "Two overlap."),
        *of("another-without-level", "Another."),
        *of("lung-dose-above-limit", "Too much."),
    ]
    assert [(g.code, g.harm) for g in group_remarks(remarks)] == [
        ("lung-dose-above-limit", 1),
        ("rois-overlap", 2),
        ("no-level-stated", 3),
        ("another-without-level", 3),
        ("dome-margin-missing", 4),
    ]


def test_nothing_is_said_twice():
    assert texts_of([*of("a", "Said."), *of("a", "Said."), *of("b", "Said.")]) == ["Said."]
    assert texts_of([]) == []


def test_terminal_report_and_answers_say_the_same_lines(capsys):
    remarks = [*of("dome-margin-missing", "No margin."), *SEGMENTS, *of("activity-outside-region", "Much is outside.")]
    lines = texts_of(remarks)
    assert sentences(remarks) == lines
    assert note_lines(remarks) == [f"warning: {line}" for line in lines]
    assert basis_lines([], remarks) == [f"assumed: {line}" for line in lines]
    print_warnings(remarks)
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}" for line in lines]


def test_the_table_of_harm_has_codes_that_exist_each_once():
    table = tomllib.loads((resources.files("voxeldose") / "tables" / "harm.toml").read_text("utf-8"))
    assert set(table) == {"1", "2", "4"}  # the third level is every other code
    codes = [code for row in table.values() for code in row]
    assert len(codes) == len(set(codes))
    assert set(codes) - set(MADE) - RULES == set()
    assert all(harm_of(code) == int(level) for level, row in table.items() for code in row)


@pytest.mark.parametrize("code", ["lung-dose-above-limit", "activity-outside-region", "liver-on-the-left"])
def test_what_makes_every_number_wrong_comes_first(code):
    assert harm_of(code) == 1
