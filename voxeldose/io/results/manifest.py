"""``run.json``: what a run was made from, so that it can be repeated and a change be found."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose._version import __version__
from voxeldose.errors import InputError
from voxeldose.io.results.assessment import assessment_dict, plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from voxeldose.io.config.case import CaseFile
    from voxeldose.model.assessment import Assessment

__all__ = ["SCHEMA", "digests", "manifest_of", "read_manifest", "sha256", "software"]

SCHEMA = "voxeldose/run/1"

#: The libraries that make numbers.
_LIBRARIES = ("numpy", "scipy", "numba", "SimpleITK", "nibabel", "pydicom", "highdicom")


def manifest_of(
    config: CaseFile,
    result: Assessment,
    files: tuple[Iterable[Path], Iterable[Path]],
    out: Path,
    started: datetime,
) -> dict[str, Any]:
    """The manifest of a run: software, case as resolved, hashes of inputs and outputs, what was assumed.

    ``files`` are inputs and outputs; ``out`` is the results folder as the user named it.
    """
    inputs, outputs = files
    content = assessment_dict(result)
    made = {
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
        "assumptions": list(result.record.assumptions),
        "warnings": list(result.record.warnings),
        "timings_s": dict(result.record.timings_s),
        "numbers": digests(result),
        "outputs": {p.name: sha256(p) for p in outputs},
    }
    whole: dict[str, Any] = plain(made)
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
    """SHA-256 of the dose map's voxels with their place, and of every number of the assessment (its version left out)."""
    grid = result.dose.grid
    dose = hashlib.sha256(np.ascontiguousarray(result.dose.gy, "<f4").tobytes())
    dose.update(np.ascontiguousarray(grid.affine_lps_mm, "<f8").tobytes() + repr(grid.shape).encode())
    content = assessment_dict(result)
    del content["version"]
    return {"dose_sha256": dose.hexdigest(), "assessment_sha256": _hash_of(content)}


def read_manifest(path: Path) -> tuple[dict[str, Any], bool]:
    """A manifest, and whether it still is as it was written.

    Raises
    ------
    InputError
        If it cannot be read or is no manifest of a run.
    """
    path = path / "run.json" if path.is_dir() else path
    try:
        made = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        msg = f"{path}: cannot be read as a manifest ({error}). Give the run.json of a results folder."
        raise InputError(msg) from error
    needed = {"schema": str, "case": dict, "inputs": list, "outputs": dict, "version": str}
    if not isinstance(made, dict) or made.get("schema") != SCHEMA:
        found = made.get("schema") if isinstance(made, dict) else type(made).__name__
        msg = f"{path}: is no manifest of a run (schema {SCHEMA!r} is needed, found {found!r})."
        raise InputError(msg)
    wrong = [key for key, kind in needed.items() if not isinstance(made.get(key), kind)]
    wrong += ["inputs"] * any(
        not isinstance(i, dict) or not {"path", "sha256"} <= set(i) for i in made.get("inputs") or []
    )
    if wrong:
        msg = f"{path}: the manifest lacks {', '.join(dict.fromkeys(wrong))}; run the case again."
        raise InputError(msg)
    return made, made.get("sha256") == _seal(made)


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(made: dict[str, Any]) -> str:
    return _hash_of({k: v for k, v in made.items() if k != "sha256"})


def _hash_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
