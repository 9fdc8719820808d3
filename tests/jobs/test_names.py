"""Names of files and folders count as identifiers: results and tables of a cohort do without them."""

import csv
import json
from pathlib import Path

import pytest
from small_study import CASE, run, write_study

from voxeldose.io.config.case import read_case_file
from voxeldose.io.config.nameless import Nameless, without_paths

NAME = "SMITH_JANE_19560314"


@pytest.fixture
def study(tmp_path):
    """A study whose folder and files have a patient's name."""
    folder = tmp_path / NAME
    text = CASE.replace("pet.nii.gz", f"{NAME} pet.nii.gz").replace("labels.nii.gz", f"{NAME}-labels.nii.gz")
    write_study(folder, text)
    (folder / "pet.nii.gz").rename(folder / f"{NAME} pet.nii.gz")
    (folder / "labels.nii.gz").rename(folder / f"{NAME}-labels.nii.gz")
    return folder


def test_results_name_files_by_what_they_are_to_the_case(study, tmp_path):
    result = run("assess", study / "case.toml", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out" / "assessment.json").read_text("utf-8"))
    sentences = [a["message"] for a in content["assumptions"]]
    assert "the activity image is taken as bq_per_ml, as the user says." in sentences
    assert any("the region file" in sentence for sentence in sentences)
    for file in (tmp_path / "out").iterdir():
        # the manifest needs the paths: a run is repeated from it
        assert (NAME.encode() in file.read_bytes()) == (file.name == "run.json"), file.name


@pytest.mark.parametrize("identifiers", [False, True])
def test_tables_of_a_cohort_hold_paths_only_when_asked(study, tmp_path, identifiers):
    for name, text in (
        ("gone", CASE.replace("labels.nii.gz", f"{NAME} gone.nii.gz").replace("case-001", "case-002")),
        ("torn", f"{NAME}"),
    ):
        (study / f"{name}.toml").write_text(text, "utf-8")
    table = tmp_path / "cases.csv"
    absolute = study / "gone.toml"
    table.write_text(f"case\n{NAME}/case.toml\n{absolute}\n{NAME}/torn.toml\n{NAME}/none.toml\n")
    words = ["--identifiers"] if identifiers else []
    said = run("cohort", table, "--out", tmp_path / "all", "--workers", 1, *words)
    assert "failed (refused)" in said.stderr
    assert (NAME in said.stderr) == identifiers
    with (tmp_path / "all" / "failures.csv").open(encoding="utf-8") as file:
        messages = [row["message"] for row in csv.DictReader(file)]
    assert len(messages) == 3
    for file in (p for p in (tmp_path / "all").iterdir() if p.is_file()):
        shown = NAME in file.read_bytes().decode("utf-8", "replace")
        with_messages = file.name in ("failures.csv", "cohort.csv", "cohort.html", "cohort.parquet")
        assert shown == (identifiers and with_messages), (file.name, messages)
    if not identifiers:
        assert messages[0] == "(a file of the case): there is no such file."


def test_words_that_look_like_names_are_left_alone(study):
    nameless = Nameless(read_case_file(study / "case.toml"))
    assert nameless.text("The activity of labels and pet") == "The activity of labels and pet"
    assert nameless.text(f"{study}/{NAME} pet.nii.gz: odd.") == "the activity image: odd."
    assert nameless.text(f"In {NAME}-labels.nii.gz, odd") == "In the region file, odd"


def test_a_path_ends_where_the_message_goes_on():
    folder = Path("/data/JANE")
    assert without_paths("/data/JANE/a b.dcm: torn.", [folder]) == "(a file of the case): torn."
    assert without_paths("/data/JANE: empty.", [folder]) == "(a file of the case): empty."
    assert without_paths("/data/OTHER/x: torn.", [folder]) == "/data/OTHER/x: torn."
