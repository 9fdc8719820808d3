"""Each quantity of a segmentectomy with known truth has one value and one name in every place that shows it.

Numbers in files for programs agree with the truth; words for people are those numbers after the place's own rounding, which
is written out here again, so that a change of the rounding in one place shows.
"""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from shown_places import columns_of, measurement_groups, page, pdf_text
from small_segmentectomy import (
    ADMINISTERED_MBQ,
    DELIVERED,
    DENSITY_G_PER_ML,
    LUNG_SHUNT_FRACTION,
    PREDICTED,
    RESIDUAL_MBQ,
    Truth,
    write_segmentectomy,
)
from small_study import run

import voxeldose as vd
from voxeldose.model.radionuclide import Y90

#: The image's storage (scaled 16-bit PET, counts of SPECT) is good to a few parts in 100 000.
STORED = 1e-4
KINDS = {"delivered": DELIVERED, "predicted": PREDICTED}
KIND_TEXT = {"delivered": "DELIVERED (Y-90 PET)", "predicted": "PREDICTED (Tc-99m MAA SPECT)"}
REGION = "perfused_normal_liver"
NET_MBQ = ADMINISTERED_MBQ - RESIDUAL_MBQ
ALL_REGIONS = (*Truth.REPORTED, "lungs")
QUANTITIES = {
    "volume_ml": "mL",
    "activity_mbq": "MBq",
    "mean_dose_gy": "Gy",
    "d95_gy": "Gy",
    "d70_gy": "Gy",
    "v400_fraction": "%",
}
#: Names of the quantities in tables for people.
TITLES = {
    "volume_ml": "Volume",
    "activity_mbq": "Activity at infusion",
    "mean_dose_gy": "Mean",
    "d95_gy": "D95",
    "d70_gy": "D70",
    "v400_fraction": "V400",
}


@dataclass(frozen=True)
class Results:
    """Folders of both runs and what they printed, the comparison, and a cohort of both."""

    study: Path
    folders: dict[str, Path]
    printed: dict[str, str]
    compared: Path
    compared_words: str
    cohort: Path

    def content(self, kind: str) -> dict:
        return json.loads((self.folders[kind] / "assessment.json").read_text())


def done(*words: object) -> str:
    """What a command prints that ends well."""
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    folder = tmp_path_factory.mktemp("same")
    study = folder / "study"
    write_segmentectomy(study)
    folders = {kind: folder / kind for kind in KINDS}
    printed = {
        kind: done("assess", study / f"{kind}.toml", "--out", out, "--rtstruct") for kind, out in folders.items()
    }
    compared = folder / "compared"
    words = done("compare", folders["predicted"], folders["delivered"], "--out", compared)
    table = study / "cases.csv"
    table.write_text("case\ndelivered.toml\npredicted.toml\n")
    done("cohort", table, "--out", folder / "cohort", "--workers", 1, "--no-report")
    return Results(study, folders, printed, compared, words, folder / "cohort")


def expected(truth: Truth, roi: str, key: str) -> float:
    """A number of a region by closed form; doses are by local deposition."""
    normal_gy = Y90.gy_kg_per_gbq * truth.normal_mbq_per_ml / DENSITY_G_PER_ML
    if key == "volume_ml":
        return truth.volume_ml(roi)
    if key == "activity_mbq":
        return truth.activity_mbq(roi)
    if key == "mean_dose_gy":
        return truth.local_mean_gy(roi)
    if key == "v400_fraction":
        hot = truth.voxels["lesion_1"] - truth.voxels["core"]
        return hot / truth.voxels[roi] if roi in ("lesion_1", "perfused", "liver") else 0.0
    whole = {
        "perfused": normal_gy,
        REGION: normal_gy,
    }  # the core is 0.9 % of the perfused volume and 12.5 % of the tumor
    if key == "d70_gy" and roi == "lesion_1":
        return truth.ratio * normal_gy
    return whole.get(roi, 0.0)


def written(value: float, unit: str) -> str:
    """A number as every place writes it for people: doses and ratios three digits, percent one decimal, others four."""
    if unit == "%":
        return f"{100 * value:.1f}"
    digits = 3 if unit in ("Gy", "T/N") else 4
    rounded = float(f"{value:.{digits}g}")
    return "0" if rounded == 0 else f"{rounded:.0f}" if rounded >= 10 ** (digits - 1) else f"{value:#.{digits}g}"


