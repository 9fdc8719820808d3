import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from voxeldose.demo.shapes import occupancy, sphere
from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.plausibility_facts import facts_of
from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration
from voxeldose.model.case import Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.plausibility import Fact, judge_facts, published_rules, rules_with
from voxeldose.model.radionuclide import TC99M, Y90
from voxeldose.model.rigid import Registration
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CtImage

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
GRID = Grid.from_axes((56, 60, 64), (6, 6, 6), (-190, -180, -156))
LIVER = ((-60, 0, -40), 72)
LUNGS = (((-75, 0, 95), 62), ((75, 0, 95), 62))
TUMOR = ((-60, 10, -40), 20)


def filled(*balls):
    return np.clip(sum(occupancy(sphere(*ball), GRID) for ball in balls), 0, 1).astype(np.float32)


def build(*, liver=(LIVER,), tumor=(TUMOR,), lungs=LUNGS, perfused=None, nested=True, hot=6.0, elsewhere=0.02, **given):
    """A result of a plain patient with these shapes; facts of ``given`` go into the administration and the case."""
    body = {"liver": filled(*liver), "tumor": filled(*tumor), "lungs": filled(*lungs)}
    bq = 9e5 * (body["liver"] + (hot - 1) * body["tumor"]) + 2.4e4 * body["lungs"] + elsewhere * 1e4
    whole = body["liver"] if nested else np.clip(body["liver"] - body["tumor"], 0, 1)
    rois = [Roi("liver", "liver", whole, GRID), Roi("lesion", "tumor", body["tumor"], GRID)]
    rois += [Roi("lungs", "lung", body["lungs"], GRID)]
    rois += [Roi("segment", "perfused", filled(*perfused), GRID)] if perfused else []
    hu = np.where(body["lungs"] > 0.5, -800.0, np.where(filled(LIVER) > 0.3, 55.0, -50.0)).astype(np.float32)
    when = given.pop("acquired_at", AT + timedelta(hours=20))
    nuclide = given.pop("image", Y90)
    registration = given.pop("registration", None)
    giving = {"administered_mbq": 2000.0, "at": AT, "lung_shunt_fraction": 0.03, "device": "glass"} | given
    activity = ActivityMap(bq.astype(np.float32), GRID, at=when, radionuclide=nuclide)
    case = Case(
        activity,
        RoiSet(tuple(rois)),
        Administration(Y90, **giving),
        ct=CtImage(given.get("hu", hu), GRID),
        registration=registration,
        calibration=Administered(outside_allowed=True),
    )
    return assess(case, LocalDeposition())


RULES = {rule.code for rule in published_rules()}


def codes(result):
    """What the record of the run says, of what rules of plausibility say."""
    return {remark.code for remark in (*result.record.assumptions, *result.record.warnings)} & RULES


def test_a_plain_patient_raises_no_remark():
    assert codes(build()) == set()
    assert codes(build(nested=False)) == set()


