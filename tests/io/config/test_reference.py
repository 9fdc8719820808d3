import json
import tomllib

import jsonschema
import pytest
from small_study import CASE, run, write_study

from voxeldose.errors import InputError
from voxeldose.io.config.case import CaseFile
from voxeldose.io.config.reference import ROLE_MEANINGS, case_keys, case_schema
from voxeldose.io.config.toml import table_from
from voxeldose.io.results.schema import assessment_schema
from voxeldose.model.roles import ROLES

KEYS = case_keys()


def test_every_key_of_the_model_has_a_meaning_and_a_kind():
    assert len(KEYS) == len({(key.table, key.name) for key in KEYS})
    for key in KEYS:
        assert key.meaning.endswith("."), key
        assert key.kind, key
        assert "Example" not in key.meaning


def test_the_reference_names_the_keys_of_the_contract():
    names = {(key.table, key.name) for key in KEYS}
    whole = tomllib.loads(CASE)
    for table, content in whole.items():
        for row in content if isinstance(content, list) else [content]:
            shown = f"[[{table}]]" if isinstance(content, list) else f"[{table}]"
            assert {(shown, key) for key in row} <= names
    assert ("[uncertainty.recovery]", "spheres") in names
    assert ("[[derived]]", "from") in names


@pytest.mark.parametrize("key", [k for k in KEYS if k.example], ids=lambda k: f"{k.table}{k.name}")
def test_every_example_is_a_value_that_the_case_file_takes(key):
    case = tomllib.loads(CASE)
    value = tomllib.loads(f"value = {key.example}")["value"]
    *above, last = key.table.strip("[]").split(".")
    tables = case
    for name in above:
        tables = tables.setdefault(name, {})
    if key.table.startswith("[["):
        needed = {"derived": {"name": "x", "role": "other"}, "territory": {"roi": "x", "administered_mbq": 1.0}}
        tables.setdefault(last, [needed.get(last, {})])[0][key.name] = value
    elif key.table:
        tables.setdefault(last, {})[key.name] = value
    else:
        tables[key.name] = value
    table_from(CaseFile, case, "example")


def test_defaults_are_those_of_the_model():
    found = {(k.table, k.name): k.default for k in KEYS}
    assert found["[dose]", "engine"] == '"dpk"'
    assert found["[activity]", "path"] == "required"
    assert found["[administration]", "residual_mbq"] == "0.0"
    assert found["[administration]", "at"] == ""


def test_one_table_or_the_nearest_name():
    assert {k.table for k in case_keys("dose")} == {"[dose]"}
    assert {k.table for k in case_keys("[[rois]]")} == {"[[rois]]"}
    with pytest.raises(InputError, match="administration") as refusal:
        case_keys("administraton")
    assert refusal.value.code == "table-unknown"


def test_roles_are_explained():
    assert set(ROLE_MEANINGS) == set(ROLES)
    shown = run("keys", "derived")
    assert shown.exit_code == 0
    assert all(role in shown.stdout for role in ROLES)
    assert len(json.loads(run("keys", "--json").stdout)) == len(KEYS)


def test_the_schema_of_the_case_takes_what_the_reader_takes_and_nothing_else():
    schema = json.loads(run("schema", "case").stdout)
    assert schema == case_schema()
    judge = jsonschema.Draft202012Validator(schema)
    judge.check_schema(schema)
    case = json.loads(json.dumps(tomllib.loads(CASE), default=str))
    judge.validate(case)
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(case | {"dose": {"engin": "dpk"}})
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(case | {"dose": {"engine": "magic"}})


@pytest.mark.parametrize("uncertain", [False, True])
def test_the_schema_of_the_assessment_takes_what_a_run_writes(tmp_path, uncertain):
    text = CASE + ("[uncertainty]\nsamples = 20\ncalibration_fraction = 0.05\n" if uncertain else "")
    case = write_study(tmp_path / "study", text)
    assert run("assess", case, "--out", tmp_path / "out", "--quiet").exit_code == 0
    content = json.loads((tmp_path / "out" / "assessment.json").read_text())
    schema = json.loads(run("schema", "assessment").stdout)
    judge = jsonschema.Draft202012Validator(schema)
    judge.check_schema(schema)
    assert schema == assessment_schema()
    judge.validate(content)
    assert set(content) == set(schema["properties"]) - {"resolution"}  # with [resolution] only
    roi = schema["properties"]["rois"]["additionalProperties"]["properties"]
    assert set(content["rois"]["liver"]) == set(roi) - {"recovered"}
    content["rois"]["liver"]["mean_dose_gy"] = "42"
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(content)
