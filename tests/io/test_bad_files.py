"""Thousands of damaged files: each is refused with a reason or read to the same result; never a traceback, a hang,
a flood of memory, or another result in silence.

Damage is drawn from fixed seeds. *Loss* (something is gone or is no value any more) must never change a result without a
word; a *change* of one value into another legal one may.
"""

import gzip
import random
import resource
import shutil
import signal
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.rtdose import read_rtdose, write_rtdose
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.images import read_activity
from voxeldose.io.inspection import inspect
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.io.regions import read_labels
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import DoseMap, Volume

SECONDS = 10
GROWTH_BYTES = 2 << 30

#: Bytes that stand where a value stood.
GARBAGE = (b"", b" ", b"abc ", b"\xff\xfe", b"1e999 ", b"nan ")
NUMBERS = (b"-1", b"0 ", b"1\\2\\3\\4 ", b"99999999999999999999", b"\0\0")
ABSURD = {
    "Rows": (0, 1, 65535),
    "Columns": (0, 1, 65535),
    "NumberOfFrames": ("0", "-3", "2000000000", "1"),
    "BitsAllocated": (0, 1, 8, 12, 32, 64),
    "BitsStored": (0, 40),
    "HighBit": (200,),
    "SamplesPerPixel": (0, 3),
    "PixelRepresentation": (7,),
    "NumberOfSlices": (0, 60000),
}
SYNTAXES = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.1.99",
    "1.2.3.4",
    "",
)


class TooSlow(BaseException):
    """A hang; no ``except Exception`` of a reader may take it for damage."""


@contextmanager
def limited() -> Iterator[None]:
    """At most ten seconds and two more gigabytes."""

    def stop(*_: object) -> None:
        msg = f"more than {SECONDS} s"
        raise TooSlow(msg)

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GROWTH_BYTES, hard))
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


# --- damage -----------------------------------------------------------------------------------------------------------


def _raw(ds: Dataset, tag: Tag, vr: str, value: bytes) -> None:
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


def _elements(ds: Dataset) -> list[tuple[Dataset, Tag]]:
    """Every element with the dataset that holds it, items of sequences included."""
    found = []
    for tag in list(ds.keys()):
        if tag == 0x7FE00010:
            continue
        found.append((ds, tag))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            element = ds[tag]
        if element.VR == "SQ":
            for item in element.value:
                found += _elements(item)
    return found


def lose_element(ds: Dataset, rng: random.Random) -> None:
    owner, tag = rng.choice(_elements(ds))
    del owner[tag]


def empty_element(ds: Dataset, rng: random.Random) -> None:
    owner, tag = rng.choice(_elements(ds))
    vr = owner[tag].VR
    if vr == "SQ":
        owner[tag].value = []
    else:
        _raw(owner, tag, vr, b"")


def garble_element(ds: Dataset, rng: random.Random) -> None:
    owner, tag = rng.choice([(o, t) for o, t in _elements(ds) if o[t].VR != "SQ"])
    _raw(owner, tag, owner[tag].VR, rng.choice(GARBAGE))


def other_number(ds: Dataset, rng: random.Random) -> None:
    owner, tag = rng.choice([(o, t) for o, t in _elements(ds) if o[t].VR != "SQ"])
    _raw(owner, tag, owner[tag].VR, rng.choice(NUMBERS))


def retype_element(ds: Dataset, rng: random.Random) -> None:
    owner, tag = rng.choice([(o, t) for o, t in _elements(ds) if o[t].VR != "SQ"])
    _raw(
        owner,
        tag,
        rng.choice(["DS", "IS", "US", "FD", "LO", "SQ", "OB", "UI", "PN", "UN"]),
        rng.choice(GARBAGE + NUMBERS),
    )


def absurd_size(ds: Dataset, rng: random.Random) -> None:
    key = rng.choice(list(ABSURD))
    setattr(ds, key, rng.choice(ABSURD[key]))


