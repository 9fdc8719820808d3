"""Peak memory and CPU time of reading a study and bringing it onto one grid, beside plain SimpleITK reading of its files.

Makes a CT of 300 x 512 x 512, a PET of 109 x 200 x 200 (one DICOM file a slice) and 20 regions of the CT's voxels as a
label map and as a DICOM SEG; then reads them in processes of their own, so that each peak is one reader's. At last inspects
a folder of 40 series of 100 files, beside pydicom reading each header once.

    python benchmarks/bench_reading.py [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CT = ((300, 512, 512), (1.5, 0.8, 0.8))
PET = ((109, 200, 200), (3.27, 4.07, 4.07))
REGIONS = 20
SERIES, FILES = 40, 100
LIMIT_GIB = 3.0
FRAME = "1.2.826.0.1.3680043.8.498.78"


def centred(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """The place (x, y, z) of the first voxel of an axial image around the origin."""
    return np.array([-(shape[a] - 1) * spacing[a] / 2 for a in (2, 1, 0)])


def write_series(
    folder: Path,
    modality: str,
    values,
    spacing: tuple[float, float, float],
    shape: tuple[int, int, int] | None = None,
) -> None:
    """One file a slice; ``values(k)`` gives the stored numbers of a slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True)
    shape = shape or (CT[0] if modality == "CT" else PET[0])
    start = centred(shape, spacing)
    study, series = "1.2.826.0.1.3680043.8.498.79", generate_uid()
    for k in range(shape[0]):
        ds = Dataset()
        ds.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{'2' if modality == 'CT' else '128'}"
        ds.SOPInstanceUID, ds.Modality = generate_uid(), modality
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = study, series, k + 1
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20240502"
        ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "140500"
        ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
        ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""
        ds.FrameOfReferenceUID = FRAME
        ds.Manufacturer = ds.ManufacturerModelName = "bench"
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [f"{v:.6g}" for v in start + np.array([0, 0, k * spacing[0]])]
        ds.PixelSpacing, ds.SliceThickness = [spacing[1], spacing[2]], spacing[0]
        ds.Rows, ds.Columns = shape[1:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = ("1", "-1024") if modality == "CT" else ("25", "0")
        if modality == "PT":
            ds.Units, ds.DecayCorrection, ds.ActualFrameDuration = "BQML", "START", 1800000
        ds.PixelData = values(k).astype(np.uint16).tobytes()
        ds["PixelData"].VR = "OW"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def make_files(folder: Path) -> None:
    """The study: noise on a body, 20 boxes of very different sizes, the first as large as a body."""
    from voxeldose.io.dicom.seg import write_seg
    from voxeldose.io.nifti import write_labels
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi, RoiSet

    rng = np.random.default_rng(1)
    write_series(folder / "ct", "CT", lambda k: 1024 + k % 7 + rng.integers(-40, 40, CT[0][1:]), CT[1])
    write_series(folder / "pet", "PT", lambda k: k % 5 + rng.integers(0, 200, PET[0][1:]), PET[1])
    grid = Grid.from_axes(*CT, centred(*CT), frame_uid=FRAME)
    labels = np.zeros(CT[0], np.uint8)
    labels[35:265, 60:460, 40:470] = 1
    for n in range(2, REGIONS + 1):
        size = 6 + 3 * n
        k, j, i = 36 + 8 * n, 65 + 95 * (n % 4), 45 + 80 * (n // 4 % 5)
        labels[k : k + size, j : j + size, i : i + size] = n
    write_labels(labels, grid, folder / "labels.nii.gz")
    rois = RoiSet(tuple(Roi(f"region_{n}", "other", labels == n, grid) for n in range(1, REGIONS + 1)))
    write_seg(rois, folder / "seg.dcm", reference=folder / "ct")


def by_voxeldose(folder: Path, labels: str) -> dict[str, float]:
    """Read everything, and bring CT and regions onto the grid of the PET."""
    import voxeldose as vd
    from voxeldose.geometry.resample import onto, roi_onto
    from voxeldose.io.regions import read_rois

    ct, pet = vd.read_ct(folder / "ct"), vd.read_pet(folder / "pet")
    names = {str(n): (f"region_{n}", "other") for n in range(1, REGIONS + 1)}
    rois = read_rois([folder / labels], names)
    facts = {"ct": float(ct.hu.mean(dtype=float)), "pet": float(pet.bq_per_ml.mean(dtype=float))}
    facts |= {f"region {n}": roi.volume_ml for n, roi in enumerate(rois, 1)}
    moved = onto(ct, pet.grid)
    facts["ct on the grid of the pet"] = float(moved.hu[20:-20, 70:-70, 70:-70].mean(dtype=float))
    facts["regions moved"] = sum(roi_onto(roi, pet.grid)[0].volume_ml for roi in rois)
    return facts


def by_simpleitk(folder: Path, labels: str) -> dict[str, float]:
    """Read the same files and nothing else; the SEG as SimpleITK sees it, a stack of frames."""
    import SimpleITK as sitk  # noqa: N813

    facts, kept = {}, []
    for name in ("ct", "pet"):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / name)))
        kept.append(reader.Execute())
        facts[name] = float(sitk.GetArrayViewFromImage(kept[-1]).mean(dtype=float))
    kept.append(sitk.ReadImage(str(folder / labels)))
    if labels.endswith(".gz"):
        counts = np.bincount(sitk.GetArrayViewFromImage(kept[-1]).ravel(), minlength=REGIONS + 1)
        volume = float(np.prod(kept[-1].GetSpacing())) / 1000
        facts |= {f"region {n}": float(counts[n]) * volume for n in range(1, REGIONS + 1)}
    return facts


