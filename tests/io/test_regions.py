"""Regions from label maps, masks, segmentations with names, and folders of masks."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from remarks import coded

from voxeldose.io.regions import read_labels, read_rois
from voxeldose.model.roles import ROLES, role_from_name

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])
CARET = """<?xml version="1.0" encoding="UTF-8"?>
<CaretExtension>
  <VolumeInformation Index="0"><LabelTable>
    <Label Key="0" Red="0" Green="0" Blue="0" Alpha="0"><![CDATA[???]]></Label>
    <Label Key="5" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[liver]]></Label>
    <Label Key="7" Red="0" Green="1" Blue="0" Alpha="1"><![CDATA[liver_tumor]]></Label>
  </LabelTable></VolumeInformation>
</CaretExtension>"""


def label_map():
    """Label 5 in a block of 12 voxels, 7 in one of 2, in an image with unequal axes."""
    values = np.zeros((5, 6, 7), np.uint8)
    values[1:3, 1:4, 2:4] = 5
    values[4, 5, 5:7] = 7
    return values


def save(path, values, affine=AFFINE, xml=None):
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    if xml:
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, path)
    return path


def test_named_labels_become_regions_with_name_role_and_volume(tmp_path):
    path = save(tmp_path / "seg.nii.gz", label_map())
    rois = read_labels(path, {5: ("liver", "liver"), 7: ("lesion_1", "tumor")})
    assert [(r.name, r.role) for r in rois] == [("liver", "liver"), ("lesion_1", "tumor")]
    assert rois["liver"].volume_ml == pytest.approx(12 * 0.012)
    assert rois["lesion_1"].volume_ml == pytest.approx(2 * 0.012)
    assert rois.grid.shape == (7, 6, 5)
    assert not coded("unit-of-length-assumed", rois["liver"].remarks)


def test_labels_without_a_unit_of_length_are_in_millimetres_and_that_is_stated(tmp_path):
    nib.save(nib.Nifti1Image(label_map(), AFFINE), tmp_path / "seg.nii.gz")
    (roi,) = read_labels(tmp_path / "seg.nii.gz", {7: ("lesion_1", "tumor")})
    (assumed,) = coded("unit-of-length-assumed", roi.remarks)
    assert assumed.sentence == "seg.nii.gz does not state its unit of length; millimetres are taken."
    assert roi.volume_ml == pytest.approx(2 * 0.012)


def test_a_region_lies_where_its_voxels_do(tmp_path):
    values = label_map()
    roi = read_labels(save(tmp_path / "seg.nii", values), {7: ("lesion", "tumor")})["lesion"]
    found = roi.grid.points_lps_mm(np.argwhere(roi.occupancy > 0))
    ras = np.c_[np.argwhere(values == 7), np.ones(2)] @ AFFINE.T
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(ras[:, :3] * (-1, -1, 1), axis=0), atol=1e-6)


def test_label_keys_may_be_text_as_in_a_case_file(tmp_path):
    path = save(tmp_path / "seg.nii.gz", label_map())
    assert read_labels(path, {"5": ("liver", "liver")}).names() == ["liver"]


def test_labels_left_out_of_the_mapping_are_noted(tmp_path):
    path = save(tmp_path / "seg.nii.gz", label_map())
    (roi,) = read_labels(path, {5: ("liver", "liver")})
    assert [r.code for r in roi.remarks] == ["label-map-without-overlap", "labels-unused"]
    assert roi.remarks[1].numbers == {"labels": "7"}
    assert "not used: 7" in roi.remarks[1].sentence


def test_a_label_that_is_named_but_absent_is_refused(tmp_path, refused):
    path = save(tmp_path / "seg.nii.gz", label_map())
    refused(
        lambda: read_labels(path, {5: ("a", "liver"), 9: ("b", "tumor")}),
        "seg.nii.gz",
        "no label 9",
        "there are 5, 7",
        code="label-missing",
    )


def test_labels_without_names_are_refused_without_a_mapping(tmp_path, refused):
    path = save(tmp_path / "seg.nii.gz", label_map())
    refused(lambda: read_labels(path), "seg.nii.gz", "label 5 has no name", "labels", code="label-without-name")


def test_an_unknown_role_is_refused_with_the_known_ones(tmp_path, refused):
    path = save(tmp_path / "seg.nii.gz", label_map())
    refused(lambda: read_labels(path, {5: ("liver", "organ")}), "organ", *ROLES, code="role-unknown")


def test_two_regions_of_one_name_are_refused(tmp_path, refused):
    path = save(tmp_path / "seg.nii.gz", label_map())
    refused(
        lambda: read_labels(path, {5: ("liver", "liver"), 7: ("liver", "tumor")}),
        "same name",
        "liver",
        code="name-twice",
    )


def test_one_voxel_one_label_is_noted_since_no_region_there_holds_another(tmp_path):
    path = save(tmp_path / "seg.nii.gz", label_map())
    rois = read_labels(path, {5: ("liver", "liver"), 7: ("lesion", "tumor")})
    (remark,) = (r for r in rois["liver"].remarks if r.code == "label-map-without-overlap")
    assert remark.sentence == "In seg.nii.gz every voxel has one label, so that none of its 2 regions holds another."


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    path = save(tmp_path / "seg.nii.gz", label_map().astype(np.float32))
    assert read_labels(path, {5: ("liver", "liver")})["liver"].volume_ml == pytest.approx(0.144)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_takes_its_name_and_role_from_its_file_name(tmp_path, value):
    path = save(tmp_path / "Liver_Tumor.nii.gz", (label_map() == 5).astype(np.uint8) * value)
    (roi,) = read_labels(path)
    assert (roi.name, roi.role) == ("Liver_Tumor", "tumor")
    assert roi.volume_ml == pytest.approx(0.144)
    (remark,) = roi.remarks
    assert (remark.code, remark.numbers) == ("role-from-name", {"roi": "Liver_Tumor", "role": "tumor"})
    assert remark.sentence == "Role tumor taken from the name of ROI Liver_Tumor."


def test_a_mask_of_fractions_keeps_them(tmp_path):
    values = np.zeros((5, 6, 7), np.float32)
    values[1, 1, 1:4] = (0.25, 1.0, 0.5)
    (roi,) = read_labels(save(tmp_path / "liver.nii.gz", values))
    assert roi.volume_ml == pytest.approx(1.75 * 0.012)
    np.testing.assert_array_equal(roi.occupancy.ravel(), np.float32([0.25, 1, 0.5]))


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (0.0, 2.5)])
def test_values_that_are_neither_labels_nor_fractions_are_refused(tmp_path, refused, low, high):
    values = np.linspace(low, high, 210, dtype=np.float32).reshape(5, 6, 7)
    path = save(tmp_path / "a.nii.gz", values)
    refused(lambda: read_labels(path), str(path), "neither whole labels nor fractions", code="labels-not-whole")


def test_a_negative_label_is_refused(tmp_path, refused):
    path = save(tmp_path / "a.nii.gz", label_map().astype(np.int16) - 1)
    refused(lambda: read_labels(path), str(path), "negative", "-1", code="labels-not-whole")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, refused, bad):
    values = label_map().astype(np.float32)
    values[0, 0, 0] = bad
    path = save(tmp_path / "a.nii.gz", values)
    refused(lambda: read_labels(path), str(path), "not numbers", code="value-not-finite")


def test_an_empty_mask_is_refused(tmp_path, refused):
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.uint8))
    refused(lambda: read_labels(path), str(path), "every voxel is 0", code="regions-missing")


# --- names in the file ---


def test_names_of_a_caret_extension_name_the_labels(tmp_path):
    rois = read_labels(save(tmp_path / "total.nii.gz", label_map(), xml=CARET))
    assert [(r.name, r.role) for r in rois] == [("liver", "liver"), ("liver_tumor", "tumor")]


def test_a_label_may_be_chosen_by_the_name_in_the_extension(tmp_path):
    path = save(tmp_path / "total.nii.gz", label_map(), xml=CARET)
    (roi,) = read_labels(path, {"liver_tumor": ("lesion_1", "tumor")})
    assert (roi.name, roi.volume_ml) == ("lesion_1", pytest.approx(0.024))


def test_one_named_label_takes_its_name_from_the_extension(tmp_path):
    path = save(tmp_path / "total.nii.gz", np.where(label_map() == 7, 7, 0).astype(np.uint8), xml=CARET)
    assert read_labels(path).names() == ["liver_tumor"]


@pytest.mark.parametrize(
    "xml", ["<Label Key='5'>cut", "<!DOCTYPE a [<!ENTITY b 'c'>]><a><Label Key='5'>&b;</Label></a>"]
)
def test_an_extension_that_is_broken_or_declares_entities_is_passed_over(tmp_path, refused, xml):
    path = save(tmp_path / "total.nii.gz", label_map(), xml=xml)
    refused(lambda: read_labels(path), "label 5 has no name", code="label-without-name")


def segmentation(path, layers, segments, pixel_type=np.uint8):
    """A 3D Slicer ``.seg.nrrd`` of one or more layers, written by SimpleITK with Slicer's keys."""
    stacked = np.stack(layers, axis=-1).astype(pixel_type) if len(layers) > 1 else layers[0].astype(pixel_type)
    image = sitk.GetImageFromArray(stacked, isVector=len(layers) > 1)
    image.SetSpacing((2.0, 2.0, 3.0))
    image.SetOrigin((5.0, -7.0, 11.0))
    for n, (name, value, layer) in enumerate(segments):
        for key, text in (("ID", f"Segment_{n}"), ("Name", name), ("LabelValue", str(value)), ("Layer", str(layer))):
            image.SetMetaData(f"Segment{n}_{key}", text)
    sitk.WriteImage(image, str(path))
    return path


