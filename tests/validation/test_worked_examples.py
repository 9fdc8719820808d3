"""Where each of the 29 worked examples of the physics notes is a test, and that none of those tests has gone."""

import math
import re
from pathlib import Path

import pytest

from benchmarks.closed_forms import sphere_fraction, spread_of
from voxeldose.model.kernel import point_kernel

HERE = Path(__file__).parent.parent
PLANNING, PUBLISHED = "validation/test_planning_examples.py", "validation/test_published.py"
RADIOBIOLOGY, LUNGS, PIPELINE = "dose/test_radiobiology.py", "planning/test_lungs.py", "dose/test_assess.py"

EXAMPLES = {
    1: (PLANNING, "test_1_delivered_after_11_days"),
    2: (PLANNING, "test_2_spheres_of_a_glass_vial"),
    3: (PLANNING, "test_3_spheres_of_a_resin_vial"),
    4: (PLANNING, "test_4_the_lung_limit_of_the_insert"),
    5: (PLANNING, "test_5_one_gbq_in_one_kilogram"),
    6: (RADIOBIOLOGY, "test_worked_example_6_normal_liver_as_printed"),
    7: (RADIOBIOLOGY, "test_worked_example_7_tumor_as_printed"),
    8: (PLANNING, "test_8_what_decays_between_assay_and_infusion"),
    9: (PLANNING, "test_9_vial_sizes_in_millicurie"),
    10: (PLANNING, "test_10_holmium_takes_3780_mbq_a_kilogram_for_60_gy"),
    11: (PUBLISHED, "test_nema_spheres_have_their_volumes"),
    12: ("validation/test_worked_examples.py", "test_12_absorbed_fraction_of_spheres_by_mass"),
    13: (PUBLISHED, "test_voxel_s_values_of_scaled_water_are_those_of_lanconelli"),
    14: (PLANNING, "test_14_mird"),
    15: (PLANNING, "test_15_partition"),
    16: (PLANNING, "test_16_inverse_partition"),
    17: (PLANNING, "test_17_two_territories"),
    18: (LUNGS, "test_worked_example_18_planar_views"),
    19: (LUNGS, "test_worked_example_19_spect"),
    20: (PLANNING, "test_20_delivered_activity"),
    21: (PIPELINE, "test_worked_example_21_from_image_to_dose"),
    22: (PIPELINE, "test_worked_example_22_self_calibration"),
    23: (PLANNING, "test_23_lungs"),
    24: ("dose/test_metrics.py", "test_worked_example_24"),
    25: (PLANNING, "test_25_specific_activity"),
    26: (RADIOBIOLOGY, "test_worked_example_26_with_the_runs_half_life"),
    27: ("dose/test_metrics.py", "test_the_worked_example_of_ten_voxels"),
    28: ("dose/uncertainty/test_mean_dose.py", "test_worked_example_28_a_sphere_of_30_mm"),
    29: (PIPELINE, "test_local_deposition_conserves_energy_in_every_region"),
}


def test_every_worked_example_has_its_test():
    assert list(EXAMPLES) == list(range(1, 30))
    gone = [f"{n}: {file}::{name}" for n, (file, name) in EXAMPLES.items() if not has(file, name)]
    assert not gone


def has(file, name):
    return re.search(rf"^def {name}\(", (HERE / file).read_text("utf-8"), re.MULTILINE) is not None


@pytest.mark.parametrize(("grams", "published"), [(10, 0.85), (20, 0.88), (100, 0.93)])
def test_12_absorbed_fraction_of_spheres_by_mass(grams, published):
    # Hashempour 2019, doi:10.22038/AOJNMB.2018.11610, soft tissue of 1.04 g/mL; half of the last printed digit
    radius = (3000 * grams / (4 * math.pi * 1.04)) ** (1 / 3)
    found = sphere_fraction(radius, spread_of(point_kernel(), density_g_per_ml=1.04, reach_mm=12.0))
    assert found == pytest.approx(published, abs=0.005)
