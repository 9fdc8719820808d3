"""Worked examples of activity planning: published results and closed forms, each with its arithmetic.

Half a unit of the last printed digit is the tolerance, unless a line says otherwise. Two wrong formulas that circulate in public
calculators are shown to fail.
"""

from datetime import UTC, datetime, timedelta

import pytest

from voxeldose.model.administration import Assay, administration_from_assays
from voxeldose.model.radionuclide import Y90, Y90_LEGACY, Y90_VENDOR, Radionuclide
from voxeldose.planning.body_surface import plan_body_surface
from voxeldose.planning.compartments import plan_mird, plan_partition, plan_partition_for
from voxeldose.planning.plan import Lungs
from voxeldose.planning.territories import Territory, Tumor
from voxeldose.planning.vials import CURIE_BQ, Product, bq_per_sphere_at, fraction_delivered, plan_vial

AT = datetime(2024, 5, 2, 13, 30, tzinfo=UTC)
CALIBRATED = datetime(2024, 5, 2, 8, 0, tzinfo=UTC)
LIVER = Territory((Tumor("t", 200.0, 5.0),), 1300.0, 0.08)


def test_1_delivered_after_11_days():
    assert fraction_delivered(264.0) == pytest.approx(0.9426, abs=5e-5)  # published: 94 %


def spheres_of(vial_gbq: float, bq: float) -> float | None:
    product = Product("x", (vial_gbq,), bq_per_sphere=bq)
    return plan_vial(vial_gbq * 1000, AT, product=product, calibrations=[AT]).spheres


def test_2_spheres_of_a_glass_vial():
    assert spheres_of(3.0, 2500.0) == pytest.approx(1.2e6)


def test_3_spheres_of_a_resin_vial():
    found = spheres_of(3.0, 50.0)
    assert found == pytest.approx(6.0e7)
    assert 40e6 <= found <= 80e6  # published range


@pytest.mark.parametrize(("nuclide", "gy"), [(Y90_VENDOR, 30.5), (Y90, 30.12)])
def test_4_the_lung_limit_of_the_insert(nuclide, gy):
    # 0.61 GBq of shunted activity in 1 kg: LSF A = 610 MBq
    plan = plan_partition([Territory((), 1000.0, 0.1)], [6100.0], nuclide)
    assert plan.lung_gy == pytest.approx(gy, abs=5e-3)


@pytest.mark.parametrize(("nuclide", "gy"), [(Y90_VENDOR, 50.0), (Y90, 49.38), (Y90_LEGACY, 49.67)])
def test_5_one_gbq_in_one_kilogram(nuclide, gy):
    assert plan_mird(1000.0, nuclide, activity_mbq=1000.0).perfused_gy == pytest.approx(gy, abs=5e-3)


def test_8_what_decays_between_assay_and_infusion():
    assert fraction_delivered(2.20) == pytest.approx(0.02353, abs=5e-6)  # published median: 2.35 %


def test_9_vial_sizes_in_millicurie():
    sizes = (3.0, 5.0, 7.0, 10.0, 15.0, 20.0)
    options = plan_vial(2000.0, AT, product=Product("glass", sizes), calibrations=[AT]).options
    # the insert rounds 540.5 down
    assert [o.vial_mci for o in options] == pytest.approx([81, 135, 189, 270, 405, 540], abs=0.6)
    assert pytest.approx(3e9, rel=2e-3) == CURIE_BQ * 81e-3


def test_10_holmium_takes_3780_mbq_a_kilogram_for_60_gy():
    # T½ 26.8 h and 15.87 Gy kg/GBq: the energy that goes with the two, from K = A T½/ln 2 · E by hand
    ho166 = Radionuclide("Ho-166", 26.8, 0.71164, "published K = 15.87")
    assert ho166.gy_kg_per_gbq == pytest.approx(60 / 3.78, abs=5e-3)
    assert plan_mird(1500.0, ho166, dose_gy=60.0).activity_mbq == pytest.approx(5670.0, rel=5e-4)


@pytest.mark.parametrize(("nuclide", "gbq"), [(Y90_VENDOR, 1.684), (Y90_LEGACY, 1.695), (Y90, 1.705)])
def test_14_mird(nuclide, gbq):
    plan = plan_mird(200.0, nuclide, dose_gy=400.0, lungs=Lungs(0.05))
    assert plan.activity_mbq == pytest.approx(gbq * 1000, abs=0.5)
    wrong = 400 * 0.2 * (1 - 0.05) / nuclide.gy_kg_per_gbq  # multiplied by 1 - LSF
    assert wrong != pytest.approx(gbq, abs=0.05)


def test_14_backwards():
    assert plan_mird(200.0, activity_mbq=1684.2105, lungs=Lungs(0.05)).perfused_gy == pytest.approx(395.0, abs=0.1)