def wanted_words(results: Results, kind: str, roi: str, key: str) -> str:
    value = results.content(kind)["rois"][roi][key]
    return "-" if value is None else written(value, QUANTITIES[key])


@pytest.mark.parametrize("kind", KINDS)
class TestOneRun:
    def test_json_is_true(self, results, kind):
        rois = results.content(kind)["rois"]
        assert set(rois) == set(ALL_REGIONS)
        for roi in Truth.REPORTED:
            for key in QUANTITIES:
                want = expected(KINDS[kind], roi, key)
                assert rois[roi][key] == pytest.approx(want, rel=STORED, abs=1e-3), (roi, key)
        assert rois["lungs"]["mean_dose_gy"] is None
        assert rois["lungs"]["activity_mbq"] == pytest.approx(NET_MBQ * LUNG_SHUNT_FRACTION, rel=1e-3)
        single = Y90.gy_kg_per_gbq * KINDS[kind].liver_mbq / (KINDS[kind].volume_ml("perfused") * DENSITY_G_PER_ML)
        assert rois["perfused"]["single_compartment_gy"] == pytest.approx(single)

    def test_json_has_one_t_n_and_names_its_region(self, results, kind):
        content, want = results.content(kind), KINDS[kind].tumor_to_normal
        assert content["tumor_to_normal_ratio"] == pytest.approx(want, rel=STORED)
        assert content["tumor_to_normal_region"] == REGION
        rows = {row["roi"]: row for row in content["tumor_to_normal"]}
        assert rows["lesion_1"]["by_concentration"] == content["tumor_to_normal_ratio"]
        assert rows["lesion_1"]["by_dose"] == pytest.approx(want, rel=STORED)
        assert rows["lesion_1"]["normal"].startswith(REGION)
        assert (rows["lesion_2"]["reached"], rows["lesion_2"]["by_concentration"]) == (False, None)
        assert not [t for t in content["thresholds"] if t["roi"] == "lesion_2"]
        assert content["rois"]["lesion_2"]["reached"] is False

    def test_json_says_what_it_is_and_where_the_activity_lies(self, results, kind):
        content = results.content(kind)
        assert (content["kind"], content["kind_text"]) == (kind, KIND_TEXT[kind])
        totals = content["totals"]
        assert totals["calibration_region_mbq"] == pytest.approx(KINDS[kind].liver_mbq, rel=1e-6)
        assert totals["outside_region_mbq"] == pytest.approx(NET_MBQ * LUNG_SHUNT_FRACTION, rel=2e-3)
        assert content["lungs"]["dose_gy"] == pytest.approx(Y90.gy_kg_per_gbq * NET_MBQ * LUNG_SHUNT_FRACTION / 1000)

    def test_csv_and_curves_are_the_json(self, results, kind):
        rois = results.content(kind)["rois"]
        with (results.folders[kind] / "rois.csv").open(newline="") as file:
            rows = {row["roi"]: row for row in csv.DictReader(file)}
        assert list(rows) == list(rois)
        for roi, key in ((roi, key) for roi in rois for key in (*QUANTITIES, "single_compartment_gy")):
            value = rois[roi][key]
            assert rows[roi][key] == ("" if value is None else f"{value:.8g}")
        assert rows["lesion_2"]["reached"] == "False"
        with (results.folders[kind] / "dvh.csv").open(newline="") as file:
            curve = [row for row in csv.DictReader(file) if row["roi"] == "lesion_1"]
        at_400 = next(row for row in curve if float(row["dose_gy"]) >= 400)
        assert float(curve[0]["volume_ml"]) == pytest.approx(rois["lesion_1"]["volume_ml"])
        assert float(at_400["volume_fraction"]) == pytest.approx(rois["lesion_1"]["v400_fraction"])

    def test_read_results_is_the_json(self, results, kind):
        content, stored = results.content(kind), vd.read_results(results.folders[kind])
        assert (stored.kind, stored.kind_text) == (content["kind"], content["kind_text"])
        assert stored.tumor_to_normal_ratio == content["tumor_to_normal_ratio"]
        for roi, row in content["rois"].items():
            for key in ("reached", "single_compartment_gy", *QUANTITIES):
                value = getattr(stored.rois[roi], key)
                assert row[key] == (None if value != value else value)

    def test_terminal(self, results, kind):
        content, text = results.content(kind), results.printed[kind]
        rows = columns_of(text)
        titles = {"volume mL": "volume_ml", "activity MBq": "activity_mbq", "mean Gy": "mean_dose_gy"}
        titles |= {"D95 Gy": "d95_gy", "D70 Gy": "d70_gy", "V400 %": "v400_fraction"}
        for roi in ALL_REGIONS:
            for title, key in titles.items():
                assert rows[roi][title] == wanted_words(results, kind, roi, key), (roi, title)
        assert rows["lesion_2"]["role"] == "tumor, not reached"
        assert f"Absorbed dose, {KIND_TEXT[kind]}" in text
        self.check_totals(text, content)

    def test_page(self, results, kind):
        shown, content = page(results.folders[kind] / "report.html"), results.content(kind)
        table = shown.table(["ROI", "Role"])
        places = [
            next(n for n, cell in enumerate(table[0]) if cell.startswith(f"{title} ")) for title in TITLES.values()
        ]
        rows = {row[0]: row for row in table[1:]}
        for roi in ALL_REGIONS:
            for key, place in zip(TITLES, places, strict=True):
                assert rows[roi][place] == wanted_words(results, kind, roi, key), (roi, key)
        assert rows["lesion_2"][1] == "tumor, not reached"
        assert shown.text.count(KIND_TEXT[kind]) > 0
        self.check_tiles(shown.text, results, kind)
        self.check_totals(shown.text, content)

    def test_pdf(self, results, kind):
        text, content = pdf_text(results.folders[kind] / "report.pdf"), results.content(kind)
        pages = text.rstrip("\f\n").split("\f")
        assert all(KIND_TEXT[kind] in one for one in pages)
        first = pages[0]
        for roi in ("lesion_1", "lesion_2", "perfused", "normal_liver", "lungs"):
            line = next(one for one in first.splitlines() if re.match(rf"\s*{roi} ", one))
            words = [wanted_words(results, kind, roi, key) for key in QUANTITIES if key != "activity_mbq"]
            assert line.split()[-len(words) :] == words
        assert "lesion_2 tumor, not reached" in first
        self.check_totals(" ".join(text.split()), content)

    @staticmethod
    def check_totals(text, content):
        """T/N and its region, single compartment, calibration region, lungs: as said in all three places."""
        assert f"lesion_1 {written(content['tumor_to_normal_ratio'], 'T/N')}" in text.replace("T/N ratio of ", "")
        assert f"against {REGION}" in text
        assert "lesion_2 not reached" in text
        single = written(content["rois"]["perfused"]["single_compartment_gy"], "Gy")
        assert f"{single} Gy by single compartment" in text
        totals = content["totals"]
        assert f"{written(totals['calibration_region_mbq'], 'MBq')} MBq in " in text
        assert f"{written(totals['outside_region_mbq'], 'MBq')} MBq outside" in text
        lungs = written(content["lungs"]["dose_gy"], "Gy")
        assert re.search(rf"\b{lungs} of 30 Gy", text)
        assert re.search(rf"\b{lungs} of 50 Gy", text)

    @staticmethod
    def check_tiles(text, results, kind):
        words = {key: wanted_words(results, kind, "lesion_1", key) for key in QUANTITIES}
        assert (
            f"lesion_1 {words['mean_dose_gy']} Gy mean V400 {words['v400_fraction']} % D95 {words['d95_gy']} Gy "
            f"D70 {words['d70_gy']} Gy {words['volume_ml']} mL"
        ) in text
        volume = wanted_words(results, kind, "lesion_2", "volume_ml")
        assert f"lesion_2 0 Gy mean V400 0.0 % D95 0 Gy D70 0 Gy not reached {volume} mL" in text

    def test_limits_are_judged_alike_in_json_page_pdf_card_and_terminal_of_plan(self, results, kind):
        content = results.content(kind)
        limits = {(t["roi"], t["metric"], t["limit"]): t for t in content["thresholds"]}
        assert {key[0] for key in limits} == {"perfused", "lesion_1", "normal_liver"}
        shown = page(results.folders[kind] / "report.html").text
        for (roi, metric, limit), row in limits.items():
            value = written(row["value"], "Gy")
            assert row["value"] == pytest.approx(content["rois"][roi][metric])
            mark = "✓ met" if row["met"] else "✗ not met"
            assert re.search(rf"{mark} {roi} [a-z ]*mean[a-z ]* {value} Gy against {written(limit, 'Gy')} Gy", shown)
        assert limits["perfused", "single_compartment_gy", 400.0]["met"]
        card = {
            (r["item"], r["reference"]): r for r in json.loads(done("card", results.folders[kind], "--json"))["rows"]
        }
        assert card["Perfused volume, mean by single compartment", 400.0]["status"] == "met"

    def test_sr(self, results, kind):
        groups = measurement_groups(results.folders[kind] / "measurements.dcm")
        rois = results.content(kind)["rois"]
        assert set(groups) == set(ALL_REGIONS)
        meanings = {
            "volume_ml": ("Volume", ""),
            "activity_mbq": ("Activity in region at infusion", ""),
            "mean_dose_gy": ("Absorbed Dose", "Mean"),
            "d95_gy": ("Absorbed dose that 95 % of volume or more receives", ""),
            "d70_gy": ("Absorbed dose that 70 % of volume or more receives", ""),
            "v400_fraction": ("Fraction of volume with absorbed dose of 400 Gy or more", ""),
            "single_compartment_gy": ("Absorbed Dose", "Mean, Single compartment, K A (1 - LSF) / m"),
        }
        for roi in ALL_REGIONS:
            for key, meaning in meanings.items():
                value = rois[roi][key]
                found = groups[roi].get(meaning)
                assert found == (None if value is None else pytest.approx(value, rel=1e-8)), (roi, key)
        ratio = results.content(kind)["tumor_to_normal_ratio"]
        with_ratio = {roi: group["Activity concentration over that of normal liver", ""] for roi, group in groups.items()
                      if ("Activity concentration over that of normal liver", "") in group}  # fmt: skip
        assert with_ratio == {"lesion_1": pytest.approx(ratio, rel=1e-8)}
        assert [
            roi for roi, group in groups.items() if group.get(("Tumor in perfused volume", "")) == "Not reached"
        ] == ["lesion_2"]

    def test_dicom_says_the_kind_and_the_dose_has_the_same_dvh(self, results, kind):
        from pydicom import dcmread

        for name in ("dose.dcm", "rois.dcm", "measurements.dcm", "rois.rtstruct.dcm"):
            assert dcmread(results.folders[kind] / name).SeriesDescription.startswith(KIND_TEXT[kind]), name
        structures = dcmread(results.folders[kind] / "rois.rtstruct.dcm")
        names = {int(s.ROINumber): s.ROIName for s in structures.StructureSetROISequence}
        dose = dcmread(results.folders[kind] / "dose.dcm")
        rois, seen = results.content(kind)["rois"], set()
        for one in dose.DVHSequence:
            roi = names[int(one.DVHReferencedROISequence[0].ReferencedROINumber)]
            seen.add(roi)
            assert float(one.DVHMeanDose) == pytest.approx(rois[roi]["mean_dose_gy"], rel=1e-6)
            pairs = [float(v) for v in one.DVHData]
            assert sum(pairs[1::2][:1]) == pytest.approx(rois[roi]["volume_ml"], rel=1e-6)
        assert seen >= {"liver", "lesion_1", "lesion_2", "perfused"}

    def test_tn_and_partition_of_the_case(self, results, kind):
        content = results.content(kind)
        ratio = content["tumor_to_normal_ratio"]
        text = done("tn", results.folders[kind])
        assert KIND_TEXT[kind] in text
        assert re.search(rf"lesion_1 +{written(ratio, 'T/N')} +{written(ratio, 'T/N')}\n", text)
        assert re.search(r"lesion_2 +not reached +-\n", text)
        assert f"Normal: {REGION}" in text
        answer = json.loads(done("tn", results.folders[kind], "--json"))
        assert answer["tumor_to_normal"] == content["tumor_to_normal"]
        assert answer["kind_text"] == KIND_TEXT[kind]

    def test_card(self, results, kind):
        content = results.content(kind)
        answer = json.loads(done("card", results.folders[kind], "--json"))
        assert answer["kind_text"] == KIND_TEXT[kind]
        rows = {}
        for row in answer["rows"]:
            rows.setdefault(row["item"], row["value"])
        rois = content["rois"]
        assert rows["Perfused volume, mean by single compartment"] == rois["perfused"]["single_compartment_gy"]
        assert rows["Perfused volume, mean of the dose map"] == rois["perfused"]["mean_dose_gy"]
        assert rows["V400 of lesion_1"] == rois["lesion_1"]["v400_fraction"]
        assert rows["D95 of lesion_1"] == rois["lesion_1"]["d95_gy"]
        assert rows["Tumor, mean dose (least dosed tumor)"] == rois["lesion_1"]["mean_dose_gy"]
        assert rows["Partition model (T/N)"] == content["tumor_to_normal_ratio"]
        assert not [item for item in rows if "lesion_2" in item]
        text = done("card", results.folders[kind])
        assert KIND_TEXT[kind] in text
        for item, unit in (("Tumor, mean dose (least dosed tumor)", "Gy"), ("Partition model (T/N)", "T/N")):
            assert re.search(rf"^{re.escape(item)} +{written(rows[item], unit)} ", text, re.MULTILINE), item
        report = page(results.folders[kind] / "report.html").table(["Item", "This case"])
        assert {row[0]: row[1] for row in report[1:]}["Partition model (T/N)"] == written(
            rows["Partition model (T/N)"], "T/N"
        )


