"""DICOM files on disk, sorted into series."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.damage import is_damage
from voxeldose.io.dicom.header import text
from voxeldose.io.dicom.unread import dangling_link, may_be_slice, packed_or_list, unread_among
from voxeldose.io.folders import files_below

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom.dataset import Dataset

    #: What lists the series at a path: :func:`find_series`, or one that remembers what it has listed before.
    Scan = Callable[[Path], list["Series"]]

__all__ = ["Scanned", "Series", "find_series", "is_dicom", "only_series", "read_header", "scan_series"]

_DICOM_SUFFIXES = {".dcm", ".ima"}
#: CT, enhanced CT, PET, enhanced PET and NM images.
_IMAGES = {f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "2.1", "128", "130", "20")}
_MODALITY = 0x00080060
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
    """The header of a DICOM file, or ``None`` if it is not one: with preamble, or a bare data set under any name.

    Raises
    ------
    InputError
        If the file calls itself DICOM but is broken: a series may lack what it held.
    """
    from pydicom import dcmread

    start = _start_of(path)
    claims = _claims_dicom(start)
    if not claims and not _begins_like_a_data_set(start):
        if path.suffix.casefold() in _DICOM_SUFFIXES and _DICOMDIR not in start:
            raise _broken(path)
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that break the standard are judged where they are used
        try:
            header = dcmread(path, stop_before_pixels=True, force=True)
            known = "SOPClassUID" in header and _names_its_kind(header) and (not claims or _is_whole(header))
        except Exception as error:
            if not is_damage(error):
                raise
            known = False
    if known:
        return header
    if claims or path.suffix.casefold() in _DICOM_SUFFIXES:
        raise _broken(path)
    return None


def _broken(path: Path) -> InputError:
    msg = (
        f"{path}: this DICOM file is broken (SOP Class, Modality, Series Instance UID or Rows cannot be read from its "
        f"{path.stat().st_size} bytes), so its series may be incomplete. Copy or export it again, or remove the file."
    )
    return InputError(msg, code="file-damaged")


def _names_its_kind(header: Dataset) -> bool:
    """Whether a header has a modality, or goes on beyond it and is of a kind that has none (a protocol, a template)."""
    if "Modality" in header:
        return True
    return text(header, "SOPClassUID") not in _IMAGES and max(header.keys(), default=0) > _MODALITY


def _is_whole(header: Dataset) -> bool:
    """Whether a header goes on as far as it must: a file cut off before would leave its series without its slice."""
    if "Modality" not in header:
        return True
    return "SeriesInstanceUID" in header and ("Rows" in header or text(header, "SOPClassUID") not in _IMAGES)


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})."
        raise InputError(msg, code="file-unreadable") from error


def _claims_dicom(start: bytes) -> bool:
    """Whether a file has the mark of DICOM behind its preamble, and is no directory of a medium."""
    return start[128:132] == b"DICM" and _DICOMDIR not in start


def _begins_like_a_data_set(start: bytes) -> bool:
    """Whether the first element is of group 0008, or of the file meta information without preamble, in any byte order."""
    if start[:2] in (b"\x08\0", b"\x02\0"):
        length = int.from_bytes(start[4:8], "little")
        return start[3:4] == b"\0" and (start[4:6].isalpha() or length < 1 << 16)
    return start[:2] == b"\0\x08" and start[4:6].isalpha()


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, or a folder holds a DICOM file."""
    return any(read_header(p) is not None for p in files_below(path).files)


@dataclass(frozen=True)
class Scanned:
    """Every series below a path, what may have been a part of one but could not be read, and files that are no DICOM."""

    series: tuple[Series, ...]
    unread: tuple[InputError, ...]
    unknown: tuple[Path, ...] = ()

    def near(self, series: Series) -> InputError | None:
        """What could not be read in a folder of a series, so that the series may be incomplete."""
        folders = {path.parent for path in series.paths}
        return next((error for error in self.unread if Path(str(error.fields["path"])).parent in folders), None)


def scan_series(path: Path) -> Scanned:
    """Every series in a file or folder (subfolders and linked folders included), by Series Instance UID.

    Raises
    ------
    InputError
        If there is nothing at ``path``, nothing in it, or it is an archive or a list of files in place of the files.
    """
    if not path.exists() and not path.is_symlink():
        msg = f"{path}: there is no such file or folder."
        raise InputError(msg, code="file-missing")
    below = files_below(path)
    if not below.files and not below.dangling:
        msg = f"{path}: the folder is empty; give the folder that holds the series."
        raise InputError(msg, code="folder-empty")
    groups: dict[str, list[tuple[Path, Dataset]]] = {}
    unread = [dangling_link(link) for link in below.dangling if may_be_slice(link)]
    unknown = list[Path]()
    for file in below.files:
        try:
            header = read_header(file)
        except InputError as error:
            unread.append(InputError(str(error), code=error.code, path=str(file)))
            continue
        if header is None:
            unknown.append(file)
        else:
            groups.setdefault(text(header, "SeriesInstanceUID") or "none", []).append((file, header))
    series = tuple(Series(uid, tuple(p for p, _ in files), tuple(h for _, h in files)) for uid, files in groups.items())
    read = {file for one in series for file in one.paths}
    unread += unread_among(unknown, read)
    if not series and not unread:
        unread += [why for file in unknown if (why := packed_or_list(file)) is not None]
    return Scanned(series, tuple(unread), tuple(unknown))


def find_series(path: Path) -> list[Series]:
    """Every series in a file or folder, as :func:`scan_series`; refused if a part of one may be missing.

    Raises
    ------
    InputError
        If there is nothing at ``path`` or in it, or something that may be a slice could not be read.
    """
    found = scan_series(path)
    if found.unread:
        first = found.unread[0]
        more = f" ({len(found.unread) - 1} more files like this.)" if len(found.unread) > 1 else ""
        msg = f"{first}{more}"
        raise InputError(msg, code=first.code, path=str(first.fields["path"]), files=len(found.unread))
    return list(found.series)


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
