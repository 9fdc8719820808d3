"""One rule for the best value of a number: recovered, else corrected by a curve, else the image's own."""

import math
from dataclasses import replace

import numpy as np
import pytest
from report_case import make_result, uncertain

from voxeldose.io.results.assessment import assessment_dict
from voxeldose.model.assessment import Distribution
from voxeldose.model.best_value import BestValue, best_pooled_ratio, best_value, numbers_in
from voxeldose.model.recovered import Estimate, Recovered, RecoveredMetrics, RecoveredRoi

NUMBERS = ("mean_dose_gy", "d95_gy", "v400_fraction", "bed_gy", "volume_ml", "tumor_to_normal", "activity_mbq")


def recovered(result, **numbers):
    """The same result with these recovered numbers of its lesion."""
    metrics = RecoveredMetrics(**{name: Estimate(*values) for name, values in numbers.items()})
    found = Recovered("field", {"lesion": RecoveredRoi("tumor", metrics, metrics, 1.0)}, {}, result.dose, (), (), 0.0)
    return replace(result, recovered=found)


def corrected(result, coefficient):
    """The same result with the mean of its lesion corrected by a recovery coefficient."""
    result = uncertain(result)
    known = result.uncertainty.rois["lesion"]
    value = result.rois["lesion"].mean_dose_gy / coefficient
    mean = Distribution(value, value, 1.0, value - 2, value, value + 3, 0.0)
    known = replace(known, metrics={**known.metrics, "mean_dose_recovered_gy": mean}, recovery_coefficient=coefficient)
    return replace(result, uncertainty=replace(result.uncertainty, rois={"lesion": known}))


def test_without_anything_it_is_the_images_own_without_interval():
    result = make_result()
    own = result.rois["lesion"].mean_dose_gy
    assert best_value(result, "lesion", "mean_dose_gy") == BestValue(own, None, None, "image", own)


def test_the_images_own_has_the_interval_of_its_uncertainty():
    result = uncertain(make_result())
    one = best_value(result, "lesion", "mean_dose_gy")
    assert (one.low, one.high, one.kind) == (11.5, 22.25, "image")
    assert best_value(result, "lesion", "d95_gy").low is None
    assert best_value(result, "liver", "mean_dose_gy").low is None


def test_a_curve_corrects_the_mean_and_what_is_proportional_to_it_and_no_dvh():
    result = corrected(make_result(), 0.8)
    own = result.rois["lesion"]
    mean = best_value(result, "lesion", "mean_dose_gy")
    assert mean == BestValue(
        own.mean_dose_gy / 0.8, own.mean_dose_gy / 0.8 - 2, own.mean_dose_gy / 0.8 + 3, "corrected", own.mean_dose_gy
    )
    ratio = best_value(result, "lesion", "tumor_to_normal")
    assert ratio.value == pytest.approx(result.tumor_to_normal[0].by_concentration / 0.8)
    assert (ratio.kind, ratio.low) == ("corrected", None)
    assert best_value(result, "lesion", "activity_mbq").value == pytest.approx(own.activity_mbq / 0.8)
    for metric in ("d95_gy", "v400_fraction", "bed_gy", "volume_ml"):
        one = best_value(result, "lesion", metric)
        assert (one.value, one.kind) == (getattr(own, metric), "image")
    assert best_value(result, "normal_liver", "mean_dose_gy").kind == "image"


def test_recovered_comes_before_corrected():
    result = recovered(corrected(make_result(), 0.8), mean_dose_gy=(30.0, 25.0, 35.0), d95_gy=(12.0,), volume_ml=(9.0,))
    mean = best_value(result, "lesion", "mean_dose_gy")
    assert mean == BestValue(30.0, 25.0, 35.0, "recovered", result.rois["lesion"].mean_dose_gy)
    assert mean.is_better
    assert best_value(result, "lesion", "d95_gy").low is None
    assert best_value(result, "lesion", "volume_ml").kind == "image"  # an outline is where it was drawn
    assert best_value(result, "normal_liver", "mean_dose_gy").kind == "image"


def test_a_number_that_was_withheld_is_the_images_own():
    result = recovered(make_result(), mean_dose_gy=(30.0, 25.0, 35.0))
    assert best_value(result, "lesion", "d95_gy").kind == "image"


@pytest.mark.parametrize("kind", ["image", "corrected", "recovered"])
def test_results_that_are_read_back_give_the_same_values(kind):
    result = make_result()
    if kind != "image":
        result = corrected(result, 0.8)
    if kind == "recovered":
        result = recovered(result, mean_dose_gy=(30.0, 25.0, 35.0), tumor_to_normal=(8.0, 7.0, 9.5))
    content = assessment_dict(result)
    for roi in ("lesion", "normal_liver"):
        for metric in NUMBERS:
            assert best_value(numbers_in(content), roi, metric) == best_value(result, roi, metric)
    assert best_value(result, "lesion", "mean_dose_gy").kind == kind


def test_an_unknown_region_is_no_silent_nothing():
    with pytest.raises(KeyError):
        best_value(make_result(), "lesions", "mean_dose_gy")
    with pytest.raises(KeyError):
        best_value(numbers_in(assessment_dict(make_result())), "lesions", "mean_dose_gy")


def two_lesions(first, second):
    """A result with a second lesion of thrice the volume, and T/N recovered in both where it is given."""
    result = make_result()
    lesion = result.rois["lesion"]
    other = replace(lesion, volume_ml=3 * lesion.volume_ml)
    rows = tuple(replace(result.tumor_to_normal[0], roi=name) for name in ("lesion", "other"))
    rois = {}
    for name, value in (("lesion", first), ("other", second)):
        metrics = RecoveredMetrics(tumor_to_normal=Estimate(value, None, None))
        rois[name] = RecoveredRoi("tumor", metrics, metrics, 1.0)
    found = Recovered("rbv", rois, {}, result.dose, (), (), 0.0)
    return replace(result, rois={**result.rois, "other": other}, tumor_to_normal=rows, recovered=found)


def test_pooled_t_n_weighs_tumors_by_volume_and_mixes_no_kinds():
    pooled = best_pooled_ratio(two_lesions(8.0, 4.0), 3.0)
    assert pooled.value == pytest.approx((8.0 + 3 * 4.0) / 4)
    assert (pooled.kind, pooled.low, pooled.image) == ("recovered", None, 3.0)
    mixed = best_pooled_ratio(two_lesions(8.0, None), 3.0)
    assert (mixed.value, mixed.kind) == (3.0, "image")
    assert best_pooled_ratio(make_result(), None).value is None


def test_the_pooled_value_of_one_tumor_has_its_interval():
    result = recovered(make_result(), tumor_to_normal=(8.0, 7.0, 9.5))
    pooled = best_pooled_ratio(result, 3.0)
    assert (pooled.value, pooled.low, pooled.high) == (8.0, 7.0, 9.5)


def test_the_numbers_of_the_case_are_finite():
    result = make_result()
    assert all(math.isfinite(best_value(result, "lesion", m).value) for m in NUMBERS)
    assert np.isfinite(result.tumor_to_normal_ratio)


def test_a_number_that_earlier_results_lack_is_none():
    content = assessment_dict(make_result())
    del content["rois"]["lesion"]["single_compartment_gy"]
    assert best_value(numbers_in(content), "lesion", "single_compartment_gy").value is None