def test_a_plan_by_one_compartment_and_by_partition_is_the_run_s_own(results):
    case, content = results.study / "predicted.toml", results.content("predicted")
    rois = content["rois"]
    mird = json.loads(done("plan", "mird", case, "--activity-mbq", NET_MBQ, "--json"))
    assert mird["perfused_gy"] == pytest.approx(rois["perfused"]["single_compartment_gy"])
    parts = json.loads(done("plan", "partition", case, "--activity-mbq", NET_MBQ, "--json"))
    assert parts["tumors"] == ["lesion_1"]
    assert parts["compartments"][0]["tumor_to_normal"] == pytest.approx(content["tumor_to_normal_ratio"])
    assert parts["tumor_gy"][0] == pytest.approx(rois["lesion_1"]["mean_dose_gy"], rel=STORED)
    assert parts["normal_gy"] == pytest.approx(rois[REGION]["mean_dose_gy"], rel=STORED)
    assert parts["perfused_gy"] == pytest.approx(rois["perfused"]["single_compartment_gy"])
    assert parts["lung_gy"] == pytest.approx(content["lungs"]["dose_gy"])
    text = done("plan", "partition", case, "--activity-mbq", NET_MBQ)
    for name, roi, key in (
        ("tumor lesion_1", "lesion_1", "mean_dose_gy"),
        ("perfused normal liver", REGION, "mean_dose_gy"),
        ("whole normal liver", "normal_liver", "mean_dose_gy"),
        ("perfused volume (weighted by mass)", "perfused", "single_compartment_gy"),
    ):
        assert re.search(rf"^{re.escape(name)} +{written(rois[roi][key], 'Gy')}$", text, re.MULTILINE), name
    assert re.search(rf"lesion_1 +perfused .* {written(content['tumor_to_normal_ratio'], 'T/N')} ", text)
    assert "lesion_2" not in text.split("Formula")[0]


