"""Results appear whole or not at all, and what a killed run left is known by its free lock."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from filelock import FileLock
from remarks import refusal
from small_study import run

from voxeldose.errors import InputError
from voxeldose.io.results.leftovers import clean_folder, leftover_lines
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


def test_a_second_run_to_one_place_is_refused_and_leaves_the_first_alone(tmp_path, writing):
    before = hidden(tmp_path)
    with pytest.raises(InputError, check=refusal("output-locked")), new_folder(tmp_path / "out", overwrite=True):
        pass
    assert hidden(tmp_path) == before
    assert writing.poll() is None


def leftover(folder, kind="partial", host=None, word="0123456789ab", *, hours_ago=0.0):
    path = folder / f".out.{kind}-{host or socket.gethostname()}-{word}"
    path.mkdir()
    (path / "run.json").write_text(kind)
    for one in (path / "run.json", path):
        os.utime(one, times=(time.time() - 3600 * hours_ago,) * 2)
    return path


@pytest.mark.parametrize(
    ("host", "hours_ago", "is_kept"),
    [("other", 1, True), ("other", 25, False), (f"other-{socket.gethostname()}", 1, True), (None, 0, False)],
)
def test_a_folder_of_another_machine_is_abandoned_after_a_day(tmp_path, host, hours_ago, is_kept):
    path = leftover(tmp_path, host=host, hours_ago=hours_ago)
    with new_folder(tmp_path / "out", overwrite=False):
        pass
    assert path.exists() == is_kept


def test_names_that_look_like_ours_are_left_alone(tmp_path):
    names = [
        ".out.partial",
        ".out.partial-x",
        ".out.earlier-host",
        ".other.partial-host-0123456789ab",
        "out.partial-a-0123456789ab",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    with new_folder(tmp_path / "out", overwrite=False):
        pass
    assert all((tmp_path / name).is_dir() for name in names)


def test_what_somebody_puts_there_meanwhile_stays_and_the_results_lie_beside(tmp_path):
    def run():
        with new_folder(tmp_path / "out", overwrite=False) as folder:
            (folder / "run.json").write_text("new")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "thesis.txt").write_text("years of work")

    with pytest.raises(InputError, check=refusal("output-taken")) as caught:
        run()
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
    assert caught.value.fields["kept_in"] == str(tmp_path / "out-2")
    assert (tmp_path / "out-2" / "run.json").read_text() == "new"
    assert hidden(tmp_path) == []


def results(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("old")


@pytest.mark.parametrize("change", ["added", "changed", "removed", "nothing"])
def test_overwriting_replaces_the_results_as_they_were_and_nothing_newer(tmp_path, change):
    results(tmp_path)

    def run():
        with new_folder(tmp_path / "out", overwrite=True) as folder:
            (folder / "run.json").write_text("new")
            if change == "added":
                (tmp_path / "out" / "notes.txt").write_text("mine")
            elif change == "changed":
                (tmp_path / "out" / "run.json").write_text("mine now")
            elif change == "removed":
                shutil.rmtree(tmp_path / "out")

    if change in ("added", "changed"):
        with pytest.raises(InputError, check=refusal("output-taken")):
            run()
        assert (tmp_path / "out-2" / "run.json").read_text() == "new"
        assert (tmp_path / "out" / "run.json").read_text() == ("old" if change == "added" else "mine now")
    else:
        run()
        assert (tmp_path / "out" / "run.json").read_text() == "new"
    assert hidden(tmp_path) == []


KILLED = """
import os, pathlib, sys
from voxeldose.io.results.new_folder import new_folder
calls = []
def counted(name, real):
    def call(*args, **more):
        calls.append(name)
        if len(calls) == int(sys.argv[2]):
            os._exit(9)
        return real(*args, **more)
    return call
with new_folder(pathlib.Path(sys.argv[1]), overwrite=True) as folder:
    (folder / "run.json").write_text("new")
    pathlib.Path.rename = counted("rename", pathlib.Path.rename)
    import shutil
    shutil.rmtree = counted("rmtree", shutil.rmtree)
    pathlib.Path.unlink = counted("unlink", pathlib.Path.unlink)
