"""What a notebook shows: a table and a picture that is well formed, with nothing that names a patient or a file."""

import base64
import io
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib.image
import numpy as np
import pytest
from small_study import GRID, LESION, LIVER

import voxeldose as vd
from voxeldose.model.display import png_of
from voxeldose.model.recovered import Estimate, Recovered, RecoveredMetrics, RecoveredRoi
from voxeldose.model.wording import dose

FRAMED = vd.Grid(GRID.shape, GRID.affine_lps_mm, "1.2.840.99")


@pytest.fixture(scope="module")
def result():
    values = np.zeros(GRID.shape, np.float32)
    liver, lesion = np.zeros_like(values), np.zeros_like(values)
    liver[LIVER], lesion[LESION] = 1, 1
    values[LIVER], values[LESION] = 1e5, 5e5
    remark = vd.Remark("test", {}, "Doe^Jane was seen on 1970-01-01.")
    rois = vd.RoiSet((vd.Roi("liver", "liver", liver, FRAMED), vd.Roi("les<ion", "tumor", lesion, FRAMED)), FRAMED)
    given = vd.Administration(vd.Y90, 60.0)
    return vd.assess(vd.Case(vd.CountMap(values, FRAMED, remarks=(remark,)), rois, given))


def shown(result):
    return {
        "Assessment": result,
        "Dvh": result.rois["liver"].dvh,
        "DoseMap": result.dose,
        "CountMap": result.case.activity,
        "CtImage": vd.CtImage(np.full(GRID.shape, 40.0), FRAMED),
        "Roi": result.regions["liver"],
        "RoiSet": result.regions,
        "Grid": FRAMED,
    }


def tree_of(page):
    """Fails unless the page is well formed, so that it cannot break the one around it."""
    return ET.fromstring(f"<root>{page}</root>")  # noqa: S314 - made by the code under test


KINDS = ("Assessment", "Dvh", "DoseMap", "CountMap", "CtImage", "Roi", "RoiSet", "Grid")


@pytest.mark.parametrize("kind", KINDS)
def test_one_line_says_what_it_is(result, kind):
    line = repr(shown(result)[kind])
    assert line.startswith(f"{kind}(")
    assert len(line) < 400
    assert "array" not in line
    assert "\n" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_shows_one_picture_beside_a_table(result, kind):
    page = shown(result)[kind]._repr_html_()
    tree = tree_of(page)
    assert len(tree.findall(".//figure")) == 1
    assert tree.findall(".//table")
    assert len(page) < 200_000


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_shown_names_a_patient_or_a_frame(result, kind):
    thing = shown(result)[kind]
    for text in (repr(thing), thing._repr_html_()):
        assert "Jane" not in text
        assert "1970" not in text
        assert FRAMED.frame_uid not in text


def test_a_table_has_a_row_a_region_with_its_mean_dose(result):
    page = result._repr_html_()
    for name, roi in result.rois.items():
        assert name.replace("<", "&lt;") in page
        assert f"<td>{dose(roi.mean_dose_gy)}</td>" in page


def test_a_data_frame_has_the_numbers_of_the_regions(result):
    table = result.to_dataframe()
    assert list(table.index) == list(result.rois)
    assert table.loc["liver", "mean_dose_gy"] == result.rois["liver"].mean_dose_gy
    assert table.loc["les<ion", "role"] == "tumor"
    assert "dvh" not in table.columns


def test_a_picture_is_a_png_with_these_grey_levels():
    plane = np.array([[0.0, 50.0, 100.0], [np.nan, -20.0, 300.0]])
    grey = matplotlib.image.imread(io.BytesIO(png_of(plane, (0.0, 100.0))))
    assert grey.shape == (2, 3)
    np.testing.assert_allclose(grey * 255, [[0, 127, 255], [0, 0, 255]], atol=1e-4)


def test_the_picture_of_a_dose_is_the_slice_with_its_highest_voxel(result):
    page = result.dose._repr_html_()
    k = int(np.unravel_index(result.dose.gy.argmax(), GRID.shape)[0])
    assert f"slice k = {k}," in page
    data = re.search(r"base64,([^\"]+)", page)
    grey = matplotlib.image.imread(io.BytesIO(base64.b64decode(data[1])))
    np.testing.assert_allclose(grey, np.clip(result.dose.gy[k] / result.dose.gy.max(), 0, 1), atol=1 / 255)


def test_things_without_extent_or_content_are_shown_too():
    flat = vd.Volume(np.zeros((1, 1, 1)), vd.Grid((1, 1, 1), np.eye(4)))
    empty = replace(flat, values=np.full((1, 1, 1), np.nan))
    for thing in (flat, empty, vd.RoiSet(), vd.Dvh.from_voxels([0.0], [1.0]), vd.Dvh.from_voxels([np.nan], [1.0])):
        assert repr(thing)
        tree_of(thing._repr_html_())


def test_a_recovered_value_is_shown_as_such_with_the_images_own_beside_it(result):
    metrics = RecoveredMetrics(mean_dose_gy=Estimate(321.0, 300.0, 340.0), tumor_to_normal=Estimate(7.25, 7.0, 7.5))
    rois = {"les<ion": RecoveredRoi("tumor", metrics, metrics, 320.0)}
    better = replace(result, recovered=Recovered("field", rois, {}, result.dose, (), (), 1.0))
    assert "les<ion 321 Gy (resolution recovered)" in repr(better)
    html = better._repr_html_()
    own = dose(result.rois["les<ion"].mean_dose_gy)
    assert f"321 (resolution recovered; {own} in the image)" in html
    assert "7.25 (resolution recovered)" in html
    assert "recovered" not in repr(result)
