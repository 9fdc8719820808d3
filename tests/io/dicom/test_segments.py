"""How thick the slices of a SEG are, what its frames may contradict, and that nothing of it is lost in silence."""

import time

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, generate_uid
from region_files import measures_of, write_segmentation
from remarks import coded, refusal

import voxeldose as vd
from voxeldose.errors import InputError
from voxeldose.io.dicom.segments import read_segments
from voxeldose.io.regions import RegionSource, read_labels, read_rois, read_seg

SHAPE, SPACING = (10, 12, 14), (3.0, 2.0, 1.5)
VOXEL_ML = 3.0 * 2.0 * 1.5 / 1000
BLOCK = np.s_[3:8, 2:9]
PIXELS = 5 * 7


def masks_on(*slices, shape=SHAPE):
    """One segment with the same 35 pixels on some slices."""
    masks = np.zeros((*shape, 1), np.uint8)
    for k in slices:
        masks[k, *BLOCK, 0] = 1
    return masks


def states(thickness=None, between=None):
    """A change of what the pixel measures state."""

    def change(ds):
        measures = measures_of(ds)
        for key, value in (("SliceThickness", thickness), ("SpacingBetweenSlices", between)):
            if key in measures:
                delattr(measures, key)
            if value is not None:
                setattr(measures, key, value)

    return change


@pytest.fixture
def seg(write_series, tmp_path):
    """A SEG on a CT of ten slices 3 mm apart whose Slice Thickness is 1 mm; and the folder of the CT."""

    def write(masks, change=None, orientation="axial", move=None, **options):
        folder = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING, orientation=orientation, change=move)
        return write_segmentation(tmp_path / "seg.dcm", folder, masks, change=change, **options), folder

    return write


PATTERNS = {
    "one": (4,),
    "two": (3, 4),
    "two apart": (1, 8),
    "a gap": (0, 1, 2, 6, 7),
    "every second": (1, 3, 5, 7, 9),
    "the ends": (0, 9),
    "all": tuple(range(10)),
}