def measured(reader: str, folder: Path, labels: str) -> dict[str, object]:
    """Facts, peak memory (GiB), CPU and wall seconds of a reader in a fresh process."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--reader", reader, "--labels", labels, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this file itself
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall_s": time.perf_counter() - started}


def make_many_series(folder: Path) -> None:
    """Many small CT series below one folder."""
    for n in range(SERIES):
        write_series(folder / f"series_{n:02d}", "CT", lambda k: np.full((16, 16), 1024 + k), CT[1], (FILES, 16, 16))


def by_inspection(folder: Path, _: str) -> dict[str, float]:
    """How many series and files an inspection finds usable."""
    from voxeldose.io.inspection import inspect

    usable = [found for found in inspect(folder) if found.uses == ("ct",)]
    return {"series": len(usable), "files": sum(found.files for found in usable)}


def by_pydicom(folder: Path, _: str) -> dict[str, float]:
    """How many series and files there are, by reading each header once."""
    from pydicom import dcmread

    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(folder.rglob("*.dcm"))]
    return {"series": len({header.SeriesInstanceUID for header in headers}), "files": len(headers)}


READERS = {
    "voxeldose": by_voxeldose,
    "simpleitk": by_simpleitk,
    "inspection": by_inspection,
    "pydicom": by_pydicom,
}


def child(reader: str, folder: Path, labels: str) -> None:
    """Read, and print what was found and what it took."""
    facts = READERS[reader](folder, labels)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / 1024**2
    print(json.dumps({"facts": facts, "peak_gib": peak, "cpu_s": used.ru_utime + used.ru_stime}))  # noqa: T201


def main() -> None:
    """Make the files if needed, measure, compare."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--folder", type=Path)
    words.add_argument("--reader", choices=READERS)
    words.add_argument("--labels", default="labels.nii.gz")
    words.add_argument("--make", action="store_true")
    given = words.parse_args()
    if given.make:
        make_files(given.folder)
        return
    if given.reader:
        child(given.reader, given.folder, given.labels)
        return
    import SimpleITK as sitk  # noqa: N813

    import voxeldose

    say = print
    say(
        f"voxeldose {voxeldose.__version__}, SimpleITK {sitk.Version.VersionString()}, numpy {np.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "study"
        if not (folder / "seg.dcm").exists():
            # in a process of its own: the peak of a process holds that of the one it came from
            subprocess.run([sys.executable, __file__, "--make", "--folder", str(folder)], check=True)  # noqa: S603
        for labels in ("labels.nii.gz", "seg.dcm"):
            ours, plain = (measured(reader, folder, labels) for reader in ("voxeldose", "simpleitk"))
            say(f"\n{labels}, CT {CT[0]}, PET {PET[0]}, {REGIONS} regions      peak GiB    CPU s   wall s")
            rows = (("voxeldose: read, all on the PET's grid", ours), ("SimpleITK: read only", plain))
            for name, found in rows:
                say(f"  {name:<42} {found['peak_gib']:>8.2f} {found['cpu_s']:>8.1f} {found['wall_s']:>8.1f}")
            shared = [key for key in plain["facts"] if key in ours["facts"]]
            worst = max(abs(ours["facts"][k] / plain["facts"][k] - 1) for k in shared)
            kept = ours["facts"]["regions moved"] / sum(ours["facts"][f"region {n}"] for n in range(1, REGIONS + 1))
            agrees = worst < 1e-5 and abs(kept - 1) < 1e-5
            say(
                f"  {len(shared)} means and volumes agree to {worst:.1e}; regions keep {kept:.6f} of their volume: "
                f"{'agree' if agrees else 'DISAGREE'}; {'under' if ours['peak_gib'] < LIMIT_GIB else 'OVER'} {LIMIT_GIB:g} GiB"
            )
        many = Path(scratch) / "many"
        make_many_series(many)
        ours, plain = (measured(reader, many, "") for reader in ("inspection", "pydicom"))
        say(f"\n{SERIES} series of {FILES} files                               peak GiB    CPU s   wall s")
        for name, found in (("voxeldose inspect, pixels included", ours), ("pydicom: each header once", plain)):
            say(f"  {name:<42} {found['peak_gib']:>8.2f} {found['cpu_s']:>8.1f} {found['wall_s']:>8.1f}")
        same = ours["facts"] == plain["facts"]
        say(f"  {'agree' if same else 'DISAGREE'}; {ours['cpu_s'] / plain['cpu_s']:.1f} times the CPU time of pydicom")


if __name__ == "__main__":
    main()
