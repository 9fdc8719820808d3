"""RTSTRUCT, RTPLAN and RTDOSE of a run as one set: volumes and doses as other programs read them, and what refers to what."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from export_case import EVERYTHING, SHAPE, SPACING, ball
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

import voxeldose as vd
from voxeldose.dose.liver_parts import liver_parts
from voxeldose.errors import GeometryError, InputError
from voxeldose.geometry.contours import outlines_of
from voxeldose.io.config.case import OutputTable, case_file_from
from voxeldose.io.dicom.new_object import study_reference
from voxeldose.io.dicom.rtdose import DISPLAY_COMMENT
from voxeldose.io.dicom.rtplan import write_rtplan
from voxeldose.io.dicom.rtstruct import structure_set_of
from voxeldose.io.nifti import write_labels
from voxeldose.jobs.dicom_export import DicomSource, require_dicom_for, write_dicom
from voxeldose.jobs.run_case import run_case

PET = {"shape": (10, 14, 16), "spacing": (4.0, 3.0, 2.5)}


def shells(grid):
    """A liver with two lesions cut out of it and a vessel at its surface, a lesion with a cold core that has an island."""
    liver, first = ball(grid, 14, (5, 8, 9)), ball(grid, 5.5, (5, 6, 11))
    second = ball(grid, 3.5, (6, 10, 6))
    core = ball(grid, 3.2, (5, 6, 11))
    island = ball(grid, 0.5, (5, 6, 11))
    return vd.RoiSet(
        (
            vd.Roi("liver", "liver", (liver & ~first & ~second).astype(np.float32), grid),
            vd.Roi("rim", "tumor", ((first & ~core) | island).astype(np.float32), grid),
            vd.Roi("lesion", "tumor", second.astype(np.float32), grid),
        )
    )


@pytest.fixture
def assessed(write_series, tmp_path):
    """An assessment of regions with holes on a CT, dose on a PET of other planes, and where it came from."""

    def make(kind="axial", regions=shells, calibration=None):
        ct_folder = write_series("CT", folder="ct", orientation=kind, shape=SHAPE, spacing=SPACING)
        shown = write_series("PT", folder="pet", orientation=kind, **PET)
        ct, activity = vd.read_ct(ct_folder), vd.read_pet(shown)
        given = vd.Administration(vd.Y90, 300.0, datetime(2024, 5, 2, 10, 15, tzinfo=UTC))
        result = vd.assess(
            vd.Case(activity, regions(ct.grid), given, ct=ct, calibration=calibration or vd.Administered())
        )
        grids = {"ct": ct.grid, "activity": activity.grid}
        return result, DicomSource(study_reference(shown), study_reference(ct_folder), grids)

    return make


@pytest.fixture
def masks(tmp_path):
    """Name -> mask that plastimatch makes of a structure set on a CT, with its default reading."""
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed")

    def read(path, ct):
        shutil.rmtree(tmp_path / "masks", ignore_errors=True)
        command = ["plastimatch", "convert", "--input", str(path), "--referenced-ct", str(ct)]
        command += ["--output-prefix", str(tmp_path / "masks"), "--prefix-format", "nrrd"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return {p.stem: sitk.ReadImage(str(p)) for p in (tmp_path / "masks").glob("*.nrrd")}

    return read


def volume_ml(mask):
    return float((sitk.GetArrayViewFromImage(mask) > 0).sum()) * float(np.prod(mask.GetSpacing())) / 1000


def united(path):
    """Make contours of their own, united, of the contours of a structure set: what was written before keyholes."""
    ds = dcmread(path)
    for drawn in ds.ROIContourSequence:
        for loop in drawn.ContourSequence:
            loop.ContourGeometricType = "CLOSED_PLANAR"
    ds.save_as(path)


@pytest.mark.parametrize("kind", ["axial", "feet_first"])
def test_plastimatch_reads_every_region_with_its_volume_and_mean_dose(assessed, masks, tmp_path, kind):
    result, source = assessed(kind)
    write_dicom(result, tmp_path, source, OutputTable(rtstruct=True, dose_on_ct=True))
    found = masks(tmp_path / "rois.rtstruct.dcm", tmp_path / "ct")
    assert set(found) == set(result.rois)
    shown = vd.read_rtdose(tmp_path / "dose_on_ct.dcm")
    for name, mask in found.items():
        metrics = result.rois[name]
        assert volume_ml(mask) == pytest.approx(metrics.volume_ml, rel=1e-6)  # voxel for voxel
        weights = liver_parts(result.case.rois).rois[name].on_window(shown.grid)
        if kind == "axial":  # the mask has the order of the CT's voxels here
            np.testing.assert_array_equal(sitk.GetArrayFromImage(mask) > 0, weights > 0)
        # the dose between voxel centres of a PET of 4 mm is linear there and even in each voxel here
        assert np.average(shown.gy, weights=weights) == pytest.approx(metrics.mean_dose_gy, rel=0.05)


def test_plastimatch_unites_holes_that_are_contours_of_their_own(assessed, masks, tmp_path):
    result, source = assessed()
    write_dicom(result, tmp_path, source, OutputTable(rtstruct=True, rtstruct_holes="xor"))
    united(tmp_path / "rois.rtstruct.dcm")
    found = masks(tmp_path / "rois.rtstruct.dcm", tmp_path / "ct")
    for name in ("normal_liver", "rim"):
        assert volume_ml(found[name]) > 1.02 * result.rois[name].volume_ml


@pytest.mark.parametrize("holes", ["keyhole", "xor"])
@pytest.mark.parametrize("kind", ["axial", "oblique", "feet_first"])
def test_both_ways_to_write_holes_are_read_back_with_the_volume(assessed, tmp_path, kind, holes):
    result, source = assessed(kind)
    write_dicom(result, tmp_path, source, OutputTable(rtstruct=True, rtstruct_holes=holes))
    volumes = {r.name: r.volume_ml for r in vd.read_rtstruct(tmp_path / "rois.rtstruct.dcm", pixel_mm=0.25)}
    for name, metrics in result.rois.items():
        roi = result.case.rois["liver" if name == "normal_liver" else name]
        corners = 0.5 * len(outlines_of(roi)) * roi.grid.voxel_volume_ml  # each outline cuts those of its voxels
        assert volumes[name] == pytest.approx(metrics.volume_ml, abs=corners, rel=1e-3)
    kinds = {}
    ds = dcmread(tmp_path / "rois.rtstruct.dcm")
    names = {r.ROINumber: r.ROIName for r in ds.StructureSetROISequence}
    for drawn in ds.ROIContourSequence:
        kinds[names[drawn.ReferencedROINumber]] = {c.ContourGeometricType for c in drawn.ContourSequence}
    holed = {"CLOSED_PLANAR"} if holes == "keyhole" else {"CLOSEDPLANAR_XOR"}
    assert kinds == {"liver": holed, "rim": holed, "lesion": {"CLOSED_PLANAR"}, "normal_liver": holed}


def test_keyholes_and_exclusive_outlines_are_read_as_the_same_volume(assessed, tmp_path):
    result, source = assessed()
    volumes = []
    for holes in ("keyhole", "xor"):
        write_dicom(result, tmp_path, source, OutputTable(rtstruct=True, rtstruct_holes=holes))
        volumes.append([r.volume_ml for r in vd.read_rtstruct(tmp_path / "rois.rtstruct.dcm", pixel_mm=0.25)])
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-3)


def test_contours_lie_in_the_planes_of_the_images_they_cite(assessed, tmp_path):
    result, source = assessed()
    write_dicom(result, tmp_path, source, OutputTable(rtstruct=True))
    planes = {round(float(dcmread(p).ImagePositionPatient[2]), 3) for p in (tmp_path / "ct").iterdir()}
    for drawn in dcmread(tmp_path / "rois.rtstruct.dcm").ROIContourSequence:
        assert {round(float(c.ContourData[2]), 3) for c in drawn.ContourSequence} <= planes


def test_a_contour_too_long_for_explicit_lengths_makes_the_file_implicit(write_series, masks, tmp_path):
    folder = write_series("CT", shape=(2, 78, 78), spacing=(3.0, 1.0, 1.0))
    grid = vd.read_ct(folder).grid
    sieve = np.zeros(grid.shape, np.float32)
    sieve[:, 2:-2, 2:-2] = 1
    sieve[:, 4:-4:3, 4:-4:3] = 0
    rois = vd.RoiSet((vd.Roi("sieve", "other", sieve, grid),))
    written = vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=folder)
    ds = dcmread(tmp_path / "rs.dcm")
    assert ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    contour = ds.ROIContourSequence[0].ContourSequence[0]
    assert contour["ContourData"].VR == "DS"
    assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints > 3 * 2200
    assert (written.uid, written.numbers) == (ds.SOPInstanceUID, {"sieve": 1})
    assert volume_ml(masks(tmp_path / "rs.dcm", folder)["sieve"]) == pytest.approx(rois["sieve"].volume_ml, rel=1e-6)


# --- what refers to what ---


def cited(dataset, keyword):
    return [i.ReferencedSOPInstanceUID for i in dataset.get(keyword, [])]


def test_the_dose_holds_the_dvhs_of_the_structure_set_that_is_written(assessed, tmp_path):
    result, source = assessed()
    assert write_dicom(result, tmp_path, source, OutputTable(rtstruct=True)) == ()
    dose, structures = dcmread(tmp_path / "dose.dcm"), dcmread(tmp_path / "rois.rtstruct.dcm")
    assert cited(dose, "ReferencedStructureSetSequence") == [structures.SOPInstanceUID]
    names = {int(r.ROINumber): str(r.ROIName) for r in structures.StructureSetROISequence}
    means = {}
    for row in dose.DVHSequence:
        means[names[int(row.DVHReferencedROISequence[0].ReferencedROINumber)]] = float(row.DVHMeanDose)
    assert means == pytest.approx({n: m.mean_dose_gy for n, m in result.rois.items()}, rel=1e-7)


def test_without_a_structure_set_the_dose_holds_no_dvhs(assessed, tmp_path):
    result, source = assessed()
    write_dicom(result, tmp_path, source)
    dose = dcmread(tmp_path / "dose.dcm")
    assert "DVHSequence" not in dose
    assert "ReferencedStructureSetSequence" not in dose
    assert not (tmp_path / "rois.rtstruct.dcm").exists()


@pytest.mark.parametrize("rtstruct", [False, True])
def test_dvhs_cite_the_structure_set_that_the_regions_came_from_unless_one_is_written(assessed, tmp_path, rtstruct):
    result, source = assessed()
    vd.write_rtstruct(result.case.rois, tmp_path / "given.dcm", reference=tmp_path / "ct")
    given = structure_set_of(tmp_path / "given.dcm", None)
    source = DicomSource(source.activity, source.ct, source.grids, given)
    write_dicom(result, tmp_path, source, OutputTable(rtstruct=rtstruct))
    dose = dcmread(tmp_path / "dose.dcm")
    wanted = "rois.rtstruct.dcm" if rtstruct else "given.dcm"
    assert cited(dose, "ReferencedStructureSetSequence") == [dcmread(tmp_path / wanted).SOPInstanceUID]
    assert len(dose.DVHSequence) == (4 if rtstruct else 3)  # derived normal liver is in the one that is written


@pytest.mark.parametrize("rtstruct", [False, True])
def test_every_dose_refers_to_the_plan_that_is_written(assessed, tmp_path, rtstruct):
    result, source = assessed()
    write_dicom(result, tmp_path, source, OutputTable(**{**EVERYTHING, "rtstruct": rtstruct}))
    plan = dcmread(tmp_path / "rtplan.dcm")
    for name in ("dose.dcm", "bed.dcm", "dose_on_ct.dcm"):
        dose = dcmread(tmp_path / name)
        assert cited(dose, "ReferencedRTPlanSequence") == [plan.SOPInstanceUID]
        assert dose.FrameOfReferenceUID == plan.FrameOfReferenceUID
        assert dose.StudyInstanceUID == plan.StudyInstanceUID
    structures = [dcmread(tmp_path / "rois.rtstruct.dcm").SOPInstanceUID] if rtstruct else []
    assert cited(plan, "ReferencedStructureSetSequence") == structures
    assert plan.RTPlanGeometry == ("PATIENT" if rtstruct else "TREATMENT_DEVICE")
    assert plan.ApprovalStatus == "UNAPPROVED"
    assert plan.FractionGroupSequence[0].NumberOfBeams == 0


def test_no_dose_refers_to_a_plan_where_none_is_written(assessed, tmp_path):
    result, source = assessed()
    write_dicom(result, tmp_path, source, OutputTable(**{**EVERYTHING, "rtplan": False}))
    assert not (tmp_path / "rtplan.dcm").exists()
    for name in ("dose.dcm", "bed.dcm", "dose_on_ct.dcm"):
        assert not cited(dcmread(tmp_path / name), "ReferencedRTPlanSequence")


def test_a_plan_for_a_dose_in_another_frame_is_refused(write_series, make_grid, tmp_path):
    with pytest.raises(GeometryError) as refusal:
        write_rtplan(tmp_path / "p.dcm", reference=write_series("CT"), grid=make_grid(frame_uid="1.2.3"))
    assert refusal.value.code == "frame-differs"
    assert not (tmp_path / "p.dcm").exists()


# --- predicted or delivered ---


def descriptions(folder):
    return {p.name: dcmread(p).SeriesDescription for p in folder.glob("*.dcm")}


@pytest.fixture
def from_image(write_series, write_nm, tmp_path):
    """Every object of results from a PET or a SPECT, of a case with the user's word on its nuclide."""

    def write(*, spect=False, stated=None, change=None):
        ct_folder = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING)
        if spect:
            shown = write_nm(shape=PET["shape"], spacing=PET["spacing"])
            activity = vd.read_spect(shown)
        else:
            shown = write_series("PT", folder="pet", change=change, **PET)
            activity = vd.read_pet(shown)
        ct = vd.read_ct(ct_folder)
        given = vd.Administration(vd.Y90, 300.0, datetime(2024, 5, 2, 10, 15, tzinfo=UTC))
        case = vd.Case(activity, shells(ct.grid), given, ct=ct, image_nuclide=stated)
        source = DicomSource(study_reference(shown), study_reference(ct_folder), {"ct": ct.grid})
        (tmp_path / "out").mkdir()
        assert write_dicom(vd.assess(case), tmp_path / "out", source, OutputTable(**EVERYTHING)) == ()
        return tmp_path / "out"

    return write