@pytest.mark.parametrize("orientation", ["axial", "oblique", "feet_first", "sagittal", "coronal", "prone"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_stated_spacing_is_the_thickness_of_a_slice(seg, pattern, orientation):
    path, _ = seg(masks_on(*PATTERNS[pattern]), states(1.0, 3.0), orientation)
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(len(PATTERNS[pattern]) * PIXELS * VOXEL_ML, rel=1e-5)
    assert not coded("slice-distance-from-thickness", roi.remarks)


@pytest.mark.parametrize("pattern", ["one", "two", "two apart", "a gap", "the ends"])
def test_without_it_the_series_cited_says_it(seg, pattern):
    path, folder = seg(masks_on(*PATTERNS[pattern]), states(1.0))
    wanted = len(PATTERNS[pattern]) * PIXELS * VOXEL_ML
    assert read_seg(path, slices=folder).rois[0].volume_ml == pytest.approx(wanted, rel=1e-5)
    (folder / "seg.dcm").write_bytes(path.read_bytes())
    assert read_labels(folder).rois[0].volume_ml == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("pattern", ["one", "two", "two apart", "a gap", "the ends", "all"])
def test_else_its_thickness_does_and_that_is_stated(seg, pattern):
    path, _ = seg(masks_on(*PATTERNS[pattern]), states(3.0))
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(len(PATTERNS[pattern]) * PIXELS * VOXEL_ML, rel=1e-5)
    taken = coded("slice-distance-from-thickness", roi.remarks)
    assert [r.numbers for r in taken] == ([] if pattern == "all" else [{"spacing_mm": 3.0}])


@pytest.mark.parametrize("pattern", ["one", "two", "two apart", "the ends"])
def test_a_slice_of_no_stated_thickness_is_refused_and_never_1_mm(seg, refused, pattern):
    path, folder = seg(masks_on(*PATTERNS[pattern]), states())
    refused(lambda: read_seg(path), str(path), "Spacing Between Slices", code="slice-thickness-missing")
    assert read_seg(path, slices=folder).rois[0].volume_ml == pytest.approx(
        len(PATTERNS[pattern]) * PIXELS * VOXEL_ML, rel=1e-5
    )


@pytest.mark.parametrize("pattern", ["one", "two apart"])
@pytest.mark.parametrize(("thickness", "between"), [(None, None), (1.0, None), (1.0, 1.0)])
def test_the_user_may_say_how_far_apart_slices_are_and_that_is_stated(seg, pattern, thickness, between):
    path, _ = seg(masks_on(*PATTERNS[pattern]), states(thickness, between))
    (roi,) = read_seg(path, slices=3.0)
    assert roi.volume_ml == pytest.approx(len(PATTERNS[pattern]) * PIXELS * VOXEL_ML, rel=1e-5)
    assert [r.numbers for r in coded("slice-thickness-of-user", roi.remarks)] == [{"slice_mm": 3.0}]


@pytest.mark.parametrize("thickness", [None, 1.0, 2.5])
def test_many_even_frames_show_their_distance_and_that_is_stated(seg, thickness):
    path, _ = seg(masks_on(*range(10)), states(thickness))
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(10 * PIXELS * VOXEL_ML, rel=1e-5)
    (remark,) = coded("slice-distance-from-frames", roi.remarks)
    assert remark.numbers["spacing_mm"] == pytest.approx(3.0)


def test_even_frames_far_apart_are_slabs_of_their_thickness(write_series, tmp_path):
    folder = write_series("CT", folder="ct", shape=(8, 12, 14), spacing=(30.0, 2.0, 1.5))
    path = write_segmentation(tmp_path / "s.dcm", folder, masks_on(*range(8), shape=(8, 12, 14)), change=states(2.7))
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(8 * PIXELS * 2.7 * 3.0 / 1000, rel=1e-5)
    assert [r.numbers for r in coded("slices-between", roi.remarks)] == [{"spacing_mm": 2.7}]
    assert coded("slice-distance-from-thickness", roi.remarks)
    point = np.average(
        roi.grid.points_lps_mm(np.argwhere(roi.occupancy > 0)), axis=0, weights=roi.occupancy[roi.occupancy > 0]
    )
    assert point[2] == pytest.approx(60 + 30 * 3.5, abs=1e-3)


@pytest.mark.parametrize(("stated", "what"), [({"between": 5.0}, "Spacing"), ({"thickness": 5.0}, "Slice Thickness")])
def test_frames_nearer_than_stated_are_as_thick_as_they_are_apart_and_that_is_stated(seg, stated, what):
    path, _ = seg(masks_on(3, 4, 7), states(**stated))
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(3 * PIXELS * VOXEL_ML, rel=1e-5)
    (remark,) = coded("slice-distance-contradicts", roi.remarks)
    assert remark.numbers == {"distance_mm": pytest.approx(3.0), "stated_mm": 5.0}
    assert what in remark.sentence


def test_even_frames_on_some_of_the_slices_stated_leave_the_others_empty_and_that_is_stated(seg):
    path, _ = seg(masks_on(*range(10)), states(1.0, 1.0))
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(10 * PIXELS * VOXEL_ML / 3, rel=1e-5)
    (remark,) = coded("seg-slices-left-out", roi.remarks)
    assert remark.numbers == {"distance_mm": pytest.approx(3.0), "stated_mm": 1.0}


@pytest.mark.parametrize("part", [0.02, 0.045])
@pytest.mark.parametrize("slices", [tuple(range(10)), (4,), (2, 4, 5)])
def test_frames_have_the_tolerance_that_images_have(seg, part, slices):
    def off(ds, n):
        if n == 4:
            ds.ImagePositionPatient = [-20, 35, 60 + 12 + part * 3.0]

    path, folder = seg(masks_on(*slices), states(3.0), move=off)
    assert vd.read_ct(folder).grid.shape[0] == 10
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(len(slices) * PIXELS * VOXEL_ML, rel=1e-5)
    if len(slices) > 1:
        (remark,) = coded("slices-nearly-even", roi.remarks)
        assert remark.numbers["modality"] == "SEG"


def test_frames_that_shift_sideways_are_refused(seg, refused):
    def shift(ds):
        for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
            frame.PlanePositionSequence[0].ImagePositionPatient[0] += n

    path, _ = seg(masks_on(2, 3, 4), shift)
    refused(lambda: read_seg(path), str(path), "sideways", code="slices-shifted")


# --- nothing is lost ---


def two_segments():
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[2:5, 3:8, 2:9, 0] = 1
    masks[3:7, 6:10, 4:12, 1] = 1
    return masks


def lowered(ds):
    """One frame fewer, described and counted, while the pixels are all there."""
    ds.NumberOfFrames -= 1
    del ds.PerFrameFunctionalGroupsSequence[-1]


def renumbered(number):
    def change(ds):
        ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = number

    return change


def described_as(first, second):
    def change(ds):
        ds.SegmentSequence[0].SegmentNumber, ds.SegmentSequence[1].SegmentNumber = first, second

    return change


def without(group):
    def change(ds):
        delattr(ds.PerFrameFunctionalGroupsSequence[1], group)

    return change


def few_frames(ds):
    ds.NumberOfFrames -= 1


def kind_of(value):
    def change(ds):
        ds.SegmentationType = value

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (renumbered(7), "segments-undescribed"),
        (renumbered(0), "segments-undescribed"),
        (described_as(0, 2), "segment-number-invalid"),
        (described_as(1, 1), "number-twice"),
        (lambda ds: ds.SegmentSequence.pop(), "segments-undescribed"),
        (few_frames, "frames-undescribed"),
        (lowered, "pixels-differ"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]), "pixels-differ"),
        (lambda ds: setattr(ds, "PixelData", ds.PixelData + b"\0\0\0\0"), "pixels-differ"),
        (lambda ds: setattr(ds, "Rows", 13), "pixels-differ"),
        (without("SegmentIdentificationSequence"), "frames-undescribed"),
        (without("PlanePositionSequence"), "frames-undescribed"),
        (lambda ds: delattr(ds, "PerFrameFunctionalGroupsSequence"), "frames-undescribed"),
        (kind_of("TRIANGLES"), "segmentation-type-unknown"),
        (renumbered(2), "frames-doubled"),
    ],
)
def test_frames_and_segments_that_contradict_each_other_are_refused(seg, refused, change, code):
    path, _ = seg(two_segments(), change)
    refused(lambda: read_seg(path), str(path), code=code)


