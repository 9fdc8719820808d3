"""RTSTRUCT and SEG files as other programs write them, for tests."""

import warnings

import highdicom as hd
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_TISSUE = Code("85756007", "SCT", "Tissue")


def circle(radius, z, centre=(0.0, 0.0), points=180):
    """A circle in an axial plane, (points, 3)."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.c_[centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t), np.full(points, z)]


def circle_area(radius, points=180):
    """Of the polygon that :func:`circle` draws."""
    return 0.5 * points * radius**2 * np.sin(2 * np.pi / points)


def rectangle(x, y, z):
    """A rectangle in an axial plane, from and to in x and y."""
    return np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], float)


def write_structures(
    path, drawn, *, slab_mm=None, series_uid=None, kind="CLOSED_PLANAR", syntax=ImplicitVRLittleEndian
):
    """Write an RTSTRUCT of name -> contours; ``slab_mm`` is a number or name -> number."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = RTSTRUCT, generate_uid(), "RTSTRUCT"
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = RTSTRUCT, ds.SOPInstanceUID
    ds.SeriesInstanceUID, ds.StructureSetROISequence, ds.ROIContourSequence = generate_uid(), [], []
    if series_uid:
        frame, study, series = Dataset(), Dataset(), Dataset()
        series.SeriesInstanceUID = series_uid
        study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
        ds.ReferencedFrameOfReferenceSequence = [frame]
    for number, (name, loops) in enumerate(drawn.items(), 1):
        item, contours = Dataset(), Dataset()
        item.ROINumber, item.ROIName = number, name
        contours.ReferencedROINumber, contours.ContourSequence = number, []
        slab = slab_mm.get(name) if isinstance(slab_mm, dict) else slab_mm
        for loop in loops:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(loop)
            if slab is not None:
                contour.ContourSlabThickness = slab
            contour.ContourData = [f"{v:.4f}" for v in np.asarray(loop).ravel()]
            contours.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(item)
        ds.ROIContourSequence.append(contours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells of long contours, which it stores with the VR UN
        ds.save_as(path, enforce_file_format=True)
    return path


def write_segmentation(path, folder, masks, *, kind="BINARY", labels=None, change=None, **options):
    """Write a SEG by highdicom on a series; ``masks`` (slices, rows, columns, segments) or a label map.

    ``change`` edits the data set before it is saved.
    """
    headers = sorted((dcmread(p) for p in folder.iterdir()), key=lambda ds: int(ds.InstanceNumber))
    count = int(masks.max()) if kind == "LABELMAP" else masks.shape[-1]
    labels = labels or [f"s{n}" for n in range(1, count + 1)]
    described = [hd.seg.SegmentDescription(n, label, _TISSUE, _TISSUE, "MANUAL") for n, label in enumerate(labels, 1)]
    if kind == "FRACTIONAL":
        options = {"fractional_type": "OCCUPANCY", "max_fractional_value": 200, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = hd.seg.Segmentation(
            headers, masks, kind, described, generate_uid(), 9, generate_uid(), 1, "ACME", "m", "1", "1", **options
        )
    seg.save_as(path)
    if change is not None:
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return path


def measures_of(ds):
    """The pixel measures that all frames of a SEG share."""
    return ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
