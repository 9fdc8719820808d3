"""DICOM files on disk, sorted into series."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.damage import is_damage
from voxeldose.io.dicom.header import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    #: What lists the series at a path: :func:`find_series`, or one that remembers what it has listed before.
    Scan = Callable[[Path], list["Series"]]

__all__ = ["Series", "find_series", "is_dicom", "only_series"]

#: File names that may be DICOM without the preamble that the standard asks for.
_BARE_SUFFIXES = {"", ".dcm", ".ima", ".img"}
_DICOM_SUFFIXES = {".dcm", ".ima"}
#: CT, enhanced CT, PET, enhanced PET and NM images.
_IMAGES = {f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "2.1", "128", "130", "20")}
#: Media Storage Directory, the SOP Class of a DICOMDIR.
_DICOMDIR = b"1.2.840.10008.1.3.10"


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one series, in no order yet; headers without pixels."""

    uid: str
    paths: tuple[Path, ...]
    headers: tuple[Dataset, ...]

    @property
    def first(self) -> Dataset:
        """One header, for what all files share."""
        return self.headers[0]

    @property
    def modality(self) -> str:
        """As the header says: CT, PT, NM and so on; the retired ST (SPECT) is NM."""
        modality = text(self.first, "Modality") or "unknown"
        return "NM" if modality == "ST" else modality

    @property
    def folder(self) -> Path:
        """Where its first file lies."""
        return self.paths[0].parent

    def __str__(self) -> str:
        return f"{self.modality}, {len(self.paths)} file{'s' * (len(self.paths) > 1)}, series {self.uid}"


def read_header(path: Path) -> Dataset | None:
    """The header of a DICOM file, or ``None`` if it is not one.

    Raises
    ------
    InputError
        If the file calls itself DICOM but is broken: a series may lack what it held.
    """
    from pydicom import dcmread

    claims = _claims_dicom(path)
    if not claims and path.suffix.casefold() not in _BARE_SUFFIXES:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break the standard are judged where they are used
        try:
            header = dcmread(path, stop_before_pixels=True, force=True)
            known = "SOPClassUID" in header and "Modality" in header and (not claims or _is_whole(header))
        except Exception as error:
            if not is_damage(error):
                raise
            known = False
    if known:
        return header
    if claims or path.suffix.casefold() in _DICOM_SUFFIXES:
        msg = (
            f"{path}: this DICOM file is broken (SOP Class, Modality, Series Instance UID or Rows cannot be read from its "
            f"{path.stat().st_size} bytes), so its series may be incomplete. Copy or export it again, or remove the file."
        )
        raise InputError(msg, code="file-damaged")
    return None


def _is_whole(header: Dataset) -> bool:
    """Whether a header goes on as far as it must: a file cut off before would leave its series without its slice."""
    return "SeriesInstanceUID" in header and ("Rows" in header or text(header, "SOPClassUID") not in _IMAGES)


def _claims_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM behind its preamble, and is no directory of a medium."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})."
        raise InputError(msg, code="file-unreadable") from error
    return start[128:132] == b"DICM" and _DICOMDIR not in start


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, or a folder holds a DICOM file."""
    if path.is_file():
        return read_header(path) is not None
    return any(read_header(p) is not None for p in _files(path))


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return (p for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".") and p.name != "DICOMDIR")


def find_series(path: Path) -> list[Series]:
    """Every series in a file or folder (subfolders included), by Series Instance UID.

    Raises
    ------
    InputError
        If there is nothing at ``path``, or nothing in it.
    """
    if not path.exists():
        msg = f"{path}: there is no such file or folder."
        raise InputError(msg, code="file-missing")
    groups: dict[str, list[tuple[Path, Dataset]]] = {}
    is_empty = True
    for file in _files(path):
        is_empty = False
        header = read_header(file)
        if header is not None and "SOPClassUID" in header:
            groups.setdefault(text(header, "SeriesInstanceUID") or "none", []).append((file, header))
    if is_empty:
        msg = f"{path}: the folder is empty; give the folder that holds the series."
        raise InputError(msg, code="folder-empty")
    return [Series(uid, tuple(p for p, _ in files), tuple(h for _, h in files)) for uid, files in groups.items()]


def only_series(
    path: Path, modalities: Sequence[str] = (), series_uid: str | None = None, *, scan: Scan = find_series
) -> Series:
    """The one series meant by ``path``.

    Parameters
    ----------
    path : Path
        A folder, or a file.
    modalities : sequence of str
        Those looked for; none means images of any modality.
    series_uid : str, optional
        Which one, where the folder holds several.
    scan : callable
        Lists the series at ``path``.

    Raises
    ------
    InputError
        If there is none, or more than one and nothing says which.
    """
    series = scan(path)
    if not series:
        msg = f"{path}: no DICOM file was found; give a folder with DICOM files, or a NIfTI, NRRD or MHA file."
        raise InputError(msg, code="dicom-missing")
    if series_uid is not None:
        series = [s for s in series if s.uid == series_uid]
        if not series:
            msg = f"{path}: there is no series {series_uid} here."
            raise InputError(msg, code="series-missing", series_uid=series_uid)
    wanted = [s for s in series if s.modality in modalities] if modalities else [s for s in series if "Rows" in s.first]
    # raw data keep the modality of their scanner; they are never the image that is meant
    wanted = [s for s in wanted if "Rows" in s.first] or wanted
    if len(wanted) == 1:
        return wanted[0]
    listed = "; ".join(str(s) for s in (wanted or series))
    sought = " or ".join(modalities) or "image"
    if not wanted:
        msg = f"{path}: no {sought} series here, but: {listed}."
        raise InputError(msg, code="series-missing", modalities=tuple(modalities))
    msg = (
        f"{path}: {len(wanted)} {sought} series are mixed here ({listed}). Give a folder with only the wanted one, or "
        "name it by series_uid in the case file."
    )
    raise InputError(msg, code="series-several", series_uids=tuple(s.uid for s in wanted))
