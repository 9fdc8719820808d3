"""Published uncertainties by name: each with a source, none by default, and a case's own keys above them."""

import json
import math
from dataclasses import fields

import pytest
from remarks import refusal
from small_study import CASE, run, write_study

from voxeldose.dose.uncertainty.inputs import Spread
from voxeldose.dose.uncertainty.presets import chosen_presets, published_presets
from voxeldose.errors import QuantityError
from voxeldose.io.config.reference import case_keys
from voxeldose.io.config.uncertainty import UncertaintyTable
from voxeldose.jobs.settings import input_uncertainties

PRESETS = {one.name: one for one in published_presets()}
CONTOUR = "contour-liver-metastases-mri"


@pytest.mark.parametrize("name", PRESETS)
def test_each_has_its_source_and_values_that_a_case_may_give(name):
    preset = PRESETS[name]
    assert set(preset.values) <= {f.name for f in fields(Spread)}
    assert all(preset_part.strip() for preset_part in (preset.title, preset.source, preset.read, preset.how))
    assert input_uncertainties(UncertaintyTable(presets=[name])).presets[0].taken == preset.values


def test_values_follow_from_what_the_sources_state():
    values = {key: value for one in PRESETS.values() for key, value in [(one.name, next(iter(one.values.values())))]}
    assert values["registration-liver-deformable"] == pytest.approx(5.36 / math.sqrt(8 / math.pi), abs=0.05)
    assert values["registration-liver-affine"] == pytest.approx(3.4 / 0.34 / math.sqrt(3), abs=0.05)
    assert values["calibration-vial-label"] == pytest.approx(0.10 / math.sqrt(3), abs=0.0005)


def test_none_is_on_by_default():
    spread = input_uncertainties(UncertaintyTable())
    assert (spread.presets, spread.contour_mm, spread.registration_mm) == ((), 0.0, 0.0)


def test_keys_of_the_case_win():
    table = UncertaintyTable(presets=[CONTOUR, "calibration-vial-label"], contour_mm=0.7)
    spread = input_uncertainties(table)
    assert (spread.contour_mm, spread.calibration_fraction) == (0.7, 0.058)
    assert [(one.taken, one.replaced) for one in spread.presets] == [
        ({}, ("contour_mm",)),
        ({"calibration_fraction": 0.058}, ()),
    ]
    by_resolution = input_uncertainties(UncertaintyTable(presets=[CONTOUR], contour_fwhm_mm=4.0))
    assert (by_resolution.contour_mm, by_resolution.contour_fwhm_mm) == (0.0, 4.0)


def test_an_unknown_name_says_the_nearest_and_two_of_one_kind_are_refused():
    with pytest.raises(QuantityError, match="did you mean 'calibration-vial-label'", check=refusal("preset-unknown")):
        chosen_presets(["calibration-vial-labels"], ())
    with pytest.raises(QuantityError, match="both give contour_mm", check=refusal("keys-contradict")):
        chosen_presets([CONTOUR, f"{CONTOUR}-reviewed"], ())


def test_the_reference_of_keys_names_every_preset():
    (key,) = [one for one in case_keys("uncertainty") if one.name == "presets"]
    assert all(f"`{name}`" in key.meaning for name in PRESETS)


def test_a_run_lists_what_it_took_and_from_where(tmp_path):
    text = CASE + f'[uncertainty]\nsamples = 40\npresets = ["{CONTOUR}"]\n'
    done = run("assess", write_study(tmp_path / "case", text), "--out", tmp_path / "out", "--quiet")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out" / "assessment.json").read_text("utf-8"))
    (listed,) = content["uncertainty"]["inputs"]["presets"]
    assert (listed["name"], listed["taken"]) == (CONTOUR, {"contour_mm": 1.6})
    assert content["uncertainty"]["inputs"]["contour_mm"] == 1.6
    (said,) = [one for one in content["assumptions"] if one["code"] == "uncertainty-preset"]
    assert "Peltenburg" in said["message"]
    assert said["numbers"] == {"preset": CONTOUR, "contour_mm": 1.6}
    assert "Peltenburg" in (tmp_path / "out" / "report.html").read_text("utf-8")
