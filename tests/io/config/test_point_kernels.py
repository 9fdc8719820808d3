"""Kernel tables of a user: three ways to write the same kernel, and what is refused."""

import hashlib

import numpy as np
import pytest

from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import InputError
from voxeldose.io.config.kernels import read_point_kernel
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV

OWN = point_kernel()
GIVEN = {"mev_per_decay": 0.93334, "density_g_per_ml": 1.0, "source": "made for a test"}


def table(path, header, rows):
    path.write_text("\n".join([header, *(",".join(f"{x:.12g}" for x in row) for row in rows)]) + "\n", "utf-8")
    return path


@pytest.fixture
def cumulative(tmp_path):
    rows = zip(OWN.radius_mm, OWN.energy_fraction_within, strict=True)
    return table(tmp_path / "within.csv", "radius_mm,energy_fraction_within", rows)


def test_a_cumulative_table_comes_back_as_it_was(cumulative):
    found = read_point_kernel(cumulative, **GIVEN)
    np.testing.assert_allclose(found.radius_mm, OWN.radius_mm)
    np.testing.assert_allclose(found.energy_fraction_within, OWN.energy_fraction_within, rtol=1e-9)
    assert (found.mev_per_decay, found.density_g_per_ml, found.source) == (0.93334, 1.0, "made for a test")
    assert found.sha256 == hashlib.sha256(cumulative.read_bytes()).hexdigest()


def test_shells_in_any_column_order_with_comments_are_the_same_kernel(tmp_path):
    rows = zip(np.diff(OWN.energy_fraction_within), OWN.radius_mm[1:], strict=True)
    path = table(tmp_path / "shells.csv", "# shells\nenergy_fraction, radius_mm", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as spreadsheets write it
    found = read_point_kernel(path, **GIVEN)
    np.testing.assert_allclose(found.energy_fraction_within, OWN.energy_fraction_within, atol=1e-10)
    assert found.radius_mm[0] == 0


@pytest.mark.parametrize("density", [1.0, 1.05])
def test_a_dose_table_gives_the_same_voxels(tmp_path, density):
    radius = np.arange(0.05, 12.01, 0.05) / density
    within = OWN.in_density(density)
    joule = 0.93334 * JOULE_PER_MEV
    dose = within.at(radius)[1] * joule / (4 * np.pi * radius**2 * density * 1e-6)
    path = table(tmp_path / "dose.csv", "radius_mm,dose_gy_per_decay", zip(radius, dose, strict=True))
    found = read_point_kernel(path, mev_per_decay=0.93334, density_g_per_ml=density, source="x")
    a = voxelise(found, (3, 4, 4)).energy_fraction
    b = voxelise(OWN, (3, 4, 4), density_g_per_ml=density).energy_fraction
    # 2.3 % less density of energy at 0 than at 0.05 mm is not in such a table: 1e-4 of the energy
    np.testing.assert_allclose(a, b, atol=3e-4 * b.max())


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("radius_mm,energy", [(1, 1)], ("columns are radius_mm, energy", "energy_fraction_within")),
        ("radius_mm,energy_fraction,dose_gy_per_decay", [(1, 1, 1)], ("columns are",)),
        ("radius_mm,energy_fraction,rel_stat_unc", [(1, 1, 1)], ("rel_stat_unc", "needed")),
        ("radius_cm,energy_fraction", [(1, 1)], ("radius_cm",)),
        ("radius_mm,radius_mm", [(1, 1)], ("columns are",)),
        ("radius_mm,energy_fraction", [], ("at least one row",)),
        ("radius_mm,energy_fraction", [(1, 0.5), (1, 0.5)], ("must rise",)),
        ("radius_mm,energy_fraction", [(-1, 0.5), (1, 0.5)], ("must rise",)),
        ("radius_mm,energy_fraction", [(1, 1.2), (2, -0.2)], ("must not be negative", "-0.2")),
        ("radius_mm,energy_fraction_within", [(1, 0.97), (2, 0.95)], ("not fall",)),
        ("radius_mm,energy_fraction_within", [(0, 0.5), (2, 0.95)], ("radius 0 must be 0",)),
        ("radius_mm,dose_gy_per_decay", [(0, 1), (2, 0.95)], ("not finite at radius 0",)),
        ("radius_mm,energy_fraction", [(1, float("nan"))], ("finite",)),
        ("radius_mm,energy_fraction", [(1, 0.5), (2, 0.39)], ("holds 0.8900", "0.9 to 1.0001 is needed")),
        ("radius_mm,energy_fraction", [(1, 0.5), (2, 0.5002)], ("holds 1.0002", "0.9 to 1.0001 is needed")),
        ("radius_mm,energy_fraction", [(1,)], ("two finite numbers",)),
        ("radius_mm,energy_fraction\none,0.5", [], ("two numbers", "one")),
        ("", [], ("columns are none",)),
    ],
)
def test_a_table_that_is_no_kernel_is_refused_by_name(tmp_path, header, rows, said):
    path = table(tmp_path / "kernel.csv", header, rows)
    with pytest.raises(InputError) as refusal:
        read_point_kernel(path, **GIVEN)
    assert refusal.value.code == ("kernel-energy" if said[0].startswith("holds") else "table-wrong")
    for word in (str(path), *said):
        assert word in str(refusal.value)


def test_energy_closure_is_between_its_limits(tmp_path):
    for last in (0.4, 0.5, 0.50009):
        path = table(tmp_path / "kernel.csv", "radius_mm,energy_fraction", [(1, 0.5), (2, last)])
        found = read_point_kernel(path, **GIVEN)
        assert found.within(2) == pytest.approx(min(0.5 + last, 1), abs=1e-12)


@pytest.mark.parametrize("change", [{"mev_per_decay": 0.0}, {"density_g_per_ml": -1.0}, {"source": " "}])
def test_what_the_table_does_not_say_must_be_given(cumulative, change):
    with pytest.raises(InputError, match="source in words"):
        read_point_kernel(cumulative, **(GIVEN | change))


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "kernel.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name, code, words in (
        ("kernel.csv", "encoding-wrong", "UTF-8"),
        ("none.csv", "file-missing", "cannot be read"),
    ):
        with pytest.raises(InputError, match=words) as refusal:
            read_point_kernel(tmp_path / name, **GIVEN)
        assert refusal.value.code == code
