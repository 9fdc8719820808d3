"""Errors that nobody foresaw: whose fault they are said to be, and what is kept of them."""

import re
import stat
import sys
from importlib import import_module
from pathlib import Path

import pytest
from small_study import run, write_study

from voxeldose.jobs.faults import describe_fault

NAME = "DOE^JANE"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose folder has a patient's name, and an assessment that fails with it in its message."""
    folder = tmp_path / NAME
    write_study(folder)

    def fail(case, *_, **__):
        patient = NAME
        try:
            _ = 1 / (len(patient) - len(NAME))
        except ZeroDivisionError as error:
            msg = f"{folder}: {patient} cannot be divided"
            raise RuntimeError(msg) from error

    monkeypatch.setattr(import_module("voxeldose.jobs.run_case"), "assess", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return folder / "case.toml"


def fault_file(stderr: str) -> Path:
    found = re.search(r"\S*voxeldose-fault-\S+\.txt", stderr)
    assert found is not None, stderr
    return Path(found[0])


def test_an_unexpected_error_is_a_fault_of_voxeldose_and_leaves_a_private_file(study):
    result = run("assess", study)
    assert result.exit_code == 1
    assert "RuntimeError: a fault of voxeldose, not of your files" in result.stderr
    assert "Traceback" not in result.output
    assert NAME not in result.stderr
    file = fault_file(result.stderr)
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text("utf-8")
    assert "builtins.ZeroDivisionError" in text
    assert "builtins.RuntimeError" in text
    assert re.search(r"^  voxeldose\.jobs\.run_case:\d+ in run_case$", text, re.MULTILINE)


def test_the_file_holds_no_message_no_value_and_no_file_name(study, tmp_path):
    text = fault_file(run("assess", study).stderr).read_text("utf-8")
    for word in (NAME, "divided", str(tmp_path), "case.toml", ".py", "/"):
        assert word not in text


def test_debug_shows_the_whole_traceback_and_keeps_the_exit_code(study):
    result = run("--debug", "assess", study)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "cannot be divided" in result.stderr
    assert result.stderr.count("ZeroDivisionError") >= 1


def test_debug_of_a_refusal_keeps_its_exit_code(tmp_path):
    plain, debugged = run("assess", tmp_path / "gone.toml"), run("--debug", "assess", tmp_path / "gone.toml")
    assert (plain.exit_code, debugged.exit_code) == (3, 3)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugged.stderr
    assert plain.stderr.splitlines()[-1] == debugged.stderr.splitlines()[-1]


def test_a_file_that_cannot_be_written_does_not_hide_the_error(study, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    result = run("assess", study)
    assert result.exit_code == 1
    assert "a fault of voxeldose" in result.stderr
    assert "voxeldose-fault" not in result.stderr


def test_frames_of_a_script_are_not_named():
    code = compile("1 / 0", "/home/jane/doe.py", "exec")
    with pytest.raises(ZeroDivisionError) as caught:
        exec(code, {"__name__": "__main__"})  # noqa: S102 - a script of the user's
    text = describe_fault(caught.value)
    assert "(a script)" in text
    assert "jane" not in text
