"""``[report]``: facts on the user's word, and what belongs together in them."""

from datetime import UTC, datetime

import pytest
from remarks import refusal

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.case import case_file_again, case_file_from
from voxeldose.io.config.report import ReportTable, build_stated

AT = datetime(2024, 5, 3, 16, 30, tzinfo=UTC)
TABLES = {"activity": {"path": "pet"}, "rois": [{"path": "labels.nii.gz"}]}


def test_there_is_nothing_without_the_table():
    assert build_stated(case_file_from(TABLES, "test").report) is None


def test_a_case_without_the_table_is_written_as_before_and_one_with_it_comes_back():
    assert not {"report", "protocol"} & case_file_from(TABLES, "test").model_dump(mode="json").keys()
    case = case_file_from(TABLES | {"report": {"lot": "L-1", "signed_off_by": "C", "signed_off_at": AT}}, "test")
    again = case_file_again(case.model_dump(mode="json"), "test")
    assert build_stated(again.report) == build_stated(case.report)
    assert build_stated(again.report).signed_off_at == AT


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"signed_off_by": "C"}, "report.signed_off_at"),
        ({"signed_off_at": AT}, "report.signed_off_by"),
        ({"vial_calibration_mbq": 3000.0}, "report.vial_calibrated_at"),
    ],
)
def test_a_signature_has_its_time_and_an_activity_its_instant(given, lacking):
    with pytest.raises(InputError, match=lacking, check=refusal("key-missing")):
        build_stated(ReportTable(**given))


def test_an_instant_needs_its_zone():
    with pytest.raises(QuantityError, match=r"report\.signed_off_at"):
        build_stated(ReportTable(signed_off_by="C", signed_off_at=AT.replace(tzinfo=None)))