def wrong_text(ds: Dataset, rng: random.Random) -> None:
    ds.SpecificCharacterSet = rng.choice(["ISO_IR 192", "ISO 2022 IR 87", "NONSENSE", "ISO_IR 999"])
    for key in ("SeriesDescription", "Manufacturer", "PatientName"):
        _raw(ds, Tag(key), "LO", bytes(rng.randrange(256) for _ in range(10)))


def short_pixels(ds: Dataset, rng: random.Random) -> None:
    if "PixelData" in ds:
        ds.PixelData = ds.PixelData[: rng.randrange(len(ds.PixelData) // 2) // 2 * 2]


def other_syntax(ds: Dataset, rng: random.Random) -> None:
    ds.file_meta.TransferSyntaxUID = rng.choice(SYNTAXES)


def truncate(raw: bytearray, rng: random.Random) -> bytearray:
    return raw[: rng.randrange(len(raw))]


def flip(raw: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice([1, 1, 2, 8])):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return raw


def splice(raw: bytearray, rng: random.Random) -> bytearray:
    at, length = rng.randrange(len(raw)), rng.choice([1, 2, 4, 100])
    return raw[:at] + bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 4, 60]))) + raw[at + length :]


def blot(raw: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(raw))
    raw[at : at + 64] = bytes([rng.choice([0, 255])]) * len(raw[at : at + 64])
    return raw


LOSSES = (lose_element, empty_element, garble_element, wrong_text, short_pixels)
CHANGES = (retype_element, other_number, absurd_size, other_syntax)
BYTE_LOSSES = (truncate,)
BYTE_CHANGES = (flip, splice, blot)


def damage_dicom(path: Path, rng: random.Random) -> tuple[str, bool]:
    """Damage a file; the name of the damage, and whether it is loss."""
    act = rng.choice(LOSSES * 3 + CHANGES * 2 + BYTE_LOSSES * 2 + BYTE_CHANGES)
    if act in BYTE_LOSSES + BYTE_CHANGES:
        path.write_bytes(act(bytearray(path.read_bytes()), rng))
        return act.__name__, act in BYTE_LOSSES
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        ds = dcmread(path)
        act(ds, rng)
        try:
            ds.save_as(path, enforce_file_format=False, implicit_vr=False, little_endian=True)
        except Exception:  # noqa: BLE001 - what is no DICOM, or broken, may fail in any way when read as one
            path.write_bytes(truncate(bytearray(path.read_bytes()), rng))
            return "truncate", True
    return act.__name__, act in LOSSES


# --- what was read ----------------------------------------------------------------------------------------------------


def facts(result: object) -> dict[str, object]:
    """All that a result says, for comparison."""
    if isinstance(result, RoiSet):
        return {str(n): (r.occupancy.tobytes(), r.grid.affine_lps_mm.tolist()) for n, r in enumerate(result)}
    assert isinstance(result, Volume)
    said: dict[str, object] = {
        "kind": type(result).__name__,
        "values": result.values.tobytes(),
        "affine": result.grid.affine_lps_mm.tolist(),
        "at": getattr(result, "at", None),
    }
    nuclide = getattr(result, "radionuclide", None)
    said["nuclide"] = nuclide.name if nuclide else None
    return said


def silently_different(base: object, result: object) -> list[str]:
    """What differs from the sound file's result with neither a note nor an open gap (``None``) to show for it."""
    before, after = facts(base), facts(result)
    if getattr(base, "remarks", None) != getattr(result, "remarks", None):
        return []
    return [key for key in before if key not in after or after[key] not in (before[key], None)]