@pytest.mark.parametrize(
    ("image", "text", "numbers"),
    [
        ({}, "DELIVERED (Y-90 PET), voxeldose", range(901, 908)),
        ({"spect": True, "stated": "Tc-99m"}, "PREDICTED (Tc-99m MAA SPECT), voxeldose", range(801, 808)),
        ({"spect": True, "stated": "Y-90"}, "DELIVERED (Y-90 SPECT), voxeldose", range(901, 908)),
    ],
)
def test_every_series_says_predicted_or_delivered_in_its_description_and_number(from_image, image, text, numbers):
    out = from_image(**image)
    found = descriptions(out)
    assert len(found) == 7
    for description in found.values():
        assert description.startswith(text)
        assert len(description) <= 64
    assert sorted(int(dcmread(p).SeriesNumber) for p in out.glob("*.dcm")) == list(numbers)
    assert len({dcmread(p).SeriesInstanceUID for p in out.glob("*.dcm")}) == 7


def test_the_kind_is_not_said_where_the_nuclide_is_not_known(from_image):
    def bare(ds, _):
        del ds.RadiopharmaceuticalInformationSequence

    found = descriptions(from_image(change=bare)).values()
    assert all(d.startswith("voxeldose ") for d in found)


# --- the dose on the CT ---


@pytest.mark.parametrize("kind", ["axial", "oblique", "feet_first"])
def test_the_dose_on_the_ct_has_its_voxels_and_the_dose_between_the_centres(assessed, tmp_path, kind):
    result, source = assessed(kind)
    write_dicom(result, tmp_path, source, OutputTable(dose_on_ct=True, dose_bits=32))
    shown, dose = vd.read_rtdose(tmp_path / "dose_on_ct.dcm"), result.dose
    assert shown.grid.matches(source.grids["ct"])
    index = np.array([(6, 8, 9), (5, 6, 10), (0, 0, 0), (11, 15, 17)])
    wanted = dose.sampled_at(shown.grid.points_lps_mm(index))
    np.testing.assert_allclose(shown.gy[tuple(index.T)], np.maximum(wanted, 0), rtol=1e-5, atol=1e-4)
    header = dcmread(tmp_path / "dose_on_ct.dcm")
    assert header.DoseComment == DISPLAY_COMMENT
    assert "DVHSequence" not in header


