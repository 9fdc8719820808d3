"""``run.json``: what a run was made from, so that it can be repeated and a change be found."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose import __version__
from voxeldose.errors import InputError
from voxeldose.io.json_text import read_json
from voxeldose.io.results.assessment import assessment_dict, plain
from voxeldose.io.results.content import numbers_of, upgrade_remarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voxeldose.io.config.case import CaseFile
    from voxeldose.model.assessment import Assessment

__all__ = [
    "SCHEMA",
    "SCHEMAS",
    "digests",
    "find_with_results",
    "manifest_of",
    "read_manifest",
    "relocate",
    "sha256",
    "software",
]

SCHEMA = "voxeldose/run/2"
#: What is read, the newest last; 1 held assumptions and warnings as sentences, and sealed them with the numbers.
SCHEMAS = ("voxeldose/run/1", SCHEMA)

#: The libraries that make numbers.
_LIBRARIES = ("numpy", "scipy", "numba", "SimpleITK", "nibabel", "pydicom", "highdicom")


def manifest_of(
    config: CaseFile,
    result: Assessment,
    *,
    inputs: Iterable[Path],
    outputs: Iterable[Path],
    out: Path,
    started: datetime,
) -> dict[str, Any]:
    """The manifest of a run: software, case as resolved, hashes of inputs and outputs, what was assumed.

    ``out`` is the results folder as the user named it.
    """
    content = assessment_dict(result)
    parts = {
        "schema": SCHEMA,
        "version": __version__,
        "started_at": started.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        **software(),
        "results": str(out.absolute()),
        "case": config.model_dump(mode="json"),
        "inputs": [{"path": str(p), "sha256": sha256(p), "bytes": p.stat().st_size} for p in inputs],
        "constants": content["constants"],
        "registration": content["registration"],
        "engine": result.record.engine,
        "kernel": dict(result.record.kernel),
        "assumptions": content["assumptions"],
        "warnings": content["warnings"],
        "timings_s": dict(result.record.timings_s),
        "numbers": digests(result),
        "outputs": {p.name: sha256(p) for p in outputs},
    }
    whole: dict[str, Any] = plain(parts)
    whole["sha256"] = _seal(whole)
    return whole


def software() -> dict[str, Any]:
    """Python, platform and the versions of the libraries that make numbers."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }


def digests(result: Assessment) -> dict[str, str]:
    """SHA-256 of the dose map's voxels with their place, and of every number of the assessment.

    Of remarks their codes and numbers count, not their words; versions and times are left out.
    """
    grid = result.dose.grid
    dose = hashlib.sha256(np.ascontiguousarray(result.dose.gy, "<f4").tobytes())
    dose.update(np.ascontiguousarray(grid.affine_lps_mm, "<f8").tobytes() + repr(grid.shape).encode())
    return {
        "dose_sha256": dose.hexdigest(),
        "assessment_sha256": _hash_of(numbers_of(assessment_dict(result))),
    }


def read_manifest(path: Path) -> tuple[dict[str, Any], bool]:
    """A manifest, and whether it still is as it was written; remarks of schema 1 are read as those of schema 2.

    Raises
    ------
    InputError
        If it cannot be read or is no manifest of a run.
    """
    path = path / "run.json" if path.is_dir() else path
    try:
        manifest = read_json(path)
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read as a manifest ({error}). Give the run.json of a results folder."
        raise InputError(
            msg, code="file-missing" if isinstance(error, FileNotFoundError) else "file-damaged"
        ) from error
    needed = {"schema": str, "case": dict, "inputs": list, "outputs": dict, "version": str}
    if not isinstance(manifest, dict) or manifest.get("schema") not in SCHEMAS:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        msg = f"{path}: is no manifest of a run (schema {' or '.join(SCHEMAS)} is needed, found {found!r})."
        raise InputError(msg, code="results-schema", found=found, needed=SCHEMAS)
    wrong = [key for key, kind in needed.items() if not isinstance(manifest.get(key), kind)]
    wrong += ["inputs"] * any(
        not isinstance(i, dict) or not {"path", "sha256"} <= set(i) for i in manifest.get("inputs") or []
    )
    if wrong:
        msg = f"{path}: the manifest lacks {', '.join(dict.fromkeys(wrong))}; run the case again."
        raise InputError(msg, code="key-missing", keys=tuple(dict.fromkeys(wrong)))
    return upgrade_remarks(manifest), manifest.get("sha256") == _seal(manifest)


def find_with_results(manifest: Mapping[str, Any], folder: Path) -> tuple[str, str] | None:
    """Old and new start of paths, if inputs are gone but lie next to the results as they did; hashes show whether they are the same.

    Parameters
    ----------
    manifest : mapping
        As read.
    folder : Path
        Where the results lie now.
    """
    old, new = Path(str(manifest.get("results", ""))).parent, folder.absolute().parent
    paths = [Path(str(item["path"])) for item in manifest["inputs"]]
    if old == new or all(p.is_file() for p in paths) or not any(p.is_relative_to(old) for p in paths):
        return None
    there = all((new / p.relative_to(old)).is_file() for p in paths if p.is_relative_to(old))
    return (str(old), str(new)) if there else None


def relocate(manifest: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The manifest with another start of the paths of its inputs and its case."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: change(v) for k, v in value.items()}
        if isinstance(value, list):
            return [change(v) for v in value]
        return new + value[len(old) :] if isinstance(value, str) and value.startswith(old) else value

    return manifest | {"case": change(manifest["case"]), "inputs": change(manifest["inputs"])}


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(manifest: dict[str, Any]) -> str:
    return _hash_of({k: v for k, v in manifest.items() if k != "sha256"})


def _hash_of(content: Any) -> str:
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()