def test_a_slicer_segmentation_gives_its_names(tmp_path):
    values = label_map().transpose(2, 1, 0)
    path = segmentation(tmp_path / "a.seg.nrrd", [values], [("Liver", 5, 0), ("Tumor 1", 7, 0)])
    rois = read_labels(path)
    assert [(r.name, r.role) for r in rois] == [("Liver", "liver"), ("Tumor 1", "tumor")]
    assert rois["Liver"].volume_ml == pytest.approx(0.144)


def test_layers_of_a_slicer_segmentation_may_overlap(tmp_path):
    first = np.zeros((4, 5, 6))
    first[1:3, 1:4, 1:5] = 1
    second = np.zeros((4, 5, 6))
    second[1, 2, 3] = 1
    second[3, 4, 5] = 2
    segments = [("liver", 1, 0), ("lesion", 1, 1), ("lung", 2, 1)]
    rois = read_labels(segmentation(tmp_path / "a.seg.nrrd", [first, second], segments))
    assert {r.name: round(r.volume_ml / 0.012) for r in rois} == {"liver": 24, "lesion": 1, "lung": 1}
    point = rois["lesion"].grid.points_lps_mm((0, 0, 0))
    np.testing.assert_allclose(point, (5 + 3 * 2, -7 + 2 * 2, 11 + 1 * 3))
    inside = np.rint(rois["liver"].grid.indices(point)).astype(int)
    assert rois["liver"].occupancy[tuple(inside)] == 1


