from dataclasses import replace

import pytest

from voxeldose.dose.segmentectomy import (
    SegmentectomyFacts,
    TumorCoverage,
    card_of_results,
    facts_of,
    segmentectomy_card,
)
from voxeldose.errors import QuantityError

ALL = SegmentectomyFacts(
    perfused_gy=420.0,
    perfused_voxel_gy=415.0,
    tumors=(TumorCoverage("t", 0.8, 310.0, 350.0),),
    bq_per_sphere=300.0,
    treated_fraction=0.12,
    albi_grade=2,
    child_pugh="B",
    segments=2,
    tumor_diameter_mm=80.0,
    tumor_to_normal=2.0,
    device="glass",
    performance_status=1,
    macrovascular_invasion=False,
    extrahepatic_disease=True,
    solitary=True,
    albi_score=-2.1,
    child_pugh_points=7,
    kind="delivered",
)


def card(facts):
    return {(r.item, r.reference): r for r in segmentectomy_card(facts)}


def test_the_card_compares_with_every_reference_of_the_sources():
    status = {
        (item[:9].strip() if item.startswith("D95") else item[:9], ref): r.status
        for (item, ref), r in card(ALL).items()
        if ref is not None
    }
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
        ("ECOG perf", 1): "met",
        ("Tumor, me", 205): "met",
        ("D95 of t", 104): "met",
    }
    assert all(r.source and r.evidence for r in card(ALL).values())


def test_the_dose_evidence_is_said_to_be_a_perfused_mean_and_no_voxel_threshold():
    rows = card(ALL)
    for gray in (190, 400, 446):
        assert "not a voxel threshold" in rows["Perfused volume, mean by single compartment", gray].evidence
    assert rows["V400 of t", None].status == rows["Tumor, mean dose (least dosed tumor)", None].status == "information"


def test_nothing_given_is_shown_as_not_given_and_never_as_met():
    rows = segmentectomy_card(SegmentectomyFacts())
    assert {r.status for r in rows if r.item != "Dose delivered after 11 days"} == {"not given"}


def test_11_days_deliver_94_percent():
    assert card(ALL)["Dose delivered after 11 days", None].value == pytest.approx(0.9426, abs=5e-5)


