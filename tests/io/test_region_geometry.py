"""Every way in and out for regions keeps each voxel in its place: occupancy that tells ``500 + x + 2y + 3z``."""

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid
from remarks import coded

from voxeldose.errors import GeometryError
from voxeldose.geometry.contours import from_contours
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.nifti import write_labels
from voxeldose.io.regions import read_labels, read_seg
from voxeldose.model.roi import Roi, RoiSet

KINDS = ["axial", "oblique", "left_handed", "sagittal", "coronal", "prone"]


def fraction_of(values):
    """The field as a part of a voxel, 0.05 to 0.95, so that every voxel has its own."""
    return 0.05 + 0.9 * (values - values.min()) / np.ptp(values)


@pytest.fixture
def tells_its_place(field):
    """Check that a region read back holds just the voxels, or the fractions, that the field wants there."""

    def check(roi, grid, *, fractional=False, step=0.0):
        values = field(grid)
        index = np.argwhere(roi.occupancy > -1)
        points = roi.grid.points_lps_mm(index)
        here = 500 + points @ np.array([1.0, 2.0, 3.0])
        occupancy = roi.occupancy.reshape(-1)
        if fractional:
            wanted = 0.05 + 0.9 * (here - values.min()) / np.ptp(values)
            assert occupancy.size == values.size
            assert np.abs(occupancy - wanted).max() <= step + 1e-5
        else:
            # nothing stands nearer than 0.01 to the limit, as the fixtures are made
            np.testing.assert_array_equal(occupancy > 0.5, here > np.median(values) + 0.2)
            assert (occupancy > 0.5).sum() == (values > np.median(values) + 0.2).sum()

    return check


