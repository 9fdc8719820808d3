import math
from dataclasses import replace

import numpy as np
import pytest
from remarks import refusal

from voxeldose.dose.radiobiology import (
    bed_gy,
    complication_by_set,
    complication_probability,
    control_probability,
    eubed_gy,
    eud_gy,
    geud_gy,
    poisson_control,
)
from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import Y90, Radionuclide
from voxeldose.model.tissue import (
    complication_set,
    complication_sets,
    control_set,
    control_sets,
    default_sets,
    linear_quadratic_set,
    linear_quadratic_sets,
)

TUMOR, LIVER = (linear_quadratic_set(f"cremonesi-2008-{name}") for name in ("tumor", "normal-liver"))
PRINTED = Radionuclide("Y-90", 64.2, 0.9367, "Cremonesi 2008")
TEN = np.arange(100.0, 600.0, 50.0)
ONES = np.ones(10)


def test_worked_example_6_normal_liver_as_printed():
    assert bed_gy(np.array([40.0]), LIVER, PRINTED)[0] == pytest.approx(63.99, abs=0.005)


def test_worked_example_7_tumor_as_printed():
    # printed as 75, 170 and 360 Gy
    np.testing.assert_allclose(bed_gy(np.array([65.0, 130.0, 235.0]), TUMOR, PRINTED), [74.65, 168.6, 361.1], atol=0.06)


def test_worked_example_26_with_the_runs_half_life():
    assert TUMOR.repair(Y90) == pytest.approx(0.022887, abs=5e-7)
    assert LIVER.repair(Y90) == pytest.approx(0.037571, abs=5e-7)
    assert bed_gy(np.array([205.0, 400.0]), TUMOR, Y90) == pytest.approx([301.2, 766.2], abs=0.05)
    assert bed_gy(np.array([75.0]), LIVER, Y90)[0] == pytest.approx(159.5, abs=0.05)


def test_bed_is_the_double_integral_of_dose_rate_and_repair():
    # D (1 + G D/(α/β)) with G = 2/D² ∫ r(t) ∫ r(s) exp(-μ (t-s)) ds dt, midpoint rule on 20000 steps
    half_life, repair = 64.04, 1.5
    edges = np.linspace(0, 12 * half_life, 20001)
    t, step = (edges[1:] + edges[:-1]) / 2, edges[1]
    lam, mu = math.log(2) / half_life, math.log(2) / repair
    rate = lam * np.exp(-lam * t)
    kept = np.exp(-mu * step)
    memory = np.zeros_like(t)
    for n in range(1, t.size):
        memory[n] = kept * (memory[n - 1] + rate[n - 1] * step)
    total = 2 * (rate * (memory + rate * step / 2) * step).sum()
    assert TUMOR.repair(Y90) == pytest.approx(total, rel=2e-3)


def test_tumor_and_liver_sets_cannot_be_swapped():
    with pytest.raises(QuantityError, match="is for tumor"):
        linear_quadratic_set("cremonesi-2008-tumor", "normal_liver")
    with pytest.raises(QuantityError, check=refusal("role-differs")):
        linear_quadratic_set("cremonesi-2008-normal-liver", "tumor")
    assert TUMOR.repair_half_time_h < LIVER.repair_half_time_h
    assert TUMOR.alpha_beta_gy > LIVER.alpha_beta_gy
    # and swapped values would show: 75 Gy to the liver
    swapped = 75 * (1 + 1.5 / 65.54 * 75 / 2.5)
    assert abs(bed_gy(np.array([75.0]), LIVER, Y90)[0] - swapped) > 30


def test_every_set_has_a_tissue_a_year_and_a_source():
    for one in (*linear_quadratic_sets().values(), *control_sets().values(), *complication_sets().values()):
        assert one.tissue
        assert 1980 < one.year < 2100
        assert len(one.source) > 20
        assert one.roles
    assert set(default_sets()) == {"tumor", "liver", "normal_liver"}


def test_worked_example_27_equivalent_uniform_doses():
    assert eud_gy(TEN, ONES, 0.002) == pytest.approx(304.55, abs=0.005)
    assert geud_gy(TEN, ONES, -10) == pytest.approx(125.66, abs=0.005)
    assert geud_gy(TEN, ONES, 1) == pytest.approx(325)


