import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as Itk
from pydicom.dataset import Dataset
from small_study import run

from voxeldose.io.dicom.planar import counts_by_label, read_label_image, read_planar_views

ROWS, COLUMNS = 7, 9


def views(ds: Dataset, codes=("399321004", "399001007"), kind="STATIC"):
    """Turn a two-frame NM file into planar views of two detectors."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    ds.DetectorVector = list(range(1, len(codes) + 1))
    detectors = []
    for code in codes:
        detector, view = Dataset(), Dataset()
        view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = code, "SCT", "view"
        detector.ViewCodeSequence = [view]
        detectors.append(detector)
    ds.DetectorInformationSequence = detectors
    frames = np.zeros((len(codes), ROWS, COLUMNS), np.uint16)
    frames[0] = 1000 + np.arange(COLUMNS)  # rises to the right of the image
    if len(codes) > 1:
        frames[1] = 2000 + np.arange(COLUMNS)
    frames[:, 0] -= 900  # where the background is drawn
    ds.PixelData = frames.tobytes()


@pytest.fixture
def planar(write_nm):
    def write(change=views, frames=2, name="planar.dcm") -> Path:
        return write_nm(shape=(frames, ROWS, COLUMNS), change=change, name=name)

    return write


def labels() -> np.ndarray:
    drawn = np.zeros((ROWS, COLUMNS), np.uint8)
    drawn[1:3, 1:4] = 1
    drawn[4:6, 1:5] = 2
    drawn[0, 8] = 3
    return drawn


@pytest.mark.parametrize("codes", [("399321004", "399001007"), ("R-10206", "R-10214")])
def test_views_are_distinguished_by_their_codes(planar, codes):
    found = read_planar_views([planar(lambda ds: views(ds, codes))])
    assert found["anterior"][1, 2] == 1002
    assert found["posterior"][1, 2] == 2002


def test_swapped_codes_swap_the_views(planar):
    found = read_planar_views([planar(lambda ds: views(ds, ("399001007", "399321004")))])
    assert found["posterior"][1, 2] == 1002


def test_two_files_of_one_frame_each_by_their_description(planar):
    def named(text):
        def change(ds):
            views(ds, ("",))
            del ds.DetectorInformationSequence
            ds.SeriesDescription = text

        return change

    files = [planar(named("MAA POST"), 1, "b.dcm"), planar(named("MAA ANT"), 1, "a.dcm")]
    assert set(read_planar_views(files)) == {"anterior", "posterior"}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda ds: views(ds, kind="TOMO"), "not-planar", "planar views are STATIC"),
        (lambda ds: views(ds, ("399321004", "399321004")), "views-missing", "found 2 anterior"),
        (lambda ds: views(ds, ("1", "2")), "view-unknown", "nothing says which frame"),
        (
            lambda ds: (views(ds), setattr(ds, "EnergyWindowVector", [1, 2])),
            "energy-windows-several",
            "--energy-window",
        ),
    ],
)
def test_views_that_nothing_distinguishes_are_refused(planar, refused, change, code, words):
    refused(lambda: read_planar_views([planar(change)]), words, code=code)


def test_a_ct_or_nothing_is_no_planar_view(write_series, refused, tmp_path):
    refused(lambda: read_planar_views([next(write_series("CT").iterdir())]), code="not-planar")
    refused(lambda: read_planar_views([tmp_path / "none.dcm"]), "no DICOM NM file", code="not-planar")


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ".mha"])
def test_label_images_keep_rows_and_columns(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    Itk.WriteImage(Itk.GetImageFromArray(labels()), str(path))
    np.testing.assert_array_equal(read_label_image(path, (ROWS, COLUMNS)), labels())


def test_a_label_image_of_another_size_is_refused(tmp_path, refused):
    path = tmp_path / "labels.png"
    Itk.WriteImage(Itk.GetImageFromArray(labels().T.copy()), str(path))
    refused(lambda: read_label_image(path, (ROWS, COLUMNS)), "7 rows x 9 columns", code="labels-differ-from-view")
    path.write_text("no image")
    refused(lambda: read_label_image(path, (ROWS, COLUMNS)), "cannot be read as a label image", code="file-damaged")
    refused(lambda: read_label_image(tmp_path / "none.png", (ROWS, COLUMNS)), code="file-missing")


def test_regions_of_different_size_on_the_two_views_are_refused(refused):
    frames = {view: np.ones((ROWS, COLUMNS)) for view in ("anterior", "posterior")}
    other = np.where(labels() == 1, 0, labels()).astype(int)
    refused(
        lambda: counts_by_label(frames, {"anterior": labels(), "posterior": other}, {1: "lung"}),
        code="label-sizes-differ",
    )


def shunt(tmp_path, file, *more):
    Itk.WriteImage(Itk.GetImageFromArray(labels()), str(tmp_path / "labels.png"))
    named = {"1": {"name": "lungs", "role": "lung"}, "2": {"name": "liver", "role": "liver"}}
    (tmp_path / "labels.json").write_text(json.dumps(named | {"3": {"name": "background", "role": "other"}}))
    words = ("--image", file, "--rois", tmp_path / "labels.png", "--labels", tmp_path / "labels.json", "--json")
    return run("lung-shunt", "planar", *words, *more)


def test_from_views_to_shunt_with_mirrored_posterior_regions(planar, tmp_path):
    result = shunt(tmp_path, planar(), "--mirrored")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["inputs"]
    assert found["lung"] == {"anterior": 2 * (1001 + 1002 + 1003), "posterior": 2 * (2005 + 2006 + 2007), "pixels": 6}
    assert found["background"] == {"anterior": 108, "posterior": 1100, "pixels": 1}


def test_where_the_posterior_regions_lie_must_be_said(planar, tmp_path):
    result = shunt(tmp_path, planar())
    assert result.exit_code == 2
    assert "--mirrored" in result.stderr


def test_views_of_two_sizes_are_refused(write_nm, refused):
    files = []
    for description, columns in (("MAA ANT", COLUMNS), ("MAA POST", COLUMNS + 2)):

        def change(ds, description=description):
            ds.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
            ds.SeriesDescription = description
            del ds.DetectorInformationSequence

        files.append(write_nm(shape=(1, ROWS, columns), change=change, name=f"{columns}.dcm"))
    refused(lambda: read_planar_views(files), "(7, 9)", "(7, 11)", "export one study", code="views-differ")
