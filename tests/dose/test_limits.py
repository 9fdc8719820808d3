import numpy as np
import pytest

from voxeldose.dose.limits import compare_means, differences, merged, published_limits, thresholds_met
from voxeldose.dose.metrics import roi_metrics
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.limits import read_limits
from voxeldose.model.case import require_bilirubin
from voxeldose.model.grid import Grid
from voxeldose.model.limits import DOSE_MODELS, Limit
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi
from voxeldose.model.volume import DecayMap, DoseMap

GRID = Grid.from_axes((1, 1, 10), (10, 10, 10), (0, 0, 0))
DECAYS = DecayMap(np.full(GRID.shape, 1e6), GRID, radionuclide=Y90)


def measured(role, doses=325.0):
    dose = DoseMap(np.full(GRID.shape, doses), GRID)
    return roi_metrics(Roi("a", role, np.ones(GRID.shape), GRID), 0.0, dose, dose, DECAYS, 1.05)


SITE = """
[[threshold]]
name = "Whole normal liver"
device = "glass"
role = "normal_liver"
metric = "mean_dose_gy"
sense = "below"
limit = 50.0
source = "department protocol"
method = "mean of whole normal liver by kernel"
dose = "kernel"

[[threshold]]
name = "Coverage"
role = "tumor"
metric = "v190_fraction"
sense = "at least"
limit = 0.9
source = "department protocol"
method = "voxel map"
"""


def site(tmp_path, text=SITE):
    path = tmp_path / "site.toml"
    path.write_text(text)
    return read_limits(path)


@pytest.mark.parametrize(("bilirubin", "limits"), [(None, [75]), (1.4, [75, 50]), (0.8, [75, 90]), (1.1, [75])])
def test_the_liver_limits_that_depend_on_bilirubin_need_it(bilirubin, limits):
    # EANM 2022, Table 2: 50 Gy above 1.1 mg/dL, 90 Gy below, for the whole normal liver with glass spheres
    found = compare_means({"normal_liver": 60.0}, "glass", bilirubin_mg_per_dl=bilirubin)
    assert [t.limit for t in found] == limits
    assert [t.met for t in found] == [limit > 60 for limit in limits]
    assert [t.limit for t in compare_means({"normal_liver": 60.0}, "resin", bilirubin_mg_per_dl=bilirubin)] == [40]


def test_the_resin_limit_is_for_perfused_normal_liver():
    # EANM 2022, Table 3: the column is "normal perfused liver dose"
    (whole,) = compare_means({"normal_liver": 30.0}, "resin", method="partition")
    assert whole.met
    assert "infusion reached" in whole.differs
    (part,) = compare_means({"normal_liver": 30.0, "perfused_normal": 45.0}, "resin", method="partition")
    assert (part.value, part.met, part.differs) == (45, False, "")
    assert compare_means({"normal_liver": 30.0, "perfused_normal": 80.0}, "glass")[0].value == 30
    rows = thresholds_met({"n": measured("normal_liver", 30.0)}, "resin")
    assert "infusion reached" in rows[0].differs


@pytest.mark.parametrize("wrong", [0.0, -1.0, 17.1, float("nan")])
def test_a_bilirubin_in_other_units_is_refused(wrong):
    with pytest.raises(QuantityError, match="mg/dL"):
        require_bilirubin(wrong)


def test_thresholds_are_those_of_the_device_and_name_source_and_method():
    metrics = {"p": measured("perfused", 410.0), "n": measured("normal_liver")}
    glass = {t.roi: t for t in thresholds_met(metrics, "glass")}
    assert glass["p"].met
    assert glass["p"].limit == 400
    assert not glass["n"].met
    assert all(t.source and t.method for t in glass.values())
    assert thresholds_met(metrics, None) == ()
    assert {t.limit for t in thresholds_met(metrics, "resin")} == {150, 40}


@pytest.mark.parametrize(
    ("sense", "part", "met"),
    [("at least", 1, True), ("at least", 1 + 1e-5, False), ("below", 1, True), ("below", 1 - 1e-5, False)],
)
def test_a_dose_at_the_limit_meets_it_and_one_beyond_does_not(sense, part, met):
    limit = Limit("a", "tumor", "mean_dose_gy", sense, 325.0 * part, "s", "m")
    (found,) = thresholds_met({"t": measured("tumor")}, None, (limit,))
    assert found.met is met
    assert found.sense == sense


def test_what_a_run_found_another_way_is_said():
    lobar = next(r for r in published_limits() if r.limit == 205)
    by_kernel = differences(lobar, "dpk", "Y-90")
    assert "partition model" in by_kernel
    assert "dpk" in by_kernel
    assert "Tc-99m" in by_kernel
    assert "images" not in differences(lobar, "dpk", "Tc-99m")
    liver = next(r for r in published_limits() if r.role == "normal_liver" and r.device == "glass")
    assert differences(liver, "local", "Tc-99m") == ""
    assert "local deposition" in differences(liver, "density", "Tc-99m")


def test_every_published_limit_has_a_dose_model_and_is_as_strict_as_a_sites_file(tmp_path):
    from importlib import resources

    path = tmp_path / "published.toml"
    path.write_text((resources.files("voxeldose") / "tables" / "thresholds.toml").read_text("utf-8"))
    limits, _ = read_limits(path)
    assert limits == published_limits()
    assert all(limit.dose in DOSE_MODELS for limit in limits)


def test_a_sites_limit_replaces_the_published_one_and_others_are_added(tmp_path):
    own, with_published = site(tmp_path)
    assert with_published
    limits = merged(published_limits(), own)
    assert len(limits) == len(published_limits()) + 1
    metrics = {"n": measured("normal_liver", 60.0), "t": measured("tumor", 200.0)}
    found = {t.metric + t.roi: t for t in thresholds_met(metrics, "glass", limits, engine="dpk")}
    assert found["mean_dose_gyn"].limit == 50
    assert not found["mean_dose_gyn"].met
    assert found["mean_dose_gyn"].differs == ""
    assert found["v190_fractiont"].met
    assert found["v190_fractiont"].name == "Coverage (at least 90 %)"
    assert [t.name for t in thresholds_met(metrics, None, own)] == ["Coverage (at least 90 %)"]  # any device


def test_a_site_may_leave_the_published_out(tmp_path):
    assert site(tmp_path, "published = false\n" + SITE)[1] is False


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("limit = 50.0", "limt = 50.0"), ("threshold.0.limt", "Whole normal liver", "did you mean 'limit'")),
        (('metric = "v190_fraction"', 'metric = "v90"'), ("threshold.1.metric", "Coverage", "v190_fraction", "'v90'")),
        (("limit = 0.9", "limit = -1.0"), ("threshold.1.limit", "Coverage", "-1.0")),
        (('role = "tumor"', 'role = "tumour"'), ("threshold.1.role", "Coverage", "'tumor'")),
        (
            ('source = "department protocol"\nmethod = "voxel map"', 'method = "voxel map"'),
            ("threshold.1.source", "missing"),
        ),
        (('dose = "kernel"', 'dose = "dpk"'), ("threshold.0.dose", "kernel")),
        (("[[threshold]]", "[[thresholds]]"), ("thresholds", "did you mean 'threshold'")),
    ],
)
def test_a_wrong_entry_is_refused_by_name(tmp_path, wrong, words):
    with pytest.raises(InputError) as error:
        site(tmp_path, SITE.replace(*wrong))
    for word in ("site.toml", *words):
        assert word in str(error.value)


def test_an_entry_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Whole normal liver.*twice"):
        site(tmp_path, SITE + SITE)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such thresholds file"):
        read_limits(tmp_path / "none.toml")
