"""Names of numbers of a region."""

import pytest

from voxeldose.model.metric import Metric


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mean", "mean_dose_gy"),
        ("mean_dose_gy", "mean_dose_gy"),
        ("MAX", "max_dose_gy"),
        ("D95", "d95_gy"),
        (" d2.50_gy ", "d2.5_gy"),
        ("v400", "v400_fraction"),
        ("V400_fraction", "v400_fraction"),
    ],
)
def test_every_way_to_write_a_metric_has_one_key(text, key):
    metric = Metric.parse(text)
    assert metric.key == key
    assert Metric.parse(key) == metric
    assert metric.is_fraction == key.endswith("_fraction")


@pytest.mark.parametrize("text", ["", "d", "v", "mean95", "d95_fraction", "v400_gy", "volume_ml", "d-5", "d95 gy"])
def test_what_is_no_metric_is_none(text):
    assert Metric.parse(text) is None


@pytest.mark.parametrize(("text", "possible"), [("d0", False), ("d101", False), ("d100", True), ("v0", True)])
def test_a_dose_to_no_part_or_more_than_all_is_impossible(text, possible):
    assert Metric.parse(text).is_possible is possible
