"""The report as a person meets it: opened from disk in Chromium, looked at pixel by pixel, clicked, printed."""

import re
from dataclasses import replace

import numpy as np
import pytest
from report_case import hu_at, make_result

from voxeldose.model.roi import RoiSet
from voxeldose.report import viewer, write_report

EVIL = '</script><img src=x onerror="window.hacked=1"><b>\'lesion'
PLANES = {
    "axial": (0, 2, 1, False),
    "coronal": (1, 2, 0, True),
    "sagittal": (2, 1, 0, True),
}  # through, across, down, flipped


@pytest.fixture(scope="module")
def result():
    return make_result(EVIL, label="</title><script>window.hacked=2</script>")


@pytest.fixture(scope="module")
def path(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(result, path)
    return path


@pytest.fixture
def page(browser, path):
    browser.size(1400, 1000)
    browser.open(path)
    return browser


def put(page, field, value, event="change"):
    page.value(
        f"(() => {{ const f = document.getElementById('{field}'); f.value = '{value}';"
        f" f.dispatchEvent(new Event('{event}')); }})()"
    )
    page.settle()


def bare(page):
    """Only images: no lines, no outlines, no crosshair in the way."""
    put(page, "levels", "")
    page.value("document.getElementById('no-rois').click()")
    page.settle()


def pixel(page, plane, at, shape):
    """Colour of the middle of a voxel ``(k, j, i)`` on a plane."""
    _, across, down, is_flipped = PLANES[plane]
    x = (at[across] + 0.5) / shape[across]
    y = (at[down] + 0.5) / shape[down]
    y = 1 - y if is_flipped else y
    return page.value(
        f"(() => {{ const c = document.getElementById('{plane}');"
        f" return [...c.getContext('2d').getImageData(Math.floor({x} * c.width), Math.floor({y} * c.height), 1, 1).data]; }})()"
    )


def words(page, field):
    return page.value(f"document.getElementById('{field}').textContent")


def click(page, plane, at, shape):
    """Press the mouse where a voxel is drawn."""
    _, across, down, is_flipped = PLANES[plane]
    page.value(f"document.getElementById('{plane}').scrollIntoView({{block: 'center', behavior: 'instant'}})")
    left, top, wide, tall = page.value(
        f"(() => {{ const b = document.getElementById('{plane}').getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height]; })()"
    )
    y = (at[down] + 0.5) / shape[down]
    x, y = left + wide * (at[across] + 0.5) / shape[across], top + tall * (1 - y if is_flipped else y)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="none" if kind == "mouseMoved" else "left",
            clickCount=1,
        )
    page.settle()


def press(page, key):
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)
    page.settle()


def cross(page, grid):
    """The voxel at the crosshair, by the position that the page states."""
    place = [float(n) for n in words(page, "cross-place").split(",")]
    return tuple(int(n) for n in np.rint(grid.indices(place)))


def test_it_opens_without_a_complaint_and_asks_nothing_of_the_network(page, path):
    assert page.complaints() == []
    asked = page.requests()
    assert path.as_uri() in asked
    assert all(url == path.as_uri() or url.startswith("data:") for url in asked)


def test_names_from_files_stay_text(page):
    assert page.value("window.hacked === undefined")
    assert page.value("document.querySelectorAll('img[src=x], th b, label b, option b, dd b').length") == 0
    table = page.value("[...document.querySelectorAll('#roi-table tbody th')].map((h) => h.textContent)")
    assert EVIL in table
    assert EVIL in page.value("[...document.querySelectorAll('#outline-toggles label')].map((h) => h.textContent)")
    assert "window.hacked=2" in page.value("document.title")


def test_a_script_that_is_not_the_reports_own_does_not_run(page, path, tmp_path):
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(path.read_text("utf-8").replace("</main>", "</main><script>window.hacked=3</script>"), "utf-8")
    page.open(spoilt)
    assert page.value("window.hacked === undefined")
    assert any("Content Security Policy" in line for line in page.complaints())  # so that the check above can fail


