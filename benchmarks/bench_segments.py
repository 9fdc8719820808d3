"""CPU time of reading a label map SEG of 104 segments on 200 frames of 512 x 512, beside highdicom in one run.

highdicom gives one volume per segment; it is asked for a few of them, and its time stands for one.

    python benchmarks/bench_segments.py [--segments N]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SHAPE, SPACING_MM = (200, 512, 512), (3.0, 0.8, 0.8)
ASKED = 3


def headers() -> list[Dataset]:
    """Headers of a CT without pixels, one for each slice."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    found = []
    for k in range(SHAPE[0]):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.2", generate_uid(), "CT"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.SeriesNumber, ds.InstanceNumber = 1, k + 1
        for key in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
            setattr(ds, key, "")
        ds.AccessionNumber = ds.ReferringPhysicianName = ""
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, k * SPACING_MM[0]]
        ds.PixelSpacing, ds.SliceThickness = list(SPACING_MM[1:]), SPACING_MM[0]
        ds.Rows, ds.Columns = SHAPE[1:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        found.append(ds)
    return found


def label_map(segments: int) -> np.ndarray:
    """Boxes of 60 x 70 x 70 voxels, later ones over earlier ones."""
    rng = np.random.default_rng(0)
    values = np.zeros(SHAPE, np.uint8)
    for n in range(1, segments + 1):
        k, j, i = rng.integers(0, 140), rng.integers(0, 440), rng.integers(0, 440)
        values[k : k + 60, j : j + 70, i : i + 70] = n
    return values


def main() -> None:
    """Make the file, read it with both, compare."""
    import highdicom as hd
    from pydicom.sr.coding import Code
    from pydicom.uid import generate_uid

    import voxeldose as vd

    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--segments", type=int, default=104)
    segments = words.parse_args().segments
    say = print
    say(
        f"voxeldose {vd.__version__}, highdicom {hd.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    tissue = Code("85756007", "SCT", "Tissue")
    described = [hd.seg.SegmentDescription(n, f"s{n}", tissue, tissue, "MANUAL") for n in range(1, segments + 1)]
    values = label_map(segments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seg.dcm"
        made = (generate_uid(), 2, generate_uid(), 1, "bench", "bench", "1", "1")
        hd.seg.Segmentation(headers(), values, "LABELMAP", described, *made).save_as(path)
        start = time.process_time()
        rois = vd.read_seg(path)
        ours = time.process_time() - start
        start = time.process_time()
        seg = hd.seg.segread(path)
        volumes = [seg.get_volume(segment_numbers=[n], combine_segments=False) for n in range(1, ASKED + 1)]
        theirs = (time.process_time() - start) / ASKED
    say(f"voxeldose: {len(rois)} segments, {ours:.2f} s of CPU time; highdicom: {theirs:.2f} s for one")
    counts = np.bincount(values.ravel(), minlength=segments + 1)[1:]
    voxel_ml = float(np.prod(SPACING_MM)) / 1000
    agree = np.allclose([r.volume_ml for r in rois], counts[counts > 0] * voxel_ml, rtol=1e-5)
    agree &= [int(v.array.sum()) for v in volumes] == counts[:ASKED].tolist()
    say(f"volumes {'agree' if agree else 'DISAGREE'} with the label map, ours and highdicom's")


if __name__ == "__main__":
    main()
