"""RTDOSE out and in: values to half a step, in the same place for every reader, and a file that the standard allows."""

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import config, dcmread
from pydicom.uid import generate_uid

from voxeldose.errors import QuantityError, VoxeldoseError
from voxeldose.io.dicom.rtdose import DISPLAY_COMMENT, read_rtdose, write_display_dose, write_rtdose
from voxeldose.model.grid import Grid
from voxeldose.model.volume import DoseMap

KINDS = ["axial", "oblique", "feet_first", "left_handed", "sagittal", "coronal", "prone"]


@pytest.fixture
def dose_on(make_grid, field):
    """Maker of a dose that tells its own place, from 0 up to about 750 Gy."""

    def make(kind="axial", **changes):
        grid = make_grid(kind, **changes)
        return DoseMap(field(grid), grid, method="test")

    return make


@pytest.fixture
def written(write_series, dose_on, tmp_path):
    """Writer of an RTDOSE beside a CT; returns its path and the dose."""

    def write(kind="axial", **options):
        dose = options.pop("dose", None) or dose_on(kind)
        write_rtdose(dose, tmp_path / "dose.dcm", reference=write_series("CT"), **options)
        return tmp_path / "dose.dcm", dose

    return write


def hottest(dose):
    return dose.grid.points_lps_mm(np.unravel_index(dose.values.argmax(), dose.grid.shape))


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_in_its_place_to_half_a_step(written, place_error, kind, bits):
    path, dose = written(kind, bits=bits)
    back = read_rtdose(path)
    half_a_step = float(dose.gy.max()) / (2**bits - 2) / 2
    # float32 storage of values below 1024 Gy adds 3e-5; directions of 16 characters add less
    assert place_error(back) < half_a_step * 1.01 + 1e-4
    assert back.grid.frame_uid == dose.grid.frame_uid


@pytest.mark.parametrize("kind", ["axial", "oblique"])
def test_a_dose_in_the_order_of_the_house_comes_back_on_the_same_grid(written, kind):
    path, dose = written(kind)
    assert read_rtdose(path).grid.matches(dose.grid)


@pytest.mark.parametrize("kind", KINDS)
def test_simpleitk_finds_the_hottest_voxel_in_the_same_place(written, kind):
    path, dose = written(kind)
    image = sitk.ReadImage(str(path))  # stored integers: SimpleITK does not apply Dose Grid Scaling
    stored = sitk.GetArrayFromImage(image)
    index = np.unravel_index(stored.argmax(), stored.shape)
    np.testing.assert_allclose(
        image.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]]), hottest(dose), atol=1e-3
    )
    scaling = float(dcmread(path).DoseGridScaling)
    # float32 dose against 32 bit integers: 6e-8 relative
    assert stored.max() * scaling == pytest.approx(float(dose.gy.max()), rel=2e-7)


@pytest.fixture
def plastimatch(tmp_path):
    """The dose image that plastimatch makes of an RTDOSE."""
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed")

    def convert(path):
        out = tmp_path / "dose.nrrd"
        command = ["plastimatch", "convert", "--input", str(path), "--output-dose-img", str(out)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return sitk.ReadImage(str(out))

    return convert


@pytest.mark.parametrize("kind", ["axial", "feet_first", "left_handed", "prone"])
def test_plastimatch_reads_the_same_dose_in_the_same_place(written, plastimatch, kind):
    path, dose = written(kind)
    image = plastimatch(path)
    values = sitk.GetArrayFromImage(image)
    worst = 0.0
    for index in np.ndindex(*dose.grid.shape):
        place = image.TransformPhysicalPointToContinuousIndex(dose.grid.points_lps_mm(index).tolist())
        near = np.rint(place).astype(int)
        np.testing.assert_allclose(place, near, atol=1e-3)  # plastimatch keeps float32 directions and origins
        worst = max(worst, abs(float(values[tuple(near[::-1])]) - float(dose.gy[index])))
    assert worst < 1e-4 * dose.gy.max()


def test_plastimatch_reads_the_values_of_an_oblique_dose(written, plastimatch):
    path, dose = written("oblique")
    image = plastimatch(path)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), dose.gy, atol=1e-4 * float(dose.gy.max()))
    np.testing.assert_allclose(image.GetOrigin(), dose.grid.affine_lps_mm[:3, 3], atol=1e-3)
    np.testing.assert_allclose(image.GetSpacing(), dose.grid.spacing_mm[::-1], atol=1e-3)
    # plastimatch 1.9.4 writes the axes of an RTDOSE as rows where ITK wants columns; SimpleITK reads the file right
    axes, found = dose.grid.directions[:, ::-1], np.reshape(image.GetDirection(), (3, 3))
    assert min(np.abs(found - axes).max(), np.abs(found - axes.T).max()) < 1e-4


