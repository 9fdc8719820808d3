"""Which sources take how many rays, and that noise all over an image changes no dose by more than rays do."""

import numpy as np
import pytest

from voxeldose.dose.engines.rays import transport
from voxeldose.dose.engines.rays.classes import FEW, classes_of
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap, DensityMap

SHAPE, SPACING = (36, 34, 38), (3.0, 4.0, 4.0)
GRID = Grid.from_axes(SHAPE, SPACING, (0, 0, 0))

#: A part of it for doses: lung from slice 10 on, air from column 18 on.
SMALL, LIVER = (20, 20, 22), np.s_[2:10, 3:17, 3:16]


def lung_over_liver():
    """Liver below slice 18, lung above it, air from column 34 on."""
    density = np.full(SHAPE, 1.05)
    density[18:] = 0.26
    density[:, :, 34:] = 0.0012
    return density


def all_sources():
    return np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1).reshape(-1, 3)


def test_every_source_is_in_one_class_and_edges_are_where_density_changes():
    at, density = all_sources(), lung_over_liver()
    strength = np.where(at[:, 0] < 18, 1.0, 0.1)
    assert len(at) > FEW
    rows = {row.name: row for row in classes_of(at, strength, density, np.array(SPACING), (2, 2, 2))}
    assert np.array_equal(sum(row.chosen.astype(int) for row in rows.values()), np.ones(len(at)))
    at_edge = ((np.abs(at[:, 0] - 17.5) < 2) | (at[:, 2] >= 32)) & (at[:, 2] < 36)
    assert np.array_equal(rows["strong edge"].chosen, at_edge & (at[:, 0] < 18))
    assert np.array_equal(rows["edge"].chosen, at_edge & (at[:, 0] >= 18))
    assert (density[tuple(at[rows["lung"].chosen].T)] < 0.5).all()
    assert rows["strong edge"].in_parts
    assert not any(row.in_parts for name, row in rows.items() if name != "strong edge")
    assert {name: row.rays for name, row in rows.items()} == {"strong edge": 256, "edge": 512, "lung": 512, "soft": 512}


def test_few_sources_without_parts_all_take_the_usual_rays_but_the_weakest():
    at = all_sources()[:1000]
    strength = np.where(np.arange(1000) < 10, 0.01, 1.0)
    usual, weak = classes_of(at, strength, lung_over_liver(), np.array(SPACING), (1, 1, 1))
    assert (usual.name, usual.chosen.sum(), usual.rays) == ("usual", 990, 1024)
    assert (weak.name, weak.chosen.sum(), weak.rays) == ("weak", 10, 256)


@pytest.fixture(scope="module")
def noisy():
    """A hot liver under a lung with noise in every voxel, air included, and a CT with noise of half its voxel size."""
    rng = np.random.default_rng(4)
    part = GRID.window((8, 6, 16), SMALL)
    values = np.zeros(SMALL)
    values[LIVER] = 1.0
    values += 0.15 * rng.standard_normal(SMALL)
    rho = lung_over_liver()[8:28, 6:26, 16:38]
    rho = np.repeat(np.repeat(np.repeat(rho, 2, 0), 2, 1), 2, 2)
    rho *= 1 + 0.02 * rng.standard_normal(rho.shape)
    ct = part.with_spacing([s / 2 for s in SPACING])
    return DecayMap((values * 1e9).astype(np.float32), part, radionuclide=Y90), DensityMap(rho, ct)


def test_noise_everywhere_gives_the_dose_of_many_rays(noisy):
    decays, density = noisy
    dose = RayTransport(point_kernel(), tail_mm=0).dose(decays, density)
    many = RayTransport(point_kernel(), rays=1024, tail_mm=0).dose(decays, density)
    shown = (many.gy > 0.2 * many.gy.max()) & (np.indices(SMALL)[2] < 17)
    assert (
        np.sqrt(np.mean((dose.gy[shown] / many.gy[shown] - 1) ** 2)) < 0.012
    )  # stated beforehand, for the clinic's size of image
    assert dose.gy[LIVER].mean() == pytest.approx(many.gy[LIVER].mean(), rel=1e-3)
    assert dose.energy_lost_fraction == pytest.approx(many.energy_lost_fraction, abs=2e-3)


def test_any_number_of_threads_gives_the_same_bits_with_noise(noisy):
    one, three = (RayTransport(point_kernel(), tail_mm=0, threads=n).dose(*noisy).gy for n in (1, 3))
    assert np.array_equal(one, three)


def test_no_ray_starts_in_air(noisy, monkeypatch):
    traced = []
    through = RayTransport._through

    def counted(self, cells, *args):
        traced.append(cells.index)
        return through(self, cells, *args)

    monkeypatch.setattr(transport.RayTransport, "_through", counted)
    RayTransport(point_kernel(), tail_mm=0).dose(*noisy)
    assert np.concatenate(traced)[:, 2].max() < 18
