"""The cards from the command line: what they print and write, and that only a wrong dose makes them fail."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.accuracy_shapes import structures
from benchmarks.bench_convolution import DENSITY, measured, phantom, work_of
from benchmarks.card import Card, write_card, write_json
from benchmarks.figures import Figure, Section
from benchmarks.speed import speed_card
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap

OF = Section("section", "a source")


def kernel_file(path, factor=1.0):
    kernel = point_kernel()
    rows = np.column_stack([kernel.radius_mm[1:], kernel.energy_fraction_within[1:]])
    np.savetxt(path, rows, delimiter=",", header="radius_mm,energy_fraction_within", comments="", fmt="%.8g")
    return ["--kernel", str(path), "--kernel-mev", str(kernel.mev_per_decay * factor)]


QUICK = ["accuracy", "--quick", "--section", "kernels", "--section", "edge", "--section", "structures"]


def test_the_shipped_kernel_is_inside_every_band_and_the_card_says_so(tmp_path, capsys):
    assert main([*QUICK, "--json", str(tmp_path / "card.json"), "--out", str(tmp_path / "card")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("cores") < printed.index("voxel S values")  # the machine comes first
    assert "Lanconelli 2012" in printed
    assert "OUTSIDE" not in printed
    content = json.loads((tmp_path / "card.json").read_text())
    assert content["schema"] == "voxeldose/benchmarks/1"
    for figure in content["accuracy"]:
        assert figure["source"]
        assert figure["reason"]
        assert figure["inside"] in (True, None)
    assert "Lanconelli 2012" in (tmp_path / "card" / "card.md").read_text()


def test_a_kernel_with_two_per_cent_more_energy_fails_and_is_named(tmp_path, capsys):
    assert main([*QUICK[:4], *kernel_file(tmp_path / "k.csv", 1.02)]) == 1
    last = capsys.readouterr().out.rpartition("judged figures inside their bands")[2]
    assert "OUTSIDE" in last
    assert "offset 100" in last
    assert main([*QUICK[:4], *kernel_file(tmp_path / "same.csv")]) == 0


def test_a_kernel_of_another_range_fails_at_the_spheres(tmp_path):
    kernel = point_kernel().with_range(1.03)
    rows = np.column_stack([kernel.radius_mm[1:], kernel.energy_fraction_within[1:]])
    np.savetxt(tmp_path / "k.csv", rows, delimiter=",", header="radius_mm,energy_fraction_within", comments="")
    assert main(["accuracy", "--quick", "--section", "spheres", "--kernel", str(tmp_path / "k.csv")]) == 1


def test_a_kernel_that_cannot_be_read_is_refused(tmp_path, capsys):
    (tmp_path / "k.csv").write_text("radius,energy\n1,2\n")
    assert main(["accuracy", "--section", "edge", "--kernel", str(tmp_path / "k.csv")]) == 3
    assert "k.csv" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "inside"), [(1.019, True), (1.021, False), (0.979, False), (float("nan"), False)])
def test_a_figure_is_inside_its_band_or_not(value, inside):
    assert OF.relative("x", value, 1.0, 0.02, "why").is_inside is inside
    assert OF.absolute("x", value, 1.0, 0.02, "why").is_inside is inside
    assert OF.shown("x", value, 1.0, "why").is_inside is None


def test_a_difference_of_fractions_is_in_points():
    assert OF.shown("x", 0.45, 0.5, "why", "fraction").difference == "-5.0 points"
    assert OF.shown("x", 0.45, 0.5, "why", "Gy").difference == "-10.00 %"
    assert OF.shown("x", 0.45, 0.0, "why", "Gy").difference == ""


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, _, attrs):
        self.found += [value for key, value in attrs if key in ("src", "href")]


def test_the_page_is_whole_in_itself_and_escapes_names(tmp_path):
    figures = [
        OF.relative("sphere_10mm mean dose, dpk", 1.01, 1.0, 0.02, "why <b>", "Gy"),
        Figure("other", "y", float("nan"), 1.0, "Gy", "source", 0.9, 1.1, "why"),
    ]
    machine = {
        "processor": "p",
        "cores": 2,
        "memory_gib": 1.0,
        "platform": "x",
        "load": 0.0,
        "versions": {"numpy": "2"},
    }
    row = {"grid": "g", "activity": "dense", "program": "ours", "cpu_s": 1.0, "wall_s": 1.0}
    row |= {"fftconvolve_cpu_ratio": 2.0, "limit_cpu_ratio": 3.0, "peak_grids": None}
    speed = {
        "kernels": [{"spacing_mm": [1, 2, 3], "cpu_ms": 1.0}],
        "first_dose_s": {"cold": 1.0, "cached": 0.5},
        "grids": [row],
        "growth": [[1000, 3.0, 2.0, 1.0, 1.1, 0.4], [9000, 3.0, 2.0, 1.0, 1.1, 0.4]],
    }
    card = Card(machine, "python -m benchmarks", figures, speed)
    write_card(card, tmp_path / "a" / "b")
    page = (tmp_path / "a" / "b" / "card.html").read_text()
    links = Links()
    links.feed(page)
    assert len(links.found) == 4  # plots
    assert all(link.startswith("data:") for link in links.found)
    assert "why &lt;b&gt;" in page
    assert [f.name for f in card.outside] == ["y"]
    write_json(card, tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text())["accuracy"][1]["value"] is None


def test_numbers_of_numpy_are_numbers_of_json(tmp_path):
    figure = Figure("other", "y", np.float32(0.5), np.float64(1.0), "Gy", "source", np.float64(0.9), 1.1, "why")
    assert isinstance(figure.is_inside, np.bool_)  # as of a comparison of numpy's numbers
    speed = {"grids": [{"cpu_s": np.float32(2.0), "peak_grids": np.float64("nan"), "count": np.int64(3)}]}
    write_json(Card({"versions": {}}, "python -m benchmarks", [figure], speed), tmp_path / "card.json")
    content = json.loads((tmp_path / "card.json").read_text())
    assert content["accuracy"][0]["value"] == 0.5
    assert content["accuracy"][0]["inside"] is False
    assert content["speed"]["grids"] == [{"cpu_s": 2.0, "peak_grids": None, "count": 3}]


def test_an_outside_program_that_fails_is_a_row_of_the_card(monkeypatch, tmp_path):
    failing = tmp_path / "plastimatch"
    failing.write_text("#!/bin/sh\nexit 134\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    rows = [f for f in structures() if "status 134" in f.name]
    assert [row.is_inside for row in rows] == [None]


def test_every_program_of_the_speed_card_computes_the_same_dose():
    grid = Grid.from_axes((20, 24, 28), (4.8, 4.0, 4.0), (0, 0, 0))
    decays = DecayMap(phantom(grid, dense=True), grid, radionuclide=Y90)
    kernel = voxelise(point_kernel(), grid.spacing_mm, density_g_per_ml=DENSITY)
    found = {who: work_of(who, decays, kernel)() for who in ("ours", "fftconvolve", "cropped", "SimpleITK")}
    scale = found["ours"].sum(dtype=float) / found["fftconvolve"].sum(dtype=float)
    for who in ("fftconvolve", "cropped", "SimpleITK"):
        np.testing.assert_allclose(found[who] * scale, found["ours"], rtol=1e-4)  # float32 transforms
    assert work_of("assess", decays, kernel)().shape == grid.shape


def test_times_are_measured_for_each_program():
    took = measured((16, 18, 20), (4.8, 4.8, 4.8), ["copy", "ours", "fftconvolve"], dense=True, runs=1)
    assert set(took) == {"copy", "ours", "fftconvolve"}
    assert all(wall > 0 for _, wall in took.values())


@pytest.mark.slow
def test_the_speed_card_has_every_table(monkeypatch):
    monkeypatch.setattr("benchmarks.speed.QUICK_VOXELS", 3e5)
    lines = []
    card = speed_card(quick=True, tell=lines.append)
    assert [len(card[k]) for k in ("kernels", "grids", "growth")] == [
        4,
        0,
        0,
    ]  # 64³ is 0.26 M, of which half is taken for growth
    assert lines