@pytest.mark.parametrize("plane", PLANES)
def test_pixels_show_the_ct_of_their_place_in_the_patient(page, result, plane):
    grid = viewer.display_grid(result)
    put(page, "opacity", "0", "input")
    bare(page)
    through, across, down, _ = PLANES[plane]
    start = np.array(viewer.viewer_data(result)["start"])
    seen, known = [], []
    for part_across, part_down in ((0.25, 0.3), (0.7, 0.35), (0.3, 0.72), (0.75, 0.7)):
        at = start.copy()
        at[across], at[down] = int(part_across * grid.shape[across]), int(part_down * grid.shape[down])
        red, green, blue, alpha = pixel(page, plane, at, grid.shape)
        assert red == green == blue
        assert alpha == 255
        seen.append(red)
        known.append((hu_at(grid.points_lps_mm(at)) - 40 + 200) / 400 * 255)
    # a pixel's middle lies up to half a pixel (0.15 mm) off the voxel's, and greys are whole: two greys
    np.testing.assert_allclose(seen, np.clip(known, 0, 255), atol=2)
    assert np.ptp(known) > 20
    assert through == 3 - across - down


@pytest.mark.parametrize("plane", PLANES)
def test_pixels_show_the_dose_of_their_voxel(page, result, plane):
    import matplotlib as mpl

    grid = viewer.display_grid(result)
    dose = grid.cut(result.dose.gy, grid)
    put(page, "opacity", "1", "input")
    put(page, "zoom", "1", "input")
    bare(page)
    top = 1.25 * float(dose.max())
    put(page, "top", str(top))
    table = 255 * np.array(mpl.colormaps["inferno"](np.linspace(0, 1, 256)))[:, :3]
    start = np.array(viewer.viewer_data(result)["start"])
    _, across, down, _ = PLANES[plane]
    off = [np.array(n) for n in ((-1, -1), (-1, 1), (1, -1), (-2, -2))]  # beside the crosshair, inside the lesion
    checked = 0
    for step in off:
        at = start.copy()
        at[across] += step[0]
        at[down] += step[1]
        value = dose[tuple(at)]
        if value < 0.25 * top:  # below, the wash lets the CT through
            continue
        red, green, blue, _ = pixel(page, plane, at, grid.shape)
        nearest = int(np.abs(table - (red, green, blue)).sum(axis=1).argmin())
        found = (nearest / 255 - 0.17) / 0.83 * top
        # smoothing between voxels at half a pixel from the middle, and 256 colours
        assert found == pytest.approx(value, rel=0.03)
        checked += 1
    assert checked >= 2


def test_planes_are_as_wide_and_tall_as_the_patient(page, result):
    grid = viewer.display_grid(result)
    mm = np.array(grid.shape) * grid.spacing_mm
    scales = []
    for plane, (_, across, down, _) in PLANES.items():
        wide, tall = page.value(
            f"(() => {{ const b = document.getElementById('{plane}').getBoundingClientRect(); return [b.width, b.height]; }})()"
        )
        assert wide / tall == pytest.approx(mm[across] / mm[down], rel=0.01)
        scales.append(wide / mm[across])
    assert max(scales) == pytest.approx(min(scales), rel=0.01)


def test_a_click_moves_the_crosshair_and_reads_the_voxel(page, result):
    grid = viewer.display_grid(result)
    at = np.array(viewer.viewer_data(result)["start"]) + np.array((0, 2, -3))
    click(page, "axial", at, grid.shape)
    assert cross(page, grid) == tuple(at)
    for who in ("cross", "pointer"):
        assert float(words(page, f"{who}-dose")) == pytest.approx(grid.cut(result.dose.gy, grid)[tuple(at)], rel=1e-3)
        activity = grid.cut(result.activity.bq_per_ml, grid)[tuple(at)] / 1e6
        assert float(words(page, f"{who}-activity")) == pytest.approx(activity, rel=2e-3)
        assert float(words(page, f"{who}-ct")) == pytest.approx(hu_at(grid.points_lps_mm(at)), abs=1)
    up = at + np.array((4, 0, 1))
    click(page, "coronal", up, grid.shape)
    assert cross(page, grid) == tuple(up)


