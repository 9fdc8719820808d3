import json
import os

import pytest

from voxeldose.io.json_text import format_json, parse_json, read_json


def test_what_is_written_is_read_back():
    content = {"name": "Müller 東京", "values": [1, 2.5, None, True]}
    assert parse_json(format_json(content)) == content
    assert "Müller" in format_json(content)


def test_a_name_that_is_no_utf_8_is_the_same_after_reading(tmp_path):
    name = os.fsdecode(b"M\xfcller")
    file = tmp_path / "a.json"
    file.write_text(format_json({name: name}), "utf-8")
    assert read_json(file) == {name: name}
    assert json.loads(file.read_bytes()) == {name: name}  # any parser reads it
    assert os.fsencode(read_json(file)[name]) == b"M\xfcller"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 5000, "{", "nul", ""], ids=["deep", "long", "open", "word", "empty"]
)
def test_what_cannot_be_read_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever sentence
        parse_json(text)


def test_no_nan_is_written():
    with pytest.raises(ValueError, match="JSON"):
        format_json({"a": float("nan")})
