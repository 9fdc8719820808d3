"""DICOM SEG and RTSTRUCT to regions."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from remarks import refusal

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.contours import from_contours
from voxeldose.geometry.slabs import SlabThickness
from voxeldose.io.regions import read_labels, read_rtstruct, read_seg
from voxeldose.model.grid import Grid

TURN = np.array([[np.cos(0.3), 0, np.sin(0.3)], [0, 1, 0], [-np.sin(0.3), 0, np.cos(0.3)]])
PLANES = np.arange(0, 30, 3.0)


def circle(radius, z, points=200, centre=(10.0, -20.0)):
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t), np.full(points, z)], -1)


def area(radius, points=200):
    return 0.5 * points * radius**2 * np.sin(2 * np.pi / points)


def volume_mm3(occupancy, grid):
    return float(occupancy.sum(dtype=float)) * grid.voxel_volume_ml * 1000


def keyhole(outer, inner):
    """One contour that runs round the outside, through a slit, and round the hole backwards."""
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])


SHAPES = {
    "cylinder": ([[circle(20.3, z)] for z in PLANES], area(20.3)),
    "narrower than a voxel": ([[circle(1.7, z)] for z in PLANES], area(1.7)),
    "annulus of two contours": ([[circle(20, z), circle(10, z)] for z in PLANES], area(20) - area(10)),
    "annulus by a keyhole": ([[keyhole(circle(20, z), circle(10, z))] for z in PLANES], area(20) - area(10)),
    "island in a hole": (
        [[circle(20, z), circle(10, z), circle(5, z)] for z in PLANES],
        area(20) - area(10) + area(5),
    ),
    "two lobes": ([[circle(8, z), circle(6, z, centre=(40, -20))] for z in PLANES], area(8) + area(6)),
}


@pytest.mark.parametrize("turn", [np.eye(3), TURN], ids=["axial", "oblique"])
@pytest.mark.parametrize("name", SHAPES)
def test_contours_enclose_their_volume(name, turn):
    planes, exact = SHAPES[name]
    occupancy, grid, remarks = from_contours([c @ turn.T for plane in planes for c in plane])
    # exact along rows, eight lines a pixel across: 1e-3 for a circle of 1.7 mm
    assert volume_mm3(occupancy, grid) == pytest.approx(exact * 30, rel=1e-3)
    assert remarks == ()
    index = np.argwhere(occupancy > 0)
    place = np.average(grid.points_lps_mm(index), axis=0, weights=occupancy[occupancy > 0])
    expected = np.array([10 if name != "two lobes" else (10 * 64 + 40 * 36) / 100, -20, 13.5]) @ turn.T
    np.testing.assert_allclose(place, expected, atol=0.05)


def test_direction_and_start_of_a_contour_do_not_matter():
    one = from_contours([circle(20, z) for z in PLANES])[0]
    other = from_contours([np.roll(circle(20, z)[::-1], 31, axis=0) for z in PLANES])[0]
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_end_slabs_reach_half_the_distance_of_planes_beyond():
    _, grid, _ = from_contours([circle(20, z) for z in PLANES])
    low, high = grid.corners()[:, 2].min(), grid.corners()[:, 2].max()
    assert (low, high) == (pytest.approx(-1.5), pytest.approx(28.5))


def test_a_gap_of_missing_planes_stays_empty_and_is_told():
    occupancy, grid, remarks = from_contours([circle(20, z) for z in (0, 3, 6, 21, 24, 27)])
    assert volume_mm3(occupancy, grid) == pytest.approx(area(20) * 18, rel=1e-3)
    assert [r.code for r in remarks] == ["contours-gap"]
    assert "15.0 mm apart" in remarks[0].sentence


def test_one_plane_needs_a_thickness():
    with pytest.raises(GeometryError, match="thickness is not known", check=refusal("contours-in-one-plane")):
        from_contours([circle(20, 0)])
    occupancy, grid, remarks = from_contours([circle(20, 0)], thickness=SlabThickness(2.5, "set"))
    assert volume_mm3(occupancy, grid) == pytest.approx(area(20) * 2.5, rel=1e-3)
    assert "2.50 mm" in remarks[0].sentence


@pytest.mark.parametrize(
    "loops",
    [
        [circle(20, 0), circle(20, 3) @ TURN.T],
        [circle(20, 0) + np.linspace(0, 2, 200)[:, None] * [0, 0, 1], circle(20, 3)],
        [np.zeros((5, 3))],
        [],
    ],
)
def test_contours_that_are_not_planar_and_parallel_or_enclose_nothing_are_refused(loops):
    with pytest.raises(GeometryError):
        from_contours(loops)


@pytest.fixture
def structures(tmp_path):
    """An RTSTRUCT with a liver, a lesion in one plane, and a point."""

    def write(drawn=None, frame="1.2.3"):
        drawn = drawn or {
            "Liver": [("CLOSED_PLANAR", circle(20, z)) for z in PLANES],
            "GTV": [("CLOSED_PLANAR", circle(5, 12))],
            "Isocenter": [("POINT", np.zeros((1, 3)))],
        }
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID = generate_uid()
        ds.Modality = "RTSTRUCT"
        ds.PatientName = "Secret^Name"
        ds.StructureSetROISequence, ds.ROIContourSequence = [], []
        for number, (name, loops) in enumerate(drawn.items(), 1):
            roi, contours = Dataset(), Dataset()
            roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
            contours.ReferencedROINumber, contours.ContourSequence = number, []
            for kind, points in loops:
                item = Dataset()
                item.ContourGeometricType = kind
                item.NumberOfContourPoints = len(points)
                item.ContourData = [f"{v:.6f}" for v in points.ravel()]
                contours.ContourSequence.append(item)
            ds.StructureSetROISequence.append(roi)
            ds.ROIContourSequence.append(contours)
        path = tmp_path / "rs.dcm"
        ds.save_as(path, enforce_file_format=True)
        return path

    return write


def test_an_rtstruct_gives_its_regions_with_names_roles_and_frame(structures):
    rois = read_rtstruct(structures())
    assert [(r.name, r.role) for r in rois] == [("Liver", "liver"), ("GTV", "tumor")]
    assert rois["Liver"].volume_ml == pytest.approx(area(20) * 30 / 1000, rel=1e-3)
    assert rois["GTV"].volume_ml == pytest.approx(area(5) * 3 / 1000, rel=1e-3)
    assert rois["Liver"].grid.frame_uid == "1.2.3"
    remarks = {r.code: r for roi in rois for r in roi.remarks}
    assert set(remarks) == {"role-from-name", "roi-without-contours", "contours-in-one-plane"}
    assert remarks["roi-without-contours"].numbers["rois"] == "Isocenter"
    assert remarks["contours-in-one-plane"].numbers == {"roi": "GTV", "thickness_mm": 3.0}
    assert remarks["contours-in-one-plane"].sentence == (
        "ROI GTV: drawn in one plane; taken to be 3.00 mm thick, the distance of planes in the structure set."
    )


@pytest.mark.parametrize("pixel_mm", [0.4, 2.5])
def test_the_raster_of_contours_is_as_fine_as_asked(structures, pixel_mm):
    path = structures()
    usual, asked = read_rtstruct(path)["Liver"], read_rtstruct(path, pixel_mm=pixel_mm)["Liver"]
    assert usual.grid.spacing_mm == pytest.approx((3.0, 0.2, 0.2))  # 40 mm wide: a 256th would be finer than 0.2 mm
    assert asked.grid.spacing_mm == pytest.approx((3.0, pixel_mm, pixel_mm))
    # exact along rows, eight lines per pixel across
    assert asked.volume_ml == pytest.approx(area(20) * 30 / 1000, rel=2e-3)


@pytest.mark.parametrize("pixel_mm", [0, -1.0, np.nan, np.inf, 1e-4])
def test_a_raster_that_is_none_or_too_fine_is_refused(structures, pixel_mm):
    with pytest.raises(QuantityError, match="pixel_mm") as caught:
        read_rtstruct(structures(), pixel_mm=pixel_mm)
    assert caught.value.code == "value-out-of-range"


def test_regions_are_put_on_the_voxels_asked_for_with_their_volume(structures):
    grid = Grid.from_axes((12, 40, 45), (3.0, 1.5, 2.0), (-40.3, -50.2, -1), frame_uid="1.2.3")
    asked = read_rtstruct(structures(), grid=grid)
    assert asked.grid is grid
    for own, roi in zip(read_rtstruct(structures()), asked, strict=True):
        grid.slices_of(roi.grid)  # a window of it
        assert roi.volume_ml == pytest.approx(own.volume_ml, rel=1e-6)
        assert [r.code for r in roi.remarks] == [r.code for r in own.remarks]
    half = Grid.from_axes((5, 40, 45), (3.0, 1.5, 2.0), (-40.3, -50.2, 0), frame_uid="1.2.3")
    cut = read_rtstruct(structures(), {"Liver": ("liver", "liver")}, grid=half)["liver"]
    remark = next(r for r in cut.remarks if r.code == "roi-cut-off")
    assert remark.numbers["outside_fraction"] == pytest.approx(0.5, abs=1e-6)
    assert "50.0% of its volume is cut off" in remark.sentence


def test_voxels_in_another_frame_or_place_are_refused(structures):
    other = Grid.from_axes((12, 40, 45), (3.0, 1.5, 2.0), (-40, -50, 0), frame_uid="1.2.4")
    far = Grid.from_axes((12, 40, 45), (3.0, 1.5, 2.0), (400, -50, 0), frame_uid="1.2.3")
    with pytest.raises(GeometryError, match="frames of reference differ"):
        read_rtstruct(structures(), grid=other)
    with pytest.raises(GeometryError, match="does not overlap"):
        read_rtstruct(structures(), grid=far)


def test_labels_choose_regions_by_name_or_number(structures):
    path = structures()
    assert read_labels(path, {"GTV": ("lesion_1", "tumor")}).names() == ["lesion_1"]
    assert read_labels(path, {1: ("liver", "liver")}).names() == ["liver"]
    with pytest.raises(InputError, match="no label Spleen", check=refusal("label-missing")):
        read_rtstruct(path, {"Spleen": ("spleen", "other")})


def test_an_rtstruct_without_closed_contours_is_refused(structures):
    with pytest.raises(InputError, match="no ROI here has closed planar contours", check=refusal("contours-missing")):
        read_rtstruct(structures({"Point": [("POINT", np.zeros((1, 3)))]}))


def test_contours_that_cannot_be_used_name_their_roi_and_no_patient(structures):
    loops = [("CLOSED_PLANAR", circle(20, 0)), ("CLOSED_PLANAR", circle(20, 3) @ TURN.T)]
    with pytest.raises(InputError, match=r"ROI Bent.*not planar", check=refusal("contours-not-planar")) as caught:
        read_rtstruct(structures({"Bent": loops}))
    assert "leave it out of the export" in str(caught.value)
    assert "Secret" not in str(caught.value)


def test_contour_data_that_are_no_points_are_refused(structures):
    path = structures({"Odd": [("CLOSED_PLANAR", np.arange(10.0))]})
    with pytest.raises(InputError, match=r"Contour Data .* are no points", check=refusal("contours-broken")):
        read_rtstruct(path)


def test_another_dicom_file_is_no_structure_set_and_no_seg(structures, tmp_path):
    with pytest.raises(InputError, match="SEG"):
        read_seg(structures())
    (tmp_path / "x.dcm").write_bytes(b"no dicom")
    with pytest.raises(InputError):
        read_rtstruct(tmp_path / "x.dcm")
    with pytest.raises(InputError, match="broken"):
        read_labels(tmp_path / "x.dcm")


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "voxels"),
    [
        ("ct_seg_dcmqi/liver.dcm", [107098]),
        ("ct_seg_dcmqi/partial_overlaps.dcm", [9602, 11888, 10743, 6693, 4713]),
        ("ct_seg_dcmqi/sparse-labelmap-ppv5.dcm", [630]),
        ("ct_seg_dcmqi/24x38x3/seg/label.seg", [315]),
        ("seg_highdicom/seg_image_ct_binary.dcm", [638]),
        ("pydicom_misc/liver_j2k.dcm", [107098]),
    ],
)
def test_real_segs_hold_their_voxels(data_folder, file, voxels):
    rois = read_seg(data_folder / file)
    assert [round(r.volume_ml / r.grid.voxel_volume_ml) for r in rois] == voxels


@pytest.mark.data
def test_a_real_fractional_seg_is_scaled_to_fractions(data_folder):
    roi = next(iter(read_seg(data_folder / "seg_highdicom" / "seg_image_ct_true_fractional.dcm")))
    assert 0 < roi.occupancy[roi.occupancy > 0].min() < 0.5
    assert roi.occupancy.max() <= 1


@pytest.mark.data
def test_a_real_seg_lies_where_its_nrrd_twin_lies(data_folder):
    folder = data_folder / "ct_seg_dcmqi"
    seg = next(iter(read_seg(folder / "liver.dcm")))
    twin = read_labels(folder / "liver_seg.nrrd", {1: ("liver", "liver")})["liver"]
    assert seg.grid.matches(twin.grid)
    np.testing.assert_array_equal(seg.occupancy, twin.occupancy)


@pytest.mark.data
@pytest.mark.parametrize("file", ["liver_rle.dcm", "liver_deflate.dcm"])
def test_a_seg_that_cannot_be_decoded_says_the_way_out(data_folder, file):
    with pytest.raises(InputError, match=rf"{file}.*uncompressed"):
        read_seg(data_folder / "pydicom_misc" / file)


@pytest.mark.data
def test_a_real_rtstruct_agrees_with_the_mask_made_from_it_by_others(data_folder):
    folder = data_folder / "sts001_ge_petct"
    roi = read_rtstruct(folder / "pet_rtstruct" / "1-1.dcm")["GTV_Mass"]
    assert roi.volume_ml == pytest.approx(365.32, rel=0.005)  # 117145 voxels of 0.98 x 0.98 x 3.27 mm


@pytest.mark.data
def test_a_real_heart_has_its_published_volume(data_folder):
    rois = read_rtstruct(data_folder / "rt_dicompyler" / "rtss.dcm", {"Heart": ("heart", "other")})
    assert rois["heart"].volume_ml == pytest.approx(440.23, rel=0.005)  # dicompyler-core's own tests, voxel centres
