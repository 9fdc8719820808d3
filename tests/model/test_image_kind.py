import pytest

from voxeldose.model.image_kind import ImageKind


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (ImageKind("Tc-99m", "Y-90", "NM"), "predicted", "PREDICTED (Tc-99m MAA SPECT)"),
        (ImageKind("Y-90", "Y-90", "PT"), "delivered", "DELIVERED (Y-90 PET)"),
        (ImageKind("Y-90", "Y-90", "NM"), "delivered", "DELIVERED (Y-90 SPECT)"),
        (ImageKind("Tc-99m", "Y-90"), "predicted", "PREDICTED (Tc-99m MAA image)"),
        (ImageKind("F-18", "Y-90", "PT"), "predicted", "PREDICTED (F-18 PET)"),
        (
            ImageKind(None, "Y-90", "PT"),
            None,
            "NOT KNOWN WHETHER PREDICTED OR DELIVERED (the image names no nuclide)",
        ),
    ],
)
def test_a_dose_is_delivered_if_the_image_shows_what_was_given_and_predicted_if_it_shows_something_else(
    kind, name, text
):
    assert (kind.kind, kind.text) == (name, text)
