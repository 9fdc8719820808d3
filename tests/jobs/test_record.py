"""The record of a run: what the user states and headers say, in results, page and PDF; a protocol hashed and replayed."""

import json

import pytest
from pdf_text import words
from small_study import CASE, run, write_study

STATED = """
[report]
lot = "L-24-0117"
vial_calibration_mbq = 3000.0
vial_calibrated_at = 2024-04-28T12:00:00Z
activity_meter = "<b>well</b> & chamber"
catheter_positions = ["right hepatic artery", "segment 4 branch"]
operator = "A. Example"
signed_off_by = "C. Example"
signed_off_at = 2024-05-03T16:30:00Z
"""
SITE = '[dose]\nconstants = "vendor"\n[report]\nreviewer = "B. Example"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of a case with ``[report]`` under a protocol, next to those of the bare case."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "site.toml").write_text(SITE)
    case = write_study(folder / "case", CASE + STATED)
    assert run("assess", case, "--protocol", folder / "site.toml", "--out", folder / "out", "--quiet").exit_code == 0
    bare = write_study(folder / "bare", CASE)
    assert run("assess", bare, "--out", folder / "plain", "--quiet").exit_code == 0
    return folder


def test_the_items_are_filled_with_what_was_stated_and_escaped(folder):
    page = (folder / "out" / "report.html").read_text("utf-8")
    text, _ = words(folder / "out" / "report.pdf")
    for wanted in (
        "L-24-0117",
        "3000 MBq at 2024-04-28 12:00+00:00",
        "right hepatic artery, segment 4 branch",
        "A. Example",
        "B. Example",
        "C. Example, 2024-05-03 16:30+00:00",
        "site.toml",
    ):
        assert wanted in page
        assert wanted.replace(" ", "") in text.replace(" ", "")
    assert "&lt;b&gt;well&lt;/b&gt; &amp; chamber" in page
    assert "<b>well" not in page
    assert "<b>well</b>&chamber" in text.replace(" ", "")


def test_nothing_is_stated_without_the_table(folder):
    content = json.loads((folder / "plain" / "assessment.json").read_text("utf-8"))
    assert content["reported"] == {"stated": None, "image": None, "ct": None, "protocol": None}
    assert not {"report", "protocol"} & json.loads((folder / "plain" / "run.json").read_text("utf-8"))["case"].keys()
    text, _ = words(folder / "plain" / "report.pdf")
    assert "Signedoff:notgiven" in text.replace(" ", "")


def test_the_results_hold_it_for_programs(folder):
    content = json.loads((folder / "out" / "assessment.json").read_text("utf-8"))
    stated = content["reported"]["stated"]
    assert (stated["lot"], stated["reviewer"]) == ("L-24-0117", "B. Example")
    assert stated["signed_off_at"] == "2024-05-03T16:30:00+00:00"
    assert content["reported"]["protocol"] == "site.toml"
    assert content["constants"]["name"] == "vendor"


def test_the_protocol_is_hashed_and_a_replay_gives_the_same_numbers(folder, tmp_path):
    manifest = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    (hashed,) = [item for item in manifest["inputs"] if item["path"].endswith("site.toml")]
    assert len(hashed["sha256"]) == 64
    again = run("replay", folder / "out", "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert "Every number is the same" in again.stdout + again.stderr
    replayed = json.loads((tmp_path / "again" / "replay.json").read_text("utf-8"))
    assert replayed["identical"]
    assert replayed["inputs"] == {"changed": [], "added": [], "left_out": []}


def test_a_protocol_that_changed_is_named_by_a_replay(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    case = write_study(tmp_path / "case", CASE)
    assert (
        run("assess", case, "--protocol", tmp_path / "site.toml", "--out", tmp_path / "out", "--quiet").exit_code == 0
    )
    (tmp_path / "site.toml").write_text(SITE.replace("vendor", "icrp107"))
    run("replay", tmp_path / "out", "--out", tmp_path / "again")
    replayed = json.loads((tmp_path / "again" / "replay.json").read_text("utf-8"))
    assert [path.endswith("site.toml") for path in replayed["inputs"]["changed"]] == [True]
    assert replayed["identical"]  # the case as resolved rules, and the change is named


def test_a_protocol_lies_under_every_case_of_a_cohort_and_is_none_itself(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    for name in ("one", "two"):
        write_study(folder / name, CASE.replace("case-001", name))
    (folder / "site.toml").write_text('[administration]\nradionuclide = "Y-90"\n' + SITE)
    done = run(
        "cohort", folder, "--protocol", folder / "site.toml", "--out", tmp_path / "out", "--workers", 1, "--quiet"
    )
    assert done.exit_code == 0, done.output
    found = sorted(tmp_path.glob("out/**/assessment.json"))
    assert [json.loads(p.read_text("utf-8"))["constants"]["name"] for p in found] == ["vendor", "vendor"]
    (folder / "site.toml").write_text("[dose]\nengin = 'dpk'\n")
    wrong = run("cohort", folder, "--protocol", folder / "site.toml", "--out", tmp_path / "o2", "--workers", 1)
    assert wrong.exit_code == 3
    assert "site.toml: unknown key 'dose.engin'" in " ".join(wrong.stderr.split())


def test_a_protocol_that_cases_name_is_no_case(tmp_path):
    folder = tmp_path / "cases"
    write_study(folder, 'protocol = "site.toml"\n' + CASE)
    (folder / "site.toml").write_text('[administration]\nradionuclide = "Y-90"\n' + SITE)
    shown = run("cohort", folder, "--plan-only")
    assert "site" not in shown.stdout
    assert "case-001" in shown.stdout
