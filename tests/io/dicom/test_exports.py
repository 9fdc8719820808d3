"""SEG, SR, RTSTRUCT and RTDOSE of one assessment, judged by programs that are not ours."""

import csv
import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from export_case import OBJECTS, SHAPE, SPACING, ball
from pydicom import dcmread
from pydicom.sr._concepts_dict import concepts

import voxeldose as vd
from voxeldose.dose.metrics import dvh_in
from voxeldose.dose.radiobiology import bed_gy
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.config.case import OutputTable
from voxeldose.io.dicom import sr
from voxeldose.io.dicom.new_object import study_reference
from voxeldose.io.dicom.rtstruct import structure_set_of
from voxeldose.io.results.assessment import write_tables
from voxeldose.jobs.dicom_export import DicomSource, write_dicom
from voxeldose.model.recovered import Estimate, Recovered, RecoveredMetrics, RecoveredRoi
from voxeldose.model.tissue import default_sets
from voxeldose.model.volume import DoseMap

KINDS = ["axial", "oblique", "feet_first"]


#: Where the system's programs lie: Python packages ship scripts of the same names.
SYSTEM = os.pathsep.join(p for p in os.get_exec_path() if Path(p) != Path(sys.executable).parent)


def run_tool(*words):
    """Output of a program; the test is skipped where it is not installed."""
    tool = shutil.which(words[0], path=SYSTEM)
    if tool is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run([tool, *(str(w) for w in words[1:])], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def errors_of(path):
    """What dciodvfy, which always exits with 0, calls an error."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    done = subprocess.run(["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True, timeout=60)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def from_the_top(header):
    """The same place with its first frame on top: Spacing Between Slices is then negative."""
    detector = header.DetectorInformationSequence[0]
    both = np.array([float(v) for v in detector.ImageOrientationPatient])
    top = np.array([float(v) for v in detector.ImagePositionPatient]) + 9 * 4.0 * np.cross(both[:3], both[3:])
    detector.ImagePositionPatient = [f"{v:.9g}" for v in top]
    header.SpacingBetweenSlices = -4.0


def rois_on(grid, *, fraction=1.0):
    """A liver around two lesions, off centre in every axis; a fraction below 1 makes partial voxels."""
    liver = ball(grid, 13, (5, 8, 9)).astype(np.float32)
    first = ball(grid, 5, (4, 6, 10)).astype(np.float32)
    second = ball(grid, 3.5, (7, 10, 7)).astype(np.float32)
    return vd.RoiSet(
        (
            vd.Roi("liver", "liver", liver, grid),
            vd.Roi("lesion 1", "tumor", first * fraction, grid),
            vd.Roi("lesion 2", "tumor", second, grid),
        )
    )


@pytest.fixture
def assessed(write_series, write_nm, tmp_path):
    """Maker of an assessment of a small DICOM study, and of where it came from."""

    def make(kind="axial", *, spect=False, fraction=1.0, rois=None):
        size = {"orientation": kind, "shape": SHAPE, "spacing": SPACING}
        ct_folder = write_series("CT", folder="ct", **size)
        ct = vd.read_ct(ct_folder)
        if spect:
            shown = write_nm(orientation=kind, shape=(10, 14, 16), spacing=(4.0, 3.0, 2.5), change=from_the_top)
            activity, grids = vd.read_spect(shown), {"ct": ct.grid}
        else:
            shown = write_series("PT", folder="pet", orientation=kind, shape=(10, 14, 16), spacing=(4.0, 3.0, 2.5))
            activity = vd.read_pet(shown)
            grids = {"ct": ct.grid, "activity": activity.grid}
        given = vd.Administration(
            vd.Y90, 300.0, datetime(2024, 5, 2, 10, 15, tzinfo=UTC), lung_shunt_fraction=0.02, device="glass"
        )
        regions = rois if rois is not None else rois_on(ct.grid, fraction=fraction)
        calibration = vd.Administered() if rois is None else vd.Administered("image")
        nuclide = "Tc-99m" if spect else None
        result = vd.assess(vd.Case(activity, regions, given, ct=ct, image_nuclide=nuclide, calibration=calibration))
        source = DicomSource(study_reference(shown), study_reference(ct_folder), grids)
        return result, source

    return make


@pytest.fixture
def exported(assessed, tmp_path):
    """Maker of a folder with every DICOM object of an assessment."""

    def make(kind="axial", *, bits=16, spect=False, fraction=1.0):
        result, source = assessed(kind, spect=spect, fraction=fraction)
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        wanted = OutputTable(dose_bits=bits, bed_dose="tumor", rtstruct=True, rtplan=True, dose_on_ct=True)
        assert write_dicom(result, out, source, wanted) == ()
        return result, out

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error_in_any_object(exported, kind):
    _, out = exported(kind)
    assert sorted(p.name for p in out.iterdir()) == sorted(OBJECTS)
    assert {name: errors_of(out / name) for name in OBJECTS} == {name: [] for name in OBJECTS}


@pytest.mark.parametrize("options", [{"fraction": 0.6}, {"spect": True}, {"spect": True, "fraction": 0.6}])
def test_dciodvfy_finds_no_error_in_fractions_and_beside_a_spect(exported, options):
    _, out = exported("oblique", **options)
    assert {name: errors_of(out / name) for name in OBJECTS} == {name: [] for name in OBJECTS}


@pytest.mark.parametrize("name", OBJECTS)
def test_dcmtk_and_gdcm_read_every_object(exported, name):
    _, out = exported()
    assert "StudyInstanceUID" in run_tool("dcmdump", out / name)
    assert "0020,000d" in run_tool("gdcmdump", out / name)


def test_gdcm_reads_the_geometry_of_the_dose(exported):
    result, out = exported("oblique", bits=32)
    said = run_tool("gdcminfo", out / "dose.dcm")
    nk, nj, ni = result.dose.grid.shape
    assert f"Dimensions: ({ni},{nj},{nk})" in said
    assert f"Spacing: ({','.join(f'{s:g}' for s in result.dose.grid.spacing_mm[::-1])})" in said


def test_dsr2html_shows_every_region_with_its_numbers(exported, tmp_path):
    result, out = exported()
    run_tool("dsr2html", out / "measurements.dcm", tmp_path / "sr.html")
    page = (tmp_path / "sr.html").read_text("utf-8", "replace")
    for name, metrics in result.rois.items():
        assert name in page
        assert f"{float(f'{metrics.mean_dose_gy:.9g}')} Gy" in page
    assert "Imaging Measurement Report" in page


def test_codes_are_those_of_the_standard_and_the_rest_is_private():
    known = {}
    for scheme, words in concepts.items():
        for codes in words.values():
            for code, (meaning, _) in codes.items():
                known.setdefault((code, scheme), set()).add(meaning)
    # UCUM's own; pydicom lists what DICOM names, and MBq by its full name
    known |= {("mL", "UCUM"): {"mL"}, ("g", "UCUM"): {"g"}, ("MBq", "UCUM"): {"MBq"}}
    for row in (*sr._ROWS, sr._RATIO):
        for triple in (row.name, row.unit, row.derivation, row.method, *sr._BETTER.values()):
            if triple is None:
                continue
            code, scheme, meaning = triple
            assert len(code) <= 16
            assert len(meaning) <= 64
            assert scheme == sr.SCHEME or meaning in known[code, scheme]
    assert known["128513", "DCM"] == {"Absorbed Dose"}


def measured(path):
    """Region -> (code, derivation, method) -> value, by plain pydicom."""
    found = {}

    def items(content, *, of):
        return [
            i for i in content if i.get("ConceptNameCodeSequence") and i.ConceptNameCodeSequence[0].CodeMeaning == of
        ]

    root = dcmread(path).ContentSequence
    for group in items(items(root, of="Imaging Measurements")[0].ContentSequence, of="Measurement Group"):
        name = items(group.ContentSequence, of="Tracking Identifier")[0].TextValue
        rows = found[name] = {}
        for item in group.ContentSequence:
            if item.ValueType != "NUM":
                continue
            more = {
                c.ConceptNameCodeSequence[0].CodeMeaning: c.ConceptCodeSequence[0].CodeMeaning
                for c in item.get("ContentSequence", [])
            }
            value = item.MeasuredValueSequence[0]
            key = (item.ConceptNameCodeSequence[0].CodeValue, more.get("Derivation"), more.get("Measurement Method"))
            rows[key] = (float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue)
    return found


def test_the_report_holds_the_numbers_of_the_assessment_with_units(exported):
    result, out = exported()
    found = measured(out / "measurements.dcm")
    assert set(found) == set(result.rois)
    for name, metrics in result.rois.items():
        rows = found[name]
        wanted = {
            ("118565006", None, None): (metrics.volume_ml, "mL"),
            ("118538004", None, None): (metrics.mass_g, "g"),
            ("128513", "Mean", None): (metrics.mean_dose_gy, "Gy"),
            ("128513", "Median", None): (metrics.d50_gy, "Gy"),
            ("128513", "Mean", "Local energy deposition"): (metrics.mean_dose_local_gy, "Gy"),
            ("D95", None, None): (metrics.d95_gy, "Gy"),
            ("V400", None, None): (metrics.v400_fraction, "1"),
        }
        for key, (value, unit) in wanted.items():
            assert rows[key][0] == pytest.approx(value, rel=1e-8)  # nine digits are written
            assert rows[key][1] == unit


def with_recovery(result):
    """The result with the numbers of one lesion recovered, and a map on half voxels."""
    grid = result.dose.grid.with_spacing([s / 2 for s in result.dose.grid.spacing_mm])
    fine = DoseMap(np.repeat(np.repeat(np.repeat(result.dose.gy, 2, 0), 2, 1), 2, 2) * np.float32(1.25), grid)
    numbers = {"mean_dose_gy": Estimate(123.456, 110.0, 140.0), "tumor_to_normal": Estimate(7.5, 7.0, 8.0)}
    metrics = RecoveredMetrics(**numbers)
    rois = {"lesion 1": RecoveredRoi("tumor", metrics, metrics, 120.0)}
    return replace(result, recovered=Recovered("field", rois, {"draws": 24}, fine, (), (), 1.0))


def test_a_recovered_map_is_a_series_of_its_own_that_says_what_its_dvh_is_not(assessed, tmp_path):
    result, source = assessed()
    result = with_recovery(result)
    write_dicom(result, tmp_path, source)
    own, recovered = dcmread(tmp_path / "dose.dcm"), dcmread(tmp_path / "dose_recovered.dcm")
    assert recovered.SeriesInstanceUID != own.SeriesInstanceUID
    assert recovered.SeriesNumber != own.SeriesNumber
    assert recovered.SeriesDescription != own.SeriesDescription
    assert "recovered absorbed dose" in recovered.SeriesDescription
    assert "own DVH narrower than reported" in recovered.DoseComment
    assert "narrower than the one reported" in recovered.DerivationDescription
    assert "DVHSequence" not in recovered
    assert errors_of(tmp_path / "dose_recovered.dcm") == []
    read = vd.read_rtdose(tmp_path / "dose_recovered.dcm")
    assert read.grid.matches(result.recovered.dose.grid)
    np.testing.assert_allclose(read.gy, result.recovered.dose.gy, atol=1.5e-5 * result.recovered.dose.gy.max())


def test_recovered_numbers_stand_beside_the_images_own_with_their_method(assessed, tmp_path):
    result, source = assessed()
    write_dicom(with_recovery(result), tmp_path, source)
    rows = measured(tmp_path / "measurements.dcm")
    assert rows["lesion 1"]["128513", "Mean", "Resolution recovered"] == (123.456, "Gy")
    assert rows["lesion 1"]["128513", "Mean", None][0] == pytest.approx(result.rois["lesion 1"].mean_dose_gy, rel=1e-8)
    assert rows["lesion 1"]["TN", None, "Resolution recovered"] == (7.5, "1")
    assert not [key for key in rows["lesion 2"] if key[2] == "Resolution recovered"]
    assert errors_of(tmp_path / "measurements.dcm") == []


def test_without_recovery_there_is_no_recovered_map(exported):
    _, out = exported()
    assert not (out / "dose_recovered.dcm").exists()


def test_a_number_that_is_not_known_is_left_out(assessed, tmp_path):
    grid = vd.Grid.from_axes(SHAPE, SPACING, (-20, 35, 60), frame_uid="1.2.826.0.1.3680043.8.498.77")
    lung = vd.RoiSet((vd.Roi("lung", "lung", ball(grid, 9, (5, 8, 9)), grid),))
    result, source = assessed(rois=lung)
    write_dicom(result, tmp_path, source)
    assert set(measured(tmp_path / "measurements.dcm")["lung"]) == {
        ("118565006", None, None),
        ("118538004", None, None),
        ("ACTIVITY", None, None),
    }


def test_each_group_of_the_report_points_at_its_segment(exported):
    result, out = exported()
    seg = dcmread(out / "rois.dcm")
    numbers = {s.SegmentLabel: s.SegmentNumber for s in seg.SegmentSequence}
    root = dcmread(out / "measurements.dcm")
    cited = [i for i in root.iterall() if i.keyword == "ReferencedSegmentNumber"]
    assert sorted(int(i.value) for i in cited) == sorted(numbers.values())
    assert set(numbers) == set(result.rois) - {"normal_liver"}
    uids = {i.value for i in root.iterall() if i.keyword == "ReferencedSOPInstanceUID"}
    assert seg.SOPInstanceUID in uids
    assert root.StudyInstanceUID == seg.StudyInstanceUID


def again(out, result):
    """Doses of the regions of a SEG in an RTDOSE, as anybody would get them who has only these two files."""
    dose = vd.read_rtdose(out / "dose.dcm")
    assert dose.grid.matches(result.dose.grid)
    return {r.name: dvh_in(roi_onto(r, dose.grid)[0], dose) for r in vd.read_seg(out / "rois.dcm")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [16, 32])
def test_dose_and_regions_read_back_give_the_same_numbers(exported, kind, bits):
    result, out = exported(kind, bits=bits)
    back = again(out, result)
    half_a_step = float(result.dose.gy.max()) / (2**bits - 2) / 2
    # float32 voxels of up to 400 Gy: 2e-5 Gy; a direction of 16 characters moves a border voxel's share by 1e-6
    rounding = half_a_step + 4e-5
    assert set(back) == set(result.rois) - {"normal_liver"}  # which a run makes again from the others
    for name in back:
        metrics = result.rois[name]
        assert back[name].total_ml == pytest.approx(metrics.volume_ml, rel=1e-5)
        assert back[name].mean_gy == pytest.approx(metrics.mean_dose_gy, abs=rounding, rel=1e-5)
        for part, key in ((0.95, "d95_gy"), (0.5, "d50_gy"), (0.02, "d2_gy")):
            assert back[name].dose_to_fraction_gy(part) == pytest.approx(getattr(metrics, key), abs=rounding, rel=1e-5)


def test_partial_voxels_come_back_to_half_of_one_in_255(exported):
    result, out = exported("oblique", fraction=0.6, bits=32)
    assert dcmread(out / "rois.dcm").SegmentationType == "FRACTIONAL"
    found = vd.read_seg(out / "rois.dcm")
    for name in result.rois:
        there, _ = roi_onto(found[name], result.dose.grid)
        wanted = result.regions[name].on_window(result.dose.grid)
        assert np.abs(there.on_window(result.dose.grid) - wanted).max() < 0.5 / 255 + 1e-5
        assert found[name].role == result.rois[name].role


def test_fractions_on_two_lattices_are_refused(write_series, make_grid, tmp_path, refused):
    grids = [make_grid("axial", shape=(4, 6, 9)), make_grid("oblique", shape=(4, 6, 9))]
    rois = vd.RoiSet(tuple(vd.Roi(f"r{n}", "other", np.full((4, 6, 9), 0.5), g) for n, g in enumerate(grids)))
    folder = write_series("CT")
    refused(
        lambda: vd.write_seg(rois, tmp_path / "s.dcm", reference=folder, fractional=True), "another lattice", "roi_onto"
    )
    other = make_grid("axial", frame_uid="1.2.3")
    alone = vd.RoiSet((vd.Roi("r", "other", np.full((4, 6, 9), 0.5), other),))
    with pytest.raises(GeometryError):
        vd.write_seg(alone, tmp_path / "s.dcm", reference=folder, fractional=True)


# --- DVHs and structure sets ---


@pytest.mark.parametrize("kind", KINDS)
def test_contours_written_and_read_back_enclose_the_region(write_series, tmp_path, kind):
    folder = write_series("CT", orientation=kind, shape=(16, 40, 40), spacing=(3.0, 1.5, 1.5))
    grid = vd.read_ct(folder).grid
    shell = ball(grid, 20, (7, 19, 18)) & ~ball(grid, 9, (7, 19, 18))
    rois = vd.RoiSet(
        (vd.Roi("ball", "tumor", ball(grid, 14, (8, 17, 21)), grid), vd.Roi("shell", "other", shell, grid))
    )
    vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=folder)
    for roi in vd.read_rtstruct(tmp_path / "rs.dcm"):
        wanted = rois[roi.name]
        # each contour cuts the corners of its voxels: half a voxel a contour of some hundred
        assert roi.volume_ml == pytest.approx(wanted.volume_ml, rel=0.01)
        middle = np.array([np.average(i, weights=roi.occupancy) for i in np.indices(roi.grid.shape)])
        there = np.array([np.average(i, weights=wanted.occupancy) for i in np.indices(wanted.grid.shape)])
        np.testing.assert_allclose(roi.grid.points_lps_mm(middle), wanted.grid.points_lps_mm(there), atol=0.05)


def test_a_region_without_a_voxel_filled_by_half_has_no_contour_and_is_refused(write_series, make_grid, tmp_path):
    rois = vd.RoiSet((vd.Roi("thin", "other", np.full((4, 6, 9), 0.3), make_grid()),))
    with pytest.raises(QuantityError, match="thin"):
        vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=write_series("CT"))


@pytest.mark.parametrize("labels", [None, {"lesion 1": ("target", "tumor")}, {"2": ("target", "tumor")}])
def test_dvhs_of_a_structure_set_stand_in_the_dose_with_their_roi_numbers(assessed, write_series, tmp_path, labels):
    folder = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING)
    vd.write_rtstruct(rois_on(vd.read_ct(folder).grid), tmp_path / "rs.dcm", reference=folder)
    result, source = assessed(rois=vd.read_rtstruct(tmp_path / "rs.dcm", labels))
    found = structure_set_of(tmp_path / "rs.dcm", labels)
    source = DicomSource(source.activity, source.ct, source.grids, found)
    write_dicom(result, tmp_path, source)
    assert errors_of(tmp_path / "dose.dcm") == []
    made = dcmread(tmp_path / "dose.dcm")
    reference = made.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    assert reference == dcmread(tmp_path / "rs.dcm").SOPInstanceUID
    names = {"liver": 1, "lesion 1": 2, "lesion 2": 3} if labels is None else {"target": 2}
    numbers = {int(row.DVHReferencedROISequence[0].ReferencedROINumber): row for row in made.DVHSequence}
    assert set(numbers) == set(names.values())
    for name, number in names.items():
        row, metrics = numbers[number], result.rois[name]
        width, volume = np.array([float(v) for v in row.DVHData]).reshape(-1, 2).T
        lower = np.cumsum(width) - width
        for bin_ in (0, len(lower) // 3, len(lower) // 2):
            wanted = metrics.dvh.coverage(lower[bin_]) * metrics.volume_ml
            # edges are written with nine digits, so a voxel that lies on one may fall on either side
            assert volume[bin_] == pytest.approx(wanted, abs=metrics.volume_ml * 1e-3)
        assert float(row.DVHMeanDose) == pytest.approx(metrics.mean_dose_gy, rel=1e-7)
        assert float(row.DVHMaximumDose) == pytest.approx(metrics.max_dose_gy, rel=1e-7)


def test_a_file_that_is_no_structure_set_is_none(write_series, tmp_path):
    assert structure_set_of(write_series("CT"), None) is None
    (tmp_path / "x.nii.gz").write_bytes(b"")
    assert structure_set_of(tmp_path / "x.nii.gz", None) is None


def test_bed_is_an_effective_dose_that_is_not_taken_for_an_absorbed_one(exported, refused):
    result, out = exported(bits=32)
    made = dcmread(out / "bed.dcm")
    assert (made.DoseType, made.DoseUnits) == ("EFFECTIVE", "GY")
    assert "alpha/beta 10 Gy" in made.DoseComment
    wanted = bed_gy(result.dose.gy.astype(float), default_sets()["tumor"], vd.Y90)
    stored = made.pixel_array * float(made.DoseGridScaling)
    # float32 map, 32 bit integers
    assert stored.max() == pytest.approx(wanted.max(), rel=1e-6)
    refused(lambda: vd.read_rtdose(out / "bed.dcm"), "EFFECTIVE")


def test_plastimatch_finds_the_curve_of_dvh_csv(assessed, tmp_path):
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed")
    result, source = assessed("feet_first")
    grid = result.dose.grid
    whole = ball(grid, 11, (4, 7, 8))
    result, source = assessed("feet_first", rois=vd.RoiSet((vd.Roi("ball", "tumor", whole, grid),)))
    write_dicom(result, tmp_path, source)
    write_tables(result, tmp_path)
    run_tool("plastimatch", "convert", "--input", tmp_path / "dose.dcm", "--output-dose-img", tmp_path / "dose.nrrd")
    image = sitk.ReadImage(str(tmp_path / "dose.nrrd"))
    mask = sitk.Image(image.GetSize(), sitk.sitkUInt32)
    mask.CopyInformation(image)
    for index in np.argwhere(whole):
        place = image.TransformPhysicalPointToIndex(grid.points_lps_mm(index).tolist())
        mask[place] = 1
    sitk.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    with (tmp_path / "dvh.csv").open(newline="") as file:
        own = np.array([(float(r["dose_gy"]), float(r["volume_fraction"])) for r in csv.DictReader(file)])
    step = own[1, 0] - own[0, 0]
    words = ("plastimatch", "dvh", "--input-ss-img", tmp_path / "mask.nrrd", "--input-dose", tmp_path / "dose.nrrd")
    bins = ("--cumulative", "--num-bins", len(own), "--bin-width", step, "--output-csv", tmp_path / "p.csv")
    run_tool(*words, *bins)
    lines = (tmp_path / "p.csv").read_text().splitlines()[1:]
    found = np.array([[float(v) for v in line.split(",")[:2]] for line in lines if line.strip()])
    # plastimatch names a bin by its middle: its value at b is the fraction with dose >= b - step/2
    edges = found[:, 0] - step / 2
    wanted = np.array([result.rois["ball"].dvh.coverage(e) for e in edges])
    inside = edges >= 0
    voxel = 1 / whole.sum()  # a voxel that lies on an edge may fall on either side of it
    assert inside.sum() > 50
    np.testing.assert_allclose(found[inside, 1], wanted[inside], atol=1.01 * voxel)
    assert np.mean(np.abs(found[inside, 1] - wanted[inside]) < 1e-5) > 0.95
    at = np.interp(own[:-1, 0], edges, found[:, 1])
    np.testing.assert_allclose(at[1:], own[1:-1, 1], atol=0.02)


@pytest.mark.parametrize("with_ct", [False, True])
def test_images_without_a_frame_of_reference_get_one_that_all_objects_share(write_series, tmp_path, with_ct):
    size = {"shape": (10, 14, 16), "spacing": (4.0, 3.0, 2.5)}
    bare = {"change": lambda ds, _: delattr(ds, "FrameOfReferenceUID")}
    shown = write_series("PT", folder="pet", **bare, **size)
    ct = study_reference(write_series("CT", folder="ct", **bare, **size)) if with_ct else None
    activity = vd.read_pet(shown)
    assert activity.grid.frame_uid is None
    regions = rois_on(activity.grid)
    result = vd.assess(
        vd.Case(activity, regions, vd.Administration(vd.Y90, 300.0), calibration=vd.Administered("image"))
    )
    source = DicomSource(study_reference(shown), ct, {"activity": activity.grid})
    assert write_dicom(result, tmp_path, source, OutputTable(rtstruct=True)) == ()
    made = [dcmread(tmp_path / n) for n in ("dose.dcm", "rois.dcm", "rois.rtstruct.dcm")]
    assert len({m.FrameOfReferenceUID for m in made}) == 1
    assert all(errors_of(tmp_path / n) == [] for n in ("dose.dcm", "rois.dcm", "measurements.dcm"))


def content_of(path):
    """Every value of an object but the instants of its writing and the UIDs that are new in each."""

    def values(dataset):
        return [
            [values(item) for item in element.value] if element.VR == "SQ" else str(element.value)
            for element in dataset
            if element.VR not in ("TM", "DT") and element.keyword not in ("DimensionOrganizationUID", "UID")
        ]

    dataset = dcmread(path)
    for key in ("SOPInstanceUID", "SeriesInstanceUID"):
        dataset[key].value = ""
    return values(dataset)


@pytest.mark.parametrize("spect", [False, True])
def test_a_series_read_once_gives_every_writer_what_its_folder_gives(assessed, tmp_path, spect):
    result, source = assessed("oblique", spect=spect)
    study = source.activity if spect else source.ct
    before = [deepcopy(header) for header in study.series.headers]
    folder = study.series.paths[0] if spect else study.series.folder
    for name, reference in (("read", study), ("path", folder)):
        out = tmp_path / name
        out.mkdir()
        vd.write_rtdose(result.dose, out / "dose.dcm", reference=reference)
        vd.write_rtstruct(result.regions, out / "rois.rtstruct.dcm", reference=reference)
        vd.write_seg(result.regions, out / "rois.dcm", reference=reference, fractional=True)
        vd.write_sr(result, out / "sr.dcm", seg=tmp_path / "read" / "rois.dcm", reference=reference)
    for file in ("dose.dcm", "rois.rtstruct.dcm", "rois.dcm", "sr.dcm"):
        assert content_of(tmp_path / "read" / file) == content_of(tmp_path / "path" / file)
    assert before == list(study.series.headers)


def test_a_series_without_study_or_frame_of_reference_stays_as_it_was_read(write_series, make_grid, tmp_path):
    def bare(ds, _):
        ds.StudyInstanceUID, ds.SpecificCharacterSet = "", ""
        del ds.FrameOfReferenceUID, ds.AccessionNumber

    study = study_reference(write_series("CT", change=bare))
    before = [deepcopy(header) for header in study.series.headers]
    rois = vd.RoiSet((vd.Roi("r", "other", np.full((4, 6, 9), 0.7), make_grid(frame_uid=None)),))
    vd.write_seg(rois, tmp_path / "seg.dcm", reference=study, fractional=True)
    for name in ("one.dcm", "two.dcm"):
        vd.write_rtstruct(rois, tmp_path / name, reference=study)
    assert before == list(study.series.headers)
    frames = {dcmread(tmp_path / n).FrameOfReferenceUID for n in ("seg.dcm", "one.dcm", "two.dcm")}
    assert len(frames) == 1


@pytest.mark.parametrize("kind", [*KINDS, "sagittal", "prone"])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_the_voxels_of_a_series_are_known_from_its_headers(write_series, kind, modality):
    folder = write_series(modality, orientation=kind)
    read = vd.read_image(folder).grid
    found = study_reference(folder).grid
    assert found.shape == read.shape
    np.testing.assert_array_equal(found.affine_lps_mm, read.affine_lps_mm)
    assert found.frame_uid == read.frame_uid


def test_a_folder_of_two_series_is_no_reference(write_series, tmp_path, refused):
    for n in range(2):
        write_series("CT", folder=f"both/{n}")
    refused(lambda: study_reference(tmp_path / "both"), "2 image series are mixed")


def test_every_column_of_the_tables_is_explained(assessed, tmp_path):
    write_tables(assessed()[0], tmp_path)
    said = json.loads((tmp_path / "columns.json").read_text("utf-8"))
    for name in ("rois.csv", "dvh.csv"):
        with (tmp_path / name).open(newline="") as file:
            assert next(csv.reader(file)) == list(said[name])
        assert all(c["meaning"] for c in said[name].values())


def test_nifti_tool_accepts_the_dose_and_its_header_is_complete(assessed, tmp_path):
    import nibabel as nib

    path = tmp_path / "dose.nii.gz"
    vd.write_nifti(assessed("oblique")[0].dose, path, description="absorbed dose in Gy")
    header = nib.load(path).header
    assert header.get_xyzt_units()[0] == "mm"
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert b"Gy" in header["descrip"].item()
    assert "GOOD" in run_tool("nifti_tool", "-check_hdr", "-infiles", path)
    assert "GOOD" in run_tool("nifti_tool", "-check_nim", "-infiles", path)


@pytest.mark.parametrize("kind", KINDS)
def test_simpleitk_and_nibabel_agree_where_the_hottest_voxel_lies(assessed, tmp_path, kind):
    import nibabel as nib

    result, _ = assessed(kind)
    path = tmp_path / "dose.nii.gz"
    vd.write_nifti(result.dose, path)
    image = sitk.ReadImage(str(path))
    values = sitk.GetArrayFromImage(image)
    index = np.unravel_index(values.argmax(), values.shape)
    by_itk = np.array(image.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]]))
    other = nib.load(path)
    ijk = np.unravel_index(np.asarray(other.dataobj).argmax(), other.shape)
    by_nibabel = (other.affine @ [*ijk, 1])[:3] * [-1, -1, 1]  # RAS to LPS
    own = result.dose.grid.points_lps_mm(np.unravel_index(result.dose.gy.argmax(), result.dose.grid.shape))
    np.testing.assert_allclose(by_itk, own, atol=1e-3)  # NIfTI keeps float32
    np.testing.assert_allclose(by_nibabel, own, atol=1e-3)
