"""What the writer and the reader of DICOM SEG refuse."""

import numpy as np
import pytest
from pydicom import dcmread

from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.dicom.segments import read_segments
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.regions import read_labels
from voxeldose.model.roi import Roi, RoiSet


def block(grid):
    values = np.zeros(grid.shape, np.float32)
    values[1:3, 1:4, 2:6] = 1
    return RoiSet((Roi("liver", "liver", values, grid),))


def test_a_set_without_regions_is_not_written(write_series, tmp_path, refused):
    folder = write_series("CT")
    action = lambda: write_seg(RoiSet(()), tmp_path / "rois.dcm", reference=folder)  # noqa: E731
    refused(action, "at least one region", code="regions-missing")
    assert not (tmp_path / "rois.dcm").exists()


def test_masks_beside_a_multi_frame_series_are_refused(write_nm, tmp_path, refused):
    path = write_nm()
    rois = block(read_spect(path).grid)
    refused(
        lambda: write_seg(rois, tmp_path / "rois.dcm", reference=path),
        "single-frame CT or PET",
        code="images-not-citable",
    )


def test_headers_that_a_seg_cannot_cite_are_refused(write_series, tmp_path, refused):
    folder = write_series("CT", change=lambda ds, _: delattr(ds, "StudyInstanceUID"))
    rois = block(read_ct(folder).grid)
    refused(
        lambda: write_seg(rois, tmp_path / "rois.dcm", reference=folder),
        str(folder),
        "all its attributes",
        code="headers-insufficient",
    )


@pytest.mark.parametrize("read", [read_segments, read_labels])
def test_a_seg_whose_segments_are_all_empty_is_refused(write_series, tmp_path, refused, read):
    folder, path = write_series("CT"), tmp_path / "rois.dcm"
    write_seg(block(read_ct(folder).grid), path, reference=folder)
    ds = dcmread(path)
    ds.PixelData = bytes(len(ds.PixelData))
    ds.save_as(path)
    refused(lambda: read(path), str(path), "every segment is empty", code="regions-missing")