def attempt(read: Callable[[Path], object], path: Path) -> object:
    """The result, or ``None`` where it is refused; anything else that is raised is the failure looked for."""
    with limited(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read(path)
        except VoxeldoseError as error:
            assert len(str(error)) < 3000  # noqa: PT017
            return None


def survive(
    sound: Path,
    tmp_path: Path,
    read: Callable[[Path], object],
    damage: Callable[[Path, random.Random], tuple[str, bool]],
    rounds: int,
) -> None:
    """Damage a copy of one of the files ``rounds`` times."""
    base = read(sound)
    assert base is not None
    refusals = 0
    faults: list[str] = []
    for seed in range(rounds):
        rng = random.Random(seed)  # noqa: S311
        copy = tmp_path / "copy" / sound.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        if sound.is_dir():
            shutil.copytree(sound, copy)
            victim = rng.choice(sorted(copy.iterdir()))
        else:
            victim = Path(shutil.copy(sound, copy))
        name, loss = damage(victim, rng)
        try:
            result = attempt(read, copy)
            attempt(inspect, copy)
        except Exception as error:  # noqa: BLE001 - a fault in one case is a row, not the end
            faults.append(f"seed {seed} ({name}): {type(error).__name__}: {str(error)[:150]}")
            continue
        if result is None:
            refusals += 1
        elif loss and (changed := silently_different(base, result)):
            faults.append(f"seed {seed} ({name}): {', '.join(changed)} changed in silence")
    assert not faults, f"{len(faults)} of {rounds}:\n" + "\n".join(faults[:40])
    assert refusals > rounds / 10  # the damage is real


# --- the files --------------------------------------------------------------------------------------------------------


def test_damaged_ct_series(write_series, tmp_path):
    survive(write_series("CT", shape=(4, 5, 6)), tmp_path, read_ct, damage_dicom, 320)


def test_damaged_pet_series(write_series, tmp_path):
    survive(write_series("PT", shape=(4, 5, 6)), tmp_path, read_activity, damage_dicom, 320)


def test_damaged_spect_files(write_nm, tmp_path):
    survive(write_nm(shape=(4, 5, 6)), tmp_path, read_activity, damage_dicom, 320)


@pytest.fixture
def on_ct(write_series, make_grid):
    """A CT series, and regions on a grid in its frame."""
    folder = write_series("CT", shape=(4, 6, 9))
    grid = read_ct(folder).grid
    values = np.zeros(grid.shape, np.float32)
    values[1:3, 1:5, 2:7] = 1
    lesion = np.zeros(grid.shape, np.float32)
    lesion[2, 2:4, 3:5] = 1
    return folder, RoiSet((Roi("liver", "liver", values, grid), Roi("lesion", "tumor", lesion, grid)))


def test_damaged_segmentations(on_ct, tmp_path):
    folder, rois = on_ct
    write_seg(rois, tmp_path / "rois.dcm", reference=folder)
    survive(tmp_path / "rois.dcm", tmp_path, read_labels, damage_dicom, 240)


def lose_number_of_frames(ds: Dataset) -> None:
    del ds.NumberOfFrames


def rename_a_segment(ds: Dataset) -> None:
    ds.SegmentSequence[1].SegmentNumber = 9


@pytest.mark.parametrize(
    ("change", "code"), [(lose_number_of_frames, "frames-undescribed"), (rename_a_segment, "segments-undescribed")]
)
def test_a_segmentation_that_would_lose_frames_in_silence_is_refused(on_ct, tmp_path, refused, change, code):
    folder, rois = on_ct
    path = tmp_path / "rois.dcm"
    write_seg(rois, path, reference=folder)
    ds = dcmread(path)
    change(ds)
    ds.save_as(path)
    refused(lambda: read_labels(path), str(path), code=code)


def test_damaged_structure_sets(on_ct, tmp_path):
    ds = dcmread(next(on_ct[0].iterdir()))
    del ds.PixelData
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT"
    frame, roi, drawn = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = ds.FrameOfReferenceUID
    ds.ReferencedFrameOfReferenceSequence = [frame]
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 1, "liver", ds.FrameOfReferenceUID
    ds.StructureSetROISequence = [roi]
    drawn.ReferencedROINumber, drawn.ContourSequence = 1, []
    for z in (60.0, 63.0, 66.0):
        plane = Dataset()
        plane.ContourGeometricType, plane.NumberOfContourPoints = "CLOSED_PLANAR", 4
        plane.ContourData = [f"{v:g}" for x, y in ((-19, 36), (-11, 36), (-11, 44), (-19, 44)) for v in (x, y, z)]
        drawn.ContourSequence.append(plane)
    ds.ROIContourSequence = [drawn]
    ds.save_as(tmp_path / "structures.dcm")
    survive(tmp_path / "structures.dcm", tmp_path, read_labels, damage_dicom, 240)


def test_damaged_doses(on_ct, tmp_path):
    folder, rois = on_ct
    dose = DoseMap(rois.rois[0].occupancy * 7, rois.rois[0].grid, method="test")
    write_rtdose(dose, tmp_path / "dose.dcm", reference=folder)
    survive(tmp_path / "dose.dcm", tmp_path, read_rtdose, damage_dicom, 240)


def damage_bytes(path: Path, rng: random.Random) -> tuple[str, bool]:
    act = rng.choice(BYTE_LOSSES + BYTE_CHANGES)
    path.write_bytes(act(bytearray(path.read_bytes()), rng))
    return act.__name__, act in BYTE_LOSSES


def damage_checked(path: Path, rng: random.Random) -> tuple[str, bool]:
    """A gzip file tells every damage by its checksum."""
    return damage_bytes(path, rng)[0], True


def damage_header(path: Path, rng: random.Random) -> tuple[str, bool]:
    """Numbers of a NIfTI header that no image has."""
    raw = bytearray(path.read_bytes())
    at, form = rng.choice([(40, "h"), (42, "h"), (44, "h"), (46, "h"), (70, "h"), (72, "h"), (252, "h"), (254, "h")])
    struct.pack_into("<" + form, raw, at, rng.choice([-1, 0, 7, 4096, 32767]))
    for place in rng.sample([108, 112, 116, 280, 300, 320, 256, 80], 2):
        struct.pack_into("<f", raw, place, rng.choice([float("nan"), float("inf"), -1.0, 0.0, 1e30]))
    path.write_bytes(raw)
    return "damage_header", False


def _quantified(path: Path) -> object:
    return read_activity(path, quantity="bq_per_ml")


@pytest.mark.parametrize(
    ("name", "damage", "rounds"),
    [
        ("image.nii", damage_bytes, 100),
        ("image.nii", damage_header, 200),
        ("image.nii.gz", damage_checked, 100),
        ("image.mha", damage_bytes, 100),
        ("image.nrrd", damage_bytes, 100),
    ],
)
def test_damaged_plain_files(make_grid, field, tmp_path, name, damage, rounds):
    import SimpleITK as sitk  # noqa: N813

    grid = make_grid("oblique")
    file = tmp_path / name
    if ".nii" in name:
        write_nifti(Volume(field(grid).astype(np.float32), grid), file)
    else:
        image = sitk.GetImageFromArray(field(grid).astype(np.float32))
        sitk.WriteImage(image, str(file))
    survive(file, tmp_path, _quantified, damage, rounds)


def test_damaged_label_maps(make_grid, tmp_path):
    grid = make_grid()
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:3, 1:5, 2:7] = 1
    write_labels(labels, grid, tmp_path / "labels.nii.gz")
    names = {1: ("liver", "liver")}
    survive(tmp_path / "labels.nii.gz", tmp_path, lambda p: read_labels(p, names), damage_checked, 100)


def test_a_bomb_of_zeros_in_a_gzip_is_refused(tmp_path, make_grid):
    write_nifti(Volume(np.ones((4, 6, 9), np.float32), make_grid()), tmp_path / "small.nii")
    raw = (tmp_path / "small.nii").read_bytes()
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=9) as file:
        file.write(raw)
        for _ in range(8):
            file.write(bytes(1 << 24))
    with pytest.raises(InputError, match="more are there"):
        _quantified(tmp_path / "bomb.nii.gz")
