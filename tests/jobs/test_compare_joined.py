"""``voxeldose compare`` where results have to be brought together first: registered by their CTs, matched in resolution."""

import json
import shutil

import numpy as np
import pytest
from pdf_text import words
from remarks import coded, refusal
from small_study import run

from voxeldose.dose.matching import Resolution, match_to
from voxeldose.errors import InputError, QuantityError
from voxeldose.geometry.smoothing import FWHM_PER_SIGMA
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.jobs.compare import ComparisonOptions, compare_folders
from voxeldose.jobs.compare_sides import Matching
from voxeldose.model.grid import Grid
from voxeldose.model.volume import CtImage, DoseMap, Volume
from voxeldose.model.wording import measure

SHIFT = np.array([9.0, -6.0, 8.0])
SHAPE, SPACING, ORIGIN = (24, 30, 34), (4.0, 4.0, 4.0), np.array([-66.0, -58.0, -46.0])
CASE = """
[activity]
path = "pet.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[ct]
path = "ct.nii.gz"
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion", role = "tumor" } }
[administration]
administered_mbq = 500.0
at = 2024-05-02T10:15:00Z
"""


def body(points):
    """Labels, activity and CT numbers of a body at points in LPS mm: a liver with a Gaussian lesion, spine and air."""
    x, y, z = np.moveaxis(points, -1, 0)
    labels = np.zeros(x.shape, np.uint8)
    labels[((x + 5) / 44) ** 2 + ((y + 2) / 34) ** 2 + (z / 30) ** 2 < 1] = 1
    apart = (x + 12) ** 2 + (y - 4) ** 2 + (z - 3) ** 2
    labels[apart < 13**2] = 2
    hu = np.where((x / 62) ** 2 + (y / 54) ** 2 < 1, 30.0, -1000.0)
    hu[labels > 0] = 110
    hu[(x / 9) ** 2 + ((y - 40) / 9) ** 2 < 1] = 600
    hu[((x - 44) / 9) ** 2 + ((y + 10) / 12) ** 2 + ((z + 20) / 14) ** 2 < 1] = -700
    return labels, np.where(labels > 0, 1e5, 0) + 9e5 * np.exp(-apart / 2 / 6**2), hu


def write_case(folder, shift):
    """The body, moved by ``shift``, seen on the same voxels of a scanner."""
    grid = Grid.from_axes(SHAPE, SPACING, ORIGIN)
    points = grid.points_lps_mm(np.moveaxis(np.indices(SHAPE), 0, -1)) - shift
    labels, activity, hu = body(points)
    folder.mkdir()
    write_nifti(Volume(activity.astype(np.float32), grid), folder / "pet.nii.gz")
    write_nifti(CtImage(hu.astype(np.float32), grid), folder / "ct.nii.gz")
    write_labels(labels, grid, folder / "labels.nii.gz")
    (folder / "case.toml").write_text(CASE)
    return folder / "case.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The same treatment seen twice, the second time with the patient moved by ``SHIFT``."""
    folder = tmp_path_factory.mktemp("joined")
    for name, shift in (("pre", np.zeros(3)), ("post", SHIFT)):
        result = run("assess", write_case(folder / f"{name}-case", shift), "--out", folder / name, "--quiet")
        assert result.exit_code == 0, result.output
    return [folder / "pre", folder / "post"]


@pytest.fixture(scope="module")
def registered(made):
    return compare_folders(made, made[0].parent / "registered", ComparisonOptions(register=True))


def test_the_cts_say_how_the_patient_moved(made, registered):
    (matrix,) = np.array(registered.content["registration"]["matrices_lps_mm"])
    places = np.array([(-12, 4, 3, 1), (30, -5, 10, 1), (0, 40, -15, 1)])  # lesion, left liver, spine
    np.testing.assert_allclose((places @ matrix.T)[:, :3], places[:, :3] + SHIFT, atol=1.6)  # voxels are 4 mm
    assert "Mattes mutual information of the CTs: moves by" in registered.content["registration"]["kind"]
    apart = compare_folders(made, None, ComparisonOptions()).content["rois"]["lesion"]
    lesion = registered.content["rois"]["lesion"]
    assert lesion["pre_in_post_roi_gy"] == pytest.approx(lesion["metrics"]["mean_dose_gy"]["pre"], rel=0.03)
    assert apart["pre_in_post_roi_gy"] < 0.8 * lesion["pre_in_post_roi_gy"]
    assert lesion["rms_difference_gy"] < 0.35 * apart["rms_difference_gy"]
    assert not coded("registration-less-alike", registered.warnings)