@pytest.fixture
def verdict():
    """What dciodvfy prints about a file, line by line."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")

    def lines(path):
        done = subprocess.run(["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True, timeout=60)
        return (done.stdout + done.stderr).splitlines()

    return lines


@pytest.mark.parametrize("plan_uid", [None, "1.2.3.4"])
@pytest.mark.parametrize("kind", ["axial", "oblique", "left_handed"])
def test_dciodvfy_finds_no_error_with_a_plan_or_without(written, verdict, kind, plan_uid):
    lines = verdict(written(kind, plan_uid=plan_uid)[0])
    assert any("RTDose" in line for line in lines)
    assert [line for line in lines if line.startswith("Error")] == []


def test_dciodvfy_sees_a_plan_that_is_not_named(written, verdict):
    path, _ = written(plan_uid="1.2.3.4")
    ds = dcmread(path)
    del ds.ReferencedRTPlanSequence
    ds.save_as(path)
    assert any(line.startswith("Error") and "ReferencedRTPlanSequence" in line for line in verdict(path))


def test_dciodvfy_ends_at_pixels_of_32_bits_which_is_why_16_are_the_default(written, verdict):
    lines = verdict(written(bits=32)[0])
    assert any("Assertion" in line for line in lines)  # should it read them one day, 32 bits can be the default
    assert [line for line in lines if line.startswith("Error")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_frame_offsets_start_at_zero_and_rise(written, kind):
    offsets = [float(v) for v in dcmread(written(kind)[0]).GridFrameOffsetVector]
    assert offsets[0] == 0
    assert (np.diff(offsets) > 0).all()
    np.testing.assert_allclose(np.diff(offsets), 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_decimal_strings_are_at_most_16_characters(written, kind):
    raw = dcmread(written(kind)[0])
    keys = (
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PixelSpacing",
        "SliceThickness",
        "GridFrameOffsetVector",
        "DoseGridScaling",
    )
    for key in keys:
        text = raw.get_item(key).value
        for part in (text if isinstance(text, bytes) else str(text).encode()).strip(b"[] ").split(b"\\"):
            assert len(part.strip()) <= 16, (key, part)


def test_places_with_more_digits_than_a_decimal_string_holds_are_kept(write_series, tmp_path):
    turn = np.linalg.qr(np.array([[1.0, 0.3123, 0.01], [0.2, 1, 1e-7], [0.1, 0.5, -1]]))[0]
    grid = Grid.from_axes((3, 4, 5), (1 / 3, 2 / 7, 1e2 / 3), (-1234.56789012345, 1e-9, 7 / 9), directions=turn)
    dose = DoseMap(np.linspace(0, 123.4, 60).reshape(3, 4, 5), grid)
    write_rtdose(dose, tmp_path / "dose.dcm", reference=write_series("CT"))
    back = read_rtdose(tmp_path / "dose.dcm")
    np.testing.assert_allclose(hottest(back), hottest(dose), atol=1e-6)


def test_the_file_says_physical_gray_with_unsigned_integers(written):
    ds = dcmread(written()[0])
    assert (ds.DoseUnits, ds.DoseType, ds.Modality) == ("GY", "PHYSICAL", "RTDOSE")
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (16, 16, 15, 0)
    assert (ds.NumberOfFrames, ds.Rows, ds.Columns) == (4, 6, 9)
    assert [float(v) for v in ds.PixelSpacing] == [2.0, 1.5]


def test_a_dose_without_a_plan_refers_to_none_and_cites_its_images(written, tmp_path):
    ds = dcmread(written(effective="BED")[0])
    assert ds.DoseSummationType == "PLAN_OVERVIEW"
    assert not [e for e in ds.iterall() if e.keyword == "ReferencedRTPlanSequence"]
    (overview,) = ds.PlanOverviewSequence
    cited = {i.ReferencedSOPInstanceUID for i in overview.ReferencedImageSequence}
    assert cited == {dcmread(p).SOPInstanceUID for p in (tmp_path / "series").iterdir()}
    assert not overview.RTPlanLabel


def test_a_dose_of_a_plan_refers_to_it_and_has_no_overview(written):
    ds = dcmread(written(plan_uid="1.2.3.4")[0])
    assert ds.DoseSummationType == "PLAN"
    assert [p.ReferencedSOPInstanceUID for p in ds.ReferencedRTPlanSequence] == ["1.2.3.4"]
    assert "PlanOverviewSequence" not in ds


def test_every_dose_is_an_object_of_its_own(write_series, dose_on, tmp_path):
    folder = write_series("CT")
    for name, effective in (("a", None), ("b", "BED"), ("c", None)):
        write_rtdose(dose_on(), tmp_path / name, reference=folder, effective=effective)
    assert len({dcmread(tmp_path / n).SOPInstanceUID for n in "abc"}) == 3


def test_a_dose_for_display_says_that_it_was_interpolated(write_series, dose_on, place_error, tmp_path):
    write_display_dose(dose_on(), tmp_path / "shown.dcm", reference=write_series("CT"), bits=32)
    ds = dcmread(tmp_path / "shown.dcm")
    assert ds.DoseComment == DISPLAY_COMMENT
    assert len(DISPLAY_COMMENT) <= 64
    assert "display" in ds.SeriesDescription
    assert "DVHSequence" not in ds
    assert place_error(read_rtdose(tmp_path / "shown.dcm")) < 1e-3


@pytest.mark.parametrize("bits", [8, 33])
def test_a_dose_for_display_is_checked_like_any(write_series, dose_on, tmp_path, bits):
    with pytest.raises(QuantityError, match="16 or 32 bits") as refusal:
        write_display_dose(dose_on(), tmp_path / "shown.dcm", reference=write_series("CT"), bits=bits)
    assert refusal.value.code == "value-out-of-range"


def test_negative_dose_is_stored_as_zero(written, dose_on):
    values = dose_on().gy.copy()
    values[1, 2, 3] = -5.0
    path, _ = written(dose=DoseMap(values, dose_on().grid))
    back = read_rtdose(path)
    assert back.gy.min() == 0
    assert back.gy[1, 2, 3] == 0


def test_a_dose_of_zero_everywhere_is_written_and_read(written, make_grid):
    path, _ = written(dose=DoseMap(np.zeros((4, 6, 9)), make_grid()))
    assert read_rtdose(path).gy.max() == 0


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("highest", [1e-3, 0.3, 65535.0, 2.0**24, 1e9])
def test_no_dose_overflows_its_integers(written, make_grid, highest, bits):
    values = np.linspace(0, highest, 216, dtype=np.float32).reshape(4, 6, 9)
    path, dose = written(dose=DoseMap(values, make_grid()), bits=bits)
    step = float(values.max()) / (2**bits - 2)
    np.testing.assert_allclose(read_rtdose(path).gy, dose.gy, atol=step / 2 * 1.01, rtol=2e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_dose_that_is_not_a_number_somewhere_is_refused(written, make_grid, bad):
    values = np.ones((4, 6, 9), np.float32)
    values[2, 3, 4] = bad
    with pytest.raises(VoxeldoseError):
        written(dose=DoseMap(values, make_grid()))


def test_a_dose_of_one_slice_has_no_distance_of_frames_and_is_refused(written, make_grid, refused):
    path, _ = written(dose=DoseMap(np.full((1, 6, 9), 2.0), make_grid(shape=(1, 6, 9))))
    refused(lambda: read_rtdose(path), str(path), "(3004,000C)", code="frames-uneven")


def test_patient_study_and_frame_are_those_of_the_reference(written, tmp_path):
    ds = dcmread(written()[0])
    ct = dcmread(next((tmp_path / "series").iterdir()))
    for key in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyDate",
        "StudyID",
    ):
        assert ds[key].value == ct[key].value
    assert ds.FrameOfReferenceUID == ct.FrameOfReferenceUID
    assert ds.SeriesInstanceUID != ct.SeriesInstanceUID


def test_a_name_beyond_ascii_is_copied_with_its_character_set(write_series, dose_on, tmp_path):
    def named(ds, n):
        ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 100", "Müller^Jürgen"

    write_rtdose(dose_on(), tmp_path / "dose.dcm", reference=write_series("CT", change=named))
    assert str(dcmread(tmp_path / "dose.dcm").PatientName) == "Müller^Jürgen"


@pytest.mark.parametrize(
    ("key", "value"), [("PatientBirthDate", "195803x7"), ("StudyTime", "25:99"), ("StudyID", "7" * 40)]
)
def test_a_reference_with_values_against_the_standard_is_used_without_a_warning(
    write_series, dose_on, tmp_path, key, value
):
    folder = write_series("CT", change=lambda ds, _: setattr(ds, key, value))
    write_rtdose(dose_on(), tmp_path / "dose.dcm", reference=folder)  # warnings are errors in these tests
    assert str(read_rtdose(tmp_path / "dose.dcm").grid.frame_uid) == dose_on().grid.frame_uid


def test_a_reference_without_patient_data_gives_empty_ones(write_series, dose_on, tmp_path):
    def bare(ds, n):
        for key in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"):
            delattr(ds, key)

    write_rtdose(dose_on(), tmp_path / "dose.dcm", reference=write_series("CT", change=bare))
    ds = dcmread(tmp_path / "dose.dcm")
    assert "PatientName" in ds
    assert not str(ds.PatientName)


def test_one_file_may_be_the_reference(write_series, dose_on, tmp_path):
    write_rtdose(dose_on(), tmp_path / "dose.dcm", reference=write_series("CT") / "slice_02.dcm")
    assert read_rtdose(tmp_path / "dose.dcm").grid.shape == (4, 6, 9)


def test_a_dose_without_a_frame_takes_that_of_the_reference(write_series, dose_on, tmp_path, make_grid):
    write_rtdose(dose_on(frame_uid=None), tmp_path / "dose.dcm", reference=write_series("CT"))
    assert read_rtdose(tmp_path / "dose.dcm").grid.frame_uid == make_grid().frame_uid


def test_a_dose_in_another_frame_than_the_reference_is_refused(write_series, dose_on, tmp_path, refused):
    folder = write_series("CT")
    dose = dose_on(frame_uid="1.2.3")
    refused(lambda: write_rtdose(dose, tmp_path / "dose.dcm", reference=folder), "1.2.3", "frame of reference")
    assert not (tmp_path / "dose.dcm").exists()


def test_a_sheared_grid_is_refused(write_series, tmp_path, make_grid, refused):
    affine = make_grid().affine_lps_mm.copy()
    affine[0, 1] += 0.4
    dose = DoseMap(np.ones((4, 6, 9)), Grid((4, 6, 9), affine))
    folder = write_series("CT")
    refused(lambda: write_rtdose(dose, tmp_path / "dose.dcm", reference=folder), "sheared", "Resample")


def test_other_bit_depths_are_refused(written):
    with pytest.raises(QuantityError, match="16 or 32 bits"):
        written(bits=8)


def test_a_reference_without_dicom_is_refused(dose_on, tmp_path, refused):
    (tmp_path / "notes.txt").write_text("notes")
    refused(lambda: write_rtdose(dose_on(), tmp_path / "d.dcm", reference=tmp_path), str(tmp_path), "no DICOM file")


# --- reading what others wrote ---


@pytest.fixture
def edited(written):
    """Writer of an RTDOSE with its header changed afterwards."""

    def write(change, kind="axial"):
        path, dose = written(kind, bits=32)
        ds = dcmread(path)
        with config.disable_value_validation():
            change(ds)
            ds.save_as(path)
        return path, dose

    return write


def test_absolute_offsets_are_read_as_relative_ones(edited, place_error):
    def absolute(ds):
        ds.GridFrameOffsetVector = [float(v) + float(ds.ImagePositionPatient[2]) for v in ds.GridFrameOffsetVector]

    assert place_error(read_rtdose(edited(absolute)[0])) < 1e-3


def test_falling_offsets_stack_the_frames_downwards(edited, place_error):
    def falling(ds):
        frames = np.frombuffer(ds.PixelData, np.uint32).reshape(4, 6, 9)[::-1]
        ds.PixelData = frames.tobytes()
        ds.ImagePositionPatient[2] += 9.0
        ds.GridFrameOffsetVector = [0, -3, -6, -9]

    assert place_error(read_rtdose(edited(falling)[0])) < 1e-3


def drop(key):
    return lambda ds: delattr(ds, key)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("ImagePositionPatient", "geometry-missing"),
        ("ImageOrientationPatient", "geometry-missing"),
        ("PixelSpacing", "geometry-missing"),
        ("DoseGridScaling", "rescale-missing"),
        ("GridFrameOffsetVector", "frames-uneven"),
        ("PixelData", "pixels-unreadable"),
    ],
)
def test_an_rtdose_that_lacks_what_is_needed_is_refused(edited, refused, key, code):
    path, _ = edited(drop(key))
    refused(lambda: read_rtdose(path), str(path), code=code)


def test_a_truncated_rtdose_is_refused(written, refused):
    path, _ = written()
    path.write_bytes(path.read_bytes()[:-50])
    refused(lambda: read_rtdose(path), str(path))


@pytest.mark.parametrize("offsets", [[0, 3, 6, 12], [0, 3, 6]])
def test_frames_that_are_uneven_or_not_as_many_as_their_offsets_are_refused(edited, refused, offsets):
    path, _ = edited(lambda ds: setattr(ds, "GridFrameOffsetVector", offsets))
    refused(lambda: read_rtdose(path), str(path), "(3004,000C)", code="frames-uneven")


@pytest.mark.parametrize("units", ["RELATIVE", ""])
def test_a_dose_that_is_not_in_gray_is_refused(edited, refused, units):
    path, _ = edited(lambda ds: setattr(ds, "DoseUnits", units))
    refused(lambda: read_rtdose(path), str(path), "(3004,0002)", "not GY", code="units-not-gray")


@pytest.mark.parametrize("kind", ["EFFECTIVE", "ERROR"])
def test_a_dose_that_is_not_physical_is_refused(edited, refused, kind):
    path, _ = edited(lambda ds: setattr(ds, "DoseType", kind))
    refused(lambda: read_rtdose(path), str(path), kind, "not PHYSICAL", code="dose-not-physical")


def test_another_object_is_refused(write_series, tmp_path, refused):
    folder = write_series("CT")
    refused(lambda: read_rtdose(folder / "slice_00.dcm"), "slice_00.dcm", "not an RTDOSE", code="format-unknown")
    refused(lambda: read_rtdose(tmp_path / "nothing.dcm"), "nothing.dcm", code="format-unknown")


def test_every_file_has_its_own_identity(written):
    one = dcmread(written()[0]).SOPInstanceUID
    assert one != dcmread(written()[0]).SOPInstanceUID
    assert one != generate_uid()
