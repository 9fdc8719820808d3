import base64
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_case import AT, hu_at, make_result, turned

from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.model.grid import Grid
from voxeldose.report import viewer


def unpacked(text, shape):
    """What the page's script does, in Python."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).astype(np.int64)
    half = raw.size // 2
    coded = raw[:half] + 256 * raw[half:]
    change = np.where(coded % 2, -(coded + 1) // 2, coded // 2)
    return ((np.cumsum(change) + 2**15) % 2**16 - 2**15).reshape(shape)


def layer(data, name):
    found = data["layers"][name]
    return unpacked(found["data"], found["shape"]) * found["step"]


def grid_of(data, name):
    found = data["layers"][name]
    box = Grid(tuple(data["shape"]), np.array(data["affine_lps_mm"]))
    return box if found["spacing_mm"] == data["spacing_mm"] else box.with_spacing(found["spacing_mm"])


def places(grid):
    return grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=50))
def test_packed_numbers_come_back(numbers):
    steps = np.array(numbers, np.int16)
    np.testing.assert_array_equal(unpacked(viewer.pack(steps), steps.shape), steps)


@pytest.mark.parametrize("degrees", [0, 25])
def test_every_layer_holds_the_values_of_its_place(degrees):
    result = make_result(degrees=degrees)
    data = viewer.viewer_data(result)
    grid = viewer.display_grid(result)
    assert data["shape"] == list(grid.shape)
    dose = layer(data, "dose")
    step = data["layers"]["dose"]["step"]
    np.testing.assert_allclose(dose, result.dose.grid.cut(result.dose.gy, grid), atol=0.51 * step)
    assert step < 1e-4 * result.dose.gy.max()
    activity = result.activity.grid.cut(result.activity.bq_per_ml, grid) / 1e6
    np.testing.assert_allclose(layer(data, "activity"), activity, atol=0.51 * data["layers"]["activity"]["step"])
    ct_grid, hu = grid_of(data, "ct"), layer(data, "ct")
    inside = result.case.ct.sampled_at(places(ct_grid), outside=-1024.0) > -1024
    assert inside.mean() > 0.9
    # rounded to whole HU; the last half voxel of the CT is not linear
    deep = inside & (np.abs(hu - hu_at(places(ct_grid))) < 5)
    assert deep.sum() > 0.9 * inside.sum()
    np.testing.assert_allclose(hu[deep], hu_at(places(ct_grid))[deep], atol=0.6)


def test_regions_keep_their_occupancy_and_place():
    result = make_result(degrees=25)
    data = viewer.viewer_data(result)
    grid = viewer.display_grid(result)
    assert [roi["name"] for roi in data["rois"]] == result.regions.names()
    for roi in data["rois"]:
        raw = np.frombuffer(zlib.decompress(base64.b64decode(roi["data"])), np.uint8).reshape(roi["shape"])
        whole = np.zeros(grid.shape)
        whole[tuple(slice(a, a + n) for a, n in zip(roi["first"], roi["shape"], strict=True))] = raw / 255
        np.testing.assert_allclose(whole, result.regions[roi["name"]].on_window(grid), atol=0.51 / 255)


def test_the_view_starts_and_jumps_at_the_hottest_voxel():
    result = make_result()
    data = viewer.viewer_data(result)
    dose = layer(data, "dose")
    assert dose[tuple(data["start"])] == dose.max()
    lesion = next(roi for roi in data["rois"] if roi["name"] == "lesion")
    assert lesion["hottest"] == data["start"]


def test_letters_say_where_an_axis_leads():
    assert viewer.viewer_data(make_result())["letters"] == [["F", "H"], ["A", "P"], ["R", "L"]]
    data = viewer.viewer_data(make_result(degrees=25))
    assert data["is_oblique"]
    assert "28°" in data["note"]  # 25 about z, 12.5 about x
    i_low, i_high = data["letters"][2]
    along = turned(25)[:, 2]  # columns go to the left, and to the back
    assert along[0] > along[1] > math.sin(math.radians(10))
    assert (i_low, i_high) == ("RA", "LP")


def test_a_study_too_large_for_a_page_is_shown_coarser_and_says_so(monkeypatch):
    result = make_result()
    limit = sum(len(one["data"]) for one in viewer.viewer_data(result)["layers"].values()) // 2
    monkeypatch.setattr(viewer, "MAX_BYTES", limit)
    data = viewer.viewer_data(result)
    assert sum(len(one["data"]) for one in data["layers"].values()) <= limit
    assert min(data["spacing_mm"]) > min(result.dose.grid.spacing_mm)
    assert "coarser grid" in data["note"]
    dose = layer(data, "dose")
    np.testing.assert_allclose(
        dose, result.dose.sampled_at(places(grid_of(data, "dose"))), atol=0.51 * data["layers"]["dose"]["step"]
    )


def test_a_case_without_ct_has_no_ct_layer():
    assert set(viewer.viewer_data(make_result(ct=False))["layers"]) == {"dose", "activity"}


def test_values_on_another_grid_are_those_at_its_points():
    image = make_result(degrees=25).case.ct
    other = Grid.from_axes((9, 11, 10), (7, 6.5, 9), (-95, -60, -75), directions=turned(40))
    np.testing.assert_allclose(
        image.sampled_on(other, outside=-5), image.sampled_at(places(other), outside=-5), atol=1e-3
    )
    assert (image.sampled_on(other, outside=-5) == -5).any()


@pytest.mark.slow
def test_a_whole_pet_study_of_noise_stays_below_15_mb(tmp_path):
    from voxeldose.dose.assess import assess
    from voxeldose.model.administration import Administration
    from voxeldose.model.case import Absolute, Case
    from voxeldose.model.radionuclide import Y90
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import ActivityMap, CtImage
    from voxeldose.report import write_report

    rng = np.random.default_rng(1)
    grid = Grid.from_axes((109, 200, 200), (2.78, 2.0, 2.0), (-200, -200, -150))
    rois = RoiSet((Roi("liver", "liver", np.ones((60, 90, 90)), grid.window((20, 30, 30), (60, 90, 90))),))
    ct_grid = Grid.from_axes((150, 256, 256), (2.0, 1.6, 1.6), (-205, -205, -150))
    case = Case(
        ActivityMap(rng.gamma(1.0, 1e5, grid.shape), grid, at=AT),
        rois,
        Administration(Y90, at=AT),
        ct=CtImage(rng.normal(40, 25, ct_grid.shape), ct_grid),
        calibration=Absolute(),
    )
    write_report(assess(case, LocalDeposition()), tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 15e6
