"""No option does nothing: in every form of a command it changes the answer, or it is refused.

Every command is walked with every option that it has. An option without a value here, or a command without a form, fails.
"""

import json
import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from small_study import CASE, run, write_study

from voxeldose.cli import main
from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.errors import InputError
from voxeldose.io.config.case import CaseFile, case_file_from
from voxeldose.io.config.flags import idle_flag, with_flags

#: Whole runs, archives and processes: their options are tested with them.
ELSEWHERE = {"assess", "clean", "cohort", "demo", "fetch", "replay", "send", "schema"}
#: What changes how much is told, not what.
TELLING = {"--quiet", "--json"}
#: States a fact that is looked at only where the files leave it open.
STATED = {("compare", "--same-frame"), ("dvh", "--same-frame"), ("plan delivered", "--lung-shunt")}

AT, BEFORE = "2024-05-02T10:15:00Z", "2024-04-28T16:00:00Z"
COUNTS = ("--lung-anterior", 120e3, "--lung-posterior", 150e3, "--liver-anterior", 1.5e6, "--liver-posterior", 1.1e6)
BACKGROUND = ("--background-anterior", 9e3, "--background-posterior", 9e3)
SITE = """
[[threshold]]
name = "Lungs, one treatment"
device = "glass"
role = "lung"
metric = "mean_dose_gy"
sense = "below"
limit = 20.0
source = "protocol"
method = "lung shunt"
bilirubin_above_mg_per_dl = 1.0
[[threshold]]
name = "Mine"
role = "perfused"
metric = "mean_dose_gy"
sense = "at least"
limit = 333.0
source = "protocol"
method = "single compartment"
"""
TERRITORIES = """
lung_g = 900
[[territory]]
name = "right"
activity_mbq = 1200
normal_g = 500
tumors = [{ name = "a", mass_g = 120, tn = 4 }]
"""
PRODUCT = "[glass]\nvials_gbq = [4.8]\nbq_per_sphere = 3000.0\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A case with a perfused region and a lung shunt, one with what planning asks, results of both, and files of options."""
    folder = tmp_path_factory.mktemp("walk")
    text = CASE.replace('"liver", role = "liver"', '"right", role = "perfused"')
    perfused = write_study(folder / "perfused", text + "lung_shunt_fraction = 0.04\n")
    liver = write_study(folder / "liver", CASE)
    made = {"PERFUSED": perfused, "LIVER": liver, "SITE": folder / "site.toml", "TERRITORIES": folder / "parts.toml"}
    made |= {"PRODUCT": folder / "product.toml", "SHIFT": folder / "shift.txt", "LABELS": folder / "labels.json"}
    made["SITE"].write_text(SITE)
    made["TERRITORIES"].write_text(TERRITORIES)
    made["PRODUCT"].write_text(PRODUCT)
    made["SHIFT"].write_text("1 0 0 2\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    made["LABELS"].write_text(json.dumps({"2": {"name": "lesion", "role": "tumor"}}))
    made["BOTH"] = folder / "both.json"
    made["BOTH"].write_text(json.dumps({str(n): {"name": f"r{n}", "role": "tumor"} for n in (1, 2)}))
    for name, hot in (("PRE", 5.0), ("POST", 4.0)):
        case = write_study(folder / name.lower(), CASE + "lung_shunt_fraction = 0.04\n", hot=hot)
        made[name] = folder / f"{name.lower()}-results"
        result = run("assess", case, "--engine", "local", "--out", made[name], "--quiet")
        assert result.exit_code == 0, result.output
    return made


#: Forms of each command: the least that it takes, once for each way of asking.
FORMS = {
    "plan mird": [
        ("--mass-g", 200, "--dose-gy", 400),
        ("PERFUSED", "--activity-mbq", 60),
        ("--mass-g", 200, "--dose-gy", 400, "--lung-shunt", 0.05, "--device", "glass", "--thresholds", "SITE"),
    ],
    "plan partition": [
        ("--tumor-g", 200, "--tn", 5, "--normal-g", 1300, "--activity-mbq", 900),
        ("--tumor-g", 200, "--tn", 5, "--normal-g", 1300, "--tumor-gy", 205),
        ("--tumor-g", 200, "--tn", 5, "--normal-g", 1300, "--tumor-gy", 205, "--lung-shunt", 0.08),
        ("LIVER", "--activity-mbq", 60),
        ("--territories", "TERRITORIES", "--tumor-gy", 205),
        ("--territories", "TERRITORIES"),
    ],
    "plan voxel": [("PERFUSED", "--goal", "lesion.mean=400"), ("LIVER", "--limit", "normal_liver.mean=20")],
    "plan bsa": [
        ("--height-m", 1.7, "--weight-kg", 70, "--tumor-part", 0.2),
        ("LIVER", "--height-m", 1.7, "--weight-kg", 70),
    ],
    "plan vial": [
        ("--activity-mbq", 1700, "--at", AT),
        ("--activity-mbq", 1700, "--at", AT, "--device", "glass", "--calibrated-at", BEFORE),
        ("PERFUSED", "--activity-mbq", 1700, "--calibrated-at", BEFORE),
    ],
    "plan window": [
        ("--dose-gy", 420, "--mass-g", 250, "--device", "glass", "--from", AT, "--days", 2, "--calibrated-at", BEFORE),
        ("--activity-mbq", 1700, "--device", "glass", "--from", AT, "--days", 2, "--calibrated-at", BEFORE),
        (
            "--activity-mbq",
            900,
            "--device",
            "glass",
            "--from",
            AT,
            "--days",
            2,
            "--calibrated-at",
            BEFORE,
            "--most-above-percent",
            400,
        ),
        ("PERFUSED", "--activity-mbq", 1700, "--from", AT, "--days", 2, "--calibrated-at", BEFORE),
    ],
    "plan delivered": [("--assay-mbq", 3120, "--assayed-at", BEFORE, "--at", AT)],
    "card": [("--perfused-gy", 420), ("PRE",)],
    "lung-shunt planar": [
        COUNTS,
        (*COUNTS, *BACKGROUND, "--lung-pixels", 90, "--liver-pixels", 80, "--background-pixels", 9),
    ],
    "lung-shunt spect": [("--lung-counts", 3.1e6, "--liver-counts", 58.9e6)],
    "lung-shunt dose": [("--lung-shunt", 0.08, "--activity-mbq", 3000)],
    "radiobiology": [
        ("--dose-gy", 205),
        ("--dose-gy", 205, "--set", "cremonesi-2008-tumor"),
        ("LIVER", "--roi", "lesion"),
        ("--results", "PRE", "--roi", "lesion"),
    ],
    "tn": [("--tumor", 3.6e6, 120, "--normal", 6e6, 800), ("--tumor-gy", 205, 120, "--normal-gy", 60, 800), ("PRE",)],
    "uncertainty mean": [
        ("--dose-gy", 200, "--diameter-mm", 30, "--phi", 0.8, "--diameter-sd-mm", 2),
        (
            "--dose-gy",
            200,
            "--volume-ml",
            20,
            "--fwhm-mm",
            7,
            "--recovery-b-ml",
            1.2,
            "--recovery-c",
            0.9,
            "--voxel-mm",
            4,
        ),
    ],
    "uncertainty recovery": [("--sphere", 1, 0.5, 0.05, "--sphere", 5, 0.7, 0.05, "--sphere", 20, 0.9, 0.05)],
    "compare": [
        ("PRE", "POST"),
        ("PRE", "POST", "--add"),
        ("PRE", "POST", "--match-fwhm", 9, "--pre-fwhm", 4, "--post-fwhm", 5),
    ],
    "dvh": [("PRE/dose.nii.gz", "LIVER/../labels.nii.gz", "--labels", "BOTH", "--same-frame")],
    "inspect": [("LIVER/../pet.nii.gz",)],
    "kernel": [("--spacing-mm", 4, 4, 4, "--out", "NEW.csv")],
    "keys": [()],
}

#: A value of each option that is unlike its default; of one command alone before that of all.
VALUES = {
    "--from": ("2024-05-02T12:15:00Z",), "--days": (1,), "--hours": (10, 11), "--assay-h": (2,), "--most-above-percent": (500,),
    "--activity-mbq": (950,), "--lung-shunt": (0.11,), "--lung-g": (850,), "--constants": ("vendor",), "--device": ("resin",),
    "--bilirubin-mg-per-dl": (1.4,), "--thresholds": ("SITE",), "--roi": ("lesion",), "--dose-gy": (333,), "--mass-g": (222,),
    "--tumor-g": (33,), "--tn": (4.4,), "--normal-g": (900,), "--unperfused-g": (333,), "--territories": ("TERRITORIES",),
    "--tumor-gy": (222,), "--normal-limit-gy": (15,), "--lung-limit-gy": (3,), "--goal": ("lesion.mean=50",),
    "--limit": ("lesion.mean=40",), "--height-m": (1.8,), "--weight-kg": (80,), "--tumor-part": (0.3,),
    "--at": ("2024-05-02T09:15:00Z",), "--calibrated-at": ("2024-04-30T16:00:00Z",), "--residual-fraction": (0.02,),
    "--vial-gbq": (4.9,), "--sphere-bq-at-calibration": (3333,), "--shelf-life-h": (200,), "--expires-at": ("2024-05-01T10:15:00Z",),
    "--tumor-ml": (33,), "--product": ("PRODUCT",), "--residual-mbq": (22,), "--residual-at": ("2024-05-02T12:15:00Z",),
    "--perfused-gy": (222,), "--treated-fraction": (0.2,), "--albi": (2,), "--child-pugh": ("B",), "--segments": (3,),
    "--tumor-diameter-mm": (90,), "--tumor": (0.5, 222), "--earlier-gy": (11,), "--lung-mass-g": (850,),
    "--dome-margin-mm": (9,), "--lung-volume-ml": (4000,), "--volume-ml": (12,), "--role": ("tumor",), "--results": ("PRE",), "--geud-a": (-5,),
    "--slope": (3,), "--clonogens": (1e6,), "--td50-gy": (52,), "--m": (0.28,), "--source": ("protocol",), "--list": (),
    "--normal": (6e6, 700), "--normal-gy": (50, 800), "--normal-is": ("perfused normal liver",), "--voxel-mm": (3,),
    "--fwhm-mm": (6,), "--contour-fwhm-mm": (5,), "--diameter-sd-mm": (3,), "--diameter-mm": (25,), "--phi": (0.7,), "--c2": (0.9,),
    "--recovery-b-ml": (1.5,), "--recovery-c": (0.8,), "--recovery-b-sd-ml": (0.2,), "--recovery-c-sd": (0.1,),
    "--recovery-correlation": (0.4,), "--calibration": (0.05,), "--statistics": (0.05,), "--energy": (0.02,), "--timing-h": (2,),
    "--sphere": (40, 0.95, 0.05), "--true-mbq-per-ml": (2,), "--true-sd-fraction": (0.05,), "--transform": ("SHIFT",),
    "--gamma-percent": (9,), "--gamma-mm": (9,), "--gamma-local": (), "--gamma-cutoff-percent": (60,), "--register": ("rigid",),
    "--match-fwhm": (11,), "--pre-fwhm": (7,), "--post-fwhm": (8,), "--add": (),
    "--labels": ("LABELS",), "--gy": (77,), "--percent": (77,), "--case-file": ("NEW.toml",), "--density-g-per-ml": (1.1,),
    "--reach-mm": (9,), "--range-factor": (1.02,), "--overwrite": (), "--out": ("NEW",), "--mirrored": (), "--rois": ("LABELS",),
    "--posterior-rois": ("LABELS",), "--energy-window": (1,), "--image": ("LABELS",), "--background-anterior": (8e3,),
    "--background-posterior": (8e3,), "--lung-pixels": (70,), "--liver-pixels": (70,), "--background-pixels": (7,),
    "--activity": ("LABELS",), "--ct": ("LABELS",), "--quantity": ("counts",), "--lung-counts": (1e6,), "--liver-counts": (1e6,),
    "--lung-anterior": (1e5,), "--lung-posterior": (1e5,), "--liver-anterior": (1e6,), "--liver-posterior": (1e6,),
    "--set": ("cremonesi-2008-tumor",), "--control": ("ejnmmi-res-2022-hcc-eud",), "--complication": ("nobody",),
    "--assay-mbq": (3000,), "--assayed-at": ("2024-04-29T16:00:00Z",), "--spacing-mm": (3, 3, 3),
}  # fmt: skip
OWN_VALUES = {
    ("kernel", "--out"): ("NEW.npz",),
    ("tn", "--tumor"): (1e6, 60),
    ("tn", "--tumor-gy"): (150, 60),
    ("lung-shunt dose", "--lung-shunt"): (0.05,),
}


def commands(group: click.Group, above: str = "") -> dict[str, click.Command]:
    """Every command by its whole name."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        whole = f"{above} {name}".strip()
        found |= commands(command, whole) if isinstance(command, click.Group) else {whole: command}
    return found


COMMANDS = {name: command for name, command in commands(main).items() if name not in ELSEWHERE}
OPTIONS = [(name, o.opts[0]) for name, c in COMMANDS.items() for o in c.params if isinstance(o, click.Option)]
WALKED = [pair for pair in OPTIONS if pair[1] not in TELLING and pair not in STATED]


@cache
def _answered(words: tuple[object, ...]) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code in (0, 2, 3), (words, result.output)
    return result.exit_code, result.stdout


def answered(name: str, words: tuple[object, ...], files: dict[str, Path], new: Path) -> tuple[int, str]:
    """Exit code and answer; what was written as well, and the name of the new file in no answer."""
    known = {**files, "NEW": new}

    def spelled(word: object) -> object:
        head, slash, tail = str(word).partition("/")
        stem, dot, end = head.partition(".")
        if head in known:
            return f"{known[head]}{slash}{tail}".replace("case.toml/../", "")
        return f"{known[stem]}{dot}{end}" if stem == "NEW" and dot else word

    as_json = ("--json",) if any("--json" in p.opts for p in COMMANDS[name].params) else ()
    code, text = _answered((*name.split(), *(spelled(w) for w in words), *as_json))
    made = sorted(p for p in new.parent.glob(f"{new.name}*"))
    return code, text.replace(str(new), "NEW") + "".join(p.read_bytes().hex() if p.is_file() else p.name for p in made)


def test_every_command_has_a_form_and_every_option_a_value():
    assert set(FORMS) == set(COMMANDS)
    assert not [pair for pair in WALKED if pair not in OWN_VALUES and pair[1] not in VALUES]


@pytest.mark.parametrize(("name", "option"), WALKED)
def test_an_option_changes_the_answer_or_is_refused(name, option, files, tmp_path):
    value = OWN_VALUES.get((name, option), VALUES.get(option, ()))
    acted = 0
    for n, form in enumerate(FORMS[name]):
        plain = answered(name, form, files, tmp_path / f"a{n}")
        assert plain[0] == 0, (form, plain)
        words = _in_place(form, option, value)
        if words == form or (
            option == "--overwrite" and "--out" in form
        ):  # the form itself shows it; nothing to replace
            acted += 1
            continue
        code, text = answered(name, words, files, tmp_path / f"b{n}")
        assert code in (2, 3) or text != plain[1], f"{name} {words}: {option} does nothing"
        acted += code == 0
    needs_more = {"--overwrite", *NEEDS_COMPANY.get(name, ())}
    assert acted or option in needs_more, f"{option} acts in no form of {name}"


#: Options that act only with another one, which is no form of its own.
NEEDS_COMPANY = {
    "compare": ("--register",),
    "lung-shunt planar": (
        *("--image", "--rois", "--posterior-rois", "--mirrored", "--labels", "--energy-window"),
        *("--background-anterior", "--background-posterior", "--earlier-gy", "--lung-mass-g", "--constants"),
    ),
    "lung-shunt spect": (
        *("--activity", "--rois", "--labels", "--ct", "--quantity", "--dome-margin-mm", "--lung-volume-ml"),
        *("--earlier-gy", "--lung-mass-g", "--constants"),
    ),
    "radiobiology": (
        "--slope",
        "--clonogens",
        "--td50-gy",
        "--m",
        "--source",
        "--complication",
        "--device",
        "--list",
    ),
    "uncertainty recovery": ("--results", "--true-mbq-per-ml", "--true-sd-fraction", "--roi"),
    "uncertainty mean": ("--recovery-correlation",),
    "plan bsa": ("--tumor-part",),
    "plan mird": ("--at", "--calibrated-at", "--product"),
    "plan partition": ("--at", "--calibrated-at", "--product"),
    "plan voxel": ("--at", "--calibrated-at", "--product"),
    "plan delivered": ("--residual-at",),
    "plan vial": ("--expires-at",),
    "card": ("--sphere-bq-at-calibration", "--calibrated-at", "--at"),
}


def _in_place(form: tuple[object, ...], option: str, value: tuple[object, ...]) -> tuple[object, ...]:
    """The form with the option's value in place of its own, or at its end."""
    if option not in form:
        return (*form, option, *value)
    at = form.index(option)
    return (*form[:at], option, *value, *form[at + 1 + len(value) :])


#: A value of each flag of ``assess``, and the flags without which it would do nothing.
ASSESS = {
    "activity": ("other.nii.gz", {}), "rois": (("other.nii.gz",), {}), "ct": ("ct.nii.gz", {}), "registration": ("r.tfm", {}),
    "administered_mbq": (70.0, {}), "residual_mbq": (3.0, {}), "at": (datetime(2024, 5, 2, 11, tzinfo=UTC), {}),
    "assayed_at": (datetime(2024, 5, 2, 8, tzinfo=UTC), {}), "measured_at": (datetime(2024, 5, 3, 8, tzinfo=UTC), {}),
    "residual_at": (datetime(2024, 5, 2, 12, tzinfo=UTC), {"residual_mbq": 3.0}), "quantity": ("counts", {}),
    "image_nuclide": ("Tc-99m", {}), "undo_nuclide": ("F-18", {}), "undo_suv": (True, {}), "weight_kg": (70.0, {"undo_suv": True}),
    "energy_window": (2, {"activity": "spect"}), "slice_spacing_mm": (4.0, {"activity": "spect"}),
    "ct_uneven": ("resample", {"ct": "ct.nii.gz"}), "hu_table": ("hu.csv", {"density": "ct", "ct": "ct.nii.gz"}),
    "lung_shunt": (0.05, {}), "calibration": ("absolute", {}), "calibration_region": ("liver", {}),
    "allow_activity_outside": (True, {}), "engine": ("local", {}),
    "grid": (2.0, {}), "density_g_per_ml": (1.05, {}), "density": ("density.nii.gz", {}), "constants": ("vendor", {}),
    "thresholds": ("site.toml", {}), "device": ("resin", {}), "uncertainty": ((("timing_h", 0.2),), {}), "samples": (99, {}),
    "probability": (("lesion.mean>=9",), {}), "dose_bits": ("32", {"activity": "spect"}), "bed_dose": ("tumor", {}),
    "rtstruct": (True, {}), "rtstruct_holes": ("xor", {"rtstruct": True}), "rtplan": (True, {}), "dose_on_ct": (True, {}),
    "bilirubin_mg_per_dl": (1.4, {}), "case_id": ("other", {}),
}  # fmt: skip


def config_with(flags: dict[str, object]) -> CaseFile:
    return case_file_from(with_flags(tomllib.loads(CASE), flags), "case")


@pytest.mark.parametrize("flag", [*ASSESS, "labels"])
def test_a_flag_of_assess_changes_the_case_and_is_refused_where_it_could_not_act(flag, tmp_path):
    named = tmp_path / "labels.json"
    named.write_text(json.dumps({"2": {"name": "lesion", "role": "tumor"}}))
    value, needed = ASSESS.get(flag, (named, {}))
    assert config_with({**needed, flag: value}) != config_with(needed)
    assert idle_flag({**needed, flag: value}, config_with({**needed, flag: value})) is None
    if flag == "ct_uneven":
        with pytest.raises(InputError, match=r"ct\.path is missing"):
            config_with({flag: value})
    elif needed:
        assert f"--{flag.replace('_', '-')} does nothing" in (
            idle_flag({flag: value}, config_with({flag: value})) or ""
        )


def test_every_flag_of_assess_is_walked():
    own = {
        "case",
        "out",
        "overwrite",
        "as_json",
        "quiet",
        "labels",
        "protocol",
    }  # a protocol's keys lie under the case's
    assert {p.name for p in main.commands["assess"].params} == set(ASSESS) | own


def test_calibration_and_activities_need_what_they_are_for():
    absolute = {"calibration": "absolute", "allow_activity_outside": True}
    assert "--allow-activity-outside does nothing" in (idle_flag(absolute, config_with(absolute)) or "")
    named = {
        "calibration": "absolute",
        "calibration_region": "liver",
    }  # what is compared with the administered activity
    assert idle_flag(named, config_with(named)) is None
    tables = tomllib.loads(CASE)
    del tables["administration"]["administered_mbq"]
    bare = {"calibration": "absolute", "residual_mbq": 3.0}
    assert "--residual-mbq does nothing" in (idle_flag(bare, case_file_from(with_flags(tables, bare), "case")) or "")


def test_the_command_refuses_a_flag_that_cannot_act(files, tmp_path):
    result = run("assess", files["LIVER"], "--weight-kg", 70, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--weight-kg does nothing without --undo-suv" in result.stderr


@click.command()
@click.argument("case", required=False)
@click.option("--tn")
@click.option("--roi")
@click.option("--flag", is_flag=True, default=None)
@refuse_idle(
    Idle("tn flag", beside="case", why="the case gives T/N"),
    Idle("roi", without="case flag"),
)
def small(case, tn, roi, flag) -> None:
    click.echo(f"{case} {tn} {roi} {flag}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "--tn", "4"), "--tn does nothing with CASE: the case gives T/N; leave it out."),
        (("a", "--tn", "4", "--flag"), "--tn and --flag do nothing with CASE: the case gives T/N; leave them out."),
        (("--roi", "x"), "--roi does nothing without CASE or --flag; leave it out."),
    ],
)
def test_the_refusal_names_option_form_reason_and_way_out(words, message):
    result = CliRunner().invoke(small, list(words))
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("words", [(), ("--tn", "4"), ("a", "--roi", "x"), ("--roi", "x", "--flag"), ("a",)])
def test_an_option_that_acts_is_let_through(words):
    assert CliRunner().invoke(small, list(words)).exit_code == 0


def test_a_rule_about_an_option_that_is_not_there_is_a_fault():
    @click.command()
    @click.option("--tn")
    @refuse_idle(Idle("tm", beside="tn"))
    def wrong(tn) -> None:
        raise AssertionError(tn)

    assert isinstance(CliRunner().invoke(wrong, ["--tn", "4"]).exception, LookupError)