@pytest.mark.parametrize("nested", [True, False])
def test_volumes_of_the_liver_are_those_of_its_shape_however_labels_nest(nested):
    facts = {f.name: f.value for f in facts_of(build(nested=nested))}
    assert facts["liver_ml"] == pytest.approx(4 / 3 * np.pi * 7.2**3, rel=0.01)  # voxels of 6 mm probed at 64 points
    assert facts["tumor_of_liver_fraction"] == pytest.approx((20 / 72) ** 3, rel=0.02)
    assert facts["liver_right_of_lungs_mm"] == pytest.approx(60, abs=0.5)
    assert facts["lungs_above_liver_mm"] == pytest.approx(135, abs=0.5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"liver": (((-60, 0, -40), 35),), "tumor": (((-60, 10, -40), 8),)}, {"liver-volume"}),
        ({"tumor": (((60, 0, -60), 20),)}, {"tumor-apart-from-liver"}),
        ({"tumor": (((8, 0, -40), 20),)}, {"tumor-outside-liver"}),
        ({"tumor": (((60, 0, -60), 20),), "nested": False}, {"tumor-apart-from-liver"}),
        ({"tumor": (((-60, 0, -40), 60),)}, {"tumor-burden"}),
        ({"tumor": (((-60, 0, -40), 67),)}, {"tumor-burden-excessive"}),
        ({"tumor": (((-60, 0, -40), 5),)}, {"tumor-volume-small", "tumor-few-voxels"}),
        ({"lung_shunt_fraction": 0.15}, {"lung-shunt-above-10-percent"}),
        ({"lung_shunt_fraction": 0.30}, {"lung-shunt-above-20-percent"}),
        ({"hot": 0.3}, {"tumor-below-normal-liver"}),
        ({"hot": 1.2}, {"tumor-little-above-normal-liver"}),
        ({"lungs": (((-75, 0, -115), 62), ((75, 0, -115), 62))}, {"liver-above-lungs"}),
        ({"liver": (((60, 0, -40), 72),), "tumor": (((60, 10, -40), 20),)}, {"liver-on-the-left"}),
        ({"perfused": (((-60, 10, -40), 30),)}, {"activity-outside-perfused"}),
        ({"perfused": (((-60, -3, -40), 25),)}, {"tumor-outside-perfused", "activity-outside-perfused"}),
        ({"perfused": (((-60, 0, -40), 90),)}, {"perfused-outside-liver", "perfused-volume-large"}),
        ({"elsewhere": 20.0}, {"counts-outside-liver-and-lungs"}),
        ({"device": "resin", "administered_mbq": 6000.0}, {"resin-activity-unusual"}),
        ({"device": "glass", "administered_mbq": 90000.0}, {"glass-activity-unusual"}),
        ({"residual_mbq": 500.0}, {"residual-large"}),
        ({"acquired_at": AT + timedelta(days=6)}, {"scan-late"}),
        ({"image": TC99M, "acquired_at": AT - timedelta(days=70)}, {"planning-image-old"}),
        ({"image": TC99M, "acquired_at": AT + timedelta(days=1)}, {"planning-image-after-infusion"}),
    ],
)
def test_what_can_hardly_be_is_said(change, expected):
    assert expected <= codes(build(**change))


