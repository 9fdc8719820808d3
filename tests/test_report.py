from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from voxeldose.case import Administration, Case
from voxeldose.errors import InputError
from voxeldose.grid import Grid
from voxeldose.pipeline import assess
from voxeldose.radionuclide import Y90
from voxeldose.report import plot_dvh, plot_slices, write_report
from voxeldose.roi import Roi, RoiSet
from voxeldose.volume import ActivityMap, CtImage

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
ANGLE = np.radians(20)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])
GRID = Grid.from_axes(
    (20, 24, 22), (4, 3, 3.5), (-40, -30, -40), directions=TURN @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
)
EVIL = "<script>alert(1)</script>"


def result(name="lesion", device="glass", ct=True):
    values = np.full(GRID.shape, 1e4)
    values[8:12, 9:14, 10:15] = 1e6
    occupancy = np.zeros(GRID.shape)
    occupancy[8:12, 9:14, 10:15] = 1
    liver = np.zeros(GRID.shape)
    liver[3:17, 3:20, 3:19] = 1
    rois = RoiSet((Roi("liver", "liver", liver, GRID), Roi(name, "tumor", occupancy, GRID)))
    scan = CtImage(np.full((30, 60, 60), 40.0), Grid.from_axes((30, 60, 60), (3, 2, 2), (-60, -60, -45)))
    given = Administration(Y90, 500.0, AT, 0.0, 0.05, device)
    activity = ActivityMap(values, GRID, at=AT, radionuclide=Y90)
    return assess(Case(activity, rois, given, ct=scan if ct else None, id="case-7"))


class Links(HTMLParser):
    """Everything that a page would load or run."""

    def __init__(self):
        super().__init__()
        self.loads, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data") and v]


def page(tmp_path, **case):
    write_report(result(**case), tmp_path / "report.html")
    return (tmp_path / "report.html").read_text("utf-8")


def test_the_report_is_one_file_that_loads_nothing_from_elsewhere(tmp_path):
    links = Links()
    links.feed(page(tmp_path))
    assert links.loads
    assert all(v.startswith(("data:", "#")) for v in links.loads)
    assert "script" not in links.tags


def test_the_numbers_of_the_result_are_in_it(tmp_path):
    text = page(tmp_path)
    found = result()
    assert "case-7" in text
    assert f"{found.rois['lesion'].mean_dose_gy:.4g}" in text
    for words in ("K = 49.38", "Calibration administered", found.record.kernel["sha256"], "400"):
        assert str(words) in text.replace("&#39;", "'")


def test_names_from_files_are_escaped(tmp_path):
    text = page(tmp_path, name=EVIL)
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_a_case_without_ct_or_device_says_so(tmp_path):
    text = page(tmp_path, ct=False, device=None)
    assert "device" in text
    assert "No device was given" in text


def test_an_unwritable_place_is_refused(tmp_path):
    with pytest.raises(InputError):
        write_report(result(), tmp_path / "no" / "report.html")


def test_plots_are_figures_with_every_region():
    found = result()
    axes = plot_dvh(found).axes[0]
    assert len([line for line in axes.lines if len(line.get_xdata()) > 2]) == 3
    assert len(plot_slices(found).axes) >= 3


def test_the_picture_shows_the_hottest_tumor_where_it_is():
    titles = " ".join(text for axes in plot_slices(result()).axes for text in [axes.get_title(loc="left")])
    found = result()
    hottest = found.dose.grid.points_lps_mm(np.unravel_index(found.dose.gy.argmax(), found.dose.gy.shape))
    for value in hottest:
        assert f"{value:.1f}" in titles.replace("−", "-")
