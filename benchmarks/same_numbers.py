"""Whether another revision of voxeldose gives the same numbers, to the last bit, through the command line alone.

    python -m benchmarks.same_numbers REVISION_OR_FOLDER [--json FILE] [--keep DIR]

Both trees - the one named and the one that holds this file - make the demonstration, and then run the same commands on the same
inputs: the demonstration of the tree named, and small studies made here. What is compared: every array by its bytes, dtype, shape
and affine; every key of JSON, cell of CSV and Parquet and element of DICOM by its text, numbers exactly. What is not, with its
reason: :data:`benchmarks.same_numbers_content.LEFT_OUT`, UIDs and folders. Sentences for people (assumptions, warnings) are
counted, and shown where they differ, but not judged; pages, PDFs and pictures are only to exist. A command must end with 0.

Ends with 0 when everything is the same, else with 1; some minutes on two cores.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.same_numbers_content import LEFT_OUT, Content, digest, read_content
from benchmarks.same_numbers_inputs import write_inputs
from benchmarks.same_numbers_runs import DEMO, RUNS, check_tree, run_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Item", "compare_contents", "compare_folders", "main"]

#: Differences of one item that the terminal shows; the JSON file holds all.
SHOWN = 10

_HERE = Path(__file__).resolve().parents[1]
_NUMBERED = re.compile(r"(?<=[-_])\d+(?=[./]|$)")


@dataclass(slots=True)
class Item:
    """One file of results, or the numbered files of one series or cohort.

    Attributes
    ----------
    name : str
        Path below the folder of results; ``*`` stands for numbers.
    before, after : str
        SHA-256 of what is compared.
    files : int
        How many files it stands for.
    differences : list of str
        Each as ``file: key: old → new``.
    remarks : list of str
        Sentences for people that only one side has, or their number where it changed; not judged.
    """

    name: str
    before: str = ""
    after: str = ""
    files: int = 0
    differences: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    """Run both trees, print the table; 0 when all is the same, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_numbers", description="Same numbers as before?")
    parser.add_argument("before", metavar="REVISION_OR_FOLDER", help="revision of this repository, or a folder with it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write hashes, differences and what is left out")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder for all results, which is kept")
    chosen = parser.parse_args(words)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="same-numbers-") as temporary:
        work = (chosen.keep or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        if chosen.keep and any(work.iterdir()):
            parser.error(f"--keep {chosen.keep}: the folder is not empty")
        try:
            trees = (_tree(chosen.before, Path(temporary) / "tree"), _HERE)
            before, after = _run_both(trees, work)
        except ValueError as error:
            parser.error(str(error))
        items = compare_folders(before, after)
    _print(items)
    wrong = sum(bool(item.differences) for item in items)
    files = sum(item.files for item in items)
    verdict = f"{wrong} of {len(items)} items differ" if wrong else f"All {len(items)} items are the same"
    print(f"\n{verdict} ({files} files of {len(RUNS) + 1} commands); {time.perf_counter() - start:.0f} s")
    if chosen.json:
        content = {
            "before": chosen.before,
            "same": not wrong,
            "left_out": LEFT_OUT,
            "items": [asdict(i) for i in items],
        }
        chosen.json.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")
    return 1 if wrong else 0


def compare_folders(before: Path, after: Path) -> list[Item]:
    """Compare every file below two folders; what lies in hidden folders and standard error is left out.

    Paths of either folder within a text stand for the same place, so that it does not matter where results lie.
    """
    items: dict[str, Item] = {}
    hashes: dict[str, list[tuple[str, str]]] = {}
    roots = (before, after)
    for name in sorted({*_names(before), *_names(after)}):
        group = _NUMBERED.sub("*", name)
        item = items.setdefault(group, Item(group))
        old, new = (read_content(root / name, roots) if (root / name).is_file() else None for root in roots)
        item.files += 1
        item.differences += [f"{name}: {text}" for text in compare_contents(old, new)]
        if old and new:
            item.remarks += [f"{name}: {text}" for text in _compare_remarks(old, new)]
        hashes.setdefault(group, []).append((digest(old) if old else "", digest(new) if new else ""))
    for group, pairs in hashes.items():
        items[group].before, items[group].after = (_join(side) for side in zip(*pairs, strict=True))
    return list(items.values())


def compare_contents(before: Content | None, after: Content | None) -> list[str]:
    """Every key that differs, as ``key: old → new``; ``None`` is a file that is not there."""
    if before is None or after is None:
        return [f"{_there(before)} → {_there(after)}"]
    keys = [*before.values, *(key for key in after.values if key not in before.values)]
    pairs = ((key, before.values.get(key, "no such key"), after.values.get(key, "no such key")) for key in keys)
    found = [f"{key}: {_short(old)} → {_short(new)}" for key, old, new in pairs if old != new]
    failed = after.values.get("exit_code", "0")
    if not found and failed != "0":
        found.append(f"exit_code: {failed} in both trees, so that nothing is compared")
    return found


def _compare_remarks(before: Content, after: Content) -> list[str]:
    """Sentences that one side alone has; their order does not matter."""
    old, new = Counter(before.remarks), Counter(after.remarks)
    count = (
        [f"{len(before.remarks)} → {len(after.remarks)} remarks"] if len(before.remarks) != len(after.remarks) else []
    )
    return [*count, *(f"- {text}" for text in (old - new)), *(f"+ {text}" for text in (new - old))]


def _run_both(trees: tuple[Path, Path], work: Path) -> tuple[Path, Path]:
    """Run every command in both trees at the same time; the folders of their results."""
    results = (work / "before", work / "after")
    places = {"study": results[0] / "demo" / "out", "inputs": work / "inputs"}
    write_inputs(places["inputs"])
    for tree in trees:
        check_tree(tree, work)
    with ThreadPoolExecutor(2) as pool:
        for runs in ((DEMO,), RUNS):
            jobs = [pool.submit(run_in, tree, side, runs, places) for tree, side in zip(trees, results, strict=True)]
            for job in jobs:
                job.result()
    return results


def _tree(named: str, folder: Path) -> Path:
    """The folder itself, or the revision written out below ``folder``."""
    if Path(named).is_dir():
        return Path(named).resolve()
    done = subprocess.run(  # noqa: S603 - git with a revision that the user names
        ["git", "-C", str(_HERE), "archive", "--format=tar", "--end-of-options", named],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        msg = f"{named}: neither a folder nor a revision ({done.stderr.decode().strip()})"
        raise ValueError(msg)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder.resolve()


def _names(root: Path) -> Iterable[str]:
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if path.is_file() and path.suffix != ".txt" and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _join(hashes: Sequence[str]) -> str:
    """One hash of several; of a single file its own."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _there(content: Content | None) -> str:
    return "no such file" if content is None else "a file"


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."


def _print(items: Sequence[Item]) -> None:
    width = max((len(item.name) for item in items), default=0)
    print(f"{'item':{width}} {'files':>5} {'before':16} {'after':16}")
    for item in items:
        verdict = f"{len(item.differences)} differ" if item.differences else "same"
        print(f"{item.name:{width}} {item.files:5} {item.before[:16]:16} {item.after[:16]:16} {verdict}")
        for text in item.differences[:SHOWN]:
            print(f"    {text}")
        if len(item.differences) > SHOWN:
            print(f"    and {len(item.differences) - SHOWN} more")
    remarks = [text for item in items for text in item.remarks]
    if remarks:
        print("\nSentences for people that differ (not judged):")
        for text in remarks:
            print(f"    {text}")


if __name__ == "__main__":
    sys.exit(main())
