"""Where machine code is cached when only the folder for temporary files can be written."""

import os
import stat
import sys

import pytest

from voxeldose._compiled import private_folder

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the folder for temporary files is the user's own there"
)


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_folder_of_the_user_alone_is_made_and_used_again(tmp_path):
    wanted = tmp_path / "cache"
    assert private_folder(wanted) == private_folder(wanted) == wanted
    assert stat.S_IMODE(wanted.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["open to all", "open to the group", "a link", "a file", "another's"])
def test_what_another_could_have_made_is_not_used(tmp_path, monkeypatch, kind):
    wanted, other = tmp_path / "cache", tmp_path / "other"
    other.mkdir(mode=0o700)
    if kind == "a link":
        wanted.symlink_to(other)
    elif kind == "a file":
        wanted.write_text("")
    else:
        wanted.mkdir()
        wanted.chmod({"open to all": 0o777, "open to the group": 0o770}.get(kind, 0o700))
    if kind == "another's":
        here = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: here + 1)
    found = private_folder(wanted)
    assert found not in (wanted, other)
    assert found.parent == tmp_path
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
