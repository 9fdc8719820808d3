"""What every engine promises, asked of each of them and of the one that the page on engines shows."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from remarks import coded, refusal

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.named import ENGINES as NAMED
from voxeldose.dose.engines.named import default_engine, engine_named
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.dose.uncertainty import with_uncertainty
from voxeldose.dose.uncertainty.inputs import Spread
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.model.administration import Administration
from voxeldose.model.case import Case
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import PointKernel, point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90, Y90_ICRP107
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, DecayMap, DensityMap

PAGE = Path(__file__).parents[3] / "docs" / "add-an-engine.md"
KERNEL = point_kernel()
DENSITY = 1.04
#: Unequal sizes and spacings; long enough for the tail of bremsstrahlung, 100 mm, to end inside.
GRID = Grid.from_axes((15, 13, 64), (3.0, 4.0, 2.5), (5, 6, 7))
MIDDLE = (7, 6, 20)
#: Of a kernel that keeps nine tenths of the energy.
LOSING = PointKernel(np.array([0.0, 2.0, 6.0]), np.array([0.0, 0.6, 0.9]), 0.93, 1.0, "made for a test")


def engine_of_the_page():
    """The class that the page shows, by running what it shows."""
    there = {}
    (code, _) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(code, there)  # noqa: S102 - a page of this repository
    return there["Box"]()


ENGINES = {
    "local": LocalDeposition(),
    "dpk": Convolution(KERNEL),
    "soft tissue": Convolution(KERNEL.with_range(1.0122)),
    "a voxel kernel": Convolution(voxelise(KERNEL, GRID.spacing_mm, density_g_per_ml=DENSITY)),
    "a kernel that loses": Convolution(LOSING),
    "rays": RayTransport(KERNEL),
    "the page's": engine_of_the_page(),
}


def decay_map(values, grid=GRID, radionuclide=Y90):
    return DecayMap(values, grid, radionuclide=radionuclide)


def source(at=MIDDLE, decays=1e12):
    values = np.zeros(GRID.shape, np.float32)
    values[at] = decays
    return values


def lumps(seed):
    values = np.zeros(GRID.shape, np.float32)
    values[4:9, 3:8, 10:40] = np.random.default_rng(seed).random((5, 5, 30), np.float32) * 1e10
    return values


def energy_j(dose, density=DENSITY):
    return float(dose.gy.sum(dtype=np.float64)) * density * dose.grid.voxel_volume_ml * 1e-3


def density_image():
    """Liver, and lung from a plane on."""
    rho = np.full(GRID.shape, 1.05, np.float32)
    rho[:, :, 30:] = 0.26
    return DensityMap(rho, GRID)


def usable_density(engine):
    """A density image for an engine that uses one, else a uniform density."""
    try:
        engine.dose(decay_map(source()), density_image())
    except QuantityError as error:
        return DENSITY if error.code == "engine-takes-no-density-image" else pytest.fail(f"refused with {error.code}")
    return density_image()


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def engine(request):
    return request.param


class TestEveryEngine:
    """The contract of ``docs/add-an-engine.md``."""

    def test_says_what_it_is(self, engine):
        assert re.fullmatch(r"[a-z][a-z0-9-]*", engine.name)
        assert engine.describe().endswith(".")
        facts = engine.facts()
        assert isinstance(facts, Mapping)
        json.dumps(dict(facts))  # the record is a file

    def test_states_its_approximations_as_remarks(self, engine):
        remarks = engine.remarks()
        assert isinstance(remarks, tuple)
        assert len({remark.code for remark in remarks}) == len(remarks)
        for remark in remarks:
            assert isinstance(remark, Remark)
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", remark.code)
            assert remark.sentence.endswith(".")
            json.dumps(dict(remark.numbers))

    def test_energy_in_is_energy_out_plus_the_stated_loss(self, engine):
        for values in (lumps(1), source((0, 0, 0))):
            for nuclide in (Y90, Y90_ICRP107):
                decays = decay_map(values, radionuclide=nuclide)
                dose = engine.dose(decays, DENSITY)
                emitted = decays.total() * nuclide.energy_mev * JOULE_PER_MEV
                # voxels are stored in float32
                assert energy_j(dose) == pytest.approx(emitted * (1 - dose.energy_lost_fraction), rel=1e-5)
                assert -1e-6 < dose.energy_lost_fraction < 1

    def test_loses_from_inside_the_image_what_its_remark_says(self, engine):
        stated = [remark.numbers["energy_fraction"] for remark in coded("energy-beyond-reach", engine.remarks())]
        if engine.name == "density":
            pytest.skip("its tail reaches 100 mm and leaves any image of this size")
        dose = engine.dose(decay_map(source()), DENSITY)
        assert dose.energy_lost_fraction == pytest.approx(sum(stated), abs=2e-6)  # float32

    def test_a_source_elsewhere_gives_the_same_dose_there(self, engine):
        here = engine.dose(decay_map(source()), DENSITY).gy
        there = engine.dose(decay_map(source((8, 5, 26))), DENSITY).gy
        # the tail is drawn on a coarse lattice of 8 mm, and is below 1e-5 of the dose to the source's voxel
        np.testing.assert_allclose(there[1:, :-1, 6:], here[:-1, 1:, :-6], rtol=1e-5, atol=1e-5 * here.max())

    def test_doses_add_up_and_noise_keeps_its_sign(self, engine):
        one, two = lumps(1), lumps(2)
        dose = engine.dose(decay_map(one - 2 * two), DENSITY).gy
        apart = engine.dose(decay_map(one), DENSITY).gy - 2 * engine.dose(decay_map(two), DENSITY).gy
        np.testing.assert_allclose(dose, apart, atol=3e-6 * np.abs(apart).max())  # FFT in float32
        assert dose.min() < 0

    def test_there_is_no_dose_beyond_reach_and_nothing_wraps_around(self, engine):
        assert not engine.dose(decay_map(np.zeros(GRID.shape)), DENSITY).gy.any()
        corner = engine.dose(decay_map(source((0, 0, 0))), DENSITY).gy
        assert corner.min() >= 0
        assert corner.argmax() == 0
        beyond = 54 if engine.name == "density" else 6  # 135 mm: the tail ends at 100 mm on voxels of 8 mm; 15 mm
        assert not corner[:, :, beyond:].any()

    def test_any_number_of_threads_gives_the_same_bits(self, engine, monkeypatch):
        doses = []
        for threads in ("1", "2", "3"):
            monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
            doses.append(engine.dose(decay_map(lumps(3)), usable_density(engine)).gy)
        for dose in doses[1:]:
            np.testing.assert_array_equal(dose.view(np.int32), doses[0].view(np.int32))

    def test_dose_on_a_part_of_the_grid_counts_activity_around_it(self, engine):
        part = GRID.window((3, 2, 16), (8, 8, 12))
        whole = engine.dose(decay_map(lumps(4)), DENSITY).window(part).gy
        dose = engine.dose(decay_map(lumps(4)), DENSITY, part)
        assert dose.grid.matches(part)
        # goal 1 %: how finely rays and parts of voxels sample; found 0.3 % (rays), 1e-5 (others) when this was written
        np.testing.assert_allclose(dose.gy, whole, atol=0.01 * whole.max())

    def test_dose_on_another_lattice_keeps_the_energy(self, engine):
        if isinstance(getattr(engine, "kernel", None), type(ENGINES["a voxel kernel"].kernel)):
            with pytest.raises(GeometryError, check=refusal("kernel-spacing-differs")):
                engine.dose(decay_map(lumps(5)), DENSITY, GRID.with_spacing(4.1))
            return
        decays = decay_map(lumps(5))
        for grid in (GRID.with_spacing(4.1), GRID.with_spacing((2.2, 3.0, 5.0))):
            dose = engine.dose(decays, DENSITY, grid)
            assert dose.grid.matches(grid)
            # goal 1 %: energy leaves the image by its faces, which differ by a part of a voxel
            assert energy_j(dose) == pytest.approx(energy_j(engine.dose(decays, DENSITY)), rel=0.01)

    def test_its_point_spread_is_its_dose_of_one_voxel(self, engine):
        kernel = engine.point_spread(GRID, DENSITY)
        assert kernel is not None
        assert kernel.spacing_mm == pytest.approx(GRID.spacing_mm)
        assert kernel.density_g_per_ml == DENSITY
        gy = engine.dose(decay_map(source()), DENSITY).gy
        energy = Y90.energy_mev * JOULE_PER_MEV * 1e12 / (DENSITY * GRID.voxel_volume_ml * 1e-3)
        expected = np.zeros(GRID.shape)
        half = [n // 2 for n in kernel.energy_fraction.shape]
        expected[tuple(slice(c - h, c + h + 1) for c, h in zip(MIDDLE, half, strict=True))] = kernel.energy_fraction
        np.testing.assert_allclose(gy, expected * energy, atol=1e-5 * gy.max())  # the tail is not in it

    def test_a_density_image_is_used_or_refused(self, engine):
        density, decays = usable_density(engine), decay_map(lumps(6))
        dose = engine.dose(decays, density)
        emitted = decays.total() * Y90.energy_mev * JOULE_PER_MEV
        rho = density.g_per_ml if isinstance(density, DensityMap) else DENSITY
        deposited = float((dose.gy.astype(np.float64) * rho).sum()) * GRID.voxel_volume_ml * 1e-3
        assert deposited == pytest.approx(emitted * (1 - dose.energy_lost_fraction), rel=1e-5)

    def test_what_it_cannot_use_is_refused(self, engine):
        for density in (0.0, -1.0, np.nan, 0.01):
            with pytest.raises(QuantityError, check=refusal("density-impossible")):
                engine.dose(decay_map(source()), density)
        with pytest.raises(QuantityError, check=refusal("value-not-finite")):
            engine.dose(decay_map(source(decays=np.inf)), DENSITY)
        framed = DecayMap(source(), Grid(GRID.shape, GRID.affine_lps_mm, "1.2"), radionuclide=Y90)
        with pytest.raises(GeometryError, check=refusal("frame-differs")):
            engine.dose(framed, DENSITY, Grid((4, 4, 4), GRID.affine_lps_mm, "1.3"))

    def test_its_input_stays_as_it_was_and_its_dose_cannot_be_changed(self, engine):
        decays = decay_map(source())
        dose = engine.dose(decays, DENSITY)
        assert not dose.gy.flags.writeable
        assert dose.method.endswith(".")  # of this dose: in a uniform medium the rays' range factor is 1
        np.testing.assert_array_equal(decays.decays, source())


def case():
    values = np.full(GRID.shape, 10.0, np.float32)
    values[3:12, 3:10, 8:50] = 1e6
    liver, tumor = np.zeros((2, *GRID.shape), np.float32)
    liver[3:12, 3:10, 8:50] = 1
    tumor[5:10, 4:9, 15:30] = 1
    at = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    rois = RoiSet((Roi("liver", "liver", liver, GRID), Roi("lesion", "tumor", tumor, GRID)))
    given = Administration(Y90, 300.0, at, lung_shunt_fraction=0.05)
    return Case(ActivityMap(values, GRID, at=at, radionuclide=Y90), rois, given)


NOISE = Spread(samples=20, noise_fraction=0.2, noise_fwhm_mm=6.0)


def test_a_third_partys_engine_goes_through_assessment_and_uncertainty_with_its_own_facts():
    engine = engine_of_the_page()
    result = with_uncertainty(assess(case(), engine), engine, NOISE)
    record = result.record
    assert record.engine == "box"
    assert record.method == engine.describe()
    assert record.kernel == {"source": "a box of 27 voxels"}
    assert coded("box-of-voxels", record.assumptions)
    assert not coded("kernel-scaled-by-density", record.assumptions)
    assert not coded("noise-kernel-borrowed", record.assumptions)
    own = result.uncertainty.rois["lesion"].metrics["d95_gy"].sd
    local = with_uncertainty(assess(case(), LocalDeposition()), LocalDeposition(), NOISE)
    # the box evens noise of 6 mm out over 9 x 12 x 7.5 mm
    assert 0.3 < own / local.uncertainty.rois["lesion"].metrics["d95_gy"].sd < 0.95


def test_an_engine_without_point_spread_has_its_noise_carried_by_water_and_the_result_says_so():
    class Silent(type(engine_of_the_page())):
        def point_spread(self, *_where):
            return None

    result = with_uncertainty(assess(case(), Silent()), Silent(), NOISE)
    (borrowed,) = coded("noise-kernel-borrowed", result.record.assumptions)
    assert "Y-90 kernel of water" in borrowed.sentence


def test_a_kernels_own_loss_is_stated_and_not_that_of_another():
    (lost,) = coded("energy-beyond-reach", Convolution(LOSING).remarks())
    assert lost.numbers == {"energy_fraction": pytest.approx(0.1), "reach_mm": 12.0}
    assert lost.sentence.startswith("10.00 % of the emitted energy is lost by the kernel")
    (water,) = coded("energy-beyond-reach", Convolution(KERNEL).remarks())
    assert water.sentence.startswith("0.39 %")
    voxels = Convolution(voxelise(LOSING, (3.0, 3.0, 3.0)))
    assert coded("energy-beyond-reach", voxels.remarks())[0].numbers["energy_fraction"] == pytest.approx(0.1)
    dense = PointKernel(LOSING.radius_mm, np.array([0.0, 0.6, 1.0]), 0.93, 2.0, "6 mm of 2 g/mL are 12 mm of water")
    assert not coded("energy-beyond-reach", Convolution(dense).remarks())
    assert coded("energy-beyond-reach", Convolution(dense, reach_mm=8.0).remarks())
    assert not coded("energy-beyond-reach", LocalDeposition().remarks())
    assert RayTransport(KERNEL).remarks()[1].numbers["energy_fraction"] == pytest.approx(1 - KERNEL.within(100))
    assert RayTransport(KERNEL, tail_mm=0).remarks()[1].numbers["energy_fraction"] == pytest.approx(
        1 - KERNEL.within(12)
    )


def test_a_kernels_own_range_is_stated():
    (water,) = coded("kernel-scaled-by-density", Convolution(KERNEL).remarks())
    assert "soft tissue's 1.2 % longer range in mass is not modelled" in water.sentence
    tissue = Convolution(KERNEL.with_range(1.0122))
    assert not coded("kernel-scaled-by-density", tissue.remarks())
    (scaled,) = coded("kernel-range-scaled", tissue.remarks())
    assert scaled.numbers == {"range_factor": 1.0122}
    assert "1.0122 times that of water" in scaled.sentence
    (unknown,) = coded("kernel-scaled-by-density", Convolution(LOSING).remarks())
    assert "soft tissue" not in unknown.sentence
    assert Convolution(voxelise(tissue.kernel, (3.0, 3.0, 3.0))).remarks()[0].code == "kernel-range-scaled"


def test_an_engine_is_named_in_one_place():
    for name in NAMED:
        assert engine_named(name).name == name
    assert default_engine().name == "dpk"
    with pytest.raises(InputError, check=refusal("name-unknown")):
        engine_named("montecarlo")