def test_page_and_pdf_show_both_sides_on_their_cts(made, registered):
    out = made[0].parent / "registered"
    page = (out / "comparison.html").read_text("utf-8")
    text, pages = words(out / "comparison.pdf")
    assert pages <= 4
    for wanted in ("Pre: dose on its own CT", "Post: dose on its own CT", "both at one colour scale", "moves by"):
        assert wanted in " ".join(page.split())
        assert wanted in text
    mean = registered.content["rois"]["lesion"]["metrics"]["mean_dose_gy"]["post"]
    (ratio,) = registered.content["tumor_to_normal"]
    for value in (
        measure(mean, "Gy"),
        measure(ratio["by_concentration"]["post"], "T/N"),
        measure(ratio["by_dose"]["pre"], "T/N"),
    ):
        assert value in page
        assert value in text


def test_a_registration_needs_both_cts_as_they_were(made, tmp_path):
    for path in made:
        shutil.copytree(path, tmp_path / path.name)
    manifest = json.loads((tmp_path / "pre" / "run.json").read_text("utf-8"))
    manifest["inputs"][0]["sha256"] = "another"
    (tmp_path / "pre" / "run.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(InputError, match=r"are not there as they were.*--transform", check=refusal("ct-missing")):
        compare_folders([tmp_path / "pre", made[1]], None, ComparisonOptions(register=True))


def test_regions_are_read_where_the_image_is_gone_but_their_own_files_are_not(made, tmp_path):
    for path in made:
        shutil.copytree(path, tmp_path / path.name)
    for name, more in (("pre", {}), ("post", {"derived": [{"name": "shell", "role": "other", "from": "liver"}]})):
        manifest = json.loads((tmp_path / name / "run.json").read_text("utf-8"))
        for item in manifest["inputs"]:
            item["sha256"] = item["sha256"] if item["path"].endswith("labels.nii.gz") else "another"
        manifest["case"] |= more
        (tmp_path / name / "run.json").write_text(json.dumps(manifest), "utf-8")
    found = compare_folders([made[0], tmp_path / "pre"], None, ComparisonOptions())
    assert found.content["rois"]["lesion"]["gamma_passed_fraction"] == 1
    moved = compare_folders([made[0], tmp_path / "post"], None, ComparisonOptions())
    assert coded("result-regions-missing", moved.warnings)  # that case makes regions, which its files do not hold


def test_results_whose_study_moved_with_them_are_still_read(made, tmp_path):
    for path in made:
        shutil.copytree(path, tmp_path / path.name)
        shutil.copytree(path.with_name(f"{path.name}-case"), tmp_path / f"{path.name}-case")
    away = made[0].parent.with_name("away")
    made[0].parent.rename(away)
    try:
        found = compare_folders([tmp_path / "pre", tmp_path / "post"], None, ComparisonOptions())
    finally:
        away.rename(made[0].parent)
    assert found.content["rois"]["lesion"]["gamma_passed_fraction"] is not None


# --- resolution ---


def test_the_sharper_is_blurred_by_the_root_of_the_difference_of_squares(made):
    options = ComparisonOptions(same_frame=True, matching=Matching(13.0, (5.0, 13.0)))
    found = compare_folders([made[1], made[1]], None, options)
    matching = found.content["matching"]
    assert matching["pre"]["blurred_by_fwhm_mm_kji"] == pytest.approx([12.0] * 3)
    assert matching["post"]["blurred_by_fwhm_mm_kji"] == [0.0] * 3
    (said,) = coded("resolution-matched", found.assumptions)
    assert "pre is stated to have 5 mm (--pre-fwhm) and is blurred by 12 mm" in said.sentence
    assert "post is stated to have 13 mm (--post-fwhm) and is not blurred" in said.sentence
    assert said.numbers == {
        "fwhm_mm": 13.0,
        "pre_blurred_by_mm": pytest.approx(12.0),
        "post_blurred_by_mm": 0.0,
    }
    lesion = found.content["rois"]["lesion"]
    own = lesion["metrics"]["mean_dose_gy"]
    assert own["pre"] == own["post"]  # numbers of the results themselves stay as they are
    assert lesion["matched"]["mean_dose_gy"]["post"] == pytest.approx(own["post"], rel=1e-6)
    assert lesion["matched"]["mean_dose_gy"]["pre"] < 0.9 * own["pre"]
    assert set(lesion["matched"]) >= {"d95_gy", "d70_gy", "v400_fraction"}


def test_a_dose_blurred_to_another_s_width_is_that_dose():
    grid = Grid.from_axes((30, 34, 38), (4.0, 3.5, 3.0), (-50, -60, -58))
    points = grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    apart = ((points - grid.points_lps_mm((15, 17, 19))) ** 2).sum(axis=-1)

    def seen(fwhm):
        sigma = np.hypot(18.0, fwhm) / FWHM_PER_SIGMA
        return DoseMap(1e6 / sigma**3 * np.exp(-apart / 2 / sigma**2), grid)

    matched = match_to(seen(6.0), Resolution((6.0, 6.0, 6.0), "test"), 15.0)
    assert np.abs(matched.gy - seen(15.0).gy).max() < 1e-3 * seen(15.0).gy.max()


def test_widths_of_the_cases_are_taken_where_the_user_states_none(made, tmp_path):
    for name in ("pre", "post"):
        shutil.copytree(made[1], tmp_path / name)
        path = tmp_path / name / "assessment.json"
        content = json.loads(path.read_text("utf-8")) | {
            "resolution": {"method": "rbv", "fwhm_mm_kji": [5.0, 6.0, 6.5]}
        }
        path.write_text(json.dumps(content), "utf-8")
    found = compare_folders(
        [tmp_path / "pre", tmp_path / "post"], None, ComparisonOptions(matching=Matching(10.0, (8.0, None)))
    )
    assert found.content["matching"]["pre"]["source"] == "--pre-fwhm"
    assert found.content["matching"]["post"]["source"] == "[resolution] of its case"
    by = found.content["matching"]["post"]["blurred_by_fwhm_mm_kji"]
    assert by == pytest.approx([np.sqrt(100 - w**2) for w in (5.0, 6.0, 6.5)])


def test_a_width_that_nobody_states_or_that_cannot_be_reached_is_refused(made):
    with pytest.raises(InputError, match="--post-fwhm", check=refusal("key-missing")):
        compare_folders(made, None, ComparisonOptions(matching=Matching(15.0, (6.0, None))))
    with pytest.raises(QuantityError, match=r"blurring only widens.*16 mm or more", check=refusal("match-too-sharp")):
        compare_folders(made, None, ComparisonOptions(matching=Matching(15.0, (6.0, 16.0))))
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        compare_folders(made, None, ComparisonOptions(matching=Matching(15.0, (0.0, 6.0))))


@pytest.mark.parametrize(
    "flags",
    [
        ("--pre-fwhm", 6),
        ("--add", "--match-fwhm", 15),
        ("--add", "--gamma-mm", 2),
        ("--add", "--gamma-local"),
        ("--register", "rigid", "--same-frame"),
        ("--register", "affine"),
    ],
)
def test_flags_that_contradict_or_cannot_act_are_wrong_usage(made, flags):
    assert run("compare", *made, *flags).exit_code == 2


def test_the_terminal_shows_coverage_and_matched_numbers(made):
    shown = run("compare", *made, "--match-fwhm", 12, "--pre-fwhm", 6, "--post-fwhm", 6)
    assert shown.exit_code == 0, shown.output
    assert "V400 %" in shown.stdout
    assert "Regions of post, both doses matched at 12 mm FWHM:" in shown.stdout
    assert "lesion: by concentration" in shown.stdout


# --- best values ---


def test_best_values_are_shown_with_the_images_own_and_no_ratio_of_two_kinds(made, tmp_path):
    for name in ("pre", "post"):
        shutil.copytree(made[1], tmp_path / name)
    path = tmp_path / "post" / "assessment.json"
    content = json.loads(path.read_text("utf-8"))
    found = {key: {"value": None, "low": None, "high": None} for key in ("d95_gy", "d70_gy", "d50_gy", "v400_fraction")}
    found |= {"mean_dose_gy": {"value": 777.0, "low": 700.0, "high": 850.0}}
    found |= {"as_drawn": dict(found), "shift_lps_mm": [0.0] * 3, "mean_dose_rbv_gy": 750.0, "growth_mm": 0.0}
    content["rois"]["lesion"]["recovered"] = found | {"cold_core_ml": 0.0}
    content["resolution"] = {"method": "field"}
    path.write_text(json.dumps(content), "utf-8")
    options = ComparisonOptions()
    compared = compare_folders([tmp_path / "pre", tmp_path / "post"], tmp_path / "out", options)
    best = compared.content["rois"]["lesion"]["best"]["mean_dose_gy"]
    own = compared.content["rois"]["lesion"]["metrics"]["mean_dose_gy"]["post"]
    assert (best["post"]["value"], best["post"]["image"], best["post"]["kind"]) == (777.0, own, "recovered")
    assert (best["pre"]["kind"], best["ratio"]) == ("image", None)
    (unlike,) = coded("best-values-unlike", compared.warnings)
    assert unlike.numbers["rois"] == "lesion"
    page = (tmp_path / "out" / "comparison.html").read_text("utf-8")
    assert f"{measure(700.0, 'Gy')} to {measure(850.0, 'Gy')}; resolution recovered; image {measure(own, 'Gy')}" in page
    assert "best_mean_dose_gy" in (tmp_path / "out" / "comparison.csv").read_text("utf-8")
    alike = compare_folders([tmp_path / "pre", tmp_path / "pre"], None, options)
    assert not coded("best-values-unlike", alike.warnings)


def test_results_in_the_wrong_order_are_warned_of(made, tmp_path):
    for name, kind in (("pre", "predicted"), ("post", "delivered")):
        shutil.copytree(made[1], tmp_path / name)
        path = tmp_path / name / "assessment.json"
        content = json.loads(path.read_text("utf-8")) | {"kind": kind}
        path.write_text(json.dumps(content), "utf-8")
    names = [tmp_path / "pre", tmp_path / "post"]
    (swapped,) = coded("sides-swapped", compare_folders(names[::-1], None, ComparisonOptions()).warnings)
    assert "give PRE, then POST" in swapped.sentence
    assert not coded("sides-swapped", compare_folders(names, None, ComparisonOptions()).warnings)


def test_a_tumor_that_was_not_reached_says_so_and_noise_has_no_ratio(made, tmp_path):
    for name in ("pre", "post"):
        shutil.copytree(made[1], tmp_path / name)
        path = tmp_path / name / "assessment.json"
        content = json.loads(path.read_text("utf-8"))
        row = content["tumor_to_normal"][0]
        row |= {"reached": False, "by_concentration": None, "by_dose": None}
        content["rois"]["lesion"]["mean_dose_gy"] = 5e-8 if name == "pre" else -2.0
        content["rois"]["liver"]["mean_dose_gy"] = 1e-6 if name == "pre" else 20.0
        path.write_text(json.dumps(content), "utf-8")
    found = compare_folders([tmp_path / "pre", tmp_path / "post"], tmp_path / "out", ComparisonOptions())
    assert [found.content["rois"][n]["metrics"]["mean_dose_gy"]["ratio"] for n in ("lesion", "liver")] == [None, None]
    assert found.content["rois"]["lesion"]["metrics"]["volume_ml"]["ratio"] == 1
    assert found.content["tumor_to_normal"][0]["reached"] == {"pre": False, "post": False}
    assert "not reached" in (tmp_path / "out" / "comparison.html").read_text("utf-8")
    assert "lesion: not reached" in run("compare", tmp_path / "pre", tmp_path / "post").stdout
