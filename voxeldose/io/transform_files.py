"""Whether a transform file is whole, asked before ITK sees it: ITK fills what is missing with zeros, or ends the interpreter.

A file that was cut off anywhere must not be another registration: parameters are counted for the class that the file names, and
text must end with the end of a line.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING

from voxeldose.errors import GeometryError, InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ITK_SUFFIXES", "require_whole_transform"]

ITK_SUFFIXES = (".tfm", ".txt", ".h5", ".hdf5", ".mat", ".xfm")

#: Classes of ITK that are linear in space: numbers of parameters, and of fixed parameters that a file may have.
_COUNTS = {
    "IdentityTransform": (0, (0,)),
    "TranslationTransform": (3, (0,)),
    "Euler3DTransform": (6, (3, 4)),
    "CenteredEuler3DTransform": (9, (0, 3, 4)),
    "VersorTransform": (3, (3,)),
    "VersorRigid3DTransform": (6, (3,)),
    "QuaternionRigidTransform": (7, (3,)),
    "Rigid3DTransform": (12, (3,)),
    "Rigid3DPerspectiveTransform": (6, (3,)),
    "Similarity3DTransform": (7, (3,)),
    "ScaleTransform": (3, (3,)),
    "ScaleLogarithmicTransform": (3, (3,)),
    "ScaleVersor3DTransform": (9, (3,)),
    "ScaleSkewVersor3DTransform": (15, (3,)),
    "ComposeScaleSkewVersor3DTransform": (12, (3,)),
    "FixedCenterOfRotationAffineTransform": (12, (3,)),
    "ScalableAffineTransform": (12, (3,)),
    "CenteredAffineTransform": (15, (0, 3)),
    "AffineTransform": (12, (3,)),
    "MatrixOffsetTransformBase": (12, (3,)),
}
_NAME = re.compile(r"(\w+?)_(?:double|float)_(\d)_(\d)")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_WAY_OUT = "Write it again as .tfm, or as .txt with four rows of four numbers."


def require_whole_transform(path: Path) -> None:
    """Refuse a file of an ITK transform that is cut off, or holds no linear transform of space.

    Raises
    ------
    InputError
        If something is missing in it, or a number is none.
    GeometryError
        If it is two-dimensional, or of a class that is not linear.
    """
    content = path.read_bytes()
    suffix = path.suffix.casefold()
    if suffix == ".mat":
        _require_matlab(content, path)
    elif suffix in (".h5", ".hdf5"):
        _require_hdf5(content, path)
    elif suffix == ".xfm":
        _require_xfm(content.decode("utf-8", "replace"), path)
    else:
        _require_text(content.decode("utf-8", "replace"), path)


def _require_text(text: str, path: Path) -> None:
    """The text format of ITK: for each transform a line of its class, of parameters, and of fixed parameters."""
    lines = text.split("\n")
    if not lines[0].startswith("#Insight Transform File V1.0"):
        raise _damaged(path, "it does not begin with #Insight Transform File V1.0")
    if lines[-1].strip():
        raise _damaged(path, "its last line has no end, so it may have been cut off")
    rows = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = 0
    while rows:
        name = _field(rows, "Transform", path)
        if name.startswith("CompositeTransform_"):
            _require_space(name, path)
            continue
        parameters = _finite(_field(rows, "Parameters", path).split(), path)
        _require_counts(name, parameters, _finite(_field(rows, "FixedParameters", path).split(), path), path)
        found += 1
    if not found:
        raise _damaged(path, "it holds no transform")


def _field(rows: list[str], key: str, path: Path) -> str:
    """The value of the next line, which must be that of ``key``."""
    found, colon, value = rows.pop(0).partition(":") if rows else ("", "", "")
    if found != key or not colon:
        raise _damaged(path, f"the line of its {key} is missing")
    return value.strip()


def _finite(texts: list[str], path: Path) -> int:
    """How many numbers there are; each must be a finite one."""
    for text in texts:
        try:
            is_finite = math.isfinite(float(text))
        except ValueError:
            is_finite = False
        if not is_finite:
            raise _damaged(path, "one of its parameters is no finite number")
    return len(texts)


def _require_counts(name: str, parameters: int, fixed: int, path: Path) -> None:
    """Refuse a transform with other numbers of parameters than its class has."""
    kind = _require_space(name, path)
    if kind not in _COUNTS:
        msg = f"{path}: a {kind} is no rigid transform; register rigidly."
        raise GeometryError(msg, code="transform-not-rigid", found=kind)
    wanted, wanted_fixed = _COUNTS[kind]
    if parameters != wanted or fixed not in wanted_fixed:
        of_fixed = " or ".join(str(n) for n in wanted_fixed)
        raise _damaged(
            path,
            f"a {kind} has {wanted} parameters and {of_fixed} fixed ones, found {parameters} and {fixed}",
        )


def _require_space(name: str, path: Path) -> str:
    """The class of a transform; refused if it is not one of three dimensions."""
    match = _NAME.fullmatch(name)
    if not match:
        raise _damaged(path, "its class is cut off or unknown")
    kind, into, out = match.groups()
    if (into, out) != ("3", "3"):
        msg = f"{path}: a {into}-dimensional {kind} is no rigid transform of space; register rigidly, in three dimensions."
        raise GeometryError(msg, code="transform-not-rigid", found=kind)
    return kind


def _require_matlab(content: bytes, path: Path) -> None:
    """The format of MATLAB 4: two matrices per transform, named after its class and "fixed"."""
    counts: list[tuple[str, int]] = []
    at = 0
    while at < len(content):
        if len(content) < at + 20:
            raise _damaged(path, "it is cut off")
        kind, rows, columns, imaginary, length = struct.unpack_from("<5i", content, at)
        values = at + 20 + length
        numbers = rows * columns
        if (
            kind != 0
            or imaginary
            or not 0 < length < 256
            or rows < 0
            or columns < 0
            or len(content) < values + 8 * numbers
        ):
            raise _damaged(path, "it is cut off, or no MATLAB 4 file of real numbers")
        name = content[at + 20 : values].rstrip(b"\0").decode("ascii", "replace")
        if not all(math.isfinite(v) for v in struct.unpack_from(f"<{numbers}d", content, values)):
            raise _damaged(path, "one of its parameters is no finite number")
        counts.append((name, numbers))
        at = values + 8 * numbers
    if len(counts) != 2 or counts[1][0] != "fixed":
        raise _damaged(path, "it does not hold one transform with its parameters and fixed parameters")
    _require_counts(counts[0][0], counts[0][1], counts[1][1], path)


def _require_hdf5(content: bytes, path: Path) -> None:
    """HDF5 says where it ends: in its superblock of version 0 or 1 at byte 40 or 44, of 2 or 3 at byte 28."""
    if not content.startswith(_HDF5) or len(content) < 60:
        raise _damaged(path, "it is no HDF5 file")
    at = {0: 40, 1: 44, 2: 28, 3: 28}.get(content[8])
    if at is None or struct.unpack_from("<Q", content, at)[0] != len(content):
        raise _damaged(path, "it does not end where it says")
    if b"TransformFixedParameters" not in content or b"TransformParameters" not in content:
        raise _damaged(path, "it holds no transform with parameters")


def _require_xfm(text: str, path: Path) -> None:
    """A linear transform of MNI: twelve numbers that end with a semicolon."""
    if re.search(r"Transform_Type\s*=\s*(?!Linear)\w", text):
        msg = f"{path}: is no linear transform; register rigidly."
        raise GeometryError(msg, code="transform-not-rigid")
    matrices = re.findall(r"Linear_Transform\s*=([^;]*)(;?)", text)
    if len(matrices) != 1 or not matrices[0][1] or _finite(matrices[0][0].split(), path) != 12:
        raise _damaged(path, "it does not hold one Linear_Transform of 12 numbers with a semicolon at its end")


def _damaged(path: Path, why: str) -> InputError:
    msg = f"{path}: cannot be read as an ITK transform ({why}). {_WAY_OUT}"
    return InputError(msg, code="file-damaged")
