"""Write, then read: every volume is kept, for any pattern of slices, in every orientation and format."""

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

import voxeldose as vd
from voxeldose.io.nifti import write_labels

ORIENTATIONS = ["axial", "oblique", "feet_first", "sagittal", "coronal", "prone"]
SHAPE = (12, 9, 11)


@st.composite
def patterns(draw):
    """Slices that a region lies on, of the twelve that there are: one, two apart, gaps, all."""
    return sorted(draw(st.sets(st.integers(0, SHAPE[0] - 1), min_size=1, max_size=SHAPE[0])))


@st.composite
def spacings(draw):
    """Of slices, rows and columns, in mm to a hundredth, as headers have it."""
    return tuple(draw(st.integers(80, 800)) / 100 for _ in range(3))


def occupancy_on(slices, axis, shape, part):
    """A block of voxels, or of parts of them, on some slices along an axis."""
    values = np.zeros(shape, np.float32)
    box = [range(n // 4, n - n // 4) for n in shape]
    box[axis] = [k for k in slices if k < shape[axis]]
    values[np.ix_(*box)] = part
    return values


def slice_axis(ct, folder):
    """The axis of the grid along which the files are stacked."""
    ds = dcmread(next(folder.iterdir()))
    both = np.array([float(v) for v in ds.ImageOrientationPatient])
    return int(np.abs(np.cross(both[:3], both[3:]) @ ct.grid.directions).argmax())


CHECKED = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@CHECKED
@given(slices=patterns(), spacing=spacings())
def test_a_segmentation_keeps_every_volume(write_series, tmp_path, orientation, fractional, slices, spacing):
    shutil.rmtree(tmp_path / "ct", ignore_errors=True)
    folder = write_series("CT", folder="ct", shape=SHAPE, spacing=spacing, orientation=orientation)
    ct = vd.read_ct(folder)
    part = 0.6 if fractional else 1.0
    roi = vd.Roi("r", "tumor", occupancy_on(slices, slice_axis(ct, folder), ct.grid.shape, part), ct.grid)
    vd.write_seg(vd.RoiSet((roi,)), tmp_path / "s.dcm", reference=folder, fractional=fractional)
    (back,) = vd.read_seg(tmp_path / "s.dcm")
    assert back.volume_ml == pytest.approx(roi.volume_ml, rel=2e-3 if fractional else 1e-5)
    assert {r.code for r in back.remarks} <= {"role-from-name", "seg-slices-left-out"}
    np.testing.assert_allclose(np.sort(back.grid.corners(), axis=0), np.sort(roi.grid.corners(), axis=0), atol=2e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@CHECKED
@given(slices=patterns(), spacing=spacings())
def test_a_structure_set_keeps_every_volume_but_the_corners_of_its_outlines(
    write_series, tmp_path, orientation, slices, spacing
):
    shutil.rmtree(tmp_path / "ct", ignore_errors=True)
    folder = write_series("CT", folder="ct", shape=SHAPE, spacing=spacing, orientation=orientation)
    ct = vd.read_ct(folder)
    roi = (
        vd.Roi("r", "tumor", occupancy_on(slices, 0, ct.grid.shape, 1.0), ct.grid)
        if min(slices) < ct.grid.shape[0]
        else None
    )
    if roi is None:
        return
    vd.write_rtstruct(vd.RoiSet((roi,)), tmp_path / "s.dcm", reference=folder)
    (back,) = vd.read_rtstruct(tmp_path / "s.dcm", pixel_mm=0.2)
    filled = sum(k < ct.grid.shape[0] for k in slices)
    wanted = roi.volume_ml - 0.5 * filled * ct.grid.voxel_volume_ml  # each outline cuts the corners of its voxels
    assert back.volume_ml == pytest.approx(wanted, rel=3e-3)


def write_with_itk(values, grid, path, texts=()):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetDirection(grid.directions[:, ::-1].ravel().tolist())
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    for key, text in texts:
        image.SetMetaData(key, text)
    sitk.WriteImage(image, str(path), useCompression=True)


@pytest.mark.parametrize("name", ["r.nii.gz", "r.nii", "r.nrrd", "r.mha", "r.seg.nrrd"])
@pytest.mark.parametrize("kind", ["axial", "oblique", "left_handed", "sagittal", "coronal", "prone"])
@CHECKED
@given(slices=patterns())
def test_a_label_map_keeps_every_volume(make_grid, tmp_path, kind, name, slices):
    grid = make_grid(kind, SHAPE, None)
    mask = occupancy_on(slices, 0, SHAPE, 1).astype(np.uint8)
    texts = (("Segment0_ID", "a"), ("Segment0_Name", "r"), ("Segment0_LabelValue", "1"), ("Segment0_Layer", "0"))
    if ".nii" in name:
        write_labels(mask, grid, tmp_path / name)
    else:
        write_with_itk(mask, grid, tmp_path / name, texts if name.endswith(".seg.nrrd") else ())
    (back,) = vd.read_labels(tmp_path / name)
    assert back.volume_ml == pytest.approx(float(mask.sum()) * grid.voxel_volume_ml, rel=1e-5)


# --- judged by others ---


PATTERNS = {"one": (4,), "two apart": (2, 9), "a gap": (1, 2, 3, 7, 8), "every second": (1, 3, 5, 7, 9, 11)}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_highdicom_finds_the_volume_and_the_spacing_that_we_state(write_series, tmp_path, orientation, pattern):
    import highdicom as hd

    folder = write_series("CT", folder="ct", shape=SHAPE, orientation=orientation)
    ct = vd.read_ct(folder)
    roi = vd.Roi("r", "tumor", occupancy_on(PATTERNS[pattern], slice_axis(ct, folder), ct.grid.shape, 1), ct.grid)
    vd.write_seg(vd.RoiSet((roi,)), tmp_path / "s.dcm", reference=folder)
    seg = hd.seg.segread(tmp_path / "s.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(3.0)
    assert float(measures.SliceThickness) == pytest.approx(3.0)
    pixels = float(np.asarray(seg.pixel_array).sum())
    row, column = (float(v) for v in measures.PixelSpacing)
    assert pixels * row * column * 3.0 / 1000 == pytest.approx(roi.volume_ml, rel=1e-5)


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_plastimatch_fills_the_slices_of_our_structure_set_and_no_others(write_series, tmp_path, pattern):
    folder = write_series("CT", folder="ct", shape=SHAPE)
    ct = vd.read_ct(folder)
    values = occupancy_on(PATTERNS[pattern], 0, ct.grid.shape, 1)
    roi = vd.Roi("r", "tumor", values, ct.grid)
    vd.write_rtstruct(vd.RoiSet((roi,)), tmp_path / "rs.dcm", reference=folder)
    command = ["plastimatch", "convert", "--input", str(tmp_path / "rs.dcm"), "--referenced-ct", str(folder)]
    command += ["--output-prefix", str(tmp_path / "masks"), "--prefix-format", "nrrd"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "masks" / "r.nrrd")))
    np.testing.assert_array_equal(mask > 0, values > 0)
    assert vd.read_rtstruct(tmp_path / "rs.dcm")["r"].volume_ml == pytest.approx(
        roi.volume_ml - 0.5 * len(PATTERNS[pattern]) * ct.grid.voxel_volume_ml, rel=3e-3
    )
