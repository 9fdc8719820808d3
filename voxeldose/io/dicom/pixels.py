"""Stored values of a DICOM file: decoded, as many as the header says, and none beyond the bits that it states."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import count, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

__all__ = ["stored_pixels", "transfer_syntax"]

_IMPLICIT, _EXPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_QUOTED = re.compile(r"""(['"]).*?\1""")
#: What decoders raise at data that they cannot make sense of.
_UNDECODABLE = (
    AttributeError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    EOFError,
    OSError,
    IndexError,
)


def stored_pixels(path: Path, header: Dataset | None = None) -> npt.NDArray[Any]:
    """Stored values of one file, of any transfer syntax that pydicom, GDCM or ITK decode.

    Uncompressed, deflated and RLE are pydicom's own; JPEG, JPEG lossless, JPEG-LS and JPEG 2000 come with python-gdcm, JPEG of
    12 bits with SimpleITK.

    Parameters
    ----------
    path : Path
        The file.
    header : Dataset, optional
        Of the file, if it was read before: uncompressed pixels are then taken from the file's end without reading it again.

    Returns
    -------
    ndarray
        (rows, columns), or (frames, rows, columns) of a file with several frames.

    Raises
    ------
    InputError
        If they cannot be decoded, are more or fewer than the header says, or hold values beyond Bits Stored (0028,0101).
    """
    quick = _from_the_end(path, header) if header is not None else None
    if quick is not None and header is not None:
        return _within_bits(quick, header, path)
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        syntax = ""
        try:
            ds = dcmread(path, force=True)
            syntax = transfer_syntax(ds)
            _require_length(ds, syntax, path)
            return _within_bits(_decoded(ds, syntax), ds, path)
        except _UNDECODABLE as error:
            if isinstance(error, InputError):
                raise
            msg = (
                f"{path}: its pixels, stored as {_name(syntax)}, cannot be read ({_reason(error)}). Export the series uncompressed, "
                "or copy the file again."
            )
            raise InputError(msg, code="pixels-unreadable", transfer_syntax=syntax) from error


def transfer_syntax(header: Dataset) -> str:
    """The transfer syntax that the file states; of a bare data set, the uncompressed one by which it parses."""
    stated = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if stated:
        return str(stated)
    is_implicit, is_little = header.original_encoding
    if is_implicit is None:
        return ""
    return _IMPLICIT if is_implicit else (_EXPLICIT if is_little else _BIG_ENDIAN)


@dataclass(frozen=True)
class _Layout:
    """How uncompressed values are stored."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


def _layout(header: Dataset, syntax: str) -> _Layout | None:
    """The layout of uncompressed values of one sample; ``None`` for what is left to pydicom."""
    allocated = count(header, "BitsAllocated", 16)
    if syntax not in (_IMPLICIT, _EXPLICIT, _BIG_ENDIAN, _DEFLATED) or allocated not in (8, 16, 32):
        return None
    if count(header, "SamplesPerPixel", 1) != 1 or count(header, "PixelRepresentation", 0) not in (0, 1):
        return None
    rows, columns = count(header, "Rows", 0), count(header, "Columns", 0)
    frames = count(header, "NumberOfFrames", 1)
    if rows < 1 or columns < 1 or frames < 1:
        return None
    kind = "i" if count(header, "PixelRepresentation", 0) else "u"
    dtype = np.dtype(f"{'>' if syntax == _BIG_ENDIAN else '<'}{kind}{allocated // 8}")
    return _Layout((rows, columns) if frames == 1 else (frames, rows, columns), dtype)


def _from_the_end(path: Path, header: Dataset) -> npt.NDArray[Any] | None:
    """Uncompressed values that stand last in a file, as they mostly do; ``None`` if they do not, or are compressed.

    The element before them must be Pixel Data (7FE0,0010) of exactly their length.
    """
    syntax = transfer_syntax(header)
    layout = _layout(header, syntax)
    if layout is None or syntax == _DEFLATED:
        return None
    length = layout.size + layout.size % 2
    order = ">" if syntax == _BIG_ENDIAN else "<"
    tag, size = np.array([0x7FE0, 0x0010], f"{order}u2").tobytes(), np.array(length, f"{order}u4").tobytes()
    starts = (tag + size,) if syntax == _IMPLICIT else (tag + b"OW\0\0" + size, tag + b"OB\0\0" + size)
    with path.open("rb") as file:
        whole = file.seek(0, os.SEEK_END)
        if whole < length + len(starts[0]):
            return None
        file.seek(whole - length - len(starts[0]))
        if file.read(len(starts[0])) not in starts:
            return None
        return np.frombuffer(file.read(layout.size), layout.dtype).reshape(layout.shape)


def _require_length(ds: Dataset, syntax: str, path: Path) -> None:
    """Refuse uncompressed pixels that are more or fewer than the header says."""
    layout = _layout(ds, syntax)
    if layout is None or "PixelData" not in ds:
        return
    there = len(ds.PixelData)
    if there not in (layout.size, layout.size + layout.size % 2):
        msg = (
            f"{path}: Pixel Data (7FE0,0010) holds {there} bytes where rows, columns, frames and bits of the header need "
            f"{layout.size}. Export it again, or copy the file again."
        )
        raise InputError(
            msg, code="pixels-differ" if there > layout.size else "pixels-unreadable", stored=there, stated=layout.size
        )


def _decoded(ds: Dataset, syntax: str) -> npt.NDArray[Any]:
    """All values as decoded, unused bits included."""
    from pydicom.pixels import pixel_array
    from pydicom.uid import UID

    if syntax == _JPEG_EXTENDED and count(ds, "BitsStored", 8) > 8:
        return _by_itk(ds)
    if "TransferSyntaxUID" not in (getattr(ds, "file_meta", None) or ()):
        from pydicom.dataset import FileMetaDataset

        if ds["PixelData"].is_undefined_length:
            msg = "the file has no Transfer Syntax UID (0002,0010), and its pixels are compressed in a way that nothing names"
            raise ValueError(msg)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = UID(syntax)
    if "PixelData" in ds:
        return np.asarray(pixel_array(ds, correct_unused_bits=False))
    return np.asarray(ds.pixel_array)


def _by_itk(ds: Dataset) -> npt.NDArray[Any]:
    """Compressed frames decoded by ITK, from a file that holds them and nothing of the header but their layout."""
    import SimpleITK as sitk  # noqa: N813
    from pydicom.dataset import Dataset as NewDataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

    bare = NewDataset()
    bare.SOPClassUID, bare.SOPInstanceUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid()
    for key in (
        "NumberOfFrames",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ):
        if key in ds:
            setattr(bare, key, ds[key].value)
    bare.PixelData = ds.PixelData
    bare["PixelData"].VR, bare["PixelData"].is_undefined_length = "OB", True
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = UID(_JPEG_EXTENDED)
    bare.file_meta.MediaStorageSOPClassUID, bare.file_meta.MediaStorageSOPInstanceUID = (
        bare.SOPClassUID,
        bare.SOPInstanceUID,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frames.dcm"
        bare.save_as(file, enforce_file_format=True)
        with _without_complaints():
            values = np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO")))
    return values[0] if count(ds, "NumberOfFrames", 1) == 1 and values.ndim == 3 else values


@contextmanager
def _without_complaints() -> Iterator[None]:
    """Standard error closed for a library in C, which says of every frame that it tries 8 bits before it takes 12."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _within_bits(stored: npt.NDArray[Any], header: Dataset, path: Path) -> npt.NDArray[Any]:
    """The values if all lie within Bits Stored; padding may lie beyond, and bits of an overlay are taken off.

    Signed values may be extended by their sign to the bits allocated, or filled up with zeros.

    Raises
    ------
    InputError
        If a value lies beyond, or High Bit (0028,0102) is not Bits Stored less 1.
    """
    if stored.dtype.kind not in "iu" or count(header, "SamplesPerPixel", 1) != 1:
        return stored
    allocated = 8 * stored.dtype.itemsize
    bits = count(header, "BitsStored", allocated)
    high = number(header, "HighBit")
    if not 1 <= bits <= allocated or (high is not None and bits > 1 and high != bits - 1):
        msg = (
            f"{path}: Bits Stored (0028,0101) is {bits} and High Bit (0028,0102) {high}, of {allocated} bits: which bits hold the "
            "value is not certain. Export the series again."
        )
        raise InputError(msg, code="bits-contradict", bits_stored=bits, bits_allocated=allocated)
    if bits == allocated:
        return stored
    shift = allocated - bits
    low = stored << shift >> shift
    beyond = low != stored
    if stored.dtype.kind == "i":
        filled = (stored.view(stored.dtype.str.replace("i", "u")) >> bits) == 0
        stored, beyond = np.where(filled, low, stored), beyond & ~filled
    padding = number(header, "PixelPaddingValue")
    if padding is not None:
        beyond &= stored != np.asarray(int(padding) & ((1 << allocated) - 1)).astype(f"u{allocated // 8}").astype(
            stored.dtype
        )
    if not beyond.any():
        return stored
    if _has_overlay_in_pixels(header):
        return low
    worst = stored[beyond].flat[0]
    msg = (
        f"{path}: Bits Stored (0028,0101) says {bits}, but a stored value is {worst}, which needs more. The header or the pixels are "
        "damaged; export the series again."
    )
    raise InputError(msg, code="bits-contradict", bits_stored=bits, stored=int(worst))


def _has_overlay_in_pixels(header: Dataset) -> bool:
    """Whether an overlay (60xx,0100) lies in the unused bits of the pixels, as was allowed before 2004."""
    return any(
        (group, 0x0100) in header and int(header[group, 0x0100].value or 1) > 1 for group in range(0x6000, 0x6020, 2)
    )


def _name(syntax: str) -> str:
    """The transfer syntax for people."""
    from pydicom.uid import UID

    return UID(syntax).name if syntax else "nothing that the file names"


def _reason(error: Exception) -> str:
    """Why it cannot be decoded, whole and on one line, without what a decoder quotes from the file."""
    return _QUOTED.sub("…", " ".join(str(error).split()))[:300] or type(error).__name__
