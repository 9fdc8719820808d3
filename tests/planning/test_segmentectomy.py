from dataclasses import replace

import pytest

from voxeldose.errors import QuantityError
from voxeldose.planning.segmentectomy import SegmentectomyFacts, facts_of, segmentectomy_card

ALL = SegmentectomyFacts(
    perfused_gy=420.0,
    perfused_voxel_gy=415.0,
    tumors=(("t", 0.8, 310.0),),
    bq_per_sphere=300.0,
    treated_fraction=0.12,
    albi_grade=2,
    child_pugh="B",
    segments=2,
    tumor_diameter_mm=80.0,
    tumor_to_normal=2.0,
    device="glass",
)


def card(facts):
    return {(r.item, r.reference): r for r in segmentectomy_card(facts)}


def test_the_card_compares_with_every_reference_of_the_sources():
    status = {(item[:9], ref): r.status for (item, ref), r in card(ALL).items() if ref is not None}
    assert status == {
        ("Perfused ", 190): "met",
        ("Perfused ", 400): "met",
        ("Perfused ", 446): "not met",
        ("Activity ", 297): "met",
        ("Activity ", 327): "not met",
        ("Treated p", 0.145): "met",
        ("Segments ", 2): "met",
        ("Tumor dia", 80): "met",
        ("Partition", 2): "advised",
    }
    assert all(r.source and r.evidence for r in card(ALL).values())


def test_the_dose_evidence_is_said_to_be_a_perfused_mean_and_no_voxel_threshold():
    rows = card(ALL)
    for gray in (190, 400, 446):
        assert "not a voxel threshold" in rows["Perfused volume, mean dose", gray].evidence
    assert rows["V400 of t", None].status == rows["D95 of t", None].status == "information"


def test_nothing_given_is_shown_as_not_given_and_never_as_met():
    rows = segmentectomy_card(SegmentectomyFacts())
    assert {r.status for r in rows if r.item != "Dose delivered after 11 days"} == {"not given"}


def test_11_days_deliver_94_percent():
    assert card(ALL)["Dose delivered after 11 days", None].value == pytest.approx(0.9426, abs=5e-5)


@pytest.mark.parametrize(
    ("change", "key", "status"),
    [
        ({"perfused_gy": 400.0}, ("Perfused volume, mean dose", 400), "met"),  # as in every other place
        ({"perfused_gy": 399.9}, ("Perfused volume, mean dose", 400), "not met"),
        ({"perfused_gy": 446.0}, ("Perfused volume, mean dose", 446), "met"),
        ({"device": "resin"}, ("Perfused volume, mean dose", 400), "not applicable"),
        ({"device": "resin"}, ("Activity a sphere at infusion", 297), "not applicable"),
        ({"treated_fraction": 0.2}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not met"),
        ({"albi_grade": 1}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not applicable"),
        ({"child_pugh": "A"}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not applicable"),
        ({"child_pugh": None}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not given"),
        ({"segments": 3}, ("Segments treated", 2), "not met"),
        ({"tumor_diameter_mm": 81.0}, ("Tumor diameter", 80), "not met"),
        ({"tumor_to_normal": 2.1}, ("Partition model (T/N)", 2), "advised"),
    ],
)
def test_a_changed_fact_changes_its_line(change, key, status):
    assert card(replace(ALL, **change))[key].status == status


def test_facts_of_an_assessment():
    roi = {"v400_fraction": 0.5, "d95_gy": 200.0, "mean_dose_gy": 380.0, "mass_g": 104.0}
    content = {
        "rois": {
            "liver": roi | {"role": "liver", "volume_ml": 1000.0},
            "t": roi | {"role": "tumor", "volume_ml": 50.0},
            "p": roi | {"role": "perfused", "volume_ml": 100.0},
        },
        "overlaps": [
            {"first": "liver", "second": "t", "volume_ml": 20.0},
            {"first": "t", "second": "p", "volume_ml": 50.0},
        ],
        "tumor_to_normal_ratio": 4.0,
        "totals": {"net_mbq": 1000.0},
        "administration": {"device": "glass", "lung_shunt_fraction": 0.05},
        "constants": {"gy_kg_per_gbq": 50.0},
    }
    facts = facts_of(content, SegmentectomyFacts(segments=1))
    assert facts.perfused_gy == pytest.approx(50 * 1000 * 0.95 / 104)  # one compartment, not the map's mean
    assert facts.perfused_voxel_gy == 380
    assert facts.treated_fraction == pytest.approx(100 / 1030)
    assert facts.tumors == (("t", 0.5, 200.0),)
    assert (facts.segments, facts.albi_grade, facts.tumor_to_normal, facts.device) == (1, None, 4.0, "glass")


@pytest.mark.parametrize("wrong", [{"perfused_gy": -1.0}, {"albi_grade": 4}, {"child_pugh": "b"}, {"segments": 0}])
def test_impossible_facts_are_refused(wrong):
    with pytest.raises(QuantityError, match=next(iter(wrong))):
        SegmentectomyFacts(**wrong)
