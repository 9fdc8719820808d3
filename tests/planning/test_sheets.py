"""The folder of a plan: methods side by side at one activity, whole or not at all, the same words in page and PDF."""

import html
import json
import re

import pytest
from small_study import CASE, run, write_study

from voxeldose.report.plan import plan_grids

WHEN = ("--calibrated-at", "2024-04-28T16:00:00Z", "--at", "2024-05-02T10:15:00Z")
MASSES = ("--tumor-g", 200, "--tn", 5, "--normal-g", 1300, "--lung-shunt", 0.08, "--device", "glass")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A case whose perfused region holds the tumor and all of the liver."""
    perfused = '[[derived]]\nname = "right"\nrole = "perfused"\nfrom = "liver | lesion"\n'
    text = CASE + "lung_shunt_fraction = 0.04\n" + perfused
    return write_study(tmp_path_factory.mktemp("sheet") / "study", text)


def planned(*words: object, out):
    result = run("plan", *words, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout), json.loads((out / "plan.json").read_text())


def page_text(out) -> str:
    return " ".join(
        html.unescape(re.sub(r"<[^>]+>", " ", (out / "plan.html").read_text("utf-8").split("</style>")[1])).split()
    )


@pytest.mark.parametrize(
    "words",
    [
        ("mird", "--dose-gy", 300),
        ("partition", "--tumor-gy", 205),
        ("voxel", "--goal", "lesion.mean=300", "--limit", "lung.mean=30"),
    ],
)
def test_three_methods_stand_side_by_side_at_the_planned_activity(case, words, tmp_path):
    printed, sheet = planned(words[0], case, *words[1:], "--device", "glass", *WHEN, out=tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"plan.json", "plan.html", "plan.pdf"}
    assert (tmp_path / "out" / "plan.pdf").read_bytes().startswith(b"%PDF")
    assert sheet["plan"] == printed
    assert list(sheet["methods"]) == ["single compartment", "partition", "voxel"]
    assert sheet["missing"] == {}
    mbq = sheet["activity_mbq"]
    single = json.loads(run("plan", "mird", case, "--activity-mbq", mbq, "--json").stdout)
    parts = json.loads(run("plan", "partition", case, "--activity-mbq", mbq, "--json").stdout)
    assert sheet["methods"]["single compartment"]["perfused_gy"] == pytest.approx(single["perfused_gy"])
    assert sheet["methods"]["partition"]["tumors_gy"]["lesion"] == pytest.approx(parts["tumor_gy"][0])
    assert sheet["methods"]["partition"]["perfused_gy"] == pytest.approx(single["perfused_gy"])
    delivered = json.loads(
        run("assess", case, "--administered-mbq", mbq, "--out", tmp_path / "given", "--json", "--quiet").stdout
    )
    voxels = sheet["methods"]["voxel"]
    assert voxels["tumors_gy"]["lesion"] == pytest.approx(delivered["rois"]["lesion"]["mean_dose_gy"], rel=1e-5)
    assert sheet["lungs"]["mean_gy"] == pytest.approx(49.38305 * mbq / 1000 * 0.04)
    assert sheet["territories"][0]["perfused_gy"] == pytest.approx(single["perfused_gy"])
    (regions,) = [r for r in sheet["regions"] if r["roi"] == "lesion"]
    assert regions["d95_gy"] == pytest.approx(delivered["rois"]["lesion"]["d95_gy"], rel=1e-5)


def test_page_says_what_the_grids_say_and_what_binds(case, tmp_path):
    limits = ("--goal", "lesion.mean=300", "--limit", "right.mean=50")
    printed, sheet = planned("voxel", case, *limits, "--device", "glass", out=tmp_path / "out")
    assert printed["binding"] == "right.mean=50"
    text = page_text(tmp_path / "out")
    for grid in plan_grids(sheet):
        assert grid.title in text
        for row in grid.rows:
            assert all(" ".join(word.split()) in text for word in row), row
    assert "PLANNED: nothing has been administered" in text
    assert "Binding right.mean=50 Not every goal is met" in text
    assert sheet["vial"] is None
    assert "no glass vial holds that" in sheet["no_vial"]
    assert sheet["no_vial"] in text


def test_masses_alone_have_no_voxels_and_say_why(tmp_path):
    _, sheet = planned("partition", *MASSES, "--activity-mbq", 1700, *WHEN, out=tmp_path / "out")
    assert list(sheet["methods"]) == ["single compartment", "partition"]
    assert "assessment is needed" in sheet["missing"]["voxel"]
    assert sheet["vial"]["vial_gbq"] == 5
    assert sheet["spheres"]["per_ml_of_tumor"] is None
    single = sheet["methods"]["single compartment"]["perfused_gy"]
    assert single == pytest.approx(49.38305 * 1.7 * 0.92 / 1.5)
    # the mean of the partition model weighted by mass is the single compartment's own quantity: no limit differs from it
    (perfused,) = [t for t in sheet["thresholds"] if t["roi"] == "perfused"]
    assert (perfused["by"], perfused["differs"]) == ("partition", "")
    assert "Voxel by voxel: An assessment is needed" in page_text(tmp_path / "out")


def test_several_territories_have_rows_of_their_own_and_no_common_vial(tmp_path):
    path = tmp_path / "liver.toml"
    rows = (("right", 1200, 500, "a", 120, 4), ("left", 800, 350, "c", 50, 3))
    path.write_text(
        "".join(
            f'[[territory]]\nname = "{n}"\nactivity_mbq = {mbq}\nnormal_g = {g}\n'
            f'tumors = [{{ name = "{t}", mass_g = {m}, tn = {r} }}]\n'
            for n, mbq, g, t, m, r in rows
        )
    )
    words = ("partition", "--territories", path, "--lung-shunt", 0.05, "--device", "glass", *WHEN)
    _, sheet = planned(*words, out=tmp_path / "out")
    for found, (name, mbq, g, tumor, m, r) in zip(sheet["territories"], rows, strict=True):
        base = 49.38305 * mbq / 1000 * 0.95 / ((g + r * m) / 1000)
        assert (found["territory"], found["activity_mbq"]) == (name, mbq)
        assert found["normal_gy"] == pytest.approx(base)
        assert found["tumors_gy"] == {tumor: pytest.approx(r * base)}
        assert found["perfused_gy"] == pytest.approx(49.38305 * mbq * 0.95 / (g + m))
    assert sheet["vial"] is None
    assert "choose a vial for each" in page_text(tmp_path / "out")
    assert "several territories have one each" in sheet["missing"]["single compartment"]


def test_vial_and_spheres_are_those_of_the_activity(case, tmp_path):
    words = ("--activity-mbq", 1700, "--device", "glass")
    _, sheet = planned("mird", case, *words, *WHEN, out=tmp_path / "out")
    vial = json.loads(run("plan", "vial", case, *words, *WHEN, "--json").stdout)
    assert sheet["vial"]["vial_gbq"] == vial["vial_gbq"]
    assert sheet["spheres"]["spheres"] == pytest.approx(vial["spheres"])
    assert sheet["spheres"]["per_ml_of_tumor"] == pytest.approx(vial["spheres_per_ml"])
    (perfused,) = [r["volume_ml"] for r in sheet["regions"] if r["role"] == "perfused"]
    assert sheet["spheres"]["per_ml_of_perfused"] == pytest.approx(vial["spheres"] * 0.96 / perfused)


def test_a_folder_is_not_overwritten_unless_asked_and_nothing_is_left_of_a_refusal(tmp_path):
    words = ("plan", "mird", "--mass-g", 200, "--dose-gy", 400, "--out", tmp_path / "out")
    assert run(*words).exit_code == 0
    before = (tmp_path / "out" / "plan.json").read_bytes()
    assert run(*words).exit_code == 3
    assert run(*words, "--overwrite").exit_code == 0
    assert (tmp_path / "out" / "plan.json").read_bytes() == before
    assert run("plan", "mird", "--mass-g", 0, "--dose-gy", 400, "--out", tmp_path / "none").exit_code == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_names_of_regions_stay_text(case, tmp_path):
    bad = case.with_name("bad.toml")
    bad.write_text(case.read_text().replace('"right"', '"<script>alert(1)</script>"'))
    planned("mird", bad, "--activity-mbq", 60, out=tmp_path / "out")
    assert "<script" not in (tmp_path / "out" / "plan.html").read_text("utf-8")
