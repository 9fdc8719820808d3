"""First numbers of a report: the best value, its interval, what it is, and the image's own beside it; the same in page and PDF."""

import re
from dataclasses import replace

import pytest
from pdf_text import words
from report_case import corrected, make_result, recovered, uncertain

from voxeldose.model.wording import dose, percent, ratio
from voxeldose.report import write_pdf, write_report
from voxeldose.report.headline import best, intervals_text, ratios, recovery_coefficients


def page_text(result, tmp_path):
    write_report(result, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8").split("<footer>")[0].split("<main>")[1]
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("&nbsp;", " ").split())


def pdf_text(result, tmp_path):
    write_pdf(result, tmp_path / "report.pdf")
    return " ".join(words(tmp_path / "report.pdf")[0].split())


@pytest.mark.parametrize("build", [recovered, corrected])
def test_first_numbers_are_the_best_and_the_images_own_stands_beside_them(build, tmp_path):
    result = build(make_result(mbq=60.0))
    mean = best(result, "lesion", "mean_dose_gy", "Gy")
    own = dose(result.rois["lesion"].mean_dose_gy)
    assert mean.image == own != mean.words
    for text in (page_text(result, tmp_path), pdf_text(result, tmp_path)):
        assert mean.words in text
        assert mean.interval in text
        assert mean.kind in text
        assert ratios(result)[0].best.words in text
    assert f"{mean.kind} ; {own} Gy in the image" in page_text(result, tmp_path)
    assert f"in the image {own}" in pdf_text(result, tmp_path)


def test_a_number_that_is_not_corrected_says_so_beside_a_mean_that_is(tmp_path):
    result = corrected(make_result(mbq=60.0))
    assert page_text(result, tmp_path).count("not corrected by recovery curve") == 3  # V400, D95, D70 of the lesion
    assert "not corrected by recovery curve" in pdf_text(result, tmp_path)
    assert "not corrected" not in page_text(make_result(mbq=60.0), tmp_path)


def test_t_n_names_its_tumor_and_its_normal_region():
    result = recovered(make_result())
    (one,) = ratios(result)
    assert (one.roi, one.normal) == ("lesion", result.tumor_to_normal[0].normal)
    assert one.best.words == ratio(1.25 * result.tumor_to_normal[0].by_concentration)
    assert one.best.image == ratio(result.tumor_to_normal[0].by_concentration)


def test_of_several_tumors_each_comes_before_all_pooled():
    result = make_result()
    row = result.tumor_to_normal[0]
    other = replace(result.rois["lesion"], volume_ml=2 * result.rois["lesion"].volume_ml)
    rows = (
        row,
        replace(row, roi="other"),
        replace(row, roi="all tumors"),
        replace(row, roi="far", by_concentration=None),
    )
    several = replace(result, rois={**result.rois, "other": other, "far": other}, tumor_to_normal=rows)
    assert [one.roi for one in ratios(several)] == ["other", "lesion", "all tumors"]


def test_the_sentence_on_intervals_says_what_they_cover():
    plain = make_result()
    assert intervals_text(plain) == ""
    without = intervals_text(uncertain(plain))
    assert "(calibration; 500 samples)" in without
    assert "true doses of tumors may lie above" in without
    curve = intervals_text(corrected(plain))
    assert "corrected by the recovery curve" in curve
    assert "may lie above" not in curve
    assert "those of the blurred image" in curve
    field = intervals_text(recovered(plain))
    assert "24 draws" in field
    assert "calibration, lung shunt and registration are not in them" in field
    assert "outlines within their prior" in field
    both = intervals_text(recovered(uncertain(plain)))
    assert both.startswith("Intervals of numbers of the image are")
    assert "Partial volume is in none of these." in both
    assert "have no interval" in intervals_text(recovered(plain, method="rbv"))


def test_recovery_coefficients_are_reported(tmp_path):
    assert recovery_coefficients(make_result()) is None
    assert recovery_coefficients(corrected(make_result())) == "lesion 0.800 (corrected by recovery curve)"
    assert recovery_coefficients(recovered(make_result())) == "lesion 0.800 (resolution recovered)"
    assert "Recovery coefficients lesion 0.800 (resolution recovered)" in page_text(recovered(make_result()), tmp_path)
    assert "Recovery coefficients not given" in page_text(make_result(), tmp_path)


def test_doses_have_three_digits_and_coverages_one_decimal():
    assert [
        dose(v) for v in (0.01234, 3.456, 34.56, 345.6, 999.4, 999.6, 2945.3, 28000.0, -1.234, None, float("nan"))
    ] == [
        "0.0123",
        "3.46",
        "34.6",
        "346",
        "999",
        "1000",
        "2950",
        "28000",
        "-1.23",
        "-",
        "-",
    ]
    assert percent(0.8754) == "87.5"
