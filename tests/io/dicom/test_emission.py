"""What an emission image is: maps of attenuation and other quantities are refused, missing corrections warn in every mode."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

import voxeldose as vd
from voxeldose.dose.lungs.spect import spect_shunt
from voxeldose.io.case_draft import draft_case
from voxeldose.io.dicom.planar import read_planar_views
from voxeldose.io.images import read_activity
from voxeldose.io.inspection import inspect


def put(**values):
    def change(ds, n=0):
        for key, value in values.items():
            setattr(ds, key, value)

    return change


TRANSMISSION = [
    {"ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "TRANSMISSION"]},
    {"ImageType": ["DERIVED", "SECONDARY", "RECON TOMO", "ATTENUATION_MAP"]},
    {"ImageType": ["DERIVED", "SECONDARY", "RECON TOMO", "MU-MAP"]},
]


@pytest.mark.parametrize("values", TRANSMISSION)
@pytest.mark.parametrize("quantity", [None, "counts", "bq"])
def test_a_spect_of_transmission_is_refused_whatever_it_is_to_be_used_as(write_nm, refused, values, quantity):
    path = write_nm(change=put(**values))
    refused(
        lambda: read_activity(path, quantity=quantity), str(path), "ImageType", "emission", code="image-not-emission"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "TRANSMISSION"]},
        {"CountsSource": "TRANSMISSION"},
        {"Units": "1CM"},
        {"Units": "STDDEV"},
        {"Units": "MLMINML"},
        {"ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]},
    ],
)
@pytest.mark.parametrize("quantity", [None, "counts"])
def test_a_pet_object_that_shows_no_activity_is_refused(write_series, refused, values, quantity):
    folder = write_series("PT", change=put(**values))
    refused(lambda: read_activity(folder, quantity=quantity), str(folder), "slice_00.dcm", code="image-not-emission")


@pytest.mark.parametrize("kind", ["MIP", "MAX_IP", "PROJECTION IMAGE", "LOCALIZER"])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_projection_is_no_volume(write_series, refused, modality, kind):
    folder = write_series(modality, change=put(ImageType=["DERIVED", "SECONDARY", kind]))
    read = vd.read_ct if modality == "CT" else vd.read_pet
    refused(lambda: read(folder), str(folder), "ImageType", code="image-is-projection")


def test_planar_transmission_is_refused(write_nm, refused):
    path = write_nm(change=put(ImageType=["ORIGINAL", "PRIMARY", "STATIC", "TRANSMISSION"]))
    refused(lambda: read_planar_views([path]), str(path), code="image-not-emission")


def test_an_image_of_another_modality_is_asked_too(write_series, refused):
    folder = write_series("CT", change=put(Modality="OT", ImageType=["DERIVED", "SECONDARY", "UMAP"]))
    refused(lambda: read_activity(folder, quantity="counts"), code="image-not-emission")


UNCORRECTED = [
    {"CorrectedImage": ["DECY", "NORM", "SCAT"]},
    {"CorrectedImage": "NORM"},
    {"AttenuationCorrected": "NO"},
    {"AttenuationCorrectionMethod": "NONE"},
    {"SeriesDescription": "Liver_NAC"},
    {"SeriesDescription": "PET WB (NO AC)"},
    {"SeriesDescription": "Y90 uncorrected"},
]
CORRECTED = [
    {},
    {"CorrectedImage": ["DECY", "ATTN", "SCAT"]},
    {"CorrectedImage": ["ATTN", "SCAT"], "SeriesDescription": "AC and NAC"},
    {"AttenuationCorrected": "YES", "ScatterCorrected": "YES"},
    {"SeriesDescription": "PET AC Nacl"},
]


def images(write_series, write_nm, values):
    """The same header as a PET in Bq/mL, a PET as counts, and a SPECT."""
    pet, spect = write_series("PT", change=put(**values)), write_nm(change=put(**values))
    return [read_activity(pet), read_activity(pet, quantity="counts"), read_activity(spect)]


@pytest.mark.parametrize("values", UNCORRECTED, ids=str)
def test_a_missing_correction_is_remarked_in_every_mode(write_series, write_nm, values):
    for image in images(write_series, write_nm, values):
        assert len(coded("attenuation-uncorrected", image.remarks)) == 1


@pytest.mark.parametrize("values", CORRECTED, ids=str)
def test_a_corrected_image_is_not(write_series, write_nm, values):
    for image in images(write_series, write_nm, values):
        assert not coded("attenuation-uncorrected", image.remarks)
        assert not coded("scatter-uncorrected", image.remarks)


def assessed(image, calibration):
    roi = vd.Roi("liver", "liver", np.ones(image.grid.shape, np.float32), image.grid)
    given = vd.Administration(vd.Y90, administered_mbq=1000.0, at=datetime(2024, 5, 2, 12, tzinfo=UTC))
    return vd.assess(vd.Case(image, vd.RoiSet((roi,)), given, calibration=calibration), engine=vd.LocalDeposition())


@pytest.mark.parametrize("quantity", [None, "counts"])
def test_a_run_with_an_uncorrected_image_warns_once(write_series, quantity):
    image = read_activity(write_series("PT", change=put(CorrectedImage=["DECY", "SCAT"])), quantity=quantity)
    record = assessed(image, vd.Administered()).record
    assert len(coded("attenuation-uncorrected", record.warnings)) == 1
    assert not coded("attenuation-uncorrected", record.assumptions)
    sound = read_activity(
        write_series("PT", folder="sound", change=put(CorrectedImage=["ATTN", "SCAT"])), quantity=quantity
    )
    assert not coded("attenuation-uncorrected", assessed(sound, vd.Administered()).record.warnings)


def test_a_lung_shunt_of_an_uncorrected_spect_warns(write_nm):
    image = read_activity(write_nm(change=put(CorrectedImage=["SCAT"])))
    masks = np.zeros((2, *image.grid.shape), np.float32)
    masks[0, :, :3], masks[1, :, 4:] = 1, 1
    rois = [vd.Roi(n, r, m, image.grid) for n, r, m in zip(("lung", "liver"), ("lung", "liver"), masks, strict=True)]
    shunt = spect_shunt(image, vd.RoiSet(tuple(rois)))
    assert len(coded("attenuation-uncorrected", shunt.warnings)) == 1
    assert not coded("attenuation-uncorrected", shunt.assumptions)


def test_a_derived_image_is_named_and_an_original_is_not(write_series):
    derived = read_activity(write_series("PT", change=put(ImageType=["DERIVED", "SECONDARY"])))
    original = read_activity(write_series("PT", folder="b", change=put(ImageType=["ORIGINAL", "PRIMARY"])))
    assert len(coded("image-derived", derived.remarks)) == 1
    assert not coded("image-derived", original.remarks)


def test_a_description_of_a_map_is_remarked(write_series):
    image = read_activity(write_series("PT", change=put(SeriesDescription="CT_mumap for PET")))
    assert len(coded("image-described-as-map", image.remarks)) == 1


@pytest.mark.parametrize(
    "worse",
    [
        {"CorrectedImage": ["DECY", "SCAT"]},
        {"CorrectedImage": ["ATTN", "SCAT"], "ImageType": ["DERIVED", "SECONDARY"]},
        {"Units": "1CM"},
        {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
        {"SeriesDescription": "NAC"},
    ],
    ids=str,
)
@pytest.mark.parametrize("first", ["worse", "better"])
def test_the_draft_takes_the_corrected_original_whatever_the_folders_are_called(write_series, tmp_path, worse, first):
    names = ("a", "b") if first == "worse" else ("b", "a")
    write_series("PT", folder=f"study/{names[0]}", change=put(**worse))
    write_series(
        "PT", folder=f"study/{names[1]}", change=put(CorrectedImage=["ATTN", "SCAT"], ImageType=["ORIGINAL", "PRIMARY"])
    )
    found = inspect(tmp_path / "study")
    draft = draft_case(found, tmp_path / "study")
    taken = next(line for line in draft.splitlines() if line.startswith("path"))
    assert taken == f'path = "{names[1]}"'
    told = next(s for s in found if s.path.endswith(names[0]))
    assert any(word in told.verdict for word in ("attenuation", "DERIVED", "projection"))
    if "Units" in worse or "MIP" in str(worse):
        assert f'"{names[0]}"' not in draft


def test_a_map_of_attenuation_alone_is_never_drafted(write_nm, tmp_path):
    write_nm(name="map.dcm", change=put(**TRANSMISSION[0]))
    draft = draft_case(inspect(tmp_path), tmp_path)
    assert "map.dcm" not in draft
    assert "# [activity]" in draft