def test_compare_has_the_numbers_of_both(results):
    compared = json.loads((results.compared / "comparison.json").read_text())
    before, after = results.content("predicted"), results.content("delivered")
    assert [side["kind_text"] for side in compared["results"]] == [KIND_TEXT["predicted"], KIND_TEXT["delivered"]]
    assert set(compared["rois"]) == set(ALL_REGIONS)
    for roi, row in compared["rois"].items():
        for key in (*QUANTITIES, "single_compartment_gy"):
            for numbers in (row["metrics"][key], {s: row["best"][key][s]["value"] for s in ("pre", "post")}):
                assert (numbers["pre"], numbers["post"]) == (before["rois"][roi][key], after["rois"][roi][key])
    ratios = compared["tumor_to_normal_ratio"]
    assert (ratios["pre"], ratios["post"]) == (before["tumor_to_normal_ratio"], after["tumor_to_normal_ratio"])


def test_compare_says_them_alike_in_terminal_page_and_pdf(results):
    terminal, shown = columns_of(results.compared_words), page(results.compared / "comparison.html")
    table = shown.table(["Region"])
    heads = table[0][1:]
    rows, region = {}, ""
    for row in table[1:]:
        region = row[0] if len(row) == 1 else region
        rows[region, row[0]] = row[1:]
    titles = {"volume mL": "volume_ml", "mean Gy": "mean_dose_gy", "D95 Gy": "d95_gy", "D70 Gy": "d70_gy"}
    titles |= {"V400 %": "v400_fraction"}
    for roi in ALL_REGIONS:
        pairs = {k: [wanted_words(results, kind, roi, k) for kind in ("predicted", "delivered")] for k in QUANTITIES}
        for title, key in titles.items():
            assert terminal[roi][title] == " > ".join(pairs[key])
        role = "tumor, not reached" if roi == "lesion_2" else terminal[roi]["role"]
        assert terminal[roi]["role"] == role
        for n, side in enumerate(("pre, predicted", "post, delivered")):
            cells = dict(zip(heads, rows[f"{roi} {role}", side], strict=True))
            for key, title in TITLES.items():
                assert cells[f"{title} {QUANTITIES[key]}"] == pairs[key][n], (roi, key)
    both = [written(results.content(kind)["tumor_to_normal_ratio"], "T/N") for kind in ("predicted", "delivered")]
    assert f"T/N {' > '.join(both)}" in results.compared_words
    ratios = {row[0]: row[1:] for row in shown.table(["Tumor"])[1:]}
    assert ratios["lesion_1"][:2] == both
    assert ratios["lesion_2"][:2] == ["not reached", "not reached"]
    assert all(KIND_TEXT[kind] in shown.text for kind in KINDS)
    text = " ".join(pdf_text(results.compared / "comparison.pdf").split())
    assert " → ".join(both) in text
    assert "lesion_2 tumor, not reached" in text
    assert all(KIND_TEXT[kind] in text for kind in KINDS)


