"""Files of regions that contradict themselves: each is refused, or equal, or says something; none is silently different."""

import random
import warnings

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import config, dcmread
from region_files import circle, measures_of, write_segmentation, write_structures

from voxeldose.errors import VoxeldoseError
from voxeldose.io.regions import read_labels

SHAPE = (10, 12, 14)


def facts(rois):
    """What regions are, and all that is said of them."""
    return [(r.occupancy.tobytes(), r.grid.affine_lps_mm.tolist()) for r in rois], {
        (m.code, m.sentence) for r in rois for m in r.remarks
    }


def faults_of(base, path, rules, rounds):
    """Rounds of random contradictions in copies of a file; what was read differently without a word."""
    wanted, said = facts(read_labels(base))
    found, noticed = [], 0
    for seed in range(rounds):
        rng = random.Random(seed)  # noqa: S311
        names = rng.sample(sorted(rules), rng.choice([1, 1, 2]))
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            ds = dcmread(base)
            for name in names:
                rules[name](ds, rng)
            ds.save_as(path)
            try:
                now, remarks = facts(read_labels(path))
            except VoxeldoseError:
                noticed += 1
                continue
        noticed += (now, remarks) != (wanted, said)
        if now != wanted and remarks <= said:
            found.append(f"seed {seed}: {', '.join(names)}")
    assert noticed > rounds / 3  # the contradictions are real
    return found


def any_frame(ds, rng):
    return rng.choice(list(ds.PerFrameFunctionalGroupsSequence))


def frame_of_no_segment(ds, rng):
    any_frame(ds, rng).SegmentIdentificationSequence[0].ReferencedSegmentNumber = rng.choice([0, 3, 9])


def number_of_a_segment(ds, rng):
    rng.choice(list(ds.SegmentSequence)).SegmentNumber = rng.choice([0, 1, 2, 7])


def lost_segment(ds, rng):
    ds.SegmentSequence.pop(rng.randrange(len(ds.SegmentSequence)))


def count_of_frames(ds, rng):
    ds.NumberOfFrames = max(1, ds.NumberOfFrames + rng.choice([-2, -1, 1, 1000000]))


def lost_frame(ds, rng):
    ds.PerFrameFunctionalGroupsSequence.pop(rng.randrange(len(ds.PerFrameFunctionalGroupsSequence)))
    ds.NumberOfFrames -= 1


def pixels_cut_or_added(ds, rng):
    ds.PixelData = rng.choice([ds.PixelData[:-2], ds.PixelData + bytes(2), ds.PixelData + bytes(64)])


def size_of_frames(ds, rng):
    key = rng.choice(["Rows", "Columns"])
    setattr(ds, key, ds[key].value + rng.choice([-1, 1, 8]))


def place_of_a_frame(ds, rng):
    place = any_frame(ds, rng).PlanePositionSequence[0]
    values = [float(v) for v in place.ImagePositionPatient]
    values[rng.randrange(3)] += rng.choice([0.5, -1.2, 1e9, float("nan")])
    place.ImagePositionPatient = [str(v) for v in values]


def lost_group(ds, rng):
    frame = any_frame(ds, rng)
    del frame[rng.choice([e.tag for e in frame if e.keyword != "FrameContentSequence"])]


def spacing(ds, rng):
    key = rng.choice(["SpacingBetweenSlices", "SliceThickness"])
    if key in measures_of(ds):
        delattr(measures_of(ds), key)
    if rng.random() < 0.5:
        setattr(measures_of(ds), key, rng.choice([0, 0.1, 1.0, 6.0, 100.0]) if key != "SliceThickness" else 3.0)


def scale_of_fractions(ds, rng):
    ds.MaximumFractionalValue = rng.choice([0, 1, 100, 300, 65535])


def kind(ds, rng):
    ds.SegmentationType = rng.choice(["", "BINARY ", "OTHER", "LABELMAP"])


SEGMENTATION = {
    f.__name__: f
    for f in (
        frame_of_no_segment,
        number_of_a_segment,
        lost_segment,
        count_of_frames,
        lost_frame,
        pixels_cut_or_added,
        size_of_frames,
        place_of_a_frame,
        lost_group,
        spacing,
        kind,
    )
}


