"""What ``inspect`` says of a folder: one row a series, a verdict, and nothing of the patient."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from remarks import refusal

import voxeldose as vd
from voxeldose.errors import InputError
from voxeldose.io.inspection import inspect
from voxeldose.io.inspection_text import inspection_lines

KEYS = {
    "path",
    "kind",
    "files",
    "series_uid",
    "vendor",
    "nuclide",
    "units",
    "decay",
    "instants",
    "grid",
    "quirks",
    "use",
    "regions",
    "labels",
    "needs",
    "verdict",
}


def write_label_map(path, values, affine=None):
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2, 3, 1]) if affine is None else affine), path)


def test_every_series_and_image_file_is_one_row_with_a_verdict(write_series, write_nm, tmp_path):
    write_series("CT", folder="ct")
    write_series("PT", folder="pet")
    write_nm()
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1, 1] = 1
    write_label_map(tmp_path / "liver.nii.gz", labels)
    rows = inspect(tmp_path)
    assert all(set(row.as_dict()) == KEYS for row in rows)
    assert {row.kind: row.uses for row in rows} == {
        "CT": ("ct",),
        "PT": ("activity",),
        "NM": ("activity",),
        "file": ("rois",),
    }
    assert all(isinstance(row.verdict, str) and "refused" not in row.verdict for row in rows)


def test_a_pet_row_tells_nuclide_units_decay_grid_and_instant(write_series):
    (row,) = inspect(write_series("PT"))
    assert (row.nuclide, row.units, row.decay, row.files) == ("Y-90", "BQML", "START", 5)
    assert row.vendor == "ACME Testomat"
    assert row.grid_text == "5 x 7 x 9 voxels of 3 x 2 x 1.5 mm (k, j, i)"
    assert "2024-05-02T14:05:00+00:00" in row.verdict


def test_a_series_that_would_be_refused_says_why(write_series):
    (row,) = inspect(write_series("CT", change=lambda _, n: n != 2))
    assert row.uses == ()
    assert row.verdict == f"refused: {row.refusal}"
    assert "missing" in row.verdict


@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_row_holds_nothing_of_the_patient(write_series, anonymous, modality):
    good = inspect(write_series(modality, folder="good"))
    bad = inspect(write_series(modality, folder="bad", change=lambda ds, _: delattr(ds, "PixelSpacing")))
    anonymous(str(good + bad))


def test_a_refused_spect_row_holds_nothing_of_the_patient(write_nm, anonymous):
    (row,) = inspect(write_nm(change=lambda ds: delattr(ds, "DetectorInformationSequence")))
    assert "Detector Information Sequence" in row.verdict
    anonymous(str(row))


def test_two_series_in_one_folder_are_two_rows(write_series):
    folder = write_series("CT", folder="study/a")
    write_series("CT", folder="study/b", orientation="sagittal")
    for file in list((folder.parent / "b").iterdir()):
        shutil.move(file, folder / f"b_{file.name}")
    rows = inspect(folder)
    assert [row.uses for row in rows] == [("ct",), ("ct",)]
    assert len({row.series_uid for row in rows}) == 2


def test_a_series_spread_over_subfolders_can_be_used_as_reading_it_can(write_series):
    folder = write_series("CT")
    for n, file in enumerate(sorted(folder.iterdir())):
        (folder / f"IM{n}").mkdir()
        shutil.move(file, folder / f"IM{n}" / "slice")
    (row,) = inspect(folder)
    assert row.uses == ("ct",), row.verdict


def test_a_modality_without_a_use_says_so(write_series):
    rows = inspect(write_series("CT", change=lambda ds, _: setattr(ds, "Modality", "MR")))
    assert rows[0].uses == ()
    assert "MR is not used" in rows[0].verdict


def test_a_file_of_fractions_needs_its_quantity(tmp_path):
    write_label_map(tmp_path / "uptake.nii.gz", np.linspace(0, 7, 60, dtype=np.float32).reshape(3, 4, 5))
    (row,) = inspect(tmp_path)
    assert row.uses == ("activity", "ct", "density")
    assert row.as_dict()["use"] == "activity (say its quantity), ct or density"
    assert "activity.quantity" in row.needs
    assert "from 0 to 7" in row.verdict


def test_a_label_map_without_names_says_so(tmp_path):
    write_label_map(tmp_path / "seg.nii.gz", np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3)
    (row,) = inspect(tmp_path / "seg.nii.gz")
    assert "labels need names" in row.verdict
    assert set(row.needs) == {"rois.labels"}


def test_every_label_of_a_map_is_listed_with_its_volume_named_or_not(tmp_path):
    values = np.zeros((4, 5, 6), np.uint8)
    values[0, :2, :3], values[1:3, :, 1], values[3, 4, 5] = 1, 7, 200
    write_label_map(tmp_path / "seg.nii.gz", values)  # voxels of 2 x 2 x 3 mm
    (row,) = inspect(tmp_path / "seg.nii.gz")
    assert [(one.label, one.name, one.role) for one in row.labels] == [(n, None, None) for n in ("1", "7", "200")]
    assert [one.volume_ml for one in row.labels] == pytest.approx([6 * 0.012, 10 * 0.012, 0.012])
    assert row.as_dict()["labels"][1] == {
        "label": "7",
        "name": None,
        "role": None,
        "volume_ml": pytest.approx(0.12),
        "problem": "",
    }
    lines = inspection_lines([row])
    assert any(line.split() == ["200", "no", "name", "-", "0.0"] for line in lines)


@pytest.mark.parametrize("write", [vd.write_seg, vd.write_rtstruct])
def test_every_region_of_a_dicom_file_is_listed_with_its_volume(write_series, tmp_path, write):
    folder = write_series("CT", shape=(8, 20, 22), spacing=(3.0, 2.0, 2.0))
    grid = vd.read_ct(folder).grid
    boxes = {name: np.zeros(grid.shape, np.float32) for name in ("liver", "lesion_1")}
    boxes["liver"][1:7, 2:18, 2:18], boxes["lesion_1"][3:5, 6:12, 6:12] = 1, 1
    rois = vd.RoiSet(
        tuple(vd.Roi(name, role, boxes[name], grid) for name, role in (("liver", "liver"), ("lesion_1", "tumor")))
    )
    (tmp_path / "rois").mkdir()
    write(rois, tmp_path / "rois" / "rois.dcm", reference=folder)
    (row,) = inspect(tmp_path / "rois")
    assert [(one.name, one.role) for one in row.labels] == [("liver", "liver"), ("lesion_1", "tumor")]
    # corners are cut from contours (less than 1 % here), nothing from a SEG
    assert [one.volume_ml for one in row.labels] == pytest.approx([r.volume_ml for r in rois], rel=0.03)
    assert row.verdict.startswith("2 regions. Hardly plausible: The liver regions together are ")


def test_a_file_of_four_dimensions_is_refused_in_its_row(tmp_path):
    write_label_map(tmp_path / "dynamic.nii.gz", np.ones((3, 4, 5, 2), np.float32))
    (row,) = inspect(tmp_path)
    assert row.refusal.code == "dimensions-not-three"
    assert row.uses == ()


def test_a_folder_with_nothing_of_use_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(InputError, match="nothing here is DICOM", check=refusal("nothing-readable")):
        inspect(tmp_path)


# --- instants, quirks and what is needed ---


def setting(**values):
    def change(ds, n=0):
        for key, value in values.items():
            setattr(ds, key, value)

    return change


def test_a_pet_row_dates_series_acquisition_and_administration(write_series):
    def dated(ds, n):
        ds.TimezoneOffsetFromUTC = "+0200"
        ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20240502101500"

    (row,) = inspect(write_series("PT", change=dated))
    assert row.instants == {
        "series": "2024-05-02T14:05:00+02:00",
        "acquired": "2024-05-02T14:05:00+02:00",
        "administered": "2024-05-02T10:15:00+02:00",
        "frame": "1800 s",
    }


def test_instants_without_a_stated_zone_have_none(write_series):
    (row,) = inspect(write_series("PT"))
    assert row.instants["series"] == "2024-05-02T14:05:00"
    assert row.states_zone is False
    assert "no time zone stated" in row.quirks


def test_an_administration_without_its_date_says_so(write_series):
    def timed(ds, n):
        ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "101500"

    (row,) = inspect(write_series("PT", change=timed))
    assert row.instants["administered"] == "10:15 on an unknown day"


@pytest.mark.parametrize(
    ("change", "quirk"),
    [
        (setting(GantryDetectorTilt=7.5), "gantry tilt 7.5 degrees"),
        (setting(PixelPaddingValue=1), "padding 1"),
        (setting(ImageType=["DERIVED", "SECONDARY"]), "derived image"),
        (setting(FrameOfReferenceUID=""), "no frame of reference"),
        (setting(LongitudinalTemporalInformationModified="MODIFIED"), "dates shifted by de-identification"),
        (lambda ds, n: setattr(ds, "RescaleSlope", 1 + n), "slope differs between slices"),
    ],
)
def test_a_quirk_of_a_ct_is_named(write_series, change, quirk):
    (row,) = inspect(write_series("CT", change=change))
    assert quirk in row.quirks


def test_quirks_of_a_spect_are_named(write_nm):
    (row,) = inspect(write_nm(sign=-1, change=setting(NumberOfEnergyWindows=2)))
    assert "frames run against row x column (negative spacing)" in row.quirks
    assert "2 energy windows" in row.quirks
    assert "activity.energy_window" in row.needs


def test_beds_and_philips_factors_are_named(write_series):
    def philips(ds, n):
        ds.Units, ds.FrameReferenceTime = "CNTS", 600000 * (n // 3)
        ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x09, "DS", "3.75")

    (row,) = inspect(write_series("PT", change=philips))
    assert {"Philips factor to Bq/mL 3.75", "2 bed positions or frames"} <= set(row.quirks)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (setting(DecayCorrection="ADMIN"), "activity.measured_at"),
        (setting(Units="GML"), "activity.undo_suv"),
        (setting(Units="CNTS"), "activity.quantity"),
    ],
)
def test_what_a_pet_needs_is_named_by_its_key(write_series, change, key):
    (row,) = inspect(write_series("PT", change=change))
    assert key in row.needs


def test_another_nuclide_needs_the_users_word(write_series):
    def fluorine(ds, n):
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadionuclideCodeSequence[0].CodeMeaning, drug.RadionuclideHalfLife = "^18^Fluorine", 6586.2

    (row,) = inspect(write_series("PT", change=fluorine))
    assert {"activity.undo_nuclide", "activity.image_nuclide"} <= set(row.needs)


def test_uneven_ct_slices_need_the_users_word(write_series):
    (row,) = inspect(write_series("CT", change=lambda _, n: n != 2))
    assert set(row.needs) == {"ct.uneven"}
