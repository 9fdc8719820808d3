"""Inputs, places and streams that a program is not usually given: each is refused with its true cause, none is a fault."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_study import CASE, run, write_study

ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs the file system and the shell of POSIX")


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path / "study")
    return tmp_path / "study"


def refusal_of(study: Path, text: str) -> str:
    (study / "case.toml").write_text(text, "utf-8")
    result = run("assess", study / "case.toml", "--out", study / "out", "--quiet")
    assert result.exit_code == 3, result.output
    assert not (study / "out").exists()
    return result.stderr


UNCERTAINTY = CASE + "\n[uncertainty]\nsamples = 20\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (CASE + "\n[dose]\nthresholds = '''a\0b'''", "TOML"),
        (CASE + '\n[dose]\nthresholds = "a\\u0000b"', "dose.thresholds holds the character NUL"),
        (CASE.replace("[case]", '[case]\n"a\\u0000" = 1'), "holds the character NUL"),
        (
            CASE.replace('path = "labels.nii.gz"', 'path = ["labels.nii.gz", "a\\u0000"]'),
            "rois.0.path.1 holds the character NUL",
        ),
        (CASE.replace("60.0", "1" * 5000), "TOML"),
        (CASE + "\n[uncertainty]\nsamples = 99999999999999999999\n", "uncertainty.samples is at most 1e+06"),
        (UNCERTAINTY + "timing_h = 1e308\n", "uncertainty.timing_h is at most 1000"),
        (UNCERTAINTY + "contour_mm = 1e9\n", "uncertainty.contour_mm is at most 100"),
        (UNCERTAINTY + "[uncertainty.recovery]\nspheres = [[1.0, 2.0]]\n", "spheres.0.2 is missing"),
        (UNCERTAINTY + "[uncertainty.recovery]\nb_ml = 1e20\nc = 1.0\n", "none that a scanner has"),
        (UNCERTAINTY + "[uncertainty.recovery]\nb_ml = 1.0\nc = 1.0\nc_sd = 1e308\n", "too large to be meant"),
    ],
    ids=["deep", "NUL raw", "NUL", "NUL key", "NUL list", "digits", "samples", "hours", "mm", "spheres", "b", "c_sd"],
)
def test_a_case_that_no_one_means_is_refused(study, text, words):
    assert words in refusal_of(study, text)


def test_a_path_that_is_too_long_is_named_as_the_cause(study):
    message = refusal_of(study, CASE.replace("labels.nii.gz", "A" * 5000))
    assert "File name too long" in message
    assert "writing the results failed" not in message


def test_a_labels_file_that_is_nested_too_deeply_is_refused(study):
    (study / "labels.json").write_text("[" * 100_000)
    result = run("assess", study / "case.toml", "--labels", study / "labels.json", "--out", study / "out")
    assert result.exit_code == 3
    assert "nested too deeply" in result.stderr


@ON_POSIX
def test_a_folder_whose_name_is_not_utf_8_is_worked_in(study):
    place = os.fsencode(study.parent) + b"/M\xfcller"
    try:
        shutil.copytree(os.fsencode(study), place)
    except OSError:
        pytest.skip("the file system takes names in UTF-8 alone")
    folder = Path(os.fsdecode(place))
    assert run("assess", folder / "case.toml", "--out", folder / "out", "--quiet").exit_code == 0
    again = run("replay", folder / "out" / "run.json", "--out", study.parent / "again")
    assert again.exit_code == 0, again.stderr


def voxeldose(words: str, place: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a shell of its own, in a folder."""
    return subprocess.run(
        ["bash", "-c", words.replace("voxeldose", f"'{sys.executable}' -m voxeldose")],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


@ON_POSIX
def test_a_working_directory_that_was_removed_is_named(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    result = voxeldose(f"rmdir '{gone}'; voxeldose plan mird --mass-g 200 --dose-gy 400", gone)
    assert result.returncode == 3, result.stderr
    assert "the working directory cannot be used" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_named(tmp_path):
    result = voxeldose("voxeldose plan mird --mass-g 200 --dose-gy 400 --json > /dev/full", tmp_path)
    assert result.returncode == 3, result.stderr
    assert "the answer could not be written (No space left on device)" in result.stderr


@ON_POSIX
def test_without_standard_error_the_answer_is_the_same(tmp_path):
    words = "voxeldose plan mird --mass-g 200 --dose-gy 400 --json"
    usual, without = voxeldose(words, tmp_path), voxeldose(words + " 2>&-", tmp_path)
    assert usual.returncode == without.returncode == 0
    assert usual.stdout == without.stdout
