"""What the tables of a case file become, before any dose is computed."""

import numpy as np
import pytest
from small_study import CASE, GRID, LESION, LIVER, write_study

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.case import case_file_from, input_files, read_case_tables
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.jobs.open_case import open_case
from voxeldose.model.grid import Grid
from voxeldose.model.volume import DensityMap, Volume


def opened(folder, text):
    path = write_study(folder, text)
    return open_case(case_file_from(read_case_tables(path), str(path)))


def test_assays_of_vial_and_residual_are_brought_to_the_infusion(tmp_path):
    assays = "residual_mbq = 1.0\nassayed_at = 2024-04-29T18:12:36Z\nresidual_at = 2024-05-05T02:17:24Z\n"
    given = opened(tmp_path, CASE + assays).case.administration  # one half-life of 64.04 h before and after
    assert given.administered_mbq == pytest.approx(30, rel=1e-6)
    assert given.residual_mbq == pytest.approx(2, rel=1e-6)
    assert given.device == "glass"
    with pytest.raises(InputError, match="need administered_mbq and at") as refusal:
        opened(tmp_path, CASE.replace("at = 2024-05-02T10:15:00Z\n", "") + assays)
    assert refusal.value.code == "key-missing"


@pytest.mark.parametrize(
    ("tables", "code"),
    [
        ('[dose]\ndensity = "ct"\n', "ct-missing"),
        ('[dose]\ngrid = "ct"\n', "ct-missing"),
        ('[dose]\ndensity = "rho.nii.gz"\ndensity_g_per_ml = 1.0\n', "keys-contradict"),
        ("[dose]\nhu_table = [[-1000, 0.0], [0, 1.0]]\n", "keys-contradict"),
        ("[output]\nrtstruct = true\n", "dicom-missing"),
        ('[[derived]]\nname = "x"\nrole = "other"\n', "keys-contradict"),
    ],
)
def test_settings_that_contradict_the_case_are_refused_with_a_code(tmp_path, tables, code):
    with pytest.raises(InputError) as refusal:
        opened(tmp_path, CASE + tables)
    assert refusal.value.code == code


def test_a_density_image_is_read_from_the_folder_of_the_case_and_is_an_input(tmp_path):
    rho = np.linspace(0.3, 1.6, int(np.prod(GRID.shape))).reshape(GRID.shape).astype(np.float32)
    write_nifti(Volume(rho, GRID), tmp_path / "rho.nii.gz")
    found = opened(tmp_path, CASE + '[dose]\ndensity = "rho.nii.gz"\n')
    assert isinstance(found.case.density, DensityMap)
    np.testing.assert_array_equal(found.case.density.g_per_ml, rho)
    assert found.case.density.grid.matches(GRID)
    assert tmp_path / "rho.nii.gz" in found.inputs


def test_an_isocontour_of_another_image_is_a_region_of_the_case(tmp_path):
    other = np.zeros(GRID.shape, np.float32)
    other[LIVER], other[3:6, 3:6, 4:8] = 10, 100
    write_nifti(Volume(other, GRID), tmp_path / "before.nii.gz")
    words = '[[derived]]\nname = "hot before"\nrole = "other"\nimage = "before.nii.gz"\nisocontour_fraction = 0.55\n'
    found = opened(tmp_path, CASE + words)
    roi = found.case.rois["hot before"]
    middle = np.average(roi.grid.points_lps_mm(np.argwhere(roi.occupancy > 0)), axis=0)
    np.testing.assert_allclose(GRID.indices(middle), (4, 4, 5.5), atol=0.01)  # symmetric about the block's middle
    assert tmp_path / "before.nii.gz" in found.inputs


def test_an_image_of_activity_is_not_taken_for_a_ct(tmp_path):
    with pytest.raises(QuantityError, match=r"pet.nii.gz: values from 0 to 500000 are no CT numbers"):
        opened(tmp_path, CASE + '[ct]\npath = "pet.nii.gz"\n')


def test_several_files_of_one_table_share_its_labels(tmp_path):
    for name, part in (("whole", LIVER), ("spot", LESION)):
        mask = np.zeros(GRID.shape, np.float32)
        mask[part] = 1
        write_nifti(Volume(mask, GRID), tmp_path / f"{name}.nii.gz")
    names = 'labels = { whole = { name = "liver", role = "liver" }, spot = { name = "lesion", role = "tumor" } }'
    start, end = CASE.index('path = "labels.nii.gz"'), CASE.index("[administration]")
    text = f'{CASE[:start]}path = ["whole.nii.gz", "spot.nii.gz"]\n{names}\n{CASE[end:]}'
    found = opened(tmp_path, text)
    assert [(r.name, r.role, r.occupancy.shape) for r in found.case.rois] == [
        ("liver", "liver", (8, 10, 10)),
        ("lesion", "tumor", (3, 4, 4)),
    ]
    path = tmp_path / "case.toml"
    assert {p.name for p in input_files(case_file_from(read_case_tables(path), "x"))} == {
        "pet.nii.gz",
        "whole.nii.gz",
        "spot.nii.gz",
    }


SPOT = '[[rois]]\npath = "spot.nii.gz"\nlabels = { 1 = { name = "spot", role = "other" } }\n'


def with_spot(folder, grid):
    """A case with ``dose.grid = "rois"`` and a second table of regions, a label map on ``grid``."""
    folder.mkdir(exist_ok=True)
    labels = np.zeros(grid.shape, np.uint8)
    labels[4:6, 4:6, 4:6] = 1
    write_labels(labels, grid, folder / "spot.nii.gz")
    return opened(folder, CASE.replace("[administration]", f"{SPOT}[administration]") + '[dose]\ngrid = "rois"\n')


def test_the_grid_of_the_regions_is_that_of_every_label_map_or_of_none(tmp_path):
    assert with_spot(tmp_path / "same", GRID).case.dose_grid.matches(GRID)
    other = Grid.from_axes((12, 14, 16), (4, 3.5, 3), (-20, -22, -24))
    with pytest.raises(InputError, match="give ct, activity or a spacing in mm") as caught:
        with_spot(tmp_path / "moved", other)
    assert caught.value.code == "regions-without-one-grid"
