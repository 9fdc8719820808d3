"""The card in the report: the same rows in page, PDF and command, and none without a perfused region."""

import html
import json
import re
import shutil
import subprocess

import pytest
from small_study import CASE, run, write_study

from voxeldose.dose.segmentectomy import card_of_results
from voxeldose.report.card import card_parts

PATIENT = """
[patient]
bilirubin_mg_per_dl = 0.9
albumin_g_per_dl = 3.9
macrovascular_invasion = true
"""


@pytest.fixture(scope="module")
def perfused(tmp_path_factory):
    """A case with a perfused region and its results."""
    text = (
        CASE.replace('"liver", role = "liver"', '"right", role = "perfused"') + "lung_shunt_fraction = 0.04\n" + PATIENT
    )
    case = write_study(tmp_path_factory.mktemp("card") / "study", text)
    result = run("assess", case, "--engine", "local", "--out", case.parent / "out", "--quiet")
    assert result.exit_code == 0, result.output
    return case, case.parent / "out"


def page_text(folder) -> str:
    page = (folder / "report.html").read_text("utf-8")
    section = re.search(r'<section id="card">.*?</section>', page, re.DOTALL)
    return "" if section is None else " ".join(html.unescape(re.sub(r"<[^>]+>", " ", section[0])).split())


def pdf_text(folder) -> str:
    """What the PDF's parts of the card say, and the file itself where a program that reads PDF is at hand."""
    card = card_of_results(json.loads((folder / "assessment.json").read_text()))
    cells = [
        cell.text
        for part in card_parts(card)
        if hasattr(part, "_cellvalues")
        for row in part._cellvalues
        for cell in row
    ]
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", " ".join(cells))).split())
    if (reader := shutil.which("pdftotext")) is not None:
        whole = subprocess.run([reader, folder / "report.pdf", "-"], capture_output=True, text=True, check=True).stdout
        assert ("Radiation segmentectomy card" in whole) == bool(card)
    return text


def test_page_pdf_command_and_results_give_the_same_perfused_mean(perfused):
    case, out = perfused
    content = json.loads((out / "assessment.json").read_text())
    wanted = content["rois"]["right"]["single_compartment_gy"]
    rows = json.loads(run("card", out, "--json").stdout)["rows"]
    shown = [r for r in rows if r["item"] == "Perfused volume, mean by single compartment" and r["reference"] == 400]
    assert [r["value"] for r in shown] == [wanted]
    planned = json.loads(run("plan", "mird", case, "--activity-mbq", 60, "--json").stdout)
    assert planned["perfused_gy"] == pytest.approx(wanted, rel=1e-9)
    words = f"Perfused volume, mean by single compartment {wanted:.3g} Gy"
    assert words in page_text(out)
    assert words in pdf_text(out)


def test_the_card_shows_what_the_case_states_of_the_patient_and_what_nobody_did(perfused):
    for text in (page_text(perfused[1]), pdf_text(perfused[1])):
        assert "grade 2 (score -2.53)" in text
        assert re.search(r"Macrovascular invasion yes no ✗ not met", text)
        assert re.search(r"Solitary tumor - yes not given", text)
        assert "TARGET: Lam et al." in text
        assert "[Y-90 PET; voxel S values]" in text


def test_a_report_without_a_perfused_region_has_no_card(tmp_path):
    case = write_study(tmp_path / "study", CASE)
    assert run("assess", case, "--engine", "local", "--out", tmp_path / "out", "--quiet").exit_code == 0
    assert page_text(tmp_path / "out") == ""
    assert pdf_text(tmp_path / "out") == ""