def masks():
    values = np.zeros((*SHAPE, 2), np.uint8)
    values[2:6, 3:8, 2:9, 0] = 1
    values[3:8, 6:10, 4:12, 1] = 1
    return values


@pytest.mark.parametrize(("kind_of_seg", "rounds"), [("BINARY", 120), ("FRACTIONAL", 60)])
def test_segmentations(write_series, tmp_path, kind_of_seg, rounds):
    folder = write_series("CT", folder="ct", shape=SHAPE)
    values = masks() if kind_of_seg == "BINARY" else masks().astype(np.float32) * 0.9
    base = write_segmentation(tmp_path / "base.dcm", folder, values, kind=kind_of_seg)
    rules = SEGMENTATION | ({"scale": scale_of_fractions} if kind_of_seg == "FRACTIONAL" else {})
    assert faults_of(base, tmp_path / "copy.dcm", rules, rounds) == []


def any_contour(ds, rng):
    return rng.choice(list(rng.choice(list(ds.ROIContourSequence)).ContourSequence))


def again(ds, rng):
    from copy import deepcopy

    roi = rng.choice(list(ds.ROIContourSequence))
    contour = deepcopy(rng.choice(list(roi.ContourSequence)))
    points = np.array(contour.ContourData, float).reshape(-1, 3)
    points = np.roll(points[:: rng.choice([-1, 1])], rng.randrange(len(points)), axis=0)
    contour.ContourData = [f"{v:.4f}" for v in points.ravel()]
    roi.ContourSequence.append(contour)


def count_of_points(ds, rng):
    any_contour(ds, rng).NumberOfContourPoints += rng.choice([-1, 1, 100])


def lost_coordinate(ds, rng):
    contour = any_contour(ds, rng)
    contour.ContourData = list(contour.ContourData)[: -rng.choice([1, 2, 4])]


def no_number(ds, rng):
    contour = any_contour(ds, rng)
    values = [str(v) for v in contour.ContourData]
    values[rng.randrange(len(values))] = rng.choice(["nan", "inf", "1e308"])
    contour.ContourData = values


def type_of_contour(ds, rng):
    any_contour(ds, rng).ContourGeometricType = rng.choice(["", "CLOSED", "CLOSED_NONPLANAR"])


def number_of_a_roi(ds, rng):
    rng.choice(list(ds.StructureSetROISequence)).ROINumber = rng.choice([1, 2])


def out_of_plane(ds, rng):
    contour = any_contour(ds, rng)
    values = [float(v) for v in contour.ContourData]
    values[2] += rng.choice([0.5, 5.0])
    contour.ContourData = [f"{v:.4f}" for v in values]


STRUCTURES = {
    f.__name__: f
    for f in (again, count_of_points, lost_coordinate, no_number, type_of_contour, number_of_a_roi, out_of_plane)
}


def test_structure_sets(tmp_path):
    drawn = {"liver": [circle(20, 3.0 * n) for n in range(8)], "lesion": [circle(5, 9.0), circle(5, 12.0)]}
    base = write_structures(tmp_path / "base.dcm", drawn, slab_mm=3.0)
    assert faults_of(base, tmp_path / "copy.dcm", STRUCTURES, 80) == []


def test_slicer_files(tmp_path):
    values = np.zeros((4, 5, 6), np.uint8)
    values[1:3, 1:4, 1:3], values[1:3, 1:4, 3:5] = 1, 2
    whole = {
        f"Segment{n}_{k}": v
        for n in (0, 1)
        for k, v in (("ID", f"s{n}"), ("Name", f"r{n}"), ("LabelValue", str(n + 1)), ("Layer", "0"))
    }

    def write(texts):
        image = sitk.GetImageFromArray(values)
        for key, text in texts.items():
            image.SetMetaData(key, text)
        sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
        return facts(read_labels(tmp_path / "a.seg.nrrd"))

    wanted, said = write(whole)
    for seed in range(60):
        rng = random.Random(seed)  # noqa: S311
        texts = dict(whole)
        for key in rng.sample(sorted(texts), rng.choice([1, 2])):
            if rng.random() < 0.5:
                del texts[key]
            else:
                texts[key] = rng.choice(["", "7", "-1", "x", "1.5"])
        try:
            now, remarks = write(texts)
        except VoxeldoseError:
            continue
        assert now == wanted or not remarks <= said, (seed, texts)
