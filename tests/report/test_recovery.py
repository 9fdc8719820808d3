"""What page and PDF say of resolution recovery: numbers side by side, band, residual, outline, what was assumed."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pdf_text import words
from report_case import make_result, recovered

from voxeldose.model.recovered import Estimate
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose
from voxeldose.report import write_pdf, write_report
from voxeldose.report.recovery import recovery_words
from voxeldose.report.recovery_plots import draw_recovery, plot_recovered_dvh, plot_residual


def moved(result):
    """The recovered result with the numbers as drawn differing from those in the moved outline, and words on it."""
    found = result.recovered
    lesion = found.rois["lesion"]
    drawn = replace(lesion.as_drawn, mean_dose_gy=Estimate(321.0, 300.0, 340.0))
    remarks = (Remark("assumed-here", {}, "This was assumed."),)
    doubts = (Remark("doubted-here", {}, "This is doubtful."),)
    found = replace(found, rois={"lesion": replace(lesion, as_drawn=drawn)}, assumptions=remarks, warnings=doubts)
    return replace(result, recovered=found)


def test_each_number_stands_beside_that_of_the_image_with_its_interval():
    result = moved(recovered(make_result(mbq=60.0)))
    (region,) = recovery_words(result).regions
    mean = {row.label: row for row in region.rows}["Mean"]
    own = result.rois["lesion"].mean_dose_gy
    assert (mean.image, mean.value) == (dose(own), dose(1.25 * own))
    assert mean.interval == f"{dose(1.125 * own)} to {dose(1.375 * own)}"
    assert mean.as_drawn == "321"
    assert {row.label: row for row in region.rows}["D50"].value == "withheld"
    assert {row.label: row.unit for row in region.rows}["V400"] == "%"


def test_shift_and_growth_are_told_along_the_patients_axes():
    (region,) = recovery_words(moved(recovered(make_result()))).regions
    assert region.outline == (
        "outline shifted by +1.5 mm to the left, -0.5 mm to the back, +0.2 mm to the head, and grown by +0.8 mm"
    )
    (still,) = recovery_words(recovered(make_result())).regions
    assert still.outline == "outline as drawn"
    assert not any(row.as_drawn for row in still.rows)


def test_page_and_pdf_hold_the_section_and_those_without_recovery_do_not(tmp_path):
    result = moved(recovered(make_result(mbq=60.0)))
    write_report(result, tmp_path / "report.html")
    write_pdf(result, tmp_path / "report.pdf")
    page, pdf = (tmp_path / "report.html").read_text("utf-8"), words(tmp_path / "report.pdf")[0]
    for text in (page, pdf):
        for wanted in ("Resolution recovery", "This was assumed.", "This is doubtful.", "shifted by +1.5 mm", "321"):
            assert wanted in text
        assert "1.020 (0.7 to 1.3 is believed)" in text
    section = page[page.index('<section id="recovery">') : page.index('<section id="regions">')]
    assert len(re.findall(r'<img src="data:image/png', section)) == 2
    write_report(make_result(), tmp_path / "plain.html")
    write_pdf(make_result(), tmp_path / "plain.pdf")
    assert 'id="recovery"' not in (tmp_path / "plain.html").read_text("utf-8")
    assert "Resolution recovery" not in words(tmp_path / "plain.pdf")[0]


def test_the_comparator_alone_has_no_residual_and_no_interval(tmp_path):
    result = recovered(make_result(mbq=60.0), method="rbv")
    assert plot_residual(result) is None
    assert draw_recovery(result).dvh is None
    (region,) = recovery_words(result).regions
    assert not any(row.interval for row in region.rows)
    write_report(result, tmp_path / "report.html")
    assert "region-based voxelwise" in (tmp_path / "report.html").read_text("utf-8")


def test_the_band_and_both_curves_are_drawn():
    axes = plot_recovered_dvh(recovered(make_result(mbq=60.0))).axes[0]
    labels = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert labels == ["lesion, recovered", "lesion, image"]
    assert len(axes.collections) == 1  # the band
    assert any(line.get_xdata()[0] == 400.0 for line in axes.lines)
    assert plot_recovered_dvh(make_result()) is None


def test_the_residual_is_in_standard_deviations_with_the_outline_as_drawn_and_as_moved():
    result = recovered(make_result(mbq=60.0))
    panels = [axes for axes in plot_residual(result).axes if axes.images]
    assert [axes.get_title() for axes in panels[:3]] == ["Image", "Predicted by the fit", "Difference / noise"]
    image, predicted, scores = (axes.images[0].get_array() for axes in panels[:3])
    np.testing.assert_allclose(scores, (image - predicted) * 1e6 / 1e5, rtol=1e-4, atol=1e-4)
    outlines = panels[2].collections
    assert len(outlines) == 2
    drawn, shifted = (np.concatenate([p.vertices for p in one.get_paths()]).mean(axis=0) for one in outlines)
    columns_mm, rows_mm = (result.activity.grid.spacing_mm[a] for a in (2, 1))
    assert (shifted[0] - drawn[0]) * columns_mm == pytest.approx(1.5, abs=0.4)
    assert (shifted[1] - drawn[1]) * rows_mm == pytest.approx(-0.5, abs=0.4)
