"""What is met first: the fused picture, the numbers, the worst warning; in print a page to sign; colours by role."""

import json
import re
from dataclasses import replace

import pytest
from pdf_text import words
from report_case import make_result

from voxeldose.model.remarks import Remark
from voxeldose.model.wording import activity
from voxeldose.report import write_pdf, write_report
from voxeldose.report.palette import DASHES, OF_ROLE, styles_by_role


def warned(count):
    result = make_result()
    remarks = tuple(Remark(f"a-warning-{n}", {}, f"Warning number {n}.") for n in range(count))
    return replace(result, record=replace(result.record, warnings=remarks))


def page(result, tmp_path):
    write_report(result, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_picture_comes_before_the_numbers_and_the_worst_warning_after_them(tmp_path):
    text = page(warned(3), tmp_path)
    places = [text.index(part) for part in ('class="fused"', 'class="cards"', "Warning number 0.", 'id="thresholds"')]
    assert places == sorted(places)
    first = text[: text.index('class="answers"')]
    assert "Warning number 1." not in first
    assert "2 more" in first
    assert 'class="panel alert worst"' not in page(warned(0), tmp_path)


def test_the_first_page_of_the_pdf_has_verdicts_the_worst_warnings_and_lines_to_sign(tmp_path):
    write_pdf(warned(5), tmp_path / "report.pdf")
    text = words(tmp_path / "report.pdf")[0]
    first = text[: text.index("Published thresholds")]
    for wanted in (
        "Medical physicist",
        "Responsible physician",
        "Date",
        "Warning number 2.",
        "2 more warnings",
        "against 205 Gy",
    ):
        assert wanted in first
    assert "Warning number 3." not in first
    assert all(f"Warning number {n}." in text for n in range(5))


def test_activity_is_in_mbq_and_mci(tmp_path):
    assert activity(1850.0) == "1850 MBq (50.0 mCi)"
    assert activity(None) == activity(float("nan")) == "-"
    net = activity(make_result().totals.net_mbq)
    assert net in page(make_result(), tmp_path)
    write_pdf(make_result(), tmp_path / "report.pdf")
    assert net.replace("(", "").replace(")", "") in words(tmp_path / "report.pdf")[0].replace("(", "").replace(")", "")


def test_colours_go_by_role_and_no_two_regions_look_alike():
    roles = {
        "a": "tumor", "b": "tumor", "c": "tumor", "d": "tumor", "liver": "liver", "rest": "normal_liver", "seg": "segment",
        "p": "perfused", "lung": "lung", "x": "other",
    }  # fmt: skip
    styles = styles_by_role(roles)
    assert len(set(styles.values())) == len(roles)
    assert all(styles[name][0] in OF_ROLE[role] for name, role in roles.items())
    assert styles["liver"] == (OF_ROLE["liver"][0], DASHES[0])
    assert styles["rest"][1] != DASHES[0]
    again = styles_by_role({"liver": "liver", "d": "tumor"})
    assert again["liver"] == styles["liver"]  # whatever other regions there are


@pytest.mark.parametrize(("mbq", "is_marked"), [(500.0, True), (20.0, False)])
def test_the_live_histogram_marks_400_gray_where_its_axis_reaches_it(mbq, is_marked, tmp_path):
    text = page(make_result(mbq=mbq), tmp_path)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert (400.0 in [mark["gy"] for mark in data["dvh"]["marks"]]) == is_marked