def test_the_dose_on_the_ct_is_zero_where_the_dose_does_not_reach(assessed, write_series, tmp_path):
    wide = write_series("CT", folder="wide", shape=(30, 40, 44), spacing=SPACING)
    result, source = assessed()
    grid = vd.read_ct(wide).grid
    source = DicomSource(source.activity, study_reference(wide), {**source.grids, "ct": grid})
    write_dicom(result, tmp_path, source, OutputTable(dose_on_ct=True))
    shown = vd.read_rtdose(tmp_path / "dose_on_ct.dcm")
    index = result.dose.grid.indices(grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1)))
    outside = ((index < -0.5) | (index > np.array(result.dose.grid.shape) - 0.5)).any(axis=-1)
    assert outside.any()
    assert (~outside).any()
    assert (shown.gy[outside] == 0).all()
    assert shown.gy[~outside].max() > 0


# --- refusals, and what is left out ---


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ({"rtstruct": True}, "output.rtstruct"),
        ({"rtplan": True}, "output.rtplan"),
        ({"dose_on_ct": True}, "output.dose_on_ct"),
    ],
)
def test_objects_of_a_study_are_refused_where_there_is_none(wanted, key):
    with pytest.raises(InputError, match=key) as refusal:
        require_dicom_for(OutputTable(**wanted), DicomSource())
    assert (refusal.value.code, refusal.value.fields["key"]) == ("dicom-missing", key)


