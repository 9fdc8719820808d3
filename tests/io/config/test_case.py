"""The case file: what is read, and errors that name the key, what was found and the nearest known key."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from voxeldose.errors import InputError
from voxeldose.io.config.case import CaseFile, case_file_from, read_case_tables

WHOLE = """
[case]
id = "case-001"

[activity]
path = "pet"
quantity = "bq_per_ml"
measured_at = 2024-05-02T14:05:00Z

[ct]
path = "ct"

[[rois]]
path = "liver.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion_1", role = "tumor" } }

[administration]
radionuclide = "Y-90"
device = "glass"
administered_mbq = 1850.0
residual_mbq = 12.0
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04

[dose]
engine = "dpk"
calibration = "administered"
grid = "activity"
density = "uniform"
density_g_per_ml = 1.04
constants = "ddep"
calibration_region = "liver"
"""
SMALL = '[activity]\npath = "pet"\n[[rois]]\npath = "liver.nii.gz"\n'


@pytest.fixture
def read(tmp_path):
    """Reader of a case file with this text."""

    def from_text(text):
        (tmp_path / "case.toml").write_text(text, "utf-8")
        return case_file_from(read_case_tables(tmp_path / "case.toml"), str(tmp_path / "case.toml"))

    return from_text


def test_the_case_file_of_the_contract_is_read(read, tmp_path):
    case = read(WHOLE)
    assert isinstance(case, CaseFile)
    assert case.case.id == "case-001"
    assert case.activity.measured_at == datetime(2024, 5, 2, 14, 5, tzinfo=UTC)
    assert case.rois[0].labels["2"].role == "tumor"
    assert (case.administration.administered_mbq, case.administration.residual_mbq) == (1850.0, 12.0)
    assert case.administration.at == datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    assert (case.dose.density_g_per_ml, case.dose.calibration_region) == (1.04, "liver")


def test_defaults_are_those_of_the_contract(read):
    case = read(SMALL)
    assert (case.dose.engine, case.dose.grid, case.dose.density) == ("dpk", "activity", "uniform")
    assert (case.dose.constants, case.dose.calibration) == ("ddep", "administered")
    assert (case.administration.radionuclide, case.administration.residual_mbq) == ("Y-90", 0.0)
    assert case.administration.lung_shunt_fraction is None


def test_paths_are_absolute_from_the_folder_of_the_case_file(read, tmp_path):
    case = read(WHOLE.replace('density = "uniform"', 'density = "maps/density.nii.gz"'))
    assert case.activity.path == str(tmp_path / "pet")
    assert case.ct.path == str(tmp_path / "ct")
    assert case.rois[0].path == str(tmp_path / "liver.nii.gz")
    assert case.dose.density == str(tmp_path / "maps/density.nii.gz")


def test_paths_are_absolute_when_the_case_file_is_named_relatively(tmp_path, monkeypatch):
    (tmp_path / "case.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    tables = read_case_tables(Path("case.toml"))
    assert Path(tables["activity"]["path"]).is_absolute()


def test_absolute_paths_stay(read):
    assert read(SMALL.replace('"pet"', '"/data/pet"')).activity.path == "/data/pet"


@pytest.mark.parametrize("density", ["uniform", "ct"])
def test_words_for_the_density_are_no_paths(read, density):
    assert read(f'{SMALL}[dose]\ndensity = "{density}"\n').dose.density == density


@pytest.mark.parametrize("grid", [2.5, 3])
def test_a_grid_may_be_a_spacing(read, grid):
    assert read(f"{SMALL}[dose]\ngrid = {grid}\n").dose.grid == grid


@pytest.mark.parametrize(
    ("table", "key", "near"),
    [
        ("administration", "administred_mbq = 1850.0", "administered_mbq"),
        ("administration", "lung_shunt = 0.04", "lung_shunt_fraction"),
        ("dose", 'engin = "dpk"', "engine"),
        ("dose", "density_g_ml = 1.0", "density_g_per_ml"),
        ("ct", 'path = "ct"\nseries = "1.2"', "series_uid"),
        ("case", 'idd = "x"', "id"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(read, refused, table, key, near):
    message = refused(lambda: read(f"{SMALL}[{table}]\n{key}\n"), "case.toml", "unknown key", repr(near))
    assert f"{table}.{key.splitlines()[-1].split(' ')[0]}" in message


def test_an_unknown_table_is_refused_with_the_nearest_known_one(read, refused):
    refused(lambda: read(f"{SMALL}[administraton]\nat = 2024-05-02T10:15:00Z\n"), "'administraton'", "'administration'")


def test_an_unknown_key_in_a_label_is_refused_with_the_nearest_known_one(read, refused):
    text = SMALL + 'labels = { 1 = { nam = "liver", role = "liver" } }\n'
    refused(lambda: read(text), "rois.0.labels.1.nam", "'name'", "rois.0.labels.1.name is missing")


def test_a_key_like_no_other_is_refused_with_all_known_ones(read, refused):
    refused(lambda: read(f"{SMALL}[case]\nzzzz = 1\n"), "case.zzzz", "known keys are bilirubin_mg_per_dl, id")


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ("administration", 'administered_mbq = "1850"', ("administration.administered_mbq", "'1850'")),
        ("administration", "administered_mbq = 0", ("administration.administered_mbq", "greater than 0")),
        ("administration", "administered_mbq = true", ("administration.administered_mbq",)),
        ("administration", "administered_mbq = nan", ("administration.administered_mbq",)),
        ("administration", "residual_mbq = -1.0", ("administration.residual_mbq", "-1.0")),
        ("administration", "lung_shunt_fraction = 4.0", ("administration.lung_shunt_fraction", "less than 1", "4.0")),
        ("administration", 'at = "2024-05-02"', ("administration.at", "2024-05-02")),
        ("administration", "at = 2024-05-02", ("administration.at",)),
        ("administration", 'device = "plastic"', ("administration.device", "'glass' or 'resin'", "plastic")),
        ("administration", 'radionuclide = "Lu-177"', ("administration.radionuclide", "Y-90")),
        ("dose", 'engine = "mc"', ("dose.engine", "'dpk', 'local' or 'density'", "mc")),
        ("dose", "grid = -2.0", ("dose.grid", "-2.0")),
        ("dose", 'grid = "fine"', ("dose.grid", "fine")),
        ("dose", "density_g_per_ml = 1040.0", ("dose.density_g_per_ml", "25", "1040")),
        ("dose", 'constants = "mird"', ("dose.constants", "'ddep', 'icrp107', 'vendor' or 'legacy'", "mird")),
        ("case", "id = 7", ("case.id", "7")),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_was_found(read, refused, table, line, words):
    refused(lambda: read(f"{SMALL}[{table}]\n{line}\n"), "case.toml", *words)


def test_a_key_of_several_types_is_named_without_those_types(read, refused):
    refused(lambda: read('[activity]\npath = "a"\n[[rois]]\npath = 3\n'), "rois.0.path: input should be", "found 3")


def test_an_unknown_role_is_refused_with_the_known_ones(read, refused):
    text = SMALL + 'labels = { 1 = { name = "liver", role = "organ" } }\n'
    refused(lambda: read(text), "rois.0.labels.1.role", "'tumor'", "organ")


def test_all_problems_are_named_at_once(read, refused):
    text = f"{SMALL}[administration]\nadministred_mbq = 1\nlung_shunt_fraction = 40\n[dose]\nengine = 5\n"
    refused(lambda: read(text), "administration.administred_mbq", "administration.lung_shunt_fraction", "dose.engine")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ('[[rois]]\npath = "a"\n', "activity"),
        ('[activity]\npath = "a"\n', "rois"),
        ('[activity]\n[[rois]]\npath = "a"\n', "activity.path"),
        ('[activity]\npath = "a"\n[[rois]]\n', "rois.0.path"),
        ("", "activity"),
    ],
)
def test_what_is_missing_is_named(read, refused, text, missing):
    refused(lambda: read(text), f"{missing} is missing")


@pytest.mark.parametrize(
    "text",
    [
        'activity = "pet"\nrois = "liver.nii.gz"\n',
        '[activity]\npath = 5\n[[rois]]\npath = "a"\n',
        "rois = []\n[activity]\npath = 'a'",
    ],
)
def test_tables_of_the_wrong_shape_are_refused(read, refused, text):
    refused(lambda: read(text), "case.toml")


def test_text_that_is_no_toml_is_refused_with_its_file_and_line(read, refused, tmp_path):
    refused(lambda: read("[activity\npath = 1"), str(tmp_path / "case.toml"), "TOML", "line 1")


def test_a_case_file_that_is_not_there_is_refused(tmp_path, refused):
    refused(lambda: read_case_tables(tmp_path / "no.toml"), str(tmp_path / "no.toml"), "no such case file")


def test_a_folder_or_binary_file_as_case_file_is_refused(tmp_path, refused):
    refused(lambda: read_case_tables(tmp_path), str(tmp_path), "TOML")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    refused(lambda: read_case_tables(tmp_path / "a.toml"), "a.toml", "UTF-8", code="encoding-wrong")


@pytest.mark.parametrize(
    ("text", "code", "keys"),
    [
        (f"{SMALL}[dose]\nengin = 'dpk'\n", "key-unknown", ("dose.engin",)),
        (f"{SMALL}[dose]\nengine = 5\n", "value-wrong", ("dose.engine",)),
        ('[activity]\npath = "a"\n', "key-missing", ("rois",)),
        ("[activity\npath = 1", "file-damaged", None),
    ],
)
def test_a_refused_case_file_has_a_code_and_its_keys(read, text, code, keys):
    with pytest.raises(InputError) as refusal:
        read(text)
    assert (refusal.value.code, refusal.value.fields.get("keys")) == (code, keys)
