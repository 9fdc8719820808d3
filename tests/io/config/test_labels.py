import json

import pytest
from remarks import refusal

from voxeldose.errors import InputError
from voxeldose.io.config.labels import named_labels


def test_labels_are_read_with_name_and_role(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"1": {"name": "liver", "role": "liver", "color": "red"}}))
    assert named_labels(path) == {"1": ("liver", "liver")}


def test_a_treated_segment_is_perfused(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"6": {"name": "segment_6", "role": "segment", "treated": True}}))
    assert named_labels(path) == {"6": ("segment_6", "perfused")}


@pytest.mark.parametrize("content", [{}, [], {"1": "liver"}, {"1": {"name": "liver"}}, {"1": {"role": "liver"}}])
def test_a_label_without_name_or_role_is_refused_with_an_example(tmp_path, content):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match='"name": "liver", "role": "liver"', check=refusal("label-incomplete")
    ) as caught:
        named_labels(path)
    assert str(path) in str(caught.value)
