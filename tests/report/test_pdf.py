import pytest
from pdf_text import words
from report_case import make_result, uncertain

from voxeldose.errors import InputError
from voxeldose.model.wording import dose, number, percent
from voxeldose.report import draw_pictures, write_pdf


def test_the_pdf_holds_answers_thresholds_method_and_assumptions(tmp_path):
    result = make_result()
    write_pdf(result, tmp_path / "report.pdf")
    text, pages = words(tmp_path / "report.pdf")
    assert 2 <= pages <= 6  # the first is to be signed and stands alone
    for wanted in (
        dose(result.rois["lesion"].mean_dose_gy),
        "Published thresholds",
        "Reporting items",
        "not given",
        "case-7",
    ):
        assert wanted in text
    assert "permanent trapping" in text
    assert result.record.assumptions[0].sentence[:20] in text


def test_markup_in_names_stays_text(tmp_path):
    write_pdf(make_result("<b>lesion</b> & <font color='red'>", label="<i>x</i>"), tmp_path / "report.pdf")
    text, _ = words(tmp_path / "report.pdf")
    assert "<b>lesion</b>&<fontcolor='red'>" in text.replace(" ", "")
    assert "<i>x</i>" in text


def test_every_page_says_whether_the_dose_is_predicted_or_delivered(tmp_path):
    result = make_result()
    write_pdf(result, tmp_path / "report.pdf")
    text, pages = words(tmp_path / "report.pdf")
    assert result.kind_text == "DELIVERED (Y-90 image)"
    assert text.count("Y-90 absorbed dose, DELIVERED (Y-90 image) case-7") == pages


def test_intervals_are_in_the_pdf(tmp_path):
    write_pdf(uncertain(make_result()), tmp_path / "report.pdf")
    assert "11.5 to 22.2" in words(tmp_path / "report.pdf")[0]


def test_the_same_result_gives_the_same_pdf(tmp_path):
    result = make_result()
    pictures = draw_pictures(result)
    for name in ("a.pdf", "b.pdf"):
        write_pdf(result, tmp_path / name, pictures=pictures)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_an_unwritable_place_is_refused(tmp_path):
    with pytest.raises(InputError) as refusal:
        write_pdf(make_result(), tmp_path / "no" / "report.pdf")
    assert refusal.value.code == "file-not-written"


def test_the_pdf_names_the_calibration_region_and_what_lies_outside(tmp_path):
    result = make_result()
    write_pdf(result, tmp_path / "report.pdf")
    text, _ = words(tmp_path / "report.pdf")
    totals = result.totals
    assert totals.calibration_region.startswith("the union of")
    assert f"Calibration region: {totals.calibration_region}" in text
    assert f"{number(totals.calibration_region_mbq)} MBq in it" in text
    assert f"Liver over field of view  {percent(totals.liver_of_field_fraction)} %" in text
