import pytest
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.tissue import complication_set, control_set, default_sets, require_one_tissue


def test_a_curve_is_for_its_own_spheres():
    curve = control_set("jnm-2020-glass-mean-dose")
    curve.require_device("glass")
    curve.require_device(None)
    with pytest.raises(
        QuantityError, match=r"glass spheres, not resin.*for that device", check=refusal("device-differs")
    ):
        curve.require_device("resin")


def test_sets_of_two_tissues_do_not_answer_together():
    curve = complication_set("quoted-2014-glass-lobar")
    require_one_tissue(None, default_sets()["normal_liver"], curve)
    with pytest.raises(QuantityError, match="different tissues", check=refusal("tissues-differ")) as caught:
        require_one_tissue(default_sets()["tumor"], None, curve)
    assert caught.value.fields["sets"] == (default_sets()["tumor"].name, curve.name)