@pytest.mark.parametrize(
    ("change", "key", "status"),
    [
        (
            {"perfused_gy": 400.0},
            ("Perfused volume, mean by single compartment", 400),
            "met",
        ),  # as in every other place
        ({"perfused_gy": 399.9}, ("Perfused volume, mean by single compartment", 400), "not met"),
        ({"perfused_gy": 446.0}, ("Perfused volume, mean by single compartment", 446), "met"),
        ({"device": "resin"}, ("Perfused volume, mean by single compartment", 400), "not applicable"),
        ({"device": "resin"}, ("Activity per sphere at infusion", 297), "not applicable"),
        ({"treated_fraction": 0.2}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not met"),
        ({"albi_grade": 1}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not applicable"),
        ({"child_pugh": "A"}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not applicable"),
        ({"child_pugh": None}, ("Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145), "not given"),
        ({"segments": 3}, ("Segments treated", 2), "not met"),
        ({"tumor_diameter_mm": 81.0}, ("Tumor diameter", 80), "not met"),
        ({"tumor_to_normal": 2.1}, ("Partition model (T/N)", 2), "advised"),
        ({"performance_status": 2}, ("ECOG performance status", 1), "not met"),
        ({"performance_status": 0}, ("ECOG performance status", 1), "met"),
        ({"kind": "predicted"}, ("D95 of t", 104), "not applicable"),
        ({"kind": None}, ("D95 of t", 104), "not applicable"),
        ({"tumors": (TumorCoverage("t", 0.8, 103.0, 150.0),)}, ("D95 of t", 104), "not met"),
        (
            {"tumors": (TumorCoverage("t", 0.8, 103.0, 150.0),)},
            ("Tumor, mean dose (least dosed tumor)", 205),
            "not met",
        ),
        ({"tumors": (TumorCoverage("t", 0.8, 310.0),)}, ("Tumor, mean dose (least dosed tumor)", 205), "not given"),
        ({"solitary": False}, ("Solitary tumor", None), "not met"),
        ({"solitary": None}, ("Solitary tumor", None), "not given"),
        ({"child_pugh": "A"}, ("Child-Pugh class", None), "met"),
        ({"macrovascular_invasion": True}, ("Macrovascular invasion", None), "not met"),
        ({"extrahepatic_disease": False}, ("Disease outside the liver", None), "met"),
    ],
)
def test_a_changed_fact_changes_its_line(change, key, status):
    assert card(replace(ALL, **change))[key].status == status


def test_words_stand_where_there_are_no_numbers():
    rows = card(ALL)
    assert (rows["Solitary tumor", None].value_text, rows["Solitary tumor", None].reference_text) == ("yes", "yes")
    assert rows["Child-Pugh class", None].value_text == "B (7 points)"
    assert rows["Child-Pugh class", None].status == "not met"
    assert rows["ALBI", None].value_text == "grade 2 (score -2.10)"
    assert rows["Disease outside the liver", None].value_text == "yes"
    assert rows["Perfused volume, mean by single compartment", 400].reference_text == "> 400 Gy"
    assert rows["Treated part of the liver, ALBI 2 with Child-Pugh B", 0.145].value_text == "12.0 %"


def test_what_was_found_with_one_kind_of_image_says_which():
    for row in (card(ALL)["D95 of t", 104], card(ALL)["Tumor, mean dose (least dosed tumor)", 205]):
        assert row.image
        assert f"[{row.image}; {row.method}]" in row.basis


REGION = {"v400_fraction": 0.5, "d95_gy": 200.0, "mean_dose_gy": 380.0, "mass_g": 104.0, "single_compartment_gy": None}


def results(**changed):
    rois = {
        "p": REGION | {"role": "perfused", "volume_ml": 100.0, "single_compartment_gy": 456.0},
        "t": REGION | {"role": "tumor", "volume_ml": 50.0, "axial_diameter_mm": 31.0},
        "other": REGION | {"role": "tumor", "volume_ml": 9.0, "axial_diameter_mm": 99.0, "mean_dose_gy": 3.0},
        "S5": REGION | {"role": "segment", "volume_ml": 120.0},
        "S6": REGION | {"role": "segment", "volume_ml": 100.0},
        "S7": REGION | {"role": "segment", "volume_ml": 80.0},
    }
    overlaps = [("t", "p", 50.0), ("S5", "p", 60.0), ("p", "S6", 9.9), ("S7", "p", 8.0), ("S5", "S6", 50.0)]
    return {
        "kind": "delivered",
        "rois": rois,
        "overlaps": [{"first": a, "second": b, "volume_ml": ml} for a, b, ml in overlaps],
        "tumor_to_normal_ratio": 4.0,
        "totals": {"net_mbq": 1000.0},
        "administration": {"device": "glass", "lung_shunt_fraction": 0.05},
        "constants": {"gy_kg_per_gbq": 50.0, "name": "ddep"},
    } | changed


def test_diameter_segments_and_patient_come_from_results_and_tumors_not_reached_do_not_count():
    facts = facts_of(results(patient={"albi_grade": 1, "child_pugh": "A", "solitary": True, "inr": 1.0}))
    assert facts.perfused_gy == 456
    assert facts.tumor_diameter_mm == 31
    assert facts.segments == 2  # of S6 9.9 % lie in it: not treated
    assert (facts.tumors, facts.tumor_gy) == ((("t", 0.5, 200.0, 380.0),), 380)
    assert (facts.albi_grade, facts.child_pugh, facts.solitary, facts.kind) == (1, "A", True, "delivered")
    stated = facts_of(results(patient={"segments": 1, "tumor_diameter_mm": 44.0}))
    assert (stated.segments, stated.tumor_diameter_mm) == (1, 44)


def test_the_card_takes_the_best_value_of_a_tumor():
    content = results()
    names = (
        "mean_dose_gy",
        "d95_gy",
        "d70_gy",
        "d50_gy",
        "v205_fraction",
        "v400_fraction",
        "tumor_to_normal",
        "activity_mbq",
    )
    content["rois"]["t"]["recovered"] = {name: {"value": 0.9, "low": 0.8, "high": 1.0} for name in names}
    assert facts_of(content).tumors == (("t", 0.9, 0.9, 0.9),)


def test_results_have_a_card_only_with_a_perfused_region():
    content = results()
    assert any(
        row.item == "Perfused volume, mean by single compartment" and row.value == 456
        for row in card_of_results(content)
    )
    del content["rois"]["p"]
    assert card_of_results(content) == ()


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
    assert facts.tumors == (("t", 0.5, 200.0, 380.0),)
    assert (facts.segments, facts.albi_grade, facts.tumor_to_normal, facts.device) == (1, None, 4.0, "glass")


@pytest.mark.parametrize("wrong", [{"perfused_gy": -1.0}, {"albi_grade": 4}, {"child_pugh": "b"}, {"segments": 0}])
def test_impossible_facts_are_refused(wrong):
    with pytest.raises(QuantityError, match=next(iter(wrong))):
        SegmentectomyFacts(**wrong)
