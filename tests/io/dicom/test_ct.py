"""CT: compressed pixels, padding, uneven and tilted slices, and tables of HU and density."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from remarks import coded, refusal

from voxeldose.dose.density import HU_TABLE, hu_to_density
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.hu_table import read_hu_table
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.options import CtOptions
from voxeldose.model.volume import CtImage

ROUNDING = 0.03


# --- transfer syntaxes ---


def gdcm_compressed(path, syntax):
    """Compressed by GDCM itself."""
    import gdcm

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1], ids=lambda s: s.name
)
def test_every_voxel_has_its_value_in_every_lossless_transfer_syntax(write_series, place_error, syntax):
    import gdcm

    codes = {
        RLELossless: gdcm.TransferSyntax.RLELossless,
        JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
        JPEG2000Lossless: gdcm.TransferSyntax.JPEG2000Lossless,
        JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    }
    folder = write_series("CT", shape=(4, 24, 20))  # JPEG codecs want some pixels
    for file in folder.iterdir():
        gdcm_compressed(file, codes[syntax])
        assert dcmread(file).file_meta.TransferSyntaxUID == syntax
    assert place_error(read_ct(folder)) < ROUNDING


def test_deflated_files_are_read(write_series, place_error):
    folder = write_series("CT")
    for file in folder.iterdir():
        ds = dcmread(file)
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        ds.save_as(file)
    assert place_error(read_ct(folder)) < ROUNDING


def test_compressed_pixels_that_are_damaged_are_refused(write_series, refused):
    folder = write_series("CT")
    file = folder / "slice_02.dcm"
    ds = dcmread(file)
    ds.PixelData = encapsulate([b"\xff\xd8 this is no picture"])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.save_as(file)
    refused(lambda: read_ct(folder), "slice_02.dcm", code="pixels-unreadable")


# --- padding ---


def padded(value, representation=1, slope=1.0, intercept=0.0):
    def change(ds, n):
        stored = np.full((7, 9), 40, np.int16)
        stored[0, 0] = value if value < 2**15 else value - 2**16
        ds.PixelRepresentation, ds.RescaleSlope, ds.RescaleIntercept = representation, slope, intercept
        ds.PixelData = stored.tobytes()
        ds.add_new("PixelPaddingValue", "SS" if representation else "US", value)

    return change


def test_padding_below_air_weighs_as_air_and_is_said(write_series):
    ct = read_ct(write_series("CT", change=padded(-3024)))
    assert ct.hu.min() == -3024
    (remark,) = coded("ct-padding-weighs-as-air", ct.remarks)
    assert remark.numbers == {"padding_hu": -3024}
    assert "-3024 HU" in remark.sentence
    assert hu_to_density(ct).g_per_ml[0, 0, 0] == pytest.approx(0.00121)


def test_padding_that_would_weigh_as_metal_becomes_air(write_series):
    ct = read_ct(write_series("CT", change=padded(63536, representation=0)))
    assert ct.hu.max() == 40
    assert ct.hu[0, 0, 0] == -1000
    assert coded("ct-padding-set-to-air", ct.remarks)


def test_padding_inside_the_range_of_tissue_is_left_alone(write_series):
    ct = read_ct(write_series("CT", change=padded(0)))
    assert ct.hu[0, 0, 0] == 0
    assert not ct.remarks


# --- uneven and tilted slices ---


def moved(x=0.0, y=0.0, z=0.0, only=None):
    """Slices at other places, still holding the field of where they are."""

    def change(ds, n):
        if only is None or n in only:
            before = np.array([float(v) for v in ds.ImagePositionPatient])
            by = np.array([x, y, z]) * (n if only is None else 1)
            ds.ImagePositionPatient = (before + by).tolist()
            stored = np.frombuffer(ds.PixelData, np.uint16) + np.rint(by @ (1, 2, 3) / float(ds.RescaleSlope))
            ds.PixelData = stored.astype(np.uint16).tobytes()

    return change


def inner_error(ct, place_error):
    """Error over the voxels that slices reach: tilted slices leave air at the sides."""
    inside = ct.hu > -900
    index = np.stack(np.meshgrid(*[np.arange(n) for n in ct.grid.shape], indexing="ij"), axis=-1)
    field = 500 + ct.grid.points_lps_mm(index) @ (1, 2, 3)
    assert inside.mean() > 0.4
    # next to air, linear interpolation mixes air in; only whole neighbourhoods of tissue are compared
    whole = inside.copy()
    for axis in range(3):
        whole &= np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    near = np.abs(ct.hu - field) < 300
    return float(np.abs(ct.hu - field)[whole & near].max()), float((near & inside).sum() / inside.sum())


@pytest.mark.parametrize("orientation", ["axial", "feet_first", "sagittal", "coronal"])
def test_uneven_slices_are_interpolated_when_asked(write_series, place_error, refused, orientation):
    # a linear field is interpolated without error, so every voxel must have the value of its place
    along = {"axial": {"z": 1.1}, "feet_first": {"z": -1.1}, "sagittal": {"x": -1.1}, "coronal": {"y": 1.1}}[
        orientation
    ]
    folder = write_series("CT", orientation=orientation, shape=(6, 7, 9), change=moved(**along, only=(3,)))
    refused(
        lambda: read_ct(folder),
        "not evenly spaced",
        'uneven = "resample"',
        "--ct-uneven resample",
        code="slices-uneven",
    )
    ct = read_ct(folder, options=CtOptions("resample"))
    assert place_error(ct) < 2 * ROUNDING
    assert coded("ct-resampled", ct.remarks)


def test_a_missing_slice_is_interpolated_when_asked(write_series, place_error):
    change = moved()
    folder = write_series("CT", shape=(7, 7, 9), change=lambda ds, n: change(ds, n) if n != 3 else False)
    ct = read_ct(folder, options=CtOptions("resample"))
    assert ct.grid.shape == (7, 7, 9)
    assert place_error(ct) < 2 * ROUNDING


def test_a_tilted_gantry_is_straightened_when_asked(write_series, place_error, refused):
    folder = write_series("CT", shape=(6, 20, 9), change=moved(y=0.7))
    refused(lambda: read_ct(folder), "--ct-uneven resample", code="slices-shifted")
    ct = read_ct(folder, options=CtOptions("resample"))
    error, kept = inner_error(ct, place_error)
    assert error < 2 * ROUNDING
    assert kept > 0.9
    assert ct.grid.is_right_angled
    (remark,) = coded("ct-resampled", ct.remarks)
    assert remark.numbers["shift_mm"] == pytest.approx(3.5)
    assert "sideways by up to 3.50 mm" in remark.sentence


def test_an_even_series_is_not_interpolated_though_it_may_be(write_series):
    folder = write_series("CT", orientation="oblique")
    plain, asked = read_ct(folder), read_ct(folder, options=CtOptions("resample"))
    np.testing.assert_array_equal(plain.hu, asked.hu)
    assert not coded("ct-resampled", asked.remarks)


def test_doubled_slices_are_refused_even_where_uneven_ones_are_not(write_series, refused):
    folder = write_series("CT", change=moved(z=-3.0, only=(3,)))
    refused(lambda: read_ct(folder, options=CtOptions("resample")), code="slices-doubled")


def test_slices_thicker_than_their_distance_are_read_as_they_lie(write_series, place_error):
    folder = write_series("CT", change=lambda ds, _: setattr(ds, "SliceThickness", 5.0))
    assert place_error(read_ct(folder)) < ROUNDING


def test_simpleitk_sees_the_same_values_in_the_slices_that_stayed(write_series):
    folder = write_series("CT", shape=(6, 7, 9), change=moved(z=1.1, only=(3,)))
    ct = read_ct(folder, options=CtOptions("resample"))
    single = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "slice_01.dcm")))[0]
    np.testing.assert_allclose(ct.hu[1], single, atol=1e-3)


# --- tables of HU and density ---


def ct_of(hu, make_grid):
    values = np.zeros((1, 1, len(hu)), np.float32)
    values[0, 0] = hu
    return CtImage(values, make_grid(shape=(1, 1, len(hu))))


def test_a_table_of_the_site_replaces_the_default_one_and_is_named(make_grid):
    density = hu_to_density(ct_of([-2000, -1000, -500, 0, 100, 4000], make_grid), [(-1000, 0.0), (0, 1.0), (100, 1.2)])
    np.testing.assert_allclose(density.g_per_ml[0, 0], [0, 0, 0.5, 1.0, 1.2, 1.2], rtol=1e-6)
    (remark,) = coded("density-by-hu-table", density.remarks)
    assert "-1000 HU 0, 0 HU 1, 100 HU 1.2" in remark.sentence


@pytest.mark.parametrize(
    ("table", "code", "words"),
    [
        ([(0, 1.0)], "table-too-short", "two rows"),
        ([(0, 1.0), (0, 1.1)], "table-not-rising", "follows"),
        ([(100, 1.0), (0, 1.1)], "table-not-rising", "follows"),
        ([(-1000, -0.1), (0, 1.0)], "density-impossible", "-0.1"),
        ([(-1000, 1.0), (0, 1000.0)], "density-impossible", "1000"),
        ([(float("nan"), 1.0), (0, 1.0)], "table-too-short", "finite"),
    ],
)
def test_a_table_that_cannot_be_one_is_refused(make_grid, table, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        hu_to_density(ct_of([0], make_grid), table)


@pytest.mark.parametrize(
    "text", ["HU,g/mL\n-1000,0.001\n0,1\n", "-1000;0.001\n0;1\n", "# ours\n-1000\t0.001\n\n0\t1\n"]
)
def test_a_table_is_read_from_csv(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert read_hu_table(path) == [(-1000.0, 0.001), (0.0, 1.0)]


@pytest.mark.parametrize("text", ["-1000,0.001\n0\n", "-1000,air\n", "HU,g/mL\nair,0\n", "-1000,0.001,7\n"])
def test_a_row_that_is_not_two_numbers_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"table\.csv: row"):
        read_hu_table(path)


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read", check=refusal("file-missing")):
        read_hu_table(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("Lunge für,0.3\n".encode("latin-1"))
    with pytest.raises(InputError, match="not in UTF-8", check=refusal("encoding-wrong")):
        read_hu_table(tmp_path / "latin.csv")


def test_the_default_table_is_one_that_it_would_accept(make_grid):
    ct = ct_of([-1000, -500, 40, 1500], make_grid)
    np.testing.assert_array_equal(hu_to_density(ct, HU_TABLE).g_per_ml, hu_to_density(ct).g_per_ml)