@pytest.mark.parametrize(
    ("shift", "turn", "expected"), [(25.0, 0.0, {"registration-shift"}), (0.0, 15.0, {"registration-rotation"})]
)
def test_a_large_registration_is_said(shift, turn, expected):
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    matrix = np.array([[c, -s, 0, shift], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    motion = Registration(matrix, "a test", "ct", "activity", np.zeros(3))
    assert codes(build(registration=motion)) == expected


def test_a_mirrored_liver_label_is_known_by_its_ct():
    lateral = build(liver=(((60, 0, -40), 72),), tumor=(((60, 10, -40), 20),))
    assert "liver-hu-mean" in codes(lateral)


def test_every_rule_has_a_source_a_fact_that_is_found_and_a_sentence_that_can_be_said():
    known = {"liver_air_fraction"}
    known |= {f.name for f in facts_of(build(perfused=(TUMOR,)))}
    apart = ((90, 10, -40), 20)
    known |= {f.name for f in facts_of(build(device="resin", image=TC99M, nested=False, tumor=(apart,)))}
    known |= {"registration_shift_mm", "registration_rotation_deg", "lungs_g", "normal_liver_apart_fraction"}
    rules = published_rules()
    assert len({rule.code for rule in rules}) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.code)
        assert rule.fact in known, rule.code
        assert rule.source
        assert rule.level in ("note", "warning")
        for outside in ([rule.low - 1] if rule.low is not None else []) + (
            [rule.high + 1] if rule.high is not None else []
        ):
            remark = rule.remark(Fact(rule.fact, outside, "lesion_1"))
            assert not rule.holds(outside)
            assert remark.code == rule.code
            assert remark.numbers["value"] == outside
            assert "{" not in remark.sentence
        assert all(rule.holds(end) for end in (rule.low, rule.high) if end is not None)
        assert rule.holds(float("nan"))


def test_of_two_rules_on_one_fact_the_farther_one_speaks():
    found = judge_facts([Fact("lung_shunt_fraction", 0.25)])
    assert [remark.code for remark in found.warnings] == ["lung-shunt-above-20-percent"]
    assert "25.0 %" in found.warnings[0].sentence


@pytest.mark.parametrize(
    ("name", "value", "code", "words"),
    [
        ("lungs_ml", 900.0, "lungs-volume", "The lung regions together are 900 mL, where both lungs have 1500 to 9000"),
        ("lungs_g", 2500.0, "lungs-mass", "weigh 2500 g by this run's density, where lungs have 400 to 1800 g"),
        ("perfused_ml", 12.34, "perfused-volume-small", "The perfused region part is 12.3 mL"),
        ("tumor_ml", 3500.0, "tumor-volume-large", "Tumor part is 3500 mL: check the label and its units."),
        ("normal_liver_apart_fraction", 0.2, "normal-liver-is-not-liver-less-tumor", "differs by 20 % of its volume"),
        ("liver_largest_piece_fraction", 0.8, "liver-in-pieces", "The largest piece of the liver regions holds 80 %"),
        ("tumor_pieces", 7.0, "tumor-in-pieces", "Tumor part is 7 separate pieces under one name"),
        ("liver_at_edge_fraction", 0.1, "liver-at-the-edge", "touch the border of the activity image with 10 %"),
        ("liver_air_fraction", 0.05, "liver-holds-air", "5.0 % of the liver regions are lung or gas by the CT"),
        ("liver_bone_fraction", 0.05, "liver-holds-bone", "5.0 % of the liver regions are above 300 HU by the CT"),
        ("lungs_hu_mean", -300.0, "lungs-hu-mean", "inside the lung regions is -300 HU, which no lung has"),
        ("tumor_hu_mean", 700.0, "tumor-hu-mean", "inside tumor part is 700 HU: it lies in fat, lung or bone"),
        ("liver_of_field_fraction", 0.3, "liver-share-of-field", "Only 30 % of the image's activity lie in the liver"),
        (
            "negative_of_positive_fraction",
            0.7,
            "negative-activity",
            "Negative voxels sum to 70 % of the positive ones.",
        ),
        ("lungs_against_shunt_factor", 4.0, "lungs-above-shunt", "shows 4.0 times the activity in the lungs"),
        ("tumor_to_normal", 55.0, "tumor-to-normal-extreme", "T/N of tumor part is 55: the normal liver"),
        ("normal_liver_mean_dose_gy", 400.0, "normal-liver-dose-extreme", "part has a mean dose of 400 Gy"),
        ("dose_voxel_mm", 8.0, "dose-grid-coarse", "The longest edge of a dose voxel is 8.0 mm"),
        (
            "energy_missing_fraction",
            0.12,
            "energy-missing-much",
            "12.0 % of the emitted energy are not in the dose map",
        ),
    ],
)
def test_a_fact_outside_its_range_is_stated_with_it(name, value, code, words):
    found = judge_facts([Fact(name, value, "part")])
    (remark,) = (*found.notes, *found.warnings)
    assert remark.code == code
    assert remark.numbers["value"] == value
    assert remark.numbers["roi"] == "part"
    assert words in remark.sentence


def test_a_sites_file_overrides_levels_and_adds_rules():
    own = rules_with(
        [
            {"code": "lung-shunt-above-10-percent", "level": "off"},
            {"code": "lung-shunt-above-20-percent", "high": 0.15, "level": "refusal"},
            {
                "code": "site-liver",
                "fact": "liver_ml",
                "high": 1000.0,
                "level": "note",
                "source": "site",
                "sentence": "{value:.0f} mL",
            },
        ]
    )
    assert judge_facts([Fact("lung_shunt_fraction", 0.12)], own).warnings == ()
    with pytest.raises(QuantityError) as refusal:
        judge_facts([Fact("lung_shunt_fraction", 0.16)], own)
    assert refusal.value.code == "implausible"
    assert [r.sentence for r in judge_facts([Fact("liver_ml", 1500.0)], own).notes] == ["1500 mL"]
    assert len(published_rules()) == len(own) - 1


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"level": "off"}, "rule-without-code"),
        ({"code": "x", "level": "note"}, "rule-keys"),
        ({"code": "liver-volume", "hgih": 3.0}, "rule-keys"),
        ({"code": "liver-volume", "level": "loud"}, "rule-level"),
    ],
)
def test_a_rule_that_is_not_whole_is_refused(row, code):
    with pytest.raises(QuantityError) as refusal:
        rules_with([row])
    assert refusal.value.code == code
    assert replace(published_rules()[0]) == published_rules()[0]


def test_a_changed_activity_is_judged_anew():
    result = build(hot=30.0)
    assert "mean-dose-extreme" not in codes(result)
    much = what_if(result, LocalDeposition(), activity_factor=20.0)
    assert "mean-dose-extreme" in codes(much)
    assert "mean-dose-extreme" not in codes(what_if(much, LocalDeposition(), activity_factor=0.05))
