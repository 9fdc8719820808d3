"""The command line on real files, from the folder of public test data."""

import json
import tarfile

import numpy as np
import pytest
from small_study import DICOM_FILES, FILES, run

from voxeldose.geometry.resample import onto
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.nifti import write_labels
from voxeldose.model.volume import CountMap

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def sirt(data_folder, tmp_path_factory):
    """CT and SPECT of an internal radiotherapy example, with a label map made from them."""
    folder = tmp_path_factory.mktemp("sirt")
    with tarfile.open(data_folder / "y90_sirt_penred" / "dicoms.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    spect, _ = read_dicom_volume(folder / "SPECT")
    ct = read_ct(folder / "CT")
    counts = onto(CountMap(spect.values, spect.grid), ct.grid).counts
    labels = np.zeros(ct.grid.shape, np.uint8)
    labels[(counts > 0.002 * counts.max()) & (ct.hu > -100) & (ct.hu < 300)] = 1
    labels[counts > 0.15 * counts.max()] = 2
    write_labels(labels, ct.grid, folder / "labels.nii.gz")
    names = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lesion", "role": "tumor"}}
    (folder / "labels.json").write_text(json.dumps(names))
    return folder


def assess_sirt(sirt, out, *more):
    words = ("--activity", sirt / "SPECT", "--ct", sirt / "CT", "--rois", sirt / "labels.nii.gz")
    return run("assess", *words, "--labels", sirt / "labels.json", "--administered-mbq", 1000, "--out", out, *more)


def test_an_emission_image_that_says_it_is_a_ct_needs_the_users_word(sirt, tmp_path):
    result = assess_sirt(sirt, tmp_path / "out")
    assert result.exit_code == 3
    assert "--quantity" in result.stderr or "quantity" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [(), ("--grid", "ct"), ("--engine", "local", "--density", "ct")])
def test_the_sirt_example_gives_every_result(sirt, tmp_path, more):
    result = assess_sirt(sirt, tmp_path / "out", "--quantity", "counts", "--json", *more)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    # on its CT there is no SEG: each of its slices claims a study of its own
    no_seg = any("rois.dcm and measurements.dcm were not written" in w["message"] for w in content["warnings"])
    assert no_seg == (more == ("--grid", "ct"))
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | DICOM_FILES - (
        {"rois.dcm", "measurements.dcm"} if no_seg else set()
    )
    assert content["rois"]["lesion"]["mean_dose_gy"] > 20 * content["rois"]["liver"]["mean_dose_gy"]
    assert content["totals"]["recovered_fraction"] is None
    assert any("counts" in a["message"] for a in content["assumptions"])


def test_an_fdg_pet_goes_on_only_when_told_to(data_folder, tmp_path):
    folder = data_folder / "sts001_ge_petct"
    mask = folder / "cropped_ct" / "nifti" / "mask" / "mask.nii.gz"
    words = (
        "assess",
        "--activity",
        folder / "pet",
        "--rois",
        mask,
        "--administered-mbq",
        388,
        "--out",
        tmp_path / "out",
    )
    result = run(*words)
    assert result.exit_code == 3
    assert "F-18" in result.stderr
    assert not (tmp_path / "out").exists()
    result = run(*words, "--image-nuclide", "F-18")
    assert result.exit_code == 3
    assert "calibration_region" in result.stderr  # there is a tumor's mask alone
    result = run(*words, "--image-nuclide", "F-18", "--calibration-region", "image", "--json")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | DICOM_FILES
    content = json.loads(result.stdout)
    assert content["rois"]["mask"]["volume_ml"] == pytest.approx(365.32, abs=0.01)  # 117145 voxels of the mask
    assert "image-nuclide-differs" in [a["code"] for a in content["assumptions"]]


def test_a_pet_in_suv_is_refused_as_activity(data_folder, tmp_path):
    folder = data_folder / "sts001_ge_petct"
    mask = folder / "cropped_pet" / "nifti" / "mask" / "mask.nii.gz"
    words = ("--rois", mask, "--administered-mbq", 388, "--image-nuclide", "F-18", "--out", tmp_path / "out")
    result = run("assess", "--activity", folder / "cropped_pet", *words)
    assert result.exit_code == 3
    assert "GML" in result.stderr


def test_a_missing_slice_in_a_real_ct_is_refused(data_folder):
    rows = json.loads(run("inspect", data_folder / "ct_quirk_missing_slice" / "dicom", "--json").stdout)
    assert "refused" in rows[0]["verdict"]
    assert "evenly spaced" in rows[0]["verdict"]


def test_the_three_engines_agree_where_density_is_even_and_keep_the_energy(sirt, tmp_path):
    content = {}
    for engine in ("local", "dpk", "density"):
        density = () if engine == "dpk" else ("--density", "ct")
        words = ("--quantity", "counts", "--grid", "ct", "--engine", engine, *density, "--json", "--quiet")
        result = assess_sirt(sirt, tmp_path / engine, *words)
        assert result.exit_code == 0, result.output
        content[engine] = json.loads(result.stdout)
    liver = {name: c["rois"]["liver"]["mean_dose_gy"] for name, c in content.items()}
    # soft tissue of 1.0 to 1.06 g/mL against a uniform 1.04; what leaves the region differs by engine
    assert liver["density"] == pytest.approx(liver["dpk"], rel=0.06)
    hottest = {name: c["rois"]["lesion"]["max_dose_gy"] for name, c in content.items()}
    assert hottest["local"] > 1.5 * hottest["dpk"]  # nearly all activity of the hot spot lies in a few voxels of 4 mm
    assert hottest["density"] == pytest.approx(hottest["dpk"], rel=0.1)
    for c in content.values():
        totals = c["totals"]
        # 0.02 % of the activity lies outside the CT; bremsstrahlung beyond the reach; what little lies in air
        assert 0.97 < totals["energy_j"] / totals["energy_emitted_j"] <= 1.0001


@pytest.mark.slow
def test_the_activity_planned_on_the_sirt_example_keeps_its_limit_when_it_is_assessed(sirt, tmp_path):
    case = sirt / "plan.toml"
    case.write_text(
        """
[activity]
path = "SPECT"
quantity = "counts"
[ct]
path = "CT"
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion", role = "tumor" } }
[administration]
lung_shunt_fraction = 0.05
[dose]
engine = "local"
"""
    )
    words = ("--goal", "lesion.mean=400", "--limit", "normal_liver.D2=2", "--limit", "lung.mean=30", "--json")
    plan = json.loads(run("plan", "voxel", case, *words).stdout)
    flags = ("--administered-mbq", plan["activity_mbq"], "--out", tmp_path / "out", "--json", "--quiet")
    found = json.loads(run("assess", case, *flags).stdout)["rois"]
    assert plan["binding"] == "normal_liver.D2=2"
    assert found["normal_liver"]["d2_gy"] == pytest.approx(2, rel=1e-6)  # float32 voxels
    assert found["lesion"]["mean_dose_gy"] == pytest.approx(plan["tumor_gy"][0], rel=1e-6)
    assert plan["activity_mbq"] == min(b["activity_mbq"] for b in plan["bounds"])
