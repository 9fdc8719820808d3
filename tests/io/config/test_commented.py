"""The case file that shows every key."""

import tomllib
from datetime import UTC, datetime

from voxeldose.io.config.case import CaseFile
from voxeldose.io.config.commented import commented_case
from voxeldose.io.config.reference import case_keys
from voxeldose.io.config.toml import table_from

TABLES = {
    "case": {"id": 'a "quoted" name'},
    "activity": {"path": "pet", "measured_at": datetime(2024, 5, 2, 14, 5, tzinfo=UTC)},
    "rois": [
        {"path": ["a.nii.gz", "b.nii.gz"], "labels": {"1": {"name": "liver", "role": "liver"}}},
        {"path": "c.nii.gz"},
    ],
    "administration": {"administered_mbq": 1850.0, "residual_mbq": 12},
    "uncertainty": {"recovery": {"b_ml": 1.5}, "seed": 3},
    "output": {"rtstruct": True},
}


def uncommented(text: str) -> str:
    """Every key and table set; explanations stay."""
    return "\n".join(
        line[1:] if line.startswith("#") and line[1:2] not in ("", " ") else line for line in text.splitlines()
    )


def test_what_is_set_is_read_back_and_nothing_else():
    assert tomllib.loads(commented_case(TABLES)) == TABLES


def test_every_key_stands_once_with_its_meaning():
    text = commented_case({})
    for key in case_keys():
        assert text.count(f"# {key.meaning} (") >= 1, key
        assert f"\n#{key.table}\n" in text or not key.table
    assert sum(line.startswith("#") and " = " in line and line[1] != " " for line in text.splitlines()) == len(
        case_keys()
    )


def test_every_key_may_be_used_as_it_stands_there():
    tables = tomllib.loads(uncommented(commented_case({})))
    case = table_from(CaseFile, tables, "full.toml")  # as it stands: the protocol that it names is not there
    assert case.activity.path == "pet"
    assert {f"[{name}]" for name in tables} | {f"[[{name}]]" for name in tables} >= {
        key.table for key in case_keys() if key.table and "." not in key.table
    }