def test_a_dose_on_the_ct_is_refused_without_a_ct_that_stayed_where_it_was(assessed):
    _, source = assessed()
    require_dicom_for(OutputTable(dose_on_ct=True), source)
    for other in (DicomSource(source.activity), DicomSource(source.activity, source.ct, {})):
        with pytest.raises(InputError) as refusal:
            require_dicom_for(OutputTable(dose_on_ct=True), other)
        assert refusal.value.code == "dicom-missing"


def test_a_way_to_write_holes_without_contours_is_refused(assessed):
    _, source = assessed()
    with pytest.raises(InputError) as refusal:
        require_dicom_for(OutputTable(rtstruct_holes="xor"), source)
    assert refusal.value.code == "keys-contradict"
    require_dicom_for(OutputTable(rtstruct=True, rtstruct_holes="xor"), source)


def test_a_region_without_a_voxel_filled_by_half_is_left_out_with_a_remark(assessed, tmp_path):
    def thin(grid):
        lines = np.zeros(grid.shape, np.float32)
        lines[5, 6:9, 9] = 0.4
        return shells(grid) + vd.RoiSet((vd.Roi("thread", "other", lines, grid),))

    result, source = assessed(regions=thin)
    (remark,) = write_dicom(result, tmp_path, source, OutputTable(rtstruct=True))
    assert (remark.code, remark.numbers) == ("rtstruct-region-left-out", {"roi": "thread"})
    assert "fills no voxel" in remark.sentence
    names = {str(r.ROIName) for r in dcmread(tmp_path / "rois.rtstruct.dcm").StructureSetROISequence}
    assert names == set(result.rois) - {"thread"}