def written_by_itk(values, grid, path):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetDirection(grid.directions[:, ::-1].ravel().tolist())
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    if path.name.endswith(".seg.nrrd"):
        for key, text in (("Segment0_LabelValue", "1"), ("Segment0_Name", "half"), ("Segment0_Layer", "0")):
            image.SetMetaData(key, text)
    sitk.WriteImage(image, str(path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["half.nii.gz", "half.nrrd", "half.mha", "half.seg.nrrd", "folder"])
def test_label_maps_keep_every_voxel_in_its_place(make_grid, field, tells_its_place, tmp_path, kind, name):
    grid = make_grid(kind, frame_uid=None)
    values = field(grid)
    mask = (values > np.median(values) + 0.2).astype(np.uint8)
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        write_labels(mask, grid, path / "half.nii.gz")
    elif name.endswith(".nii.gz"):
        write_labels(mask, grid, path)
    else:
        written_by_itk(mask, grid, path)
    tells_its_place(read_labels(path)["half"], grid)


@pytest.mark.parametrize("kind", KINDS)
def test_fractional_maps_keep_every_fraction_in_its_place(make_grid, field, tells_its_place, tmp_path, kind):
    grid = make_grid(kind, frame_uid=None)
    written_by_itk(fraction_of(field(grid)).astype(np.float32), grid, tmp_path / "part.nrrd")
    tells_its_place(read_labels(tmp_path / "part.nrrd")["part"], grid, fractional=True)


ORIENTATIONS = ["axial", "oblique", "feet_first", "sagittal", "coronal", "prone"]


@pytest.fixture
def seg_of(write_series, tmp_path):
    """Writer of a SEG by highdicom on a series; ``make(field)`` gives (pixels, type) for the source's own frames."""

    def write(orientation, kind, make, frame=None, *, label="half", fractions="OCCUPANCY"):
        folder = write_series("CT", orientation=orientation)
        headers = [dcmread(p) for p in sorted(folder.iterdir())]
        places = []
        for ds in headers:
            row, column = np.reshape([float(v) for v in ds.ImageOrientationPatient], (2, 3))
            j, i = np.meshgrid(np.arange(ds.Rows), np.arange(ds.Columns), indexing="ij")
            start = np.array([float(v) for v in ds.ImagePositionPatient])
            dj, di = (float(v) for v in ds.PixelSpacing)
            places.append(start + j[..., None] * column * dj + i[..., None] * row * di)
            if frame:
                ds.FrameOfReferenceUID = frame
        values = 500 + np.array(places) @ np.array([1.0, 2.0, 3.0])
        described = hd.seg.SegmentDescription(1, label, codes.SCT.AnatomicalStructure, codes.SCT.Liver, "MANUAL")
        more = {"fractional_type": fractions, "max_fractional_value": 255} if kind == "FRACTIONAL" else {}
        made = hd.seg.Segmentation(
            headers, make(values), kind, [described], generate_uid(), 1, generate_uid(), 1, "a", "b", "c", "d", **more
        )
        made.save_as(tmp_path / "seg.dcm")
        return tmp_path / "seg.dcm", read_ct(folder)

    return write


def half(values):
    return (values > np.median(values) + 0.2).astype(np.uint8)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segs_by_highdicom_keep_every_voxel_in_its_place(seg_of, tells_its_place, orientation, kind):
    path, ct = seg_of(orientation, kind, half)
    roi = read_seg(path)["half"]
    tells_its_place(roi, ct.grid)
    assert roi.role == "liver"
    assert "10200004" in str(roi.codes[0])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_fractional_seg_keeps_every_fraction_in_its_place(seg_of, tells_its_place, orientation):
    path, ct = seg_of(orientation, "FRACTIONAL", lambda v: fraction_of(v).astype(np.float32))
    tells_its_place(read_seg(path)["half"], ct.grid, fractional=True, step=0.5 / 255)
    assert not coded("probability-taken-as-occupancy", read_seg(path)["half"].remarks)


def test_probabilities_of_a_seg_are_taken_as_the_part_of_a_voxel_and_that_is_stated(seg_of):
    path, _ = seg_of("axial", "FRACTIONAL", lambda v: fraction_of(v).astype(np.float32), fractions="PROBABILITY")
    (taken,) = coded("probability-taken-as-occupancy", read_seg(path)["half"].remarks)
    assert "taken as the part of each voxel that belongs to the segment" in taken.sentence


def test_a_role_by_name_stands_against_the_code_of_the_file_and_that_is_stated(seg_of):
    path, _ = seg_of("axial", "BINARY", half, label="lesion_1")
    (roi,) = read_labels(path)
    assert roi.role == "tumor"
    (remark,) = coded("role-from-name-against-code", roi.remarks)
    assert remark.numbers == {"roi": "lesion_1", "role": "tumor", "coded": "liver"}
    assert remark.sentence == (
        "Role tumor taken from the name of ROI lesion_1. Its code in the file, Liver (SCT 10200004), alone would say liver."
    )


def test_empty_frames_left_out_of_a_seg_are_empty_slices(seg_of):
    def two_ends(values):
        mask = np.zeros(values.shape, np.uint8)
        mask[0, 2:4, 3:6] = mask[-1, 1:3, 2:5] = 1
        return mask

    path, _ = seg_of("axial", "BINARY", two_ends)
    assert int(dcmread(path).NumberOfFrames) == 2
    roi = read_seg(path)["half"]
    assert roi.occupancy.shape[0] == 5
    assert roi.occupancy[1:-1].max() == 0
    assert roi.occupancy.sum() == 12


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_our_seg_is_read_back_voxel_for_voxel(write_series, field, tells_its_place, tmp_path, orientation):
    folder = write_series("CT", orientation=orientation)
    ct = read_ct(folder)
    write_seg(RoiSet((Roi("half", "tumor", half(field(ct.grid)), ct.grid),)), tmp_path / "seg.dcm", reference=folder)
    roi = read_seg(tmp_path / "seg.dcm")["half"]
    tells_its_place(roi, ct.grid)
    assert roi.role == "tumor"


def test_a_seg_of_another_frame_is_refused_with_the_way_out(seg_of):
    path, ct = seg_of("axial", "BINARY", half, frame="1.2.999")
    with pytest.raises(GeometryError, match=r"frames of reference differ.*1\.2\.999.*registration"):
        roi_onto(read_seg(path)["half"], ct.grid)


TURNS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "oblique": np.array([[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]]),
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_contours_fill_the_place_that_they_enclose(turn):
    # an L, so that no two axes or directions can be exchanged
    corners = np.array([(0, 0), (30, 0), (30, 8), (10, 8), (10, 21), (0, 21)], float)
    parts = [(30 * 8, (15, 4)), (10 * 13, (5, 14.5))]
    centre = sum(a * np.array(c) for a, c in parts) / sum(a for a, _ in parts)
    heights = 7 + 3.0 * np.arange(6)
    loops = [np.c_[corners + np.array([4, -9]), np.full(6, z)] @ turn.T for z in heights]
    occupancy, grid, _ = from_contours(loops)
    index = np.argwhere(occupancy > 0)
    found = np.average(500 + grid.points_lps_mm(index) @ [1.0, 2.0, 3.0], weights=occupancy[occupancy > 0])
    middle = turn @ np.append(centre + np.array([4, -9]), heights.mean())
    # straight edges: exact along rows, an eighth of a pixel across; the centre of a pixel that is cut is not its part's
    assert found == pytest.approx(500 + middle @ [1.0, 2.0, 3.0], abs=0.05)


@pytest.mark.data
def test_segs_by_dcmqi_and_by_highdicom_read_to_the_same_occupancy(data_folder, tmp_path):
    folder = data_folder / "ct_seg_dcmqi"
    twin = read_labels(folder / "liver_seg.nrrd", {1: ("liver", "liver")})
    write_seg(twin, tmp_path / "seg.dcm", reference=folder / "ct-3slice")
    ours, theirs = read_seg(tmp_path / "seg.dcm")["liver"], next(iter(read_seg(folder / "liver.dcm")))
    assert ours.grid.matches(theirs.grid)
    assert ours.grid.frame_uid == theirs.grid.frame_uid is not None
    np.testing.assert_array_equal(ours.occupancy, theirs.occupancy)