def test_keys_and_wheel_walk_through_the_patient(page, result):
    grid = viewer.display_grid(result)
    start = np.array(viewer.viewer_data(result)["start"])
    click(page, "coronal", start, grid.shape)
    for key, step in (
        ("ArrowUp", (1, 0, 0)),
        ("ArrowRight", (0, 0, 1)),
        ("PageUp", (0, 1, 0)),
        ("ArrowDown", (-1, 0, 0)),
        ("Home", None),
    ):
        before = np.array(cross(page, grid))
        press(page, key)
        assert cross(page, grid) == tuple(start if step is None else before + step), key
    left, top = page.value(
        "(() => { const b = document.getElementById('axial').getBoundingClientRect(); return [b.left + 50, b.top + 50]; })()"
    )
    page.call("Input.dispatchMouseEvent", type="mouseWheel", x=left, y=top, deltaX=0, deltaY=120)
    page.value("new Promise((done) => setTimeout(done, 200))")
    page.settle()
    assert cross(page, grid) == tuple(start - (1, 0, 0))  # down: towards the feet


def test_a_region_switched_off_leaves_dvh_and_planes_together(page):
    shown = "[...document.querySelectorAll('#dvh-chart path')].map((p) => p.dataset.region)"
    canvas = "document.getElementById('axial').toDataURL()"
    before, drawn = page.value(canvas), page.value(shown)
    assert EVIL in drawn
    place = [
        EVIL in name
        for name in page.value("[...document.querySelectorAll('#dvh-toggles label')].map((l) => l.textContent)")
    ].index(True)
    page.value(f"document.querySelectorAll('#dvh-toggles input')[{place}].click()")
    page.settle()
    assert page.value(shown) == [name for name in drawn if name != EVIL]
    assert page.value(canvas) != before
    assert not page.value(
        "[...document.querySelectorAll('#outline-toggles label')].find((l) => l.textContent.includes('onerror')).querySelector('input').checked"
    )


def test_the_curve_drawn_is_the_dvh(page, result):
    path = page.value(
        "[...document.querySelectorAll('#dvh-chart path')].find((p) => p.dataset.region.includes('onerror')).getAttribute('d')"
    )
    points = np.array([[float(n) for n in pair.split()] for pair in path[1:].split("L")])
    ticks = page.value(
        "[...document.querySelectorAll('#dvh-chart text[text-anchor=end]')].map((t) => [Number(t.textContent), Number(t.getAttribute('y')) - 4])"
    )
    (low, y_low), (high, y_high) = ticks[0], ticks[-1]
    marks = page.value(
        "[...document.querySelectorAll('#dvh-chart text[text-anchor=middle]')].filter((t) => /^[\\d.]+$/.test(t.textContent)).map((t) => [Number(t.textContent), Number(t.getAttribute('x'))])"
    )
    (gy_0, x_0), (gy_1, x_1) = marks[0], marks[-1]
    volume = low + (points[:, 1] - y_low) / (y_high - y_low) * (high - low)
    gy = gy_0 + (points[:, 0] - x_0) / (x_1 - x_0) * (gy_1 - gy_0)
    dvh = result.rois[EVIL].dvh
    for n in range(20, 480, 60):
        # a tenth of an SVG pixel is 0.1 Gy and 0.03 %; the curve falls by whole voxels of 0.4 %
        assert 100 * dvh.coverage(gy[n] + 0.3) - 0.1 <= volume[n] <= 100 * dvh.coverage(gy[n] - 0.3) + 0.1


def test_the_differential_histogram_holds_the_whole_volume(page):
    page.value("document.getElementById('differential').click()")
    page.settle()
    label = page.value("[...document.querySelectorAll('#dvh-chart text')].map((t) => t.textContent)")
    assert "Volume (% per Gy)" in label


def test_the_table_sorts_and_copies_all_digits(page, result):
    page.value(
        "Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (t) => { window.copiedText = t; } } })"
    )
    names = "[...document.querySelectorAll('#roi-table tbody tr')].map((r) => r.cells[0].dataset.value)"
    heading = "document.querySelector('#roi-table th[data-key=mean_dose_gy] button').click()"
    by_mean = sorted(result.rois, key=lambda name: result.rois[name].mean_dose_gy)
    page.value(heading)
    assert page.value(names) == by_mean
    page.value(heading)
    assert page.value(names) == by_mean[::-1]
    page.value("document.getElementById('copy').click()")
    page.settle()
    lines = page.value("window.copiedText").split("\r\n")
    column = lines[0].split(",").index("mean_dose_gy")
    assert len(lines) == 1 + len(result.rois)
    last = lines[-1].rsplit(",", lines[0].count(",") + 1 - 1)
    assert float(last[column]) == result.rois[by_mean[0]].mean_dose_gy