def test_where_no_region_is_left_there_is_no_structure_set_and_the_plan_cites_none(assessed, tmp_path):
    def thin(grid):
        lines = np.zeros(grid.shape, np.float32)
        lines[5, 6:9, 9] = 0.4
        return vd.RoiSet((vd.Roi("thread", "liver", lines, grid),))

    result, source = assessed(regions=thin, calibration=vd.Administered("image"))
    remarks = write_dicom(result, tmp_path, source, OutputTable(rtstruct=True, rtplan=True))
    assert {r.code for r in remarks} == {"rtstruct-region-left-out"}
    assert not (tmp_path / "rois.rtstruct.dcm").exists()
    assert dcmread(tmp_path / "rtplan.dcm").RTPlanGeometry == "TREATMENT_DEVICE"


def test_a_region_that_the_ct_cuts_is_said_to_be_cut(assessed, write_series, tmp_path):
    result, source = assessed()
    short = study_reference(write_series("CT", folder="short", shape=(6, *SHAPE[1:]), spacing=SPACING))
    source = DicomSource(source.activity, short, {**source.grids, "ct": short.grid})
    remarks = write_dicom(result, tmp_path, source, OutputTable(rtstruct=True))
    parts = {r.numbers["roi"]: r.numbers["outside_fraction"] for r in remarks if r.code == "rtstruct-region-cut"}
    assert 0.2 < parts["liver"] < 0.7


