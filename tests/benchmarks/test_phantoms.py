"""The digital phantoms: what they hold, what scanners make of them, and the doses that come out of their files."""

import json
import math
import shutil
import subprocess

import numpy as np
import pytest

from benchmarks.accuracy_phantoms import nema_sharp, opened_from, recovery_curve
from benchmarks.breathing import displacements_mm
from benchmarks.nema import BODY_GRID_MM, Nema, circles, field_of_view, noise_of_mean, write_study
from voxeldose.demo.phantom import pet_noise
from voxeldose.demo.shapes import occupancy, sphere
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel

ONE = Nema(diameters_mm=(10.0,))


def test_the_phantom_holds_the_activity_of_its_closed_form():
    phantom = Nema()
    grid = field_of_view(phantom, (2.0, 2.0, 2.0), whole=True)
    found = phantom.activity(grid).sum(dtype=np.float64) * grid.voxel_volume_ml / 1e6
    assert found == pytest.approx(phantom.total_mbq, rel=1e-3)  # surfaces probed at 64 points a voxel
    assert phantom.total_mbq == pytest.approx(
        1.5 * (9727 - 368 - 48) + 12 * 47.8, rel=1e-3
    )  # mL of body, insert, spheres


def test_spheres_lie_on_the_circle_sixty_degrees_apart():
    places = [np.array(centre) for _, centre, _ in Nema().spheres()]
    assert [np.linalg.norm(p) for p in places] == pytest.approx([57.2] * 6)
    gaps = [np.linalg.norm(a - b) for a, b in zip(places, places[1:] + places[:1], strict=True)]
    assert gaps == pytest.approx([57.2] * 6)  # neighbours on a hexagon


def test_contours_have_the_volume_of_the_sphere():
    areas = []
    for loop in circles((3.0, -2.0, 5.0), 5.0, 0.5):
        x, y = loop[:, 0], loop[:, 1]
        areas.append(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
    assert sum(areas) * 0.5 == pytest.approx(4 / 3 * math.pi * 125, rel=1e-9)


def test_the_smallest_sphere_comes_out_of_dicom_within_its_bands():
    figures = [f for f in nema_sharp(point_kernel(), quick=True, phantom=ONE) if f.is_inside is not None]
    assert {f.name for f in figures} >= {"sphere_10mm mean dose, dpk", "sphere_10mm D70, dpk", "sphere_10mm V400, dpk"}
    mean = next(f for f in figures if "mean dose, dpk" in f.name)
    assert abs(mean.deviation) < 0.02
    assert all(f.is_inside for f in figures)


def test_a_kernel_with_a_longer_range_leaves_the_bands():
    figures = nema_sharp(point_kernel().with_range(1.1), quick=True, phantom=ONE)
    assert any(f.is_inside is False for f in figures)


def test_two_studies_are_the_same_and_say_what_they_are(tmp_path):
    grid = field_of_view(ONE, (2.0, 2.0, 2.0), whole=False)
    for name in ("a", "b"):
        image = ONE.pet(grid, 5.0, np.random.default_rng(5))
        write_study(ONE, image, grid, tmp_path / name)
    for path in (tmp_path / "a").rglob("*.dcm"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    truth = json.loads((tmp_path / "a" / "truth.json").read_text())["sphere_10mm"]
    assert truth["volume_ml"] == pytest.approx(0.524, abs=5e-4)
    opened = opened_from(tmp_path / "a" / "case.toml")
    assert opened.case.rois["sphere_10mm"].volume_ml == pytest.approx(truth["volume_ml"], rel=0.005)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("name", ["spheres.dcm", "pet/pet_001.dcm"])
def test_dciodvfy_finds_no_error_in_the_phantoms_files(tmp_path, name):
    grid = field_of_view(ONE, BODY_GRID_MM, whole=False)
    write_study(ONE, ONE.activity(grid), grid, tmp_path)
    done = subprocess.run(["dciodvfy", "-new", str(tmp_path / name)], capture_output=True, text=True, check=False)
    assert [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")] == []


def test_noise_of_a_mean_is_that_of_many_images():
    grid = Grid.from_axes((14, 12, 13), (3.0, 4.07, 4.07), (-24, -22, -19))
    weights = occupancy(sphere((0.0, 0.0, 0.0), 9.0), grid)
    clean = (1e6 + 7e6 * weights).astype(np.float32)
    rng = np.random.default_rng(6)
    means = []
    for _ in range(400):
        noise = pet_noise(clean, grid, sphere((0.0, 0.0, 0.0), 500.0), 1e6, rng)
        means.append(float((noise * weights).sum() / weights.sum()))
    # of 400 images the deviation is known to 3.5 %; taking out each image's mean and scale leaves a little less
    assert np.std(means) == pytest.approx(noise_of_mean(clean, grid, 1e6, weights), rel=0.15)


def test_the_recovery_curve_finds_its_parameters():
    volumes = [0.5, 1.2, 2.6, 5.6, 11.5, 26.5]
    curve = recovery_curve(volumes, [1 - 1 / (1 + (v / 0.8) ** 0.7) for v in volumes])
    assert (curve.b_ml, curve.c) == pytest.approx((0.8, 0.7), rel=1e-4)
    assert curve(0.8) == pytest.approx(0.5, abs=1e-4)


def test_breath_spends_most_time_near_exhalation_and_none_without_amplitude():
    moved = displacements_mm(15.0)
    assert moved.mean() == pytest.approx(0, abs=1e-9)
    assert np.ptp(moved) == pytest.approx(15, rel=1e-3)
    assert (moved > moved.max() - 3.75).mean() > (moved < moved.min() + 3.75).mean()
    assert not displacements_mm(0.0).any()
