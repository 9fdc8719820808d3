"""Headers of label files: segments by the keys that are there, rounding of single precision, and parts set aside."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from remarks import coded, refusal

from voxeldose.errors import InputError
from voxeldose.io.label_boxes import labelled_boxes
from voxeldose.io.regions import read_labels

SHAPE, VOXEL_ML = (4, 5, 6), 0.012


def blocks(*labels):
    """A block of 2 x 2 x 2 voxels for the first label, 2 x 2 x 1 for the next, in one array."""
    values = np.zeros(SHAPE, np.uint16)
    for n, label in enumerate(labels):
        values[0:2, 0:2, 2 * n : 2 * n + 2 - n % 2] = label
    return values


def write_seg_nrrd(path, layers, texts):
    """A ``.seg.nrrd`` of one or more layers with these keys."""
    image = sitk.GetImageFromArray(
        np.stack(layers, axis=-1) if len(layers) > 1 else layers[0], isVector=len(layers) > 1
    )
    image.SetSpacing((2.0, 2.0, 3.0))
    for key, text in texts.items():
        image.SetMetaData(key, text)
    sitk.WriteImage(image, str(path))
    return path


def keys(n, name, value=None, layer=None):
    """The keys of segment ``n``, as 3D Slicer writes them."""
    found = {f"Segment{n}_ID": f"Segment_{n + 1}", f"Segment{n}_Name": name}
    found |= {f"Segment{n}_LabelValue": str(value)} if value is not None else {}
    return found | ({f"Segment{n}_Layer": str(layer)} if layer is not None else {})


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), (0, 2), (3, 17), (9, 10)])
def test_segments_are_those_whose_keys_are_there(tmp_path, numbers):
    first, second = numbers
    texts = {**keys(first, "liver", 1, 0), **keys(second, "lesion", 2, 0)}
    rois = read_labels(write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1, 2)], texts))
    assert [(r.name, round(r.volume_ml / VOXEL_ML)) for r in rois] == [("liver", 8), ("lesion", 4)]


@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 3), (0, 4, 11)])
def test_the_form_before_label_values_has_a_layer_for_each_segment(tmp_path, numbers):
    layers = [(blocks(1) > 0).astype(np.uint8), (blocks(0, 1) > 0).astype(np.uint8), np.ones(SHAPE, np.uint8)]
    texts = {
        k: v for n, name in zip(numbers, ("liver", "lesion", "body"), strict=True) for k, v in keys(n, name).items()
    }
    rois = read_labels(write_seg_nrrd(tmp_path / "a.seg.nrrd", layers, texts))
    assert [(r.name, round(r.volume_ml / VOXEL_ML)) for r in rois] == [("liver", 8), ("lesion", 4), ("body", 120)]


def test_the_old_form_of_one_segment_is_one_mask(tmp_path):
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [(blocks(1) > 0).astype(np.uint8)], keys(0, "liver"))
    assert read_labels(path)["liver"].volume_ml == pytest.approx(8 * VOXEL_ML)


@pytest.mark.parametrize(("value", "layer"), [(7, 0), (1, 5), (2, 1)])
def test_a_segment_named_and_not_there_is_stated_and_refused_where_asked_for(tmp_path, value, layer):
    texts = {**keys(0, "liver", 1, 0), **keys(1, "prostate", value, layer)}
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1)], texts)
    (roi,) = read_labels(path)
    (remark,) = coded("regions-set-aside", roi.remarks)
    assert remark.numbers == {"regions": "prostate", "why": "roi-empty"}
    with pytest.raises(InputError, match=r"a\.seg\.nrrd.*prostate", check=refusal("roi-empty")):
        read_labels(path, {"prostate": ("p", "other"), "liver": ("liver", "liver")})


def test_voxels_of_a_label_that_no_segment_names_are_stated(tmp_path):
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1, 5)], keys(0, "liver", 1, 0))
    (roi,) = read_labels(path)
    (remark,) = coded("labels-undescribed", roi.remarks)
    assert remark.numbers == {"labels": "5 in layer 0"}


@pytest.mark.parametrize("key", ["LabelValue", "Layer"])
def test_a_label_value_that_is_no_number_is_refused(tmp_path, refused, key):
    texts = {**keys(0, "liver", 1, 0), f"Segment0_{key}": "one"}
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1)], texts)
    refused(lambda: read_labels(path), str(path), "segment 0", code="segments-undescribed")


def test_fractions_under_segment_names_are_refused(tmp_path, refused):
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1) * np.float32(0.4)], keys(0, "liver", 1, 0))
    refused(lambda: read_labels(path), str(path), "fractional", code="labels-not-whole")


def test_segments_of_one_name_are_told_apart(tmp_path):
    texts = {**keys(0, "GTV", 1, 0), **keys(1, "GTV", 2, 0)}
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", [blocks(1, 2)], texts)
    assert read_labels(path).names() == ["GTV (1)", "GTV (2)"]
    with pytest.raises(
        InputError, match=r"a\.seg\.nrrd number 1, a\.seg\.nrrd number 2", check=refusal("label-ambiguous")
    ):
        read_labels(path, {"GTV": ("t", "tumor")})


# --- rounding ---


def write_scaled(path, stored, slope, inter=0.0):
    """NIfTI of stored bytes with ``scl_slope`` in single precision."""
    nib.save(nib.Nifti1Image(stored, np.diag([-2.0, -2, 3, 1])), path)
    raw = bytearray(path.read_bytes())
    raw[112:116], raw[116:120] = np.float32(slope).tobytes(), np.float32(inter).tobytes()
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("whole", [255, 200, 254, 127, 100])
def test_bytes_scaled_to_fractions_are_fractions(tmp_path, whole):
    stored = np.zeros(SHAPE, np.uint8)
    stored[1:3, 1:3, 1:3], stored[1, 1, 1], stored[3, 3, 3] = whole, whole // 2, 1
    (roi,) = read_labels(write_scaled(tmp_path / "liver.nii", stored, 1 / whole))
    assert roi.volume_ml == pytest.approx(stored.sum(dtype=float) / whole * VOXEL_ML, rel=1e-6)
    assert roi.occupancy.max() <= 1


@pytest.mark.parametrize("noise", [1e-7, -1e-7, 6e-7, -6e-7])
@pytest.mark.parametrize("labels", [(1,), (1, 2), (5, 1000)])
def test_labels_off_by_rounding_are_whole(tmp_path, noise, labels):
    values = blocks(*labels).astype(np.float64)
    values += noise * np.maximum(values, 1)
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2, 3, 1])), tmp_path / "a.nii.gz")
    rois = read_labels(tmp_path / "a.nii.gz", {n: (f"r{n}", "other") for n in labels} if len(labels) > 1 else None)
    assert [round(r.volume_ml / VOXEL_ML, 9) for r in rois] == [8, 4][: len(labels)]
    assert all(set(np.unique(r.occupancy)) <= {0, 1} for r in rois)


@pytest.mark.parametrize(("low", "high"), [(-1e-7, 1 + 1e-7), (-5e-6, 1 + 5e-6)])
def test_fractions_off_by_rounding_are_cut_to_0_and_1(tmp_path, low, high):
    values = np.full(SHAPE, low)
    values[1, 1, 1:4] = (0.25, high, 0.5)
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2, 3, 1])), tmp_path / "liver.nii.gz")
    (roi,) = read_labels(tmp_path / "liver.nii.gz")
    assert roi.volume_ml == pytest.approx(1.75 * VOXEL_ML, rel=1e-6)


@pytest.mark.parametrize("wrong", [-1e-3, 1.01])
def test_fractions_off_by_more_are_refused(tmp_path, refused, wrong):
    values = np.full(SHAPE, 0.5)
    values[0, 0, 0] = wrong
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2, 3, 1])), tmp_path / "a.nii.gz")
    refused(lambda: read_labels(tmp_path / "a.nii.gz"), "neither whole labels nor fractions", code="labels-not-whole")


# --- folders of masks ---


def save_mask(path, values):
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2, 3, 1])), path)


@pytest.fixture
def masks(tmp_path):
    """A folder with two masks, an empty one, a map of two labels, and an image with values below 0."""
    mask = (blocks(1) > 0).astype(np.uint8)
    image = np.linspace(-1000, 1000, mask.size, dtype=np.float32).reshape(mask.shape)
    unknown = image.copy()
    unknown[0, 0, 0] = np.nan
    for name, values in {
        "liver": mask,
        "prostate": 0 * mask,
        "spleen": mask,
        "all": blocks(1, 2).astype(np.uint8),
        "ct": image,
        "unknown": unknown,
    }.items():
        save_mask(tmp_path / f"{name}.nii.gz", values)
    return tmp_path


def test_files_that_are_no_mask_bar_no_other_and_are_stated(masks):
    for rois in (read_labels(masks), read_labels(masks, {"liver": ("liver", "liver"), "spleen": ("spleen", "other")})):
        assert rois.names() == ["liver", "spleen"]
        aside = {r.numbers["regions"]: r.numbers["why"] for r in coded("regions-set-aside", rois["liver"].remarks)}
        assert aside == {
            "all": "mask-with-several-labels",
            "ct": "labels-not-whole",
            "prostate": "regions-missing",
            "unknown": "value-not-finite",
        }


@pytest.mark.parametrize(
    ("asked", "code"),
    [("prostate", "regions-missing"), ("all", "mask-with-several-labels"), ("ct", "labels-not-whole")],
)
def test_one_that_is_asked_for_is_refused(masks, asked, code):
    with pytest.raises(InputError, match=f"{asked}.nii.gz", check=refusal(code)):
        read_labels(masks, {asked: ("a", "other"), "liver": ("liver", "liver")})


def test_a_damaged_mask_is_set_aside_only_where_others_are_asked_for(masks):
    whole = (masks / "spleen.nii.gz").read_bytes()
    (masks / "spleen.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="spleen", check=refusal("file-damaged")):
        read_labels(masks)
    assert read_labels(masks, {"liver": ("liver", "liver")}).names() == ["liver"]


def test_a_number_that_is_in_every_mask_is_ambiguous(masks):
    with pytest.raises(
        InputError, match=r"liver\.nii\.gz number 1, spleen\.nii\.gz number 1", check=refusal("label-ambiguous")
    ):
        read_labels(masks, {1: ("liver", "liver")})


# --- many labels ---


@pytest.mark.parametrize("background", [0, 9, -1])
@pytest.mark.parametrize("labels", [(1, 2, 9), (3, 70000, 2**31 - 5)])
def test_the_box_of_every_label_holds_it(labels, background):
    rng = np.random.default_rng(3)
    values = rng.choice([0, *labels], (7, 8, 9), p=[0.7, 0.1, 0.1, 0.1]).astype(np.int64)
    found = labelled_boxes(values, background)
    assert set(found) == set(np.unique(values).tolist()) - {background}
    for label, box in found.items():
        places = np.argwhere(values == label)
        assert [(s.start, s.stop - 1) for s in box] == list(zip(places.min(0), places.max(0), strict=True))
