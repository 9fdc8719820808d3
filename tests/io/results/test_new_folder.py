"""Results appear whole or not at all, and what a killed run left is known by its free lock."""

import os
import socket
import subprocess
import sys

import pytest

from voxeldose.errors import InputError
from voxeldose.io.results.new_folder import new_folder, replacing

HANGS = (
    "import sys, time, pathlib\n"
    "from voxeldose.io.results.new_folder import new_folder\n"
    "with new_folder(pathlib.Path(sys.argv[1]), overwrite=False) as folder:\n"
    "    (folder / 'half.txt').write_text('half')\n"
    "    print('writing', flush=True)\n"
    "    time.sleep(60)\n"
)


def hidden(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


@pytest.fixture
def writing(tmp_path):
    """Another process that is writing into ``tmp_path/out``."""
    with subprocess.Popen([sys.executable, "-c", HANGS, str(tmp_path / "out")], stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"writing\n"
        yield running
        running.kill()


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    with new_folder(tmp_path / "out", overwrite=False) as folder:
        (folder / "run.json").write_text("{}")
        assert not (tmp_path / "out").exists()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["run.json"]
    assert hidden(tmp_path) == []


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out", overwrite=False):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, writing):
    writing.kill()
    writing.wait()
    assert len(hidden(tmp_path)) == 2  # the folder and its lock
    with new_folder(tmp_path / "out", overwrite=False):
        assert not any((tmp_path / name / "half.txt").exists() for name in hidden(tmp_path))
    assert hidden(tmp_path) == []


def test_what_a_living_run_writes_is_left_alone(tmp_path, writing):
    (partial,) = [name for name in hidden(tmp_path) if "partial" in name]
    with new_folder(tmp_path / "out", overwrite=False):
        pass
    assert (tmp_path / partial / "half.txt").exists()
    assert writing.poll() is None


def test_a_folder_of_another_machine_is_left_alone(tmp_path):
    other = tmp_path / f".out.partial-other-{socket.gethostname()}-12"
    other.mkdir()
    with new_folder(tmp_path / "out", overwrite=False):
        pass
    assert other.exists()


@pytest.mark.parametrize(
    ("overwrite", "content", "code"),
    [(False, "run.json", "output-exists"), (True, "notes.txt", "output-foreign")],
)
def test_a_name_that_is_taken_is_refused(tmp_path, overwrite, content, code):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / content).write_text("{}")
    with pytest.raises(InputError) as refusal, new_folder(tmp_path / "out", overwrite=overwrite):
        pass
    assert refusal.value.code == code
    assert (tmp_path / "out" / content).exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError) as refusal, new_folder(tmp_path / "out", overwrite=False):
            pass
    finally:
        tmp_path.chmod(0o700)
    assert refusal.value.code == "output-not-writable"


def test_a_file_replaces_the_earlier_one_when_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        (tmp_path / "not there").read_text()
    assert path.read_text() == "old"
    with replacing(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
