"""What every assessment says of the lungs: dose by the shunt fraction, mass, the image's own shunt, and where it is cut."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.density import hu_to_density
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.io.results.assessment import assessment_dict
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Case
from voxeldose.model.grid import Grid
from voxeldose.model.lungs import LungSettings
from voxeldose.model.radionuclide import TC99M, Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CountMap, CtImage
from voxeldose.model.wording import dose
from voxeldose.report.content import lung_rows
from voxeldose.report.text import assessment_lines

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((24, 20, 22), (8, 7, 6), (-60, -70, -90))
LIVER, LUNG = np.s_[2:10, 4:16, 4:18], np.s_[11:22, 4:16, 4:18]
K = Y90.gy_kg_per_gbq
LOCAL = LocalDeposition()


def roi(name, role, where, grid=GRID):
    occupancy = np.zeros(grid.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, grid)


def hu(grid=GRID):
    values = np.full(grid.shape, 40.0)
    values[11:22] = -750
    return CtImage(values, grid)


def case(shunt=0.05, grid=GRID, regions=None, lung=0.5, **more):
    """A liver of 20 per voxel, lungs of so much, and a trace elsewhere so that no slice is empty."""
    counts = np.full(grid.shape, 0.01)
    counts[LIVER], counts[LUNG] = 20, lung
    if regions is None:
        regions = (roi("liver", "liver", LIVER, grid), roi("lungs", "lung", LUNG, grid))
    image = CountMap(counts.astype(np.float32), grid, at=AT, radionuclide=TC99M)
    given = Administration(Y90, 1850.0, AT, 50.0, shunt)
    return Case(image, RoiSet(regions), given, **more)


def codes(remarks):
    return {r.code for r in remarks}


def test_a_shunt_fraction_gives_the_lungs_dose_in_one_kilogram_with_both_limits():
    result = assess(case(regions=(roi("liver", "liver", LIVER),)), LOCAL)
    dose = result.lungs.dose
    assert dose.gy == pytest.approx(K * 1800 * 0.05 / 1000, rel=1e-6)
    assert dose.mass.is_convention
    assert [(one.limit_gy, one.value_gy, one.met) for one in dose.limits] == [
        (30, pytest.approx(dose.gy), True),
        (50, pytest.approx(dose.gy), True),
    ]
    assert result.lungs.dose_by_mass is None
    assert result.lungs.measured is None


def test_the_ct_gives_a_second_dose_in_the_lungs_own_mass_which_is_named():
    result = assess(case(ct=hu()), LOCAL)
    ml = 11 * 12 * 14 * GRID.voxel_volume_ml
    density = hu_to_density(CtImage(np.full((1, 1, 1), -750.0), GRID.window((0, 0, 0), (1, 1, 1)))).g_per_ml.item()
    second = result.lungs.dose_by_mass
    assert second.mass.grams == pytest.approx(ml * density, rel=1e-5)
    assert second.mass.source == "CT density in lungs"
    assert second.gy == pytest.approx(result.lungs.dose.gy * 1000 / (ml * density), rel=1e-5)
    assert result.rois["lungs"].mass_g == pytest.approx(ml * density, rel=1e-5)
    content = assessment_dict(result)["lungs"]
    assert content["own_mass_g"] == pytest.approx(second.mass.grams)
    assert [row["mass_source"] for row in content["limits"]][::2] == ["1 kg by convention", "CT density in lungs"]


def test_lungs_never_weigh_what_they_would_at_the_density_of_liver():
    without_ct = assess(case(), LOCAL)
    assert np.isnan(without_ct.rois["lungs"].mass_g)
    assert assessment_dict(without_ct)["rois"]["lungs"]["mass_g"] is None
    light = assess(case(density=0.3), LOCAL).rois["lungs"]
    assert light.mass_g == pytest.approx(light.volume_ml * 0.3)


def test_a_ct_that_does_not_hold_the_lungs_gives_no_mass_and_says_why():
    low = GRID.window((0, 0, 0), (16, 20, 22))
    result = assess(case(ct=CtImage(hu().hu[:16], low)), LOCAL)
    assert result.lungs.dose_by_mass is None
    assert np.isnan(result.rois["lungs"].mass_g)
    (unknown,) = coded("lung-mass-unknown", result.record.assumptions)
    assert "lies outside the density image" in unknown.sentence


def test_earlier_treatments_add_up_and_what_exceeds_a_limit_is_a_warning():
    result = assess(case(0.2, lungs=LungSettings(earlier_gy=(33.0,), mass_g=500.0)), LOCAL)
    first, own = result.lungs.dose, result.lungs.dose_by_mass
    assert first.gy == pytest.approx(K * 1800 * 0.2 / 1000)  # 17.8 Gy
    assert own.gy == pytest.approx(2 * first.gy)
    assert own.mass.source == "given by the user"
    assert first.cumulative_gy == pytest.approx(first.gy + 33)
    assert [one.met for one in first.limits] == [True, False]
    assert [one.met for one in own.limits] == [False, False]
    above = coded("lung-dose-above-limit", result.record.warnings)
    assert [r.sentence for r in above] == [
        f"{own.gy:.1f} Gy to the lungs (given by the user) exceed the 30 Gy of one treatment."
    ]
    assert len(coded("lung-dose-above-cumulative-limit", result.record.warnings)) == 2


def test_what_the_image_shows_stands_beside_what_the_case_states():
    result = assess(case(), LOCAL)
    seen = 11 * 0.5 / (11 * 0.5 + 8 * 20)
    assert result.lungs.measured.fraction == pytest.approx(seen)
    (note,) = coded("lung-shunt-measured", result.record.assumptions)
    assert note.numbers == {"measured_fraction": pytest.approx(seen), "lung_shunt_fraction": 0.05}
    assert "In this image (Tc-99m), lungs over lungs and liver are 3.3 %; the case states 5.0 %." in note.sentence
    nothing_stated = assess(case(None), LOCAL)
    assert nothing_stated.lungs.dose is None
    assert "none is stated" in coded("lung-shunt-measured", nothing_stated.record.assumptions)[0].sentence


def test_lungs_cut_by_the_image_are_warned_of_and_scaled_on_request():
    part = GRID.window((0, 0, 0), (16, 20, 22))
    cut = np.s_[11:16, 4:16, 4:18]
    regions = (roi("liver", "liver", LIVER, part), roi("lungs", "lung", cut, part))
    result = assess(case(grid=part, regions=regions, ct=CtImage(hu().hu[:16], part)), LOCAL)
    assert "lung-at-image-edge" in codes(result.record.warnings)
    assert assessment_dict(result)["lungs"]["measured_is_cut"] is True
    assert result.lungs.measured.fraction == pytest.approx(5 * 0.5 / (5 * 0.5 + 8 * 20))
    assert result.lungs.dose_by_mass.mass.source.endswith("cut by the image")
    whole_ml = 11 * 12 * 14 * GRID.voxel_volume_ml
    scaled = assess(case(grid=part, regions=regions, lungs=LungSettings(volume_ml=whole_ml)), LOCAL)
    assert "lung-at-image-edge" not in codes(scaled.record.warnings)
    assert scaled.lungs.measured.fraction == pytest.approx(11 * 0.5 / (11 * 0.5 + 8 * 20))


def test_a_shunt_that_cannot_be_measured_is_said_and_stops_nothing():
    result = assess(case(lung=-1.0), LOCAL)
    (why,) = coded("lung-shunt-not-measured", result.record.assumptions)
    assert "must not be negative" in why.sentence
    assert result.lungs.measured is None
    assert result.lungs.dose is not None


def test_nothing_is_said_of_lungs_that_nothing_is_known_of():
    assert assess(case(None, regions=(roi("liver", "liver", LIVER),)), LOCAL).lungs is None
    image = ActivityMap(case().activity.values * np.float32(1e4), GRID, at=AT, radionuclide=Y90)
    unknown = replace(
        case(), activity=image, administration=Administration(Y90, None, AT, 0.0, 0.05), calibration=Absolute()
    )
    found = assess(unknown, LOCAL).lungs
    assert (found.shunt_fraction, found.dose) == (0.05, None)


def test_another_activity_changes_the_lungs_dose_with_it():
    result = assess(case(0.2, lungs=LungSettings(mass_g=500.0)), LOCAL)
    half = what_if(result, activity_factor=0.5)
    assert half.lungs.dose.gy == pytest.approx(result.lungs.dose.gy / 2)
    assert "lung-dose-above-limit" in codes(result.record.warnings)
    assert "lung-dose-above-limit" not in codes(half.record.warnings)
    assert what_if(result, activity_factor=0.0).lungs.dose is None


def test_terminal_report_and_json_say_the_same_of_the_lungs():
    result = assess(case(0.2, ct=hu(), lungs=LungSettings(earlier_gy=(40.0,))), LOCAL)
    content = assessment_dict(result)
    text = "\n".join(assessment_lines(content))
    one, own = content["lungs"]["dose_gy"], content["lungs"]["dose_own_mass_gy"]
    assert f"Lungs: {dose(one)} Gy in 1000 g (1 kg by convention), by lung shunt 20.0 %; {dose(own)} Gy in" in text
    assert "shunt in this image 3.3 %" in text
    assert (
        f"1 kg by convention: one treatment {dose(one)} of 30 Gy, kept; all treatments {dose(one + 40)} of 50 Gy, EXCEEDED"
        in text
    )
    rows = dict(lung_rows(result))
    assert rows["In 1000 g (1 kg by convention)"] == (
        f"{dose(one)} of 30 Gy one treatment, kept; {dose(one + 40)} of 50 Gy all treatments, EXCEEDED"
    )
    assert rows["Lung shunt fraction in this image"] == "3.3 %"