# --- a whole run ---


@pytest.fixture
def run_study(write_series, tmp_path):
    """Runner of a DICOM case with a tumor inside the liver, to a results folder."""

    def run(out, output):
        ct = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING)
        pet = write_series("PT", folder="pet", **PET)
        grid = vd.read_ct(ct).grid
        values = ball(grid, 13, (5, 8, 9)).astype(np.uint8)
        values[ball(grid, 5, (4, 6, 10))] = 2
        write_labels(values, grid, tmp_path / "labels.nii.gz")
        labels = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lesion", "role": "tumor"}}
        case = {
            "activity": {"path": str(pet)},
            "ct": {"path": str(ct)},
            "rois": [{"path": str(tmp_path / "labels.nii.gz"), "labels": labels}],
            "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
            "output": output,
        }
        run_case(case_file_from(case, "test"), out, report=False)
        return out

    return run


def test_what_is_written_besides_changes_no_number(run_study, tmp_path):
    plain = run_study(tmp_path / "plain", {})
    numbers = json.loads((plain / "assessment.json").read_text("utf-8"))
    dose = vd.read_image(plain / "dose.nii.gz").values
    for n, more in enumerate(({"dose_bits": 32}, EVERYTHING, {"rtstruct": True, "rtstruct_holes": "xor"})):
        other = run_study(tmp_path / f"other{n}", more)
        assert json.loads((other / "assessment.json").read_text("utf-8")) == numbers
        np.testing.assert_array_equal(vd.read_image(other / "dose.nii.gz").values, dose)


def test_the_dose_of_a_run_has_16_bits_and_stays_within_half_a_step_of_its_numbers(run_study, tmp_path):
    out = run_study(tmp_path / "plain", {})
    assert dcmread(out / "dose.dcm").BitsAllocated == 16
    exact = vd.read_image(out / "dose.nii.gz").values
    step = float(exact.max()) / (2**16 - 2)
    assert np.abs(vd.read_rtdose(out / "dose.dcm").gy - np.maximum(exact, 0)).max() < step / 2 * 1.001