def test_15_partition():
    plan = plan_partition([LIVER], [2500.0], lung_g=1000.0)
    assert plan.normal_gy == pytest.approx(49.38, abs=5e-3)
    assert plan.tumor_gy["t"] == pytest.approx(246.9, abs=0.05)
    assert plan.lung_gy == pytest.approx(9.876, abs=1e-3)  # 9.8766 with K unrounded
    k = Y90.gy_kg_per_gbq
    assert plan.tumor_gy["t"] * 200 / k == pytest.approx(1000.0)  # A_T
    assert plan.normal_gy * 1300 / k == pytest.approx(1300.0)  # A_N
    vendor = plan_partition([LIVER], [2500.0], Y90_VENDOR)
    assert (vendor.normal_gy, vendor.tumor_gy["t"], vendor.lung_gy) == pytest.approx((50, 250, 10))
    wrong = k * 2.5 * 0.92 / (1.3 * (5 + 1))  # m_N (T/N + 1) in place of r m_T + m_N
    assert wrong != pytest.approx(49.38, abs=1.0)


def test_16_inverse_partition():
    plan = plan_partition_for([LIVER], tumor_gy=205.0, normal_limit_gy=75.0, lung_limit_gy=30.0)
    wanted = {b.name: b.activity_mbq for b in plan.bounds}
    scale = Y90.gy_kg_per_gbq / 49.38  # the table's K is rounded
    assert wanted["tumor goal"] * scale == pytest.approx(2075.7, abs=0.05)
    assert wanted["normal liver limit"] * scale == pytest.approx(3797.1, abs=0.05)
    assert wanted["lung limit"] * scale == pytest.approx(7594.2, abs=0.05)
    assert plan.activity_mbq == wanted["tumor goal"]
    assert plan.binding == "tumor goal"
    k = Y90.gy_kg_per_gbq
    assert 205 * 2.3 * 0.92 / (5 * k) * 1000 != pytest.approx(2075.7, rel=0.05)  # multiplied by 1 - LSF
    assert 205 * 1.3 * (5 + 1) / (5 * k * 0.92) * 1000 != pytest.approx(2075.7, rel=0.05)  # m_N (T/N + 1)


def test_the_printed_form_of_the_partition_model_with_grams():
    # A[GBq] = D_N (r m_T + m_N) / (49 670 (1 - L)), van Roekel
    plan = plan_partition_for([LIVER], Y90_LEGACY, normal_limit_gy=75.0)
    assert plan.activity_mbq / 1000 == pytest.approx(75 * (5 * 200 + 1300) / (49670 * (1 - 0.08)))


def test_17_two_territories():
    one = Territory((Tumor("a", 120.0, 4.0), Tumor("b", 30.0, 2.5)), 500.0, 0.05, "right")
    two = Territory((Tumor("c", 50.0, 3.0),), 350.0, 0.05, "left")
    plan = plan_partition([one, two], [1200.0, 800.0], lung_g=1000.0, unperfused_g=600.0)
    scale = 49.38 / Y90.gy_kg_per_gbq  # the table's K is rounded
    assert [gy * scale for gy in plan.tumor_gy.values()] == pytest.approx([213.43, 133.40, 225.17], abs=5e-3)
    assert plan.normal_gy * scale == pytest.approx(62.29, abs=5e-3)
    assert plan.whole_normal_gy * scale == pytest.approx(36.52, abs=5e-3)
    assert plan.lung_gy * scale == pytest.approx(4.938, abs=5e-4)


def test_20_delivered_activity():
    given = administration_from_assays(
        Y90,
        at=AT,
        vial=Assay(3120.0, CALIBRATED),
        residual=Assay(45.0, datetime(2024, 5, 2, 15, 0, tzinfo=UTC)),
        lung_shunt_fraction=0.05,
    )
    assert given.administered_mbq == pytest.approx(2939.7, abs=0.05)
    assert given.residual_mbq == pytest.approx(45.7, abs=0.05)
    assert given.net_mbq == pytest.approx(2893.9, abs=0.1)
    assert given.liver_mbq == pytest.approx(2749.3, abs=0.1)
    back = plan_vial(
        given.net_mbq, AT, calibrations=[CALIBRATED], residual_fraction=given.residual_mbq / given.administered_mbq
    )
    assert back.chosen.vial_gbq == pytest.approx(3.12)


@pytest.mark.parametrize(("grams", "gy"), [(1000.0, 11.85), (822.0, 14.42)])
def test_23_lungs(grams, gy):
    assert plan_mird(1500.0, activity_mbq=3000.0, lungs=Lungs(0.08, grams)).lung_gy == pytest.approx(gy, abs=5e-3)


def test_25_specific_activity():
    later = CALIBRATED + timedelta(days=4)
    assert bq_per_sphere_at(2500.0, CALIBRATED, later) == pytest.approx(884.5, abs=0.05)
    assert bq_per_sphere_at(2500.0, CALIBRATED, CALIBRATED + timedelta(hours=196.8)) == pytest.approx(297.0, abs=0.1)


def test_body_surface():
    assert plan_body_surface(1.70, 70.0, 0.2).activity_mbq == pytest.approx(1810.0, abs=5)