"""


@pytest.mark.parametrize("moment", range(1, 7))
@pytest.mark.parametrize("mended_by", ["run", "clean"])
def test_overwriting_killed_between_any_two_steps_leaves_old_or_new_results_whole(tmp_path, moment, mended_by):
    results(tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out"), str(moment)], check=False)
    assert killed.returncode == 9
    if mended_by == "clean":
        clean_folder(tmp_path)
    else:
        with pytest.raises(InputError, check=refusal("output-exists")), new_folder(tmp_path / "out", overwrite=False):
            pass
    assert (tmp_path / "out" / "run.json").read_text() == ("old" if moment <= 2 else "new")
    assert hidden(tmp_path) == []


def test_earlier_results_are_kept_while_something_foreign_has_their_name(tmp_path):
    earlier = leftover(tmp_path, "earlier")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, check=refusal("output-foreign")), new_folder(tmp_path / "out", overwrite=True):
        pass
    assert (earlier / "run.json").exists()
    assert (tmp_path / "out" / "notes.txt").exists()


def test_without_results_the_earlier_ones_come_back(tmp_path):
    leftover(tmp_path, "earlier")
    with pytest.raises(InputError, check=refusal("output-exists")), new_folder(tmp_path / "out", overwrite=False):
        pass
    assert (tmp_path / "out" / "run.json").read_text() == "earlier"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_followed_and_one_to_nowhere_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for overwrite in (False, True):
        with new_folder(tmp_path / "link", overwrite=overwrite) as folder:
            (folder / "run.json").write_text(str(overwrite))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "run.json").read_text() == "True"
    assert hidden(tmp_path) == []
    (tmp_path / "nowhere").symlink_to("gone")
    with (
        pytest.raises(InputError, check=refusal("output-not-writable")),
        new_folder(tmp_path / "nowhere", overwrite=True),
    ):
        pass


def test_the_top_of_a_file_system_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: os.fspath(path) == str(tmp_path / "out"))
    with (
        pytest.raises(InputError, match="file system", check=refusal("output-not-writable")),
        new_folder(tmp_path / "out", overwrite=True),
    ):
        pytest.fail("the work began")


def test_clean_leaves_alone_what_is_in_use_and_what_is_fetched(tmp_path, writing):
    (tmp_path / ".study.fetch").mkdir()
    stray = tmp_path / f".table.csv.partial-{socket.gethostname()}-0123456789ab"
    stray.write_text("half")
    dry = dict(clean_folder(tmp_path, dry_run=True))
    assert stray.exists()
    assert dry[stray] == "would be removed"
    fates = {path.name.split("-")[0]: fate for path, fate in clean_folder(tmp_path)}
    assert fates[".out.partial"] == fates[".out.lock"] == "in use"
    assert fates[".study.fetch"].startswith("kept")
    assert not stray.exists()
    assert writing.poll() is None
    clean_folder(tmp_path, with_fetched=True)
    assert not (tmp_path / ".study.fetch").exists()
    writing.kill()
    writing.wait()
    clean_folder(tmp_path)
    assert hidden(tmp_path) == []


def test_clean_of_a_cohort_removes_the_work_of_killed_workers_only(tmp_path):
    work = tmp_path / ".cohort" / "work" / "case-1"
    work.mkdir(parents=True)
    (tmp_path / "cohort.json").write_text("{}")
    with FileLock(tmp_path / ".cohort" / "lock"):
        assert dict(clean_folder(tmp_path)) == {work: "in use"}
    assert dict(clean_folder(tmp_path)) == {work: "removed"}
    assert not work.exists()


def test_clean_names_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, check=refusal("file-missing")):
        clean_folder(tmp_path / "gone")


@pytest.mark.parametrize(
    ("overwrite", "content", "code"),
    [(False, "run.json", "output-exists"), (True, "notes.txt", "output-foreign")],
)
def test_a_name_that_is_taken_is_refused(tmp_path, overwrite, content, code):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / content).write_text("{}")
    with pytest.raises(InputError) as caught, new_folder(tmp_path / "out", overwrite=overwrite):
        pass
    assert caught.value.code == code
    assert (tmp_path / "out" / content).exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError) as caught, new_folder(tmp_path / "out", overwrite=False):
            pass
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.code == "output-not-writable"


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


def test_where_the_new_results_cannot_take_the_name_the_old_ones_come_back(tmp_path, monkeypatch):
    results(tmp_path)
    rename = type(tmp_path).rename

    def fail(self, target):
        if ".ready-" in self.name:
            raise OSError(28, "No space left on device", str(self))
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", fail)
    with (
        pytest.raises(InputError, match="No space left", check=refusal("output-not-writable")),
        new_folder(tmp_path / "out", overwrite=True) as folder,
    ):
        (folder / "run.json").write_text("new")
    assert (tmp_path / "out" / "run.json").read_text() == "old"
    assert hidden(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_run_that_is_told_to_end_cleans_up(tmp_path, name):
    script = "import sys, pathlib, voxeldose.cli as cli\ncli._prepare_process()\n" + HANGS
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"writing\n"
        running.send_signal(getattr(signal, name))
        assert running.wait(10) == 128 + getattr(signal, name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_is_named_with_the_way_to_remove_it(tmp_path):
    assert leftover_lines(tmp_path) == leftover_lines(tmp_path / "gone") == []
    leftover(tmp_path)
    assert leftover_lines(tmp_path) == [f"Left by killed runs: 1 hidden; voxeldose clean {tmp_path} removes them."]
    assert run("clean", tmp_path).stdout.startswith("removed: ")
    assert run("clean", tmp_path).stdout == ""