def test_a_cohort_has_the_numbers_of_its_cases(results):
    with (results.cohort / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["roi"]) for row in rows} == {(kind, roi) for kind in KINDS for roi in ALL_REGIONS}
    for row in rows:
        content = results.content(row["kind"])
        roi = content["rois"][row["roi"]]
        for key in (*QUANTITIES, "single_compartment_gy", "reached"):
            assert row[key] == ("" if roi[key] is None else str(roi[key])), (row["roi"], key)
        assert float(row["tumor_to_normal_ratio"]) == content["tumor_to_normal_ratio"]
        assert row["tumor_to_normal_region"] == REGION
        assert row["best_tumor_to_normal"] == (row["tumor_to_normal_ratio"] if row["roi"] == "lesion_1" else "")


def test_no_place_shows_more_of_a_dose_than_three_digits(results):
    """Only files for programs hold whole numbers; what publications found is quoted as they have it."""
    places = {f"terminal {kind}": text for kind, text in results.printed.items()}
    places |= {"compare": results.compared_words, "compare page": page(results.compared / "comparison.html").text}
    for kind, folder in results.folders.items():
        places[f"page {kind}"] = page(folder / "report.html").text
        places[f"card {kind}"] = done("card", folder).split("Evidence")[0]
        places[f"pdf {kind}"] = pdf_text(folder / "report.pdf")
    places["mird"] = done("plan", "mird", results.study / "predicted.toml", "--dose-gy", 400)
    card = json.loads(done("card", results.folders["delivered"], "--json"))
    quoted = set(re.findall(r"\d[\d.]*", " ".join(row["evidence"] for row in card["rows"])))
    for name, text in places.items():
        for number in re.findall(r"(\d[\d.]*)(?: of \d+)? Gy\b(?! kg)", text):
            digits = number.replace(".", "").lstrip("0")
            assert number in quoted or len(digits) <= 3 or set(digits[3:]) == {"0"}, (name, number)
