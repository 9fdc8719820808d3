"""A site's own rules of plausibility, and where rules are asked: assessments, plans, and inspected files."""

from dataclasses import replace

import numpy as np
import pytest
from remarks import coded, refusal
from small_study import CASE, write_study

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.errors import InputError
from voxeldose.io.config.case import named_inputs, read_case_file
from voxeldose.io.config.rules import read_rules
from voxeldose.io.inspection import inspect
from voxeldose.io.nifti import write_labels
from voxeldose.jobs.open_case import open_case
from voxeldose.model.grid import Grid
from voxeldose.model.plausibility import published_rules
from voxeldose.planning.answers.plans import answer_mird, answer_voxels
from voxeldose.planning.answers.settings import PlanSetting

RULES = {rule.code for rule in published_rules()}


def codes(result):
    return {r.code for r in (*result.record.assumptions, *result.record.warnings)}


SITE = """
[[rule]]
code = "lung-shunt-above-10-percent"
level = "off"
[[rule]]
code = "tumor-volume-small"
low = 900.0
"""


def test_a_sites_file_of_rules_rules_assessments_and_plans_of_its_case(tmp_path):
    path = write_study(tmp_path / "study", CASE + 'lung_shunt_fraction = 0.12\n[dose]\nplausibility = "rules.toml"\n')
    (tmp_path / "study" / "rules.toml").write_text(SITE)
    opened = open_case(read_case_file(path)).case
    own = assess(opened, LocalDeposition())
    plain = assess(replace(opened, rules=None), LocalDeposition())
    assert "lung-shunt-above-10-percent" in codes(plain)
    assert "lung-shunt-above-10-percent" not in codes(own)
    (small,) = coded("tumor-volume-small", own.record.warnings)
    assert small.numbers["low"] == 900
    assert str(tmp_path / "study" / "rules.toml") in named_inputs(read_case_file(path))
    for result, said in ((own, False), (plain, True)):
        answer = answer_voxels(PlanSetting(assessment=result), ["lesion.mean=40"])
        assert ("lung-shunt-above-10-percent" in {r.code for r in answer.plan.warnings}) is said
        assert len(coded("tumor-volume-small", answer.plan.warnings)) == (0 if said else 1)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('[[rules]]\ncode = "x"\n', "rules-missing", "rules.toml: needs tables"),
        ('rule = "x"\n', "rules-missing", "nothing else"),
        ('[[rule]]\ncode = "liver-volume"\nlevel = "loud"\n', "rule-level", "rules.toml: Rule 'liver-volume'"),
    ],
)
def test_a_file_of_rules_that_is_none_is_refused_by_name(tmp_path, text, code, words):
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(InputError, match=words, check=refusal(code)):
        read_rules(tmp_path / "rules.toml")


def test_a_plan_by_numbers_is_asked_too():
    setting = PlanSetting(lung_shunt_fraction=0.25, device="resin")
    answer = answer_mird(setting, mass_g=2000.0, dose_gy=3500.0)
    found = {r.code for r in answer.plan.warnings}
    assert {"lung-shunt-above-20-percent", "resin-activity-unusual"} <= found
    usual = answer_mird(PlanSetting(lung_shunt_fraction=0.05, device="resin"), mass_g=500.0, dose_gy=100.0)
    assert not {r.code for r in usual.plan.warnings} & RULES


def test_inspect_says_what_volumes_of_a_file_of_regions_can_hardly_be(tmp_path):
    grid = Grid.from_axes((10, 12, 14), (4, 4, 4), (0, 0, 0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:8, 2:10, 2:12] = 1
    write_labels(labels, grid, tmp_path / "liver.nii.gz")
    (found,) = inspect(tmp_path / "liver.nii.gz")
    assert "Hardly plausible: The liver regions together are 31 mL" in found.verdict