def test_a_segment_of_all_frames_may_stand_in_the_shared_groups(seg):
    path, _ = seg(masks_on(2, 3))
    ds = dcmread(path)
    assert "SegmentIdentificationSequence" in ds.SharedFunctionalGroupsSequence[0]
    assert not any("SegmentIdentificationSequence" in frame for frame in ds.PerFrameFunctionalGroupsSequence)
    assert read_seg(path).rois[0].volume_ml == pytest.approx(2 * PIXELS * VOXEL_ML, rel=1e-5)


def scale_of(highest):
    def change(ds):
        ds.MaximumFractionalValue = highest

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (scale_of(300), "fraction-scale-invalid"),
        (scale_of(0), "fraction-scale-invalid"),
        (lambda ds: delattr(ds, "MaximumFractionalValue"), "fraction-scale-invalid"),
        (scale_of(100), "value-out-of-range"),
    ],
)
def test_fractions_beyond_their_scale_are_refused(seg, refused, change, code):
    path, _ = seg(masks_on(2, 3).astype(np.float32) * 0.8, change, kind="FRACTIONAL")
    refused(lambda: read_seg(path), str(path), code=code)


def test_fractions_are_parts_of_the_highest_value(seg):
    path, _ = seg(masks_on(2, 3).astype(np.float32) * 0.8, kind="FRACTIONAL")
    (roi,) = read_seg(path)
    assert roi.volume_ml == pytest.approx(0.8 * 2 * PIXELS * VOXEL_ML, rel=1e-5)


def test_a_segment_without_a_voxel_is_stated_and_refused_where_asked_for(seg):
    def add(ds):
        from copy import deepcopy

        other = deepcopy(ds.SegmentSequence[0])
        other.SegmentNumber, other.SegmentLabel = 2, "prostate"
        ds.SegmentSequence.append(other)

    path, _ = seg(masks_on(2, 3), add)
    (roi,) = read_seg(path)
    (remark,) = coded("regions-set-aside", roi.remarks)
    assert remark.numbers == {"regions": "prostate", "why": "roi-empty"}
    assert read_seg(path, {"s1": ("liver", "liver")}).names() == ["liver"]
    for asked in ("prostate", 2):
        with pytest.raises(InputError, match="prostate", check=refusal("roi-empty")):
            read_seg(path, {asked: ("p", "other")})


def label_map(*, second=2):
    values = np.zeros(SHAPE, np.uint8)
    values[2:5, 3:6, 2:9] = 1
    values[3:7, 7:10, 4:12] = second
    return values


def test_a_label_map_keeps_every_label(seg):
    path, _ = seg(label_map(), kind="LABELMAP", labels=["liver", "tumor"])
    rois = read_seg(path)
    assert rois["liver"].volume_ml == pytest.approx(3 * 3 * 7 * VOXEL_ML, rel=1e-5)
    assert rois["tumor"].volume_ml == pytest.approx(4 * 3 * 8 * VOXEL_ML, rel=1e-5)


def test_a_label_that_no_segment_describes_is_refused(seg, refused):
    path, _ = seg(label_map(), lambda ds: ds.SegmentSequence.pop(), kind="LABELMAP")
    refused(lambda: read_seg(path), str(path), "(2)", code="segments-undescribed")


