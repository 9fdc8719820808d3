"""The pages are true: their examples run, and the files and names that they mention are there."""

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import voxeldose as vd
from voxeldose.demo.dicom_study import PhantomStudy, write_ct, write_pet
from voxeldose.demo.phantom import CT_AT, INFUSION_AT, PET_AT
from voxeldose.io.config.administration import AdministrationTable
from voxeldose.io.config.toml import table_from
from voxeldose.io.nifti import write_labels
from voxeldose.jobs.settings import build_administration
from voxeldose.model.wording import dose

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
STUDY = PhantomStudy("a small study", "NONE", "None^Given", "LIVER", CT_AT)
CASE = """
[activity]
path = "pet"
[ct]
path = "ct"
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion_1", role = "tumor" } }
[administration]
administered_mbq = 1850.0
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04
[dose]
engine = "density"
density = "ct"
"""


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """CT and Y-90 PET as DICOM and a label map: a liver with a hot lesion, next to lung, on unlike grids."""
    folder = tmp_path / "study"
    frame = STUDY.uid("frame")
    ct_grid = vd.Grid.from_axes((14, 30, 34), (5.0, 4.0, 4.0), (-66.0, -58.0, -30.0), frame_uid=frame)
    pet_grid = vd.Grid.from_axes((16, 24, 26), (4.0, 5.0, 5.0), (-62.0, -57.0, -28.0), frame_uid=frame)
    for name in ("ct", "pet"):
        (folder / name).mkdir(parents=True)

    def inside(grid, radii):
        points = grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
        return (((points - (0.0, 0.0, 2.5)) / radii) ** 2).sum(axis=-1) < 1

    liver, lesion = (45.0, 40.0, 24.0), (14.0, 12.0, 10.0)
    k = np.indices(ct_grid.shape)[0]
    write_ct(
        STUDY, np.where(inside(ct_grid, liver), 60.0, np.where(k > 10, -800.0, 20.0)), ct_grid, folder / "ct", CT_AT
    )
    activity = np.where(inside(pet_grid, lesion), 5e6, np.where(inside(pet_grid, liver), 1e6, 0)).astype(np.float32)
    given = vd.Administration(vd.Y90, 1850.0, INFUSION_AT)
    write_pet(STUDY, activity, pet_grid, folder / "pet", at=PET_AT, frame_s=900.0, given=given)
    labels = inside(ct_grid, liver).astype(np.uint8) + inside(ct_grid, lesion)
    write_labels(labels.astype(np.uint8), ct_grid, folder / "labels.nii.gz")
    (folder / "case.toml").write_text(CASE)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_readme_goes_from_dicom_to_dose_in_fifteen_lines_and_gives_what_the_command_gives(study, capsys):
    (example,) = examples("README.md")
    assert len(example.splitlines()) <= 15
    there = {}
    exec(example, there)  # noqa: S102 - a page of this repository
    mean, coverage, ratio = (float(word) for word in capsys.readouterr().out.split()[:3])
    result = there["result"]
    assert result.record.engine == "density"
    assert 0 < coverage <= 1
    assert ratio > 1
    np.testing.assert_array_equal(vd.read_rtdose("dose.dcm").grid.shape, result.dose.grid.shape)
    assert "lesion_1" in Path("report.html").read_text("utf-8")
    command = json.loads(Path("results/assessment.json").read_text("utf-8"))
    assert command["rois"]["lesion_1"]["mean_dose_gy"] == mean
    again = vd.read_results("results")
    np.testing.assert_array_equal(again.dose.gy, result.dose.gy)
    assert again.to_dataframe().loc["lesion_1", "mean_dose_gy"] == mean
    assert f"<td>{dose(mean)}</td>" in again._repr_html_()
    assert repr(again).startswith("StoredAssessment(density, ")


def test_the_reader_of_the_page_reads_and_refuses(tmp_path, monkeypatch):
    (example,) = examples("docs/add-a-reader.md")
    monkeypatch.chdir(tmp_path)
    header = {"shape_kji": [3, 4, 5], "spacing_mm_kji": [4.0, 3.0, 2.0], "origin_lps_mm": [-5.0, 7.0, 11.0]}
    values = np.arange(60, dtype="<f4")
    Path("scan.json").write_text(json.dumps(header))
    values.tofile("scan.raw")
    there = {}
    exec(example, there)  # noqa: S102 - a page of this repository
    activity = there["activity"]
    assert isinstance(activity, vd.ActivityMap)
    assert activity.bq_per_ml[1, 2, 3] == 33
    np.testing.assert_allclose(activity.grid.points_lps_mm((1, 2, 3)), (-5 + 6, 7 + 6, 11 + 4))
    rois = vd.RoiSet((vd.Roi("liver", "liver", np.ones((3, 4, 5)), activity.grid),))
    result = vd.assess(vd.Case(activity, rois, vd.Administration(vd.Y90, 1000.0, PET_AT - timedelta(hours=1))))
    assert "raw-quantity" in [getattr(remark, "code", "") for remark in result.record.assumptions]
    values[:50].tofile("scan.raw")
    with pytest.raises(vd.InputError) as refusal:
        there["read_raw"]("scan.raw")
    assert refusal.value.code == "size-differs"


def test_the_page_of_territories_has_a_case_file_and_the_same_from_python(capsys):
    (example,) = examples("docs/territories.md")
    there = {}
    exec(example, there)  # noqa: S102 - a page of this repository
    assert f"# {capsys.readouterr().out.strip()}" in example
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "territories.md").read_text("utf-8"), re.DOTALL)
    table = table_from(AdministrationTable, tomllib.loads(text)["administration"], "the page")
    given = build_administration(table, "ddep")
    assert given.net_mbq == there["given"].net_mbq
    assert given.lung_shunt_fraction == pytest.approx(there["given"].lung_shunt_fraction)
    assert [one.roi for one in given.territories] == [one.roi for one in there["given"].territories]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text("utf-8")
    named = set(re.findall(r"\b(?:voxeldose|tests|docs|benchmarks|data_fetch)/[\w./-]*[\w/]", text))
    links = {str((page.parent / link).relative_to(ROOT)) for link in re.findall(r"\]\(([\w./-]+)\)", text)}
    assert not [name for name in sorted(named | links) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_names_that_a_page_gives_are_public(page):
    for name in set(re.findall(r"\bvd\.(\w+(?:\.\w+)?)", page.read_text("utf-8"))):
        first, _, second = name.partition(".")
        thing = getattr(vd, first)
        assert not second or hasattr(thing, second), name


def test_the_page_of_names_has_each_once():
    table = (ROOT / "docs" / "python.md").read_text("utf-8").split("## Packages")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    names = re.findall(r"`(\w+)`", "\n".join(rows))
    assert len(names) == len(set(names))
    assert set(names) == set(vd.__all__) - {"dose", "geometry", "io", "jobs", "model", "planning", "report"}


def test_every_command_has_its_names_in_python():
    from voxeldose.cli import main

    table = (ROOT / "docs" / "python.md").read_text("utf-8").split("## Packages")[1].split("## In a notebook")[0]
    commands = {
        name for row in table.splitlines() if "|" in row for name in re.findall(r"`([\w-]+)`", row.split("|")[1])
    }
    assert commands == set(main.commands)