def test_wrong_numbers_are_marked_and_change_nothing(page):
    before = page.value("document.getElementById('axial').toDataURL()")
    for field, value in (("levels", "100, x"), ("top", "-5"), ("width", "")):
        put(page, field, value)
        assert page.value(f"document.getElementById('{field}').getAttribute('aria-invalid')") == "true"
    assert page.value("document.getElementById('axial').toDataURL()") == before


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen(browser, path, width):
    browser.size(width, 844)
    browser.open(path)
    assert browser.value("document.documentElement.scrollWidth") <= width


def test_without_scripts_static_planes_and_curves_are_shown(browser, path):
    browser.size(1400, 900, has_script=False)
    browser.open(path, wait_for=None)
    heights = [
        browser.call(
            "Runtime.evaluate", expression=f"document.getElementById('{name}').offsetHeight", returnByValue=True
        )["result"]["value"]
        for name in ("static-slices", "static-dvh", "viewer")
    ]
    assert heights[0] > 300
    assert heights[1] > 200
    assert heights[2] == 0


def test_a_browser_that_cannot_unpack_keeps_the_static_planes(browser, path):
    browser.size(1400, 900)
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    browser.open(path, wait_for="!document.getElementById('no-viewer').hidden")
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    assert browser.value("document.getElementById('static-slices').offsetHeight") > 300
    assert browser.value("document.getElementById('viewer').hidden")
    assert browser.value("!document.getElementById('dvh-live').hidden")


def test_on_paper_it_is_light_static_and_a_few_pages(browser, path, tmp_path):
    browser.size(1400, 900, is_dark=True)
    browser.open(path)
    browser.call("Emulation.setEmulatedMedia", media="print")
    styles = browser.value(
        "['viewer', 'dvh-live', 'static-slices', 'static-dvh'].map((n) => getComputedStyle(document.getElementById(n)).display)"
    )
    assert styles == ["none", "none", "block", "block"]
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.printed(tmp_path / "print.pdf")
    assert 2 <= len(re.findall(rb"/Type /Page\b(?!s)", (tmp_path / "print.pdf").read_bytes())) <= 8


def test_the_overlay_may_show_activity_with_its_own_scale(page, result):
    bare(page)
    before = page.value("document.getElementById('axial').toDataURL()")
    top = page.value("document.getElementById('top').value")
    put(page, "overlay", "activity")
    assert words(page, "top-label") == "Scale to, MBq/mL"
    assert float(page.value("document.getElementById('top').value")) >= result.activity.bq_per_ml.max() / 1e6
    assert page.value("document.getElementById('axial').toDataURL()") != before
    put(page, "overlay", "dose")
    assert page.value("document.getElementById('top').value") == top
    assert page.value("document.getElementById('axial').toDataURL()") == before
    assert words(page, "top-label") == "Scale to, Gy"


def test_isodoses_have_a_colour_each_and_a_key(page):
    put(page, "levels", "100, 400, 1000")
    key = page.value(
        "[...document.querySelectorAll('#level-key span')].map((s) => [s.textContent, s.firstChild.style.background])"
    )
    assert [label for label, _ in key] == ["100", "400", "1000"]
    assert len({colour for _, colour in key}) == 3


def test_segments_lungs_and_derived_regions_are_off_until_asked_for(browser, tmp_path):
    plain = make_result()
    roles = {"lesion": "tumor", "liver": "segment"}
    rois = RoiSet(tuple(replace(r, role=roles.get(r.name, r.role)) for r in plain.regions))
    write_report(replace(plain, regions=rois), tmp_path / "report.html")
    browser.size(1400, 1000)
    browser.open(tmp_path / "report.html")
    state = browser.value(
        "Object.fromEntries([...document.querySelectorAll('#outline-toggles label')].map((l) => "
        "[l.textContent, l.querySelector('input').checked]))"
    )
    assert state["lesion"] is True
    assert state["liver"] is False