@pytest.mark.parametrize(
    ("label", "padding"), [("kidney", None), ("kidney", 9), ("Background", None), ("background", 9)]
)
def test_number_0_of_a_label_map_is_a_region_only_if_it_is_described_as_one(seg, label, padding):
    def change(ds):
        described = {int(item.SegmentNumber): item for item in ds.SegmentSequence}
        described[1].SegmentNumber, described[1].SegmentLabel = 0, label
        ds.SegmentSequence = [described[1], described[2]]
        values = np.frombuffer(ds.PixelData, np.uint8)
        ds.PixelData = np.array([2 if padding is None else padding, 0, 2], np.uint8)[values].tobytes()
        ds.pop("PixelPaddingValue", None)
        if padding is not None:
            ds.add_new("PixelPaddingValue", "US", padding)

    path, _ = seg(label_map(), change, kind="LABELMAP", labels=["liver", "tumor"])
    rois = read_seg(path)
    if label == "kidney":
        assert rois["kidney"].volume_ml == pytest.approx(3 * 3 * 7 * VOXEL_ML, rel=1e-5)
    assert set(rois.names()) == ({"kidney", "tumor"} if label == "kidney" else {"tumor"})


def test_segments_of_one_label_are_told_apart(seg):
    path, _ = seg(two_segments(), labels=["Neoplasm", "Neoplasm"])
    rois = read_seg(path)
    assert rois.names() == ["Neoplasm (1)", "Neoplasm (2)"]
    with pytest.raises(InputError, match=r"seg\.dcm number 1, seg\.dcm number 2", check=refusal("label-ambiguous")):
        read_seg(path, {"Neoplasm": ("t", "tumor")})
    chosen = read_seg(path, {1: ("a", "tumor"), 2: ("b", "tumor")})
    assert chosen["b"].volume_ml == pytest.approx(4 * 4 * 8 * VOXEL_ML, rel=1e-5)


def test_a_folder_of_several_segmentations_names_their_files(seg, tmp_path, refused):
    path, folder = seg(two_segments())
    (folder / "one.dcm").write_bytes(path.read_bytes())
    other = dcmread(path)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    other.save_as(folder / "two.dcm")
    refused(lambda: read_labels(folder), "one.dcm (SEG)", "two.dcm (SEG)", code="regions-several")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_every_kind_is_read_from_every_native_encoding(seg, kind, syntax):
    def recode(ds):
        ds.file_meta.TransferSyntaxUID = syntax

    masks = {
        "BINARY": masks_on(2, 3),
        "LABELMAP": masks_on(2, 3)[..., 0],
        "FRACTIONAL": masks_on(2, 3).astype(np.float32),
    }
    path, _ = seg(masks[kind], recode, kind=kind)
    assert read_seg(path).rois[0].volume_ml == pytest.approx(2 * PIXELS * VOXEL_ML, rel=1e-5)


@pytest.mark.parametrize("kind", ["LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_compressed_frames_are_those_that_were_compressed(seg, kind, syntax):
    masks = {"LABELMAP": masks_on(2, 3)[..., 0], "FRACTIONAL": masks_on(2, 3).astype(np.float32)}
    try:
        path, _ = seg(masks[kind], kind=kind, transfer_syntax_uid=UID(syntax))
    except (RuntimeError, ImportError) as error:
        pytest.skip(f"cannot be encoded here: {error}")
    assert read_seg(path).rois[0].volume_ml == pytest.approx(2 * PIXELS * VOXEL_ML, rel=1e-5)


def test_segments_that_overlap_are_each_read_whole(seg):
    path, _ = seg(two_segments())
    rois = read_seg(path)
    assert [round(r.volume_ml / VOXEL_ML) for r in rois] == [3 * 5 * 7, 4 * 4 * 8]


def test_the_time_to_read_grows_with_the_frames_and_not_with_the_segments(write_series, tmp_path):
    shape = (20, 96, 96)
    folder = write_series("CT", folder="ct", shape=shape, spacing=(3.0, 1.0, 1.0))

    def seconds(count):
        values = np.zeros(shape, np.uint8)
        for n in range(count):
            values[n % 20, 5:90, 4 * (n // 20) + 10] = n + 1
        path = write_segmentation(tmp_path / f"{count}.dcm", folder, values, kind="LABELMAP", omit_empty_frames=False)
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            found = read_segments(path)
            best = min(best, time.perf_counter() - start)
            assert len(found.segments) == count
        return best

    seconds(2)
    few = seconds(10)
    assert seconds(80) < 6 * few + 0.3  # 8 times as many segments; each has a header of its own


def test_long_reading_is_reported(seg, monkeypatch):
    import voxeldose.io.dicom.segments as reader

    path, _ = seg(two_segments())
    said = []
    monkeypatch.setattr(reader, "_EVERY_S", -1.0)
    rois = read_rois([path], source=RegionSource(progress=said.append))
    assert len(rois) == 2
    assert said[0].startswith("reading regions: 0 of ")