def test_equivalent_doses_of_an_even_dose_are_that_dose():
    even = np.full(5, 120.0)
    weights = np.array([1, 2, 0.5, 3, 1.0])
    assert eud_gy(np.full(5, 1e5), np.ones(5), 0.01) == pytest.approx(1e5)
    assert np.isfinite(eud_gy(np.array([0.0, 1e7]), np.ones(2), 0.3))
    assert geud_gy(even, weights, -12) == pytest.approx(120)
    assert eubed_gy(even, weights, TUMOR, Y90) == pytest.approx(bed_gy(even, TUMOR, Y90)[0])


def test_eubed_lies_between_lowest_and_mean_bed():
    bed = bed_gy(TEN, TUMOR, Y90)
    assert bed.min() < eubed_gy(TEN, ONES, TUMOR, Y90) < bed.mean()


def test_a_cold_voxel_makes_a_negative_geud_zero_and_negative_doses_are_refused():
    assert geud_gy(np.array([0.0, 100.0]), np.ones(2), -5) == 0
    assert geud_gy(np.zeros(2), np.ones(2), 3) == 0
    with pytest.raises(QuantityError, check=refusal("dose-negative")):
        geud_gy(np.array([-1.0, 100.0]), np.ones(2), -5)
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        geud_gy(TEN, ONES, 0)


def test_control_goes_through_its_published_points():
    curve = control_set("ejnmmi-res-2022-hcc-eud")
    assert control_probability(51, curve) == pytest.approx(0.5)
    assert control_probability(100, curve) == pytest.approx(0.95, abs=1e-4)
    assert control_probability(0, curve) == 0
    assert control_probability(292, control_set("jnm-2020-glass-mean-dose"), 3.0) == pytest.approx(0.5)
    assert control_probability(441, control_set("jnm-2020-glass-bed"), 3.0) == pytest.approx(0.5)


def test_a_slope_is_never_made_up():
    with pytest.raises(QuantityError, check=refusal("slope-missing")):
        control_probability(300, control_set("jnm-2020-glass-mean-dose"))
    with pytest.raises(QuantityError, check=refusal("slope-twice")):
        control_probability(60, control_set("ejnmmi-res-2022-hcc-eud"), 2.0)
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        control_probability(60, control_set("jnm-2020-glass-bed"), -2.0)
    with pytest.raises(QuantityError, check=refusal("name-unknown")):
        control_set("none")


def test_complication_is_one_half_at_td50_and_one_sigma_above_it():
    assert complication_probability(52, 52, 0.28) == pytest.approx(0.5)
    assert complication_probability(52 * 1.28, 52, 0.28) == pytest.approx(0.8413, abs=1e-4)
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        complication_probability(52, 0, 0.28)


def test_a_width_is_never_made_up_and_a_quoted_number_says_so():
    resin = complication_set("quoted-2014-resin-lobar")
    assert not resin.seen
    assert complication_by_set(93, resin, 0.3) == pytest.approx(0.5)
    with pytest.raises(QuantityError, check=refusal("width-missing")):
        complication_by_set(93, resin)
    with pytest.raises(QuantityError, check=refusal("width-twice")):
        complication_by_set(93, replace(resin, m=0.3), 0.3)
    assert complication_by_set(93 * 1.3, replace(resin, m=0.3)) == pytest.approx(0.8413, abs=1e-4)
    with pytest.raises(QuantityError, check=refusal("name-unknown")):
        complication_set("none")


def test_a_probability_of_an_unknown_dose_is_refused():
    with pytest.raises(QuantityError, check=refusal("dose-unknown")):
        complication_probability(math.nan, 52, 0.28)
    with pytest.raises(QuantityError, check=refusal("dose-unknown")):
        control_probability(math.inf, control_set("jnm-2020-glass-bed"), 2.0)


def test_poisson_control_needs_cells():
    assert poisson_control(100, 0.2, 1e9) == pytest.approx(math.exp(-1e9 * math.exp(-20)))
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        poisson_control(100, 0.2, 0)
