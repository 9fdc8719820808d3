"""What a run's limits and probabilities are about once numbers were recovered or corrected."""

from dataclasses import replace

import pytest
from remarks import coded
from report_case import make_result, uncertain
from scipy.stats import t as student

from voxeldose.dose.limits import with_best_values
from voxeldose.dose.recovery.into_result import with_recovered
from voxeldose.model.assessment import Distribution, Probability
from voxeldose.model.recovered import Estimate, Recovered, RecoveredMetrics, RecoveredRoi
from voxeldose.model.remarks import Remark

#: Between the mean dose of the case's lesion in the image and the recovered one.
LIMIT = 205.0


def result_near_the_limit():
    """The lesion has 0.9 of the published 205 Gy."""
    found = make_result()
    return make_result(mbq=500.0 * 0.9 * LIMIT / found.rois["lesion"].mean_dose_gy)


def recovery_of(result, draws=24, **numbers):
    metrics = RecoveredMetrics(**{name: Estimate(*values) for name, values in numbers.items()})
    rois = {"lesion": RecoveredRoi("tumor", metrics, metrics, 1.0)}
    return Recovered("field", rois, {"draws": draws}, result.dose, (), (Remark("doubt", {}, "Doubt."),), 2.0)


def asked(result, *, metric="mean_dose_gy", sense="at least", value=184.0, probability=0.1):
    """The result with an uncertainty that has one probability, and warns that nothing corrects blur."""
    known = uncertain(result).uncertainty
    missing = Remark("recovery-missing", {}, "No recovery curve.")
    row = Probability("lesion", metric, sense, LIMIT, value, probability, 0.01, "asked for")
    record = replace(result.record, warnings=(*result.record.warnings, missing))
    return replace(result, uncertainty=replace(known, probabilities=(row,), warnings=(missing,)), record=record)


def tumor_limit(result):
    (one,) = [t for t in result.thresholds if t.limit == LIMIT and t.roi == "lesion"]
    return one


def test_a_limit_is_compared_with_the_recovered_value_and_the_images_own_stands_beside_it():
    result = result_near_the_limit()
    before = tumor_limit(result)
    assert (before.met, before.kind, before.image_value) == (False, "image", before.value)
    after = tumor_limit(with_recovered(result, recovery_of(result, mean_dose_gy=(220.0, 210.0, 230.0))))
    assert (after.value, after.met, after.kind, after.image_value) == (220.0, True, "recovered", before.value)
    assert after.differs.startswith(before.differs)
    assert after.differs.endswith(
        f"Here it is resolution recovered; the image's own is {before.value:.3g} Gy, which would not meet the limit."
    )
    assert all(t.kind == "image" for t in with_recovered(result, recovery_of(result)).thresholds)


def test_where_both_meet_a_limit_or_both_miss_it_only_the_value_is_told():
    result = result_near_the_limit()
    found = tumor_limit(with_recovered(result, recovery_of(result, mean_dose_gy=(190.0, 180.0, 200.0))))
    assert (found.met, "would" in found.differs) == (False, False)


def test_a_limit_is_compared_with_a_mean_that_a_curve_corrects():
    result = uncertain(result_near_the_limit())
    known = result.uncertainty.rois["lesion"]
    mean = Distribution(225.0, 225.0, 5.0, 215.0, 225.0, 236.0, 0.0)
    known = replace(known, metrics={**known.metrics, "mean_dose_recovered_gy": mean}, recovery_coefficient=0.82)
    found = with_best_values(replace(result, uncertainty=replace(result.uncertainty, rois={"lesion": known})))
    one = tumor_limit(found)
    assert (one.value, one.met, one.kind) == (225.0, True, "corrected")
    assert "corrected by recovery curve" in one.differs


def test_a_probability_is_by_students_t_of_the_recovered_interval():
    result = asked(result_near_the_limit())
    found = with_recovered(result, recovery_of(result, mean_dose_gy=(220.0, 200.0, 240.0)))
    (row,) = found.uncertainty.probabilities
    sd = 20.0 / student.ppf(0.975, 12)  # twelve pairs of draws
    assert row.probability == pytest.approx(student.cdf((220.0 - LIMIT) / sd, 12), abs=0.002)
    assert (row.value, row.kind) == (220.0, "recovered")
    assert 0 < row.standard_error < 0.2


def test_a_probability_below_a_limit_is_the_rest_and_an_end_that_was_cut_does_not_narrow_it():
    result = asked(result_near_the_limit(), sense="below")
    found = with_recovered(result, recovery_of(result, mean_dose_gy=(30.0, 0.0, 270.0)))
    (row,) = found.uncertainty.probabilities
    sd = 240.0 / student.ppf(0.975, 12)
    assert row.probability == pytest.approx(student.cdf((LIMIT - 30.0) / sd, 12), abs=0.002)


def test_without_an_interval_there_is_no_probability_and_the_run_says_so():
    result = asked(result_near_the_limit())
    found = with_recovered(result, recovery_of(result, mean_dose_gy=(220.0, None, None)))
    assert found.uncertainty.probabilities == ()
    (remark,) = coded("probability-not-known", found.record.assumptions)
    assert remark.numbers["numbers"] == "lesion mean_dose_gy"


def test_the_probability_of_a_number_that_was_not_recovered_stays():
    result = asked(result_near_the_limit(), metric="v190_fraction")
    found = with_recovered(result, recovery_of(result, mean_dose_gy=(220.0, 210.0, 230.0)))
    assert found.uncertainty.probabilities == result.uncertainty.probabilities
    assert not coded("probability-not-known", found.record.assumptions)


def test_that_nothing_corrects_blur_is_not_said_any_more():
    result = asked(result_near_the_limit())
    found = with_recovered(result, recovery_of(result, mean_dose_gy=(220.0, 210.0, 230.0)))
    assert coded("recovery-missing", result.record.warnings)
    assert not coded("recovery-missing", (*found.record.warnings, *found.uncertainty.warnings))
    assert coded("doubt", found.record.warnings)
    assert coded("recovered-numbers-beside", found.record.assumptions)


def test_nothing_recovered_changes_nothing():
    result = make_result()
    assert with_recovered(result, None) is result
