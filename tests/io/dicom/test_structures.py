"""How thick the slices of an RTSTRUCT are, and what is set aside in it."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from region_files import circle, circle_area, rectangle, write_structures
from remarks import coded, refusal

import voxeldose as vd
from voxeldose.errors import InputError
from voxeldose.geometry.contours import from_contours
from voxeldose.io.regions import RegionSource, read_labels, read_rois, read_rtstruct

LIVER = [circle(40, 3.0 * n) for n in range(20)]
FAR = [circle(10, 9.0), circle(10, 39.0)]
LINE = np.array([[5, 5, 9.0], [6, 5, 9.0], [7, 5, 9.0]])
ACROSS = [*LIVER, circle(20, 0.0)[:, [2, 0, 1]]]


def ml(radius, thickness):
    return circle_area(radius) * thickness / 1000


@pytest.mark.parametrize(
    ("drawn", "wanted"),
    [
        ({"liver": LIVER, "tumors": FAR}, ml(10, 6)),
        ({"liver": LIVER, "tumors": [circle(10, 9.0)]}, ml(10, 3)),
        ({"liver": LIVER, "tumors": [circle(10, z) for z in (9.0, 12.0, 39.0, 42.0)]}, ml(10, 12)),
        ({"liver": LIVER, "tumors": [circle(10, 30.0 * n) for n in range(8)]}, ml(10, 24)),
        (
            {
                "liver": LIVER,
                **{f"t{n}": [circle(10, 9.0 + n), circle(10, 39.0 + n)] for n in range(30)},
                "tumors": FAR,
            },
            ml(10, 6),
        ),
        ({"a": [circle(10, 3.0)], "b": [circle(10, 6.0)], "c": [circle(10, 9.0)], "tumors": FAR}, ml(10, 6)),
        ({"liver": LIVER, "tumors": [circle(10, 6.0 * n) for n in range(8)]}, ml(10, 48)),
        (
            {"liver": [circle(40, 5.0 * n) for n in range(9)], "tumors": [circle(10, 2.0 * n) for n in range(9)]},
            ml(10, 18),
        ),
    ],
    ids=["two far", "one", "two pairs", "eight far", "thirty pairs", "one slice each", "every second", "finer"],
)
def test_the_set_says_how_thick_a_slice_is(tmp_path, drawn, wanted):
    roi = read_rtstruct(write_structures(tmp_path / "rs.dcm", drawn))["tumors"]
    assert roi.volume_ml == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("slab", [3.0, 1.25])
def test_contour_slab_thickness_is_what_a_slice_is(tmp_path, slab):
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR, "one": [circle(5, 0)]}, slab_mm=slab)
    rois = read_rtstruct(path)
    assert rois["tumors"].volume_ml == pytest.approx(ml(10, 2 * slab), rel=0.01)
    assert rois["one"].volume_ml == pytest.approx(ml(5, slab), rel=0.01)
    assert rois["tumors"].grid.spacing_mm[0] == pytest.approx(slab)
    assert not coded("contours-in-one-plane", rois["one"].remarks)


@pytest.mark.parametrize("slab", [0, -3.0, ""])
def test_a_slab_that_is_no_thickness_counts_as_not_stated(tmp_path, slab):
    path = write_structures(tmp_path / "rs.dcm", {"liver": LIVER, "tumors": FAR}, slab_mm={"tumors": slab})
    assert read_rtstruct(path)["tumors"].volume_ml == pytest.approx(ml(10, 6), rel=0.01)


def test_far_lesions_alone_are_refused_without_their_series_and_read_with_it(write_series, tmp_path):
    folder = write_series("CT", folder="ct", shape=(8, 7, 9), spacing=(2.5, 2.0, 1.5))
    uid = dcmread(next(folder.iterdir())).SeriesInstanceUID
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR}, series_uid=uid)
    with pytest.raises(
        InputError, match=r"rs\.dcm: ROI tumors.*Contour Slab", check=refusal("contours-thickness-unknown")
    ):
        read_rtstruct(path)
    assert read_rtstruct(path, slices=folder)["tumors"].volume_ml == pytest.approx(ml(10, 5), rel=0.01)
    (folder / "rs.dcm").write_bytes(path.read_bytes())
    assert read_labels(folder)["tumors"].volume_ml == pytest.approx(ml(10, 5), rel=0.01)


def test_a_series_that_is_not_cited_says_nothing(write_series, tmp_path):
    folder = write_series("CT", folder="ct")
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR}, series_uid="1.2.3")
    with pytest.raises(InputError, check=refusal("contours-thickness-unknown")):
        read_rtstruct(path, slices=folder)


# --- one bad part ---


@pytest.mark.parametrize(
    ("junk", "code"),
    [([LINE], "contours-without-area"), (ACROSS, "contours-not-planar"), ([np.arange(10.0)], "contours-broken")],
    ids=["a line", "two orientations", "no points"],
)
def test_a_roi_that_is_no_volume_bars_no_other_and_is_refused_where_asked_for(tmp_path, junk, code):
    path = write_structures(tmp_path / "rs.dcm", {"liver": LIVER, "catheter": junk})
    alone = read_rtstruct(path, {"liver": ("liver", "liver")})
    assert alone.names() == ["liver"]
    every = read_rtstruct(path)
    assert every.names() == ["liver"]
    for rois in (alone, every):
        assert rois["liver"].volume_ml == pytest.approx(ml(40, 60), rel=0.01)
        (remark,) = coded("regions-set-aside", rois["liver"].remarks)
        assert remark.numbers == {"regions": "catheter", "why": code}
        assert "catheter" in remark.sentence
    for asked in ("catheter", 2):
        with pytest.raises(InputError, match="catheter", check=refusal(code)):
            read_rtstruct(path, {asked: ("catheter", "other"), "liver": ("liver", "liver")})


def test_a_region_too_small_for_any_pixel_is_set_aside(tmp_path):
    speck = [rectangle((0.0101, 0.0102), (0.0101, 0.0102), 3.0)]
    path = write_structures(tmp_path / "rs.dcm", {"liver": LIVER, "speck": speck})
    (remark,) = coded("regions-set-aside", read_rtstruct(path)["liver"].remarks)
    assert remark.numbers["regions"] == "speck"


def test_two_rois_of_one_number_are_refused(tmp_path, refused):
    path = write_structures(tmp_path / "rs.dcm", {"liver": LIVER, "tumors": FAR})
    ds = dcmread(path)
    ds.StructureSetROISequence[1].ROINumber = 1
    ds.save_as(path)
    refused(lambda: read_rtstruct(path), str(path), "number 1", code="number-twice")


def test_rois_of_one_name_are_told_apart_by_number_and_not_mistaken(tmp_path):
    path = write_structures(tmp_path / "rs.dcm", {"GTV": LIVER, "gtv ": FAR, "GTV ": [circle(5, 12)]})
    rois = read_rtstruct(path)
    assert rois.names() == ["GTV (1)", "gtv", "GTV (3)"]
    (remark,) = coded("names-told-apart", rois["GTV (3)"].remarks)
    assert remark.numbers == {"roi": "GTV (3)", "regions": 2}
    with pytest.raises(InputError, match=r"rs\.dcm number 1, rs\.dcm number 3", check=refusal("label-ambiguous")):
        read_rtstruct(path, {"GTV": ("a", "tumor")})
    assert read_rtstruct(path, {3: ("a", "tumor")})["a"].volume_ml == pytest.approx(ml(5, 3), rel=0.01)


@pytest.mark.parametrize("in_file", ["L\u00e4sion", "La\u0308sion", "  L\u00e4sion ", "La\u0308sion "])
@pytest.mark.parametrize("asked", ["L\u00e4sion", "La\u0308sion", " La\u0308sion"])
def test_names_that_look_alike_are_alike(tmp_path, in_file, asked):
    path = write_structures(tmp_path / "rs.dcm", {in_file: LIVER})
    assert read_rtstruct(path, {asked: ("lesion", "tumor")}).names() == ["lesion"]


def test_contours_of_more_than_64_kb_are_read_from_explicit_files(tmp_path):
    path = write_structures(
        tmp_path / "rs.dcm",
        {"liver": [circle(200, 3.0 * n, points=6000) for n in range(6)]},
        syntax=ExplicitVRLittleEndian,
    )
    contour = dcmread(path).ROIContourSequence[0].ContourSequence[0]
    assert contour["ContourData"].VR == "UN"
    assert read_rtstruct(path)["liver"].volume_ml == pytest.approx(circle_area(200, 6000) * 18 / 1000, rel=1e-3)


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_overlapping_contours_are_united_unless_the_file_says_that_they_exclude(tmp_path, kind):
    loops = [circle(20, 3.0 * n, centre=(d, 0)) for n in range(8) for d in (0, 20)]
    roi = read_rtstruct(write_structures(tmp_path / "rs.dcm", {"liver": loops}, kind=kind))["liver"]
    shared = 2 * 400 * np.arccos(0.5) - 10 * np.sqrt(1600 - 400)
    is_united = kind == "CLOSED_PLANAR"
    assert roi.volume_ml == pytest.approx((2 * np.pi * 400 - (1 if is_united else 2) * shared) * 0.024, rel=2e-3)
    assert bool(coded("contours-overlap", roi.remarks)) == is_united
    if is_united:
        assert any("overlap" in note for note in roi.notes)


# --- what is written ---


PATTERNS = {
    "one": (4,),
    "two": (3, 4),
    "two apart": (2, 7),
    "a gap": (1, 2, 3, 7, 8),
    "every second": (1, 3, 5, 7, 9, 11, 13),
    "ends": (0, 15),
    "all": tuple(range(16)),
}


@pytest.mark.parametrize("orientation", ["axial", "oblique", "feet_first", "sagittal", "coronal", "prone"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_structure_set_keeps_the_volume_of_every_pattern_of_slices(write_series, tmp_path, orientation, pattern):
    folder = write_series("CT", shape=(16, 12, 14), spacing=(3.0, 2.0, 1.5), orientation=orientation)
    ct = vd.read_ct(folder)
    slices = [k for k in PATTERNS[pattern] if k < ct.grid.shape[0]]
    box = np.zeros(ct.grid.shape, np.float32)
    box[np.ix_(slices, range(2, 9), range(3, 11))] = 1
    roi = vd.Roi("r", "tumor", box, ct.grid)
    vd.write_rtstruct(vd.RoiSet((roi,)), tmp_path / "rs.dcm", reference=folder)
    (back,) = read_rtstruct(tmp_path / "rs.dcm", pixel_mm=0.25)
    cut = 0.5 * len(slices) * ct.grid.voxel_volume_ml  # each outline cuts the corners of its voxels: half a voxel
    assert back.volume_ml == pytest.approx(roi.volume_ml - cut, rel=2e-3)


def test_what_is_written_of_a_region_is_what_its_contours_enclose(write_series, tmp_path):
    folder = write_series("CT", shape=(8, 12, 14))
    grid = vd.read_ct(folder).grid
    box = np.zeros(grid.shape, np.float32)
    box[2, 2:8, 3:10] = 1
    vd.write_rtstruct(vd.RoiSet((vd.Roi("r", "tumor", box, grid),)), tmp_path / "rs.dcm", reference=folder)
    contour = dcmread(tmp_path / "rs.dcm").ROIContourSequence[0].ContourSequence[0]
    assert float(contour.ContourSlabThickness) == 3.0
    loop = np.array([float(v) for v in contour.ContourData]).reshape(-1, 3)
    with pytest.raises(vd.VoxeldoseError, check=refusal("contours-in-one-plane")):
        from_contours([loop])


def test_regions_of_a_case_take_the_slices_of_its_images(write_series, tmp_path):
    from voxeldose.io.dicom.files import find_series

    folder = write_series("CT", folder="ct", shape=(8, 7, 9))
    (series,) = find_series(folder)
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR}, series_uid=series.uid)
    assert read_rois([path], source=RegionSource(images=(series,)))["tumors"].volume_ml == pytest.approx(
        ml(10, 6), rel=0.01
    )


@pytest.mark.parametrize("slab", [None, 1.0])
def test_the_user_may_say_how_thick_a_slice_is_and_that_is_stated(tmp_path, slab):
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR, "one": [circle(5, 0)]}, slab_mm=slab)
    for rois in (read_rtstruct(path, slices=2.5), read_rois([path], source=RegionSource(slice_mm=2.5))):
        assert rois["tumors"].volume_ml == pytest.approx(ml(10, 5), rel=0.01)
        (remark,) = coded("slice-thickness-of-user", rois["one"].remarks)
        assert remark.numbers == {"slice_mm": 2.5}


@pytest.mark.parametrize("slices", [0.0, -3.0, np.nan, np.inf])
def test_a_thickness_that_is_none_is_refused(tmp_path, slices):
    path = write_structures(tmp_path / "rs.dcm", {"tumors": FAR})
    with pytest.raises(vd.VoxeldoseError, match="above 0 mm", check=refusal("value-out-of-range")):
        read_rtstruct(path, slices=slices)