def test_a_segment_may_be_chosen_and_renamed_by_its_name(tmp_path):
    values = label_map().transpose(2, 1, 0)
    path = segmentation(tmp_path / "a.seg.nrrd", [values], [("Liver", 5, 0), ("Segment_2", 7, 0)])
    rois = read_labels(path, {"Liver": ("liver", "liver"), "Segment_2": ("lesion_1", "tumor")})
    assert [(r.name, r.role) for r in rois] == [("liver", "liver"), ("lesion_1", "tumor")]


def test_components_without_segment_names_are_refused(tmp_path, refused):
    path = segmentation(tmp_path / "a.nrrd", [np.ones((3, 4, 5))] * 2, [])
    refused(lambda: read_labels(path), str(path), "2 components", "no segment names", code="dimensions-not-three")


# --- folders and several files ---


def test_a_folder_of_masks_is_one_region_a_file_named_after_it(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    save(folder / "liver.nii.gz", (label_map() == 5).astype(np.uint8))
    save(folder / "lesion_1.nii.gz", (label_map() == 7).astype(np.uint8))
    save(folder / ".hidden.nii.gz", label_map())
    (folder / "notes.txt").write_text("notes")
    assert [(r.name, r.role) for r in read_labels(folder)] == [("lesion_1", "tumor"), ("liver", "liver")]


def test_masks_of_a_folder_are_renamed_by_their_file_names(tmp_path):
    save(tmp_path / "roi_a.nii.gz", (label_map() == 5).astype(np.uint8))
    save(tmp_path / "roi_b.nii.gz", (label_map() == 7).astype(np.uint8))
    rois = read_labels(tmp_path, {"roi_a": ("liver", "liver"), "roi_b": ("lesion", "tumor")})
    assert rois.names() == ["liver", "lesion"]


def test_a_label_map_in_a_folder_of_masks_is_refused(tmp_path, refused):
    path = save(tmp_path / "liver.nii.gz", label_map())
    refused(lambda: read_labels(tmp_path), str(path), "2 labels", "one mask per file", code="mask-with-several-labels")


def test_a_folder_without_masks_is_refused(tmp_path, refused):
    (tmp_path / "notes.txt").write_text("notes")
    refused(lambda: read_labels(tmp_path), str(tmp_path), "one SEG or RTSTRUCT", code="regions-missing")


def test_a_path_that_is_not_there_is_refused(tmp_path, refused):
    refused(lambda: read_labels(tmp_path / "nothing.nii.gz"), str(tmp_path / "nothing.nii.gz"), "no such")


def test_a_file_of_another_kind_is_refused(tmp_path, refused):
    (tmp_path / "rois.json").write_text("{}")
    refused(lambda: read_labels(tmp_path / "rois.json"), str(tmp_path / "rois.json"), ".nii.gz")


def test_regions_of_several_files_share_one_mapping(tmp_path):
    one = save(tmp_path / "liver.nii.gz", (label_map() == 5).astype(np.uint8))
    other = save(tmp_path / "lesions.nii.gz", (label_map() == 7).astype(np.uint8) * 3)
    rois = read_rois([one, other], {"liver": ("whole_liver", "liver"), 3: ("lesion", "tumor")})
    assert [(r.name, r.role) for r in rois] == [("whole_liver", "liver"), ("lesion", "tumor")]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("liver", "liver"),
        ("Liver", "liver"),
        ("whole liver", "liver"),
        ("lesion_1", "tumor"),
        ("Tumour 2", "tumor"),
        ("GTV", "tumor"),
        ("liver_tumor", "tumor"),
        ("liver metastases", "tumor"),
        ("HCC 1", "tumor"),
        ("normal_liver", "normal_liver"),
        ("Liver-GTV", "normal_liver"),
        ("nontumor", "normal_liver"),
        ("liver_segment_4", "segment"),
        ("perfused_right", "perfused"),
        ("lungs", "lung"),
        ("lung_upper_lobe_left", "lung"),
        ("spleen", "other"),
        ("plunger", "other"),
        ("delivery", "other"),
    ],
)
def test_roles_follow_from_the_names_that_clinics_use(name, role):
    assert role_from_name(name) == role


def test_no_file_of_regions_is_refused(refused):
    refused(lambda: read_rois([]), "no file", code="regions-missing")


def test_segments_without_a_voxel_are_no_regions(tmp_path, refused):
    path = segmentation(tmp_path / "a.seg.nrrd", [np.zeros((3, 4, 5))], [("liver", 0, 1)])
    refused(lambda: read_labels(path), str(path), "no region that is not empty", code="regions-missing")
