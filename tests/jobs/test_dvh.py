import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as Itk
from remarks import refusal
from small_study import GRID, LESION, run, write_study

from benchmarks.accuracy_shapes import (
    BALLS,
    CENTRE,
    CYLINDER,
    GY_PER_MM,
    MIDDLE_GY,
    PLANES_MM,
    closed_dvh,
    discs,
    volume_ml,
)
from benchmarks.nema import AT, STUDY, circles
from voxeldose.demo.dicom_study import write_ct, write_rtstruct
from voxeldose.errors import GeometryError, InputError
from voxeldose.io.config.labels import named_labels
from voxeldose.io.dicom.rtdose import write_rtdose
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.jobs.dvh import DvhOptions, dose_volumes, read_dose
from voxeldose.model.grid import Grid
from voxeldose.model.volume import DoseMap

LABELS = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lesion", "role": "tumor"}}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Balls and a cylinder as an RTSTRUCT on a CT, and an RTDOSE that rises along z on other voxels."""
    folder = tmp_path_factory.mktemp("shapes")
    frame = STUDY.uid("frame")
    grid = Grid.from_axes((30, 30, 30), (2.5,) * 3, (-36.25, -36.25, -36.25), frame_uid=frame)
    (folder / "ct").mkdir()
    write_ct(STUDY, np.zeros(grid.shape, np.float32), grid, folder / "ct", AT)
    contours = {name: circles(CENTRE, radius, PLANES_MM) for name, radius in BALLS.items()}
    contours["cylinder"] = discs(*CYLINDER)
    write_rtstruct(STUDY, contours, folder / "shapes.dcm", at=AT, frame_uid=frame)
    own = Grid.from_axes((41, 37, 35), (2.0, 2.2, 2.4), (-42, -40, -40), frame_uid=frame)
    k = np.arange(41)
    z = own.points_lps_mm(np.stack([k, 0 * k, 0 * k], -1))[:, 2]
    gy = np.broadcast_to((MIDDLE_GY + GY_PER_MM * (z - CENTRE[2]))[:, None, None], own.shape).astype(np.float32)
    write_rtdose(DoseMap(gy, own), folder / "dose.dcm", reference=folder / "ct")
    return folder


def test_shapes_in_a_rising_dose_have_their_closed_form_dvh(shapes):
    found = dose_volumes(shapes / "dose.dcm", [shapes / "shapes.dcm"])
    assert set(found.regions) == {*BALLS, "cylinder"}
    assert found.not_reached == ()
    for name, one in found.regions.items():
        d95, d70 = closed_dvh(name, "z")
        assert one.volume_ml == pytest.approx(volume_ml(name), rel=0.005)  # goal: as the card's RTSTRUCT section
        assert one.dvh.mean_gy == pytest.approx(MIDDLE_GY, abs=0.1)
        assert one.doses_gy[0.95] == pytest.approx(d95, abs=1.25)  # half a voxel's 2.5 Gy
        assert one.doses_gy[0.70] == pytest.approx(d70, abs=1.25)


def test_numbers_are_those_of_the_run_that_made_the_dose(tmp_path):
    case = write_study(tmp_path / "study")
    assert run("assess", case, "--out", tmp_path / "out", "--quiet").exit_code == 0
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    answer = run(
        "dvh",
        tmp_path / "out" / "dose.nii.gz",
        tmp_path / "study" / "labels.nii.gz",
        "--labels",
        tmp_path / "labels.json",
        "--json",
    )
    assert answer.exit_code == 0, answer.output
    rois = json.loads((tmp_path / "out" / "assessment.json").read_text())["rois"]
    found = json.loads(answer.stdout)["rois"]
    for name, same in (("liver", "normal_liver"), ("lesion", "lesion")):  # the label of the liver leaves the lesion out
        for key, value in found[name].items():
            if not isinstance(value, str):
                assert value == pytest.approx(rois[same][key], rel=1e-6), key


def test_further_metrics_tables_and_curves_are_written_whole(tmp_path):
    case = write_study(tmp_path / "study")
    dose = DoseMap(np.arange(np.prod(GRID.shape), dtype=np.float32).reshape(GRID.shape), GRID)
    write_nifti(dose, tmp_path / "dose.nii.gz")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    words = ["dvh", tmp_path / "dose.nii.gz", case.parent / "labels.nii.gz", "--labels", tmp_path / "labels.json"]
    words += ["--gy", 1000, "--percent", 37.5]
    answer = run(*words, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert "D37.5" in answer.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"dvh.json", "rois.csv", "dvh.csv"}
    rows = list(csv.DictReader((tmp_path / "out" / "rois.csv").read_text().splitlines()))
    inside = dose.gy[LESION]
    row = next(r for r in rows if float(r["volume_ml"]) == pytest.approx(inside.size * GRID.voxel_volume_ml))
    assert float(row["v1000_fraction"]) == pytest.approx((inside >= 1000).mean())
    assert float(row["d37.5_gy"]) == np.sort(inside, axis=None)[::-1][int(np.ceil(0.375 * inside.size)) - 1]
    assert run(*words, "--out", tmp_path / "out").exit_code == 3
    assert run(*words, "--out", tmp_path / "out", "--overwrite").exit_code == 0


