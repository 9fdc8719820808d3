import base64
import hashlib
import re
from dataclasses import fields
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from report_case import make_result as result
from report_case import uncertain

from voxeldose.errors import InputError
from voxeldose.model.assessment import RoiMetrics
from voxeldose.model.wording import dose
from voxeldose.report import plot_dvh, plot_slices, write_pdf, write_report
from voxeldose.report.content import COLUMNS

EVIL = "<script>alert(1)</script>"


class Links(HTMLParser):
    """Everything that a page would load or run."""

    def __init__(self):
        super().__init__()
        self.loads, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data") and v]


@cache
def page(**case):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(result(**case), path)
        return path.read_text("utf-8")


def test_the_report_is_one_file_that_loads_nothing_from_elsewhere():
    links = Links()
    links.feed(page())
    assert links.loads
    assert all(v.startswith(("data:", "#")) for v in links.loads)


def test_the_policy_names_the_only_script_by_its_hash():
    text = page()
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_intervals_stand_beside_their_numbers(tmp_path):
    found = result()
    write_report(uncertain(found), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "11.5 to 22.2 Gy" in text
    assert "10.0 to 20.0 %" in text
    assert (
        text.count(
            "Intervals are of 95 % confidence, by the stated uncertainties of the input (calibration; 500 samples)."
        )
        >= 2
    )  # first screen and reporting items
    assert "true doses of tumors may lie above these intervals" in text
    write_report(found, tmp_path / "plain.html")
    assert " to 22.2" not in (tmp_path / "plain.html").read_text("utf-8")


def test_what_nobody_stated_is_marked_as_not_given():
    text = page()
    item = re.search(r"<dt>Catheter positions</dt><dd[^>]*>(.*?)</dd>", text).group(1)
    assert item == "not given"
    assert re.search(r"<dt>Time of infusion</dt><dd>2024-05-02 10:15", text)


def test_thresholds_not_met_come_first():
    verdicts = re.findall(r'class="verdict (yes|no)"', page(mbq=20.0))
    assert verdicts == sorted(verdicts)
    assert set(verdicts) == {"yes", "no"}


def test_every_number_of_a_region_has_a_column():
    numbers = {f.name for f in fields(RoiMetrics)} - {"role", "dvh", "reached"}
    assert numbers == {column.key for column in COLUMNS}


def test_the_numbers_of_the_result_are_in_it():
    text = page()
    found = result()
    assert "case-7" in text
    assert f"{dose(found.rois['lesion'].mean_dose_gy)} <small>Gy mean" in text
    for words in ("K = 49.38", "Calibration administered", found.record.kernel["sha256"], "400"):
        assert str(words) in text.replace("&#39;", "'")


def test_names_from_files_are_escaped():
    text = page(name=EVIL)
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_a_name_in_a_script_that_fonts_lack_is_kept(tmp_path):
    name = "肝臓 Läsion"
    assert name in page(name=name)  # a warning of matplotlib would be an error here
    write_pdf(result(name=name), tmp_path / "report.pdf")


def test_a_case_without_ct_or_device_says_so():
    text = page(ct=False, device=None)
    assert "device" in text
    assert "No device was given" in text


def test_an_unwritable_place_is_refused(tmp_path):
    with pytest.raises(InputError) as refusal:
        write_report(result(), tmp_path / "no" / "report.html")
    assert refusal.value.code == "file-not-written"


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
