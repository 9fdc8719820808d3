import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from voxeldose.io.results.content import SCHEMA, UNCLASSIFIED, remark_rows
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import Store
from voxeldose.jobs.cohort.summary import FEWEST, CommonWarning, common_warnings, find_outliers, write_page
from voxeldose.jobs.cohort.tables import write_rows
from voxeldose.model.recovered import RecoveredMetrics
from voxeldose.model.remarks import Remark
from voxeldose.report.cohort import Line


def fake_case(
    store: Store, name: str, dose_gy: float, *, nuclide: str | None = "Y-90", warnings: tuple[Remark, ...] = ()
) -> None:
    """The files of a finished case, with the keys of the contract that tables and page read."""
    folder = store.case(name)
    folder.mkdir(parents=True)
    roi = {"mean_dose_gy": dose_gy, "mass_g": 20.0, "v205_fraction": 0.6, "v400_fraction": 0.2}
    content = {
        "schema": SCHEMA,
        "rois": {
            "lesion": {"role": "tumor", **roi},
            "normal_liver": {"role": "normal_liver", **roi, "mean_dose_gy": 40.0},
        },
        "tumor_to_normal_ratio": dose_gy / 40,
        "totals": {"activity_mbq": 1800.0, "administered_mbq": 1850.0, "recovered_fraction": 0.95},
        "administration": {"lung_shunt_fraction": 0.04, "device": "glass"},
        "constants": {"radionuclide": "Y-90", "name": "ddep"},
        "method": {"engine": "dpk"},
        "thresholds": [{"roi": "lesion", "met": False}, {"roi": "lesion", "met": True}],
        "warnings": remark_rows(warnings),
    }
    task = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_mb": 200.0, "image_nuclide": nuclide, "run": "x"}
    run = {"version": "0.1.0", "python": "3.11", "libraries": {"numpy": "2"}}
    for key, value in (("assessment", content), ("task", task), ("run", run)):
        (folder / f"{key}.json").write_text(json.dumps(value))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Fourteen cases: one far off, one with a warning, a pair, one failed, one open."""
    store = Store(tmp_path / "out")
    with store.locked():
        store.prepare()
    names = [f"LIV-{n:02d}" for n in range(16)]
    rows = [f"{n}.toml,{n},{'p1' if n in ('LIV-02', 'LIV-03') else ''}" for n in names]
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(["case,case.id,pair", *rows]))
    write_plan(Source(table), store.out, store.plan)
    for n, name in enumerate(names[:14]):
        dose = 9000.0 if n == 5 else 200.0 + 3 * n
        warnings = (Remark("look-here", {}, "Look <b>here</b> at this."),) if n == 7 else ()
        fake_case(store, name, dose, nuclide="Tc-99m" if n == 2 else "Y-90", warnings=warnings)
    store.write_failure(
        "LIV-14", {"exit_class": "refused", "exit_code": 3, "message": "/data/Doe/pet: no", "attempts": 1}
    )
    return store


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the parser's
        for key, value in attrs:
            if key == "href":
                self.links.append(value)
            if key == "src" and not value.startswith("data:"):
                self.outside.append(value)


def page_of(store: Store, **more) -> str:
    write_page(store, identifiers=more.get("identifiers", False))
    return (store.out / "cohort.html").read_text()


def test_what_stands_out_comes_first_then_warnings_then_the_rest(store):
    titles = re.findall(r'<a href="[^"]+">([^<]+)</a>', page_of(store))
    assert titles[:3] == ["row 6", "row 8", "row 1"]
    assert len(titles) == 14


def test_every_link_leads_to_a_file_of_the_case_and_nothing_comes_from_outside(store):
    parser = Links()
    parser.feed(page_of(store))
    assert len(parser.links) == 14
    assert all((store.out / link).is_file() for link in parser.links)
    assert parser.outside == []


def test_labels_and_messages_are_shown_only_when_identifiers_are_asked_for(store):
    shown = re.sub(r'href="[^"]*"', "", page_of(store))
    assert "LIV-" not in shown
    assert "Doe" not in shown
    named = page_of(store, identifiers=True)
    assert ">LIV-05</a>" in named
    assert "/data/Doe/pet" in named


def test_an_open_case_is_said(store):
    assert "1 not finished" in page_of(store)


def test_pairs_of_predicted_and_delivered_are_drawn(store):
    assert "1 tumors of the same name in pairs" in page_of(store)


def test_a_nuclide_that_no_image_states_is_not_guessed_and_makes_no_pair(store):
    fake_case(store, "LIV-15", 300.0, nuclide=None)
    task = store.case("LIV-02") / "task.json"
    task.write_text(task.read_text().replace('"Tc-99m"', "null"))
    page = page_of(store)
    assert page.count("<td>not stated</td>") >= 2
    assert "of the same name in pairs" not in page
    assert "1 pair is left out" in page


def line(row: int, *warnings: Remark) -> Line:
    return Line(row, "", "", "Y-90", {}, None, None, None, warnings, "", 1.0)


def test_warnings_are_counted_by_their_code_whatever_their_numbers_and_words():
    near, far = (Remark("outside", {"part_fraction": f}, f"{f:.0%} lies outside.") for f in (0.1, 0.4))
    other = Remark("no-ct", {}, "There is no CT.")
    old = Remark(UNCLASSIFIED, {}, "A sentence of an earlier version.")
    found = common_warnings([line(1, near, far, other), line(2, far), line(3, old), line(4, far, old)])
    assert found == [
        CommonWarning("outside", "10% lies outside.", 3),
        CommonWarning(UNCLASSIFIED, "A sentence of an earlier version.", 2),
        CommonWarning("no-ct", "There is no CT.", 1),
    ]


def test_words_of_warnings_are_text(store):
    page = page_of(store)
    assert "<b>here</b>" not in page
    assert "&lt;b&gt;here" in page


def test_a_value_far_from_the_others_is_an_outlier_by_hand_calculation():
    """ln of 1, 2, …: median ln 5.5-ish; 100 lies at a modified z-score above 3.5, 30 below."""
    usual = [float(n) for n in range(1, 11)]
    assert find_outliers([*usual, 100.0])[-1] is True
    assert find_outliers([*usual, 30.0])[-1] is False


def test_few_values_have_no_outliers_and_zero_is_one_among_many():
    assert not any(find_outliers([1.0] * (FEWEST - 2) + [1e6]))
    assert find_outliers([float(n) for n in range(10, 22)] + [0.0])[-1] is True


def test_equal_values_have_no_outliers():
    assert not any(find_outliers([5.0] * 20))


def test_rows_say_how_many_limits_are_met_and_which_cases_failed(store):
    write_rows(str(store.out))
    with (store.out / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14 * 2 + 1
    assert (rows[0]["thresholds_met"], rows[0]["thresholds_missed"], rows[0]["pair"]) == ("1", "1", "")
    assert rows[4]["pair"] == "p1"
    assert (rows[-1]["case"], rows[-1]["status"], rows[-1]["message"]) == ("LIV-14", "failed", "/data/Doe/pet: no")


def test_a_recovered_case_counts_by_its_best_values_with_the_images_own_beside_them(tmp_path: Path):
    store = Store(tmp_path / "out")
    with store.locked():
        store.prepare()
    table = tmp_path / "cases.csv"
    table.write_text("case,case.id\na.toml,a\nb.toml,b")
    write_plan(Source(table), store.out, store.plan)
    for name in ("a", "b"):
        fake_case(store, name, 100.0)
    path = store.case("b") / "assessment.json"
    content = json.loads(path.read_text())
    number = {"value": None, "low": None, "high": None}
    found = dict.fromkeys(RecoveredMetrics.names(), number)
    found["mean_dose_gy"] = {"value": 140.0, "low": 130.0, "high": 150.0}
    found["tumor_to_normal"] = {"value": 3.5, "low": 3.0, "high": 4.0}
    content["rois"]["lesion"]["recovered"] = found
    content["tumor_to_normal"] = [
        {"roi": "lesion", "by_concentration": 2.5, "by_dose": 2.5, "normal": "liver", "normal_volume_ml": 1000.0}
    ]
    path.write_text(json.dumps(content))
    write_rows(str(store.out))
    with (store.out / "cohort.csv").open() as file:
        rows = {(row["case"], row["roi"]): row for row in csv.DictReader(file)}
    plain, better = rows["a", "lesion"], rows["b", "lesion"]
    assert (float(plain["best_mean_dose_gy"]), plain["best_kind"]) == (100.0, "image")
    assert (float(better["best_mean_dose_gy"]), better["best_kind"]) == (140.0, "recovered")
    assert (float(better["best_mean_dose_low_gy"]), float(better["mean_dose_gy"])) == (130.0, 100.0)
    assert float(better["best_tumor_to_normal"]) == 3.5
    assert float(better["tumor_to_normal_ratio"]) == 2.5
    write_page(store, identifiers=True)
    page = (store.out / "cohort.html").read_text()
    assert "140" in page
    assert "3.50" in page