def test_a_region_beyond_the_dose_is_named_and_has_no_numbers(tmp_path):
    case = write_study(tmp_path / "study")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    rest = [case.parent / "labels.nii.gz", "--labels", tmp_path / "labels.json"]
    part = Grid.from_axes((4, 4, 4), (4, 3.5, 3), (-500, -22, -25))
    write_nifti(DoseMap(np.ones(part.shape, np.float32), part), tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match="None of the 2 regions", check=refusal("regions-outside-dose")) as caught:
        dose_volumes(tmp_path / "far.nii.gz", rest[:1], DvhOptions(named_labels(tmp_path / "labels.json")))
    assert caught.value.fields["regions"] == ["liver", "lesion"]
    assert run("dvh", tmp_path / "far.nii.gz", *rest).exit_code == 3
    near = Grid((4, 4, 5), GRID.affine_lps_mm)
    write_nifti(DoseMap(np.ones(near.shape, np.float32), near), tmp_path / "near.nii.gz")
    answer = run("dvh", tmp_path / "near.nii.gz", *rest)
    assert answer.exit_code == 0
    assert "outside the dose grid; it has no numbers" in answer.stderr
    assert "% of it lies outside" in answer.stderr


def test_dose_and_regions_of_two_frames_are_refused_unless_said_to_be_one(shapes, tmp_path):
    other = Grid.from_axes((30, 30, 30), (2.5,) * 3, (-36.25, -36.25, -36.25), frame_uid=STUDY.uid("another"))
    (tmp_path / "ct").mkdir()
    write_ct(STUDY, np.zeros(other.shape, np.float32), other, tmp_path / "ct", AT)
    write_rtdose(DoseMap(np.full(other.shape, 50, np.float32), other), tmp_path / "dose.dcm", reference=tmp_path / "ct")
    with pytest.raises(GeometryError):
        dose_volumes(tmp_path / "dose.dcm", [shapes / "shapes.dcm"])
    found = dose_volumes(tmp_path / "dose.dcm", [shapes / "shapes.dcm"], DvhOptions(same_frame=True))
    assert all(one.dvh.mean_gy == pytest.approx(50, rel=1e-4) for one in found.regions.values())


def test_what_is_no_dose_is_refused(shapes, tmp_path):
    with pytest.raises(InputError, check=refusal("format-unknown")):
        dose_volumes(shapes / "shapes.dcm", [shapes / "shapes.dcm"])
    write_labels(
        np.zeros((3, 3, 3), np.uint8), Grid.from_axes((3, 3, 3), (1, 1, 1), (0, 0, 0)), tmp_path / "empty.nii.gz"
    )
    with pytest.raises(InputError, check=refusal("regions-missing")):
        dose_volumes(shapes / "dose.dcm", [tmp_path / "empty.nii.gz"])
    with pytest.raises(InputError, check=refusal("format-unknown")):
        dose_volumes(tmp_path / "missing.dcm", [shapes / "shapes.dcm"])


def test_an_image_of_several_values_per_voxel_is_no_dose(tmp_path):
    Itk.WriteImage(Itk.GetImageFromArray(np.ones((3, 4, 5, 2), np.float32), isVector=True), str(tmp_path / "two.mha"))
    with pytest.raises(InputError, match="one dose per voxel is needed, found 2", check=refusal("image-not-3d")):
        read_dose(tmp_path / "two.mha")


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
def test_plastimatch_finds_the_same_mean(shapes, tmp_path):
    """plastimatch dvh tests voxel centres and bins by 1 Gy; its curve is the judge of ours within a voxel's dose."""
    words = [
        "--input-ss-img",
        tmp_path / "ss.mha",
        "--input-ss-list",
        tmp_path / "ss.txt",
        "--input-dose",
        shapes / "dose.dcm",
    ]
    convert = ["plastimatch", "convert", "--input", shapes / "shapes.dcm", "--referenced-ct", shapes / "ct"]
    subprocess.run(
        [*map(str, [*convert, "--output-ss-img", tmp_path / "ss.mha", "--output-ss-list", tmp_path / "ss.txt"])],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [
            *map(
                str,
                [
                    "plastimatch",
                    "dvh",
                    *words,
                    "--output-csv",
                    tmp_path / "dvh.csv",
                    "--bin-width",
                    "0.5",
                    "--num-bins",
                    "1000",
                    "--cumulative",
                    "--dose-units",
                    "gy",
                ],
            )
        ],
        check=True,
        capture_output=True,
    )
    head, *rows = [line.split(",") for line in (tmp_path / "dvh.csv").read_text().splitlines() if line.strip()]
    dose = np.array([float(r[0]) for r in rows])
    ours = dose_volumes(shapes / "dose.dcm", [shapes / "shapes.dcm"]).regions
    for column, title in enumerate(head[1:], 1):
        name = title.split("(")[0].strip()
        volume = np.array([float(r[column]) for r in rows])
        d50 = float(np.interp(-0.5, -volume / volume.max(), dose))
        assert d50 == pytest.approx(ours[name].doses_gy[0.50], abs=2.5)  # a voxel's dose
