"""NIfTI, NRRD and MetaImage: whatever the order of the voxels, each value stays in its place in the patient."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from remarks import coded

from voxeldose.errors import InputError
from voxeldose.io.arrays import read_array, stem
from voxeldose.io.images import read_activity
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

LPS = np.diag([-1.0, -1, 1, 1])
# float32 affines and values of about 700: 6e-8 relative in each, 1e-4 with the sum of three axes
FLOAT32 = 1e-3
#: All 48 ways to order and flip three axes: as signed permutations of RAS.
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def ras_image(order, signs, shape=(4, 6, 9), spacing=(3.0, 2.0, 1.5), turn=None):
    """A NIfTI whose axis ``n`` runs along RAS axis ``order[n]``, holding the values of its places."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[order[axis], axis] = signs[axis] * spacing[axis]
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (12.0, -30.0, 55.0)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    points = (index @ affine[:3, :3].T + affine[:3, 3]) * (-1, -1, 1)
    return nib.Nifti1Image((500 + points @ np.array([1.0, 2, 3])).astype(np.float32), affine)


def as_volume(path):
    values, grid, _ = read_array(path)
    return Volume(values, grid)


def rotation(degrees, axis):
    a = np.radians(degrees)
    flat = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    whole = np.eye(3)
    rows = [n for n in range(3) if n != axis]
    whole[np.ix_(rows, rows)] = flat
    return whole


@pytest.mark.parametrize(("order", "signs"), ORDERS, ids=[f"{o}{s}" for o, s in ORDERS])
def test_every_order_and_flip_of_axes_gives_the_same_place_and_the_same_order(tmp_path, place_error, order, signs):
    nib.save(ras_image(order, signs), tmp_path / "a.nii")
    volume = as_volume(tmp_path / "a.nii")
    assert place_error(volume) < FLOAT32
    np.testing.assert_allclose(volume.grid.directions, np.eye(3)[::-1], atol=1e-6)
    lengths = dict(zip(order, zip((4, 6, 9), (3.0, 2.0, 1.5), strict=True), strict=True))
    assert volume.grid.shape == tuple(lengths[n][0] for n in (2, 1, 0))
    assert volume.grid.spacing_mm == pytest.approx([lengths[n][1] for n in (2, 1, 0)])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("degrees", [12.0, 40.0, 44.9, -77.0])
def test_oblique_files_keep_every_value_in_its_place(tmp_path, place_error, order, degrees):
    turn = rotation(degrees, 0) @ rotation(21.0, 2)
    nib.save(ras_image(order, (1, -1, 1), turn=turn), tmp_path / "a.nii.gz")
    assert place_error(as_volume(tmp_path / "a.nii.gz")) < FLOAT32


def test_a_sheared_sform_keeps_every_value_in_its_place(tmp_path, place_error):
    image = ras_image((0, 1, 2), (1, 1, 1), turn=np.array([[1, 0.2, 0], [0, 1, 0.1], [0, 0, 1.0]]))
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    volume = as_volume(tmp_path / "a.nii")
    assert not volume.grid.is_right_angled
    assert place_error(volume) < FLOAT32


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_one_form_alone_is_enough(tmp_path, place_error, form):
    image = ras_image((1, 0, 2), (-1, 1, 1))
    image.set_qform(image.affine, 1)
    (image.set_qform if form == "sform" else image.set_sform)(None, 0)
    nib.save(image, tmp_path / "a.nii")
    assert place_error(as_volume(tmp_path / "a.nii")) < FLOAT32


def test_a_file_without_sform_and_qform_is_refused(tmp_path, refused):
    image = ras_image((0, 1, 2), (1, 1, 1))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), "sform", "qform", "affine")


@pytest.mark.parametrize("how", ["flip", "shift"])
def test_forms_that_place_the_image_differently_are_refused(tmp_path, refused, how):
    image = ras_image((0, 1, 2), (1, 1, 1))
    other = image.affine.copy()
    if how == "flip":
        other[0, :] *= -1
    else:
        other[0, 3] += 1.0
    image.set_qform(other, 1)
    nib.save(image, tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), "apart", "one affine")


def test_forms_that_differ_by_rounding_are_accepted(tmp_path, place_error):
    image = ras_image((0, 1, 2), (1, 1, 1))
    near = image.affine.copy()
    near[0, 3] += 0.01
    image.set_qform(near, 1)
    nib.save(image, tmp_path / "a.nii")
    assert place_error(as_volume(tmp_path / "a.nii")) < FLOAT32


def test_a_file_of_time_points_is_refused(tmp_path, refused):
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5, 2), np.float32), np.eye(4)), tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), "(3, 4, 5, 2)", "split")


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5, 1), np.float32), np.eye(4)), tmp_path / "a.nii")
    assert read_array(tmp_path / "a.nii")[0].shape == (5, 4, 3)


def test_a_flat_file_is_refused(tmp_path, refused):
    nib.save(nib.Nifti1Image(np.ones((3, 4), np.float32), np.eye(4)), tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), "three dimensions", "(3, 4)")


@pytest.mark.parametrize("unit", ["meter", "micron"])
def test_other_lengths_than_millimetres_are_refused(tmp_path, refused, unit):
    image = ras_image((0, 1, 2), (1, 1, 1))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), unit, "millimetres")


def test_an_unstated_unit_of_length_is_noted(tmp_path):
    nib.save(ras_image((0, 1, 2), (1, 1, 1)), tmp_path / "a.nii")
    assert "millimetres are taken" in read_array(tmp_path / "a.nii")[2]["note"]
    (assumed,) = coded("unit-of-length-assumed", read_activity(tmp_path / "a.nii", quantity="counts").remarks)
    assert assumed.sentence == read_array(tmp_path / "a.nii")[2]["note"]


def test_scaled_integers_are_read_as_their_values(tmp_path):
    image = nib.Nifti1Image(np.full((3, 4, 5), 7, np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -1)
    nib.save(image, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii").get_fdata()
    np.testing.assert_allclose(read_array(tmp_path / "a.nii")[0], stored.transpose(2, 1, 0))


def test_an_affine_without_volume_is_refused_with_the_file(tmp_path, refused):
    image = ras_image((0, 1, 2), (1, 1, 1))
    image.header.set_sform(np.diag([0.0, 1, 1, 1]), 1)
    image.header.set_qform(None, 0)
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + b"\0" * 4 + np.asarray(image.dataobj).tobytes("F"))
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"))


@pytest.mark.parametrize("damage", ["text", "cut", "header", "middle", "datatype"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, refused, damage):
    path = tmp_path / "a.nii.gz"
    nib.save(ras_image((0, 1, 2), (1, 1, 1)), path)
    whole = bytearray(path.read_bytes())
    if damage == "text":
        path.write_text("this is no image")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "header":
        path.write_bytes(gzip.compress(b"\0" * 400))
    elif damage == "middle":
        whole[len(whole) // 2 : len(whole) // 2 + 20] = b"\xff" * 20
        path.write_bytes(whole)
    else:
        plain = bytearray(gzip.decompress(whole))
        plain[70:72] = b"\x7b\x7b"
        path.write_bytes(gzip.compress(plain))
    refused(lambda: read_array(path), str(path), "Write the file again")


def test_a_colour_nifti_is_refused(tmp_path, refused):
    rgb = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), "colour", code="values-not-real")


def test_a_file_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path, refused):
    refused(lambda: read_array(tmp_path / "a.nii"), str(tmp_path / "a.nii"), "no such file")
    (tmp_path / "a.png").write_bytes(b"")
    refused(lambda: read_array(tmp_path / "a.png"), str(tmp_path / "a.png"), ".nii.gz", "DICOM")


# --- writing ---


@pytest.mark.parametrize("kind", ["axial", "oblique", "left_handed", "sagittal"])
def test_what_is_written_is_read_back_in_its_place(tmp_path, make_grid, field, place_error, kind):
    grid = make_grid(kind)
    write_nifti(Volume(field(grid), grid), tmp_path / "a.nii.gz")
    assert place_error(as_volume(tmp_path / "a.nii.gz")) < FLOAT32


@pytest.mark.parametrize("kind", ["axial", "oblique", "left_handed", "sagittal"])
def test_nibabel_and_simpleitk_find_the_hottest_voxel_where_it_was_written(tmp_path, make_grid, field, kind):
    grid = make_grid(kind)
    values = field(grid)
    write_nifti(Volume(values, grid), tmp_path / "a.nii.gz")
    wanted = grid.points_lps_mm(np.unravel_index(values.argmax(), values.shape))
    image = nib.load(tmp_path / "a.nii.gz")
    found = image.affine @ [*np.unravel_index(np.argmax(image.get_fdata()), image.shape), 1]
    # affines in the file are float32
    np.testing.assert_allclose(found[:3] * (-1, -1, 1), wanted, atol=1e-4)
    other = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    index = np.unravel_index(np.argmax(sitk.GetArrayFromImage(other)), values.shape)
    np.testing.assert_allclose(other.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]]), wanted, atol=1e-4)


def test_a_written_file_is_float32_millimetres_with_both_forms_alike(tmp_path, make_grid, field):
    grid = make_grid("oblique")
    write_nifti(Volume(field(grid), grid), tmp_path / "a.nii", description="x" * 200)
    image = nib.load(tmp_path / "a.nii")
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)


def test_a_sheared_grid_is_written_with_its_sform_alone_and_read_back(tmp_path, place_error, make_grid, field):
    affine = make_grid().affine_lps_mm.copy()
    affine[0, 1] += 0.4
    grid = Grid((4, 6, 9), affine)
    write_nifti(Volume(field(grid), grid), tmp_path / "a.nii")
    assert int(nib.load(tmp_path / "a.nii").header["qform_code"]) == 0
    assert place_error(as_volume(tmp_path / "a.nii")) < FLOAT32


def test_written_labels_stay_whole_numbers_in_their_place(tmp_path, make_grid):
    grid = make_grid("oblique")
    labels = np.zeros(grid.shape, np.uint8)
    labels[1, 2, 3] = 5
    write_labels(labels, grid, tmp_path / "a.nii.gz")
    values, found, _ = read_array(tmp_path / "a.nii.gz")
    assert values.dtype == np.uint8
    (index,) = np.argwhere(values == 5)
    np.testing.assert_allclose(found.points_lps_mm(index), grid.points_lps_mm((1, 2, 3)), atol=1e-4)


# --- NRRD and MetaImage ---


def itk_image(grid, values):
    image = sitk.GetImageFromArray(np.asarray(values, np.float32))
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    image.SetDirection(grid.directions[:, ::-1].ravel().tolist())
    return image


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("kind", ["axial", "oblique", "left_handed", "coronal"])
def test_itk_files_keep_every_value_in_its_place(tmp_path, make_grid, field, place_error, kind, suffix):
    grid = make_grid(kind)
    sitk.WriteImage(itk_image(grid, field(grid)), str(tmp_path / f"a{suffix}"))
    assert place_error(as_volume(tmp_path / f"a{suffix}")) < FLOAT32


def nrrd(path, space):
    values = np.arange(24, dtype=np.float32)
    header = ["NRRD0004", "type: float", "dimension: 3", *([f"space: {space}"] if space else []), "sizes: 4 3 2"]
    frame = ["space directions: (2,0,0) (0,3,0) (0,0,4)", "space origin: (10,20,30)"] if space else ["spacings: 2 3 4"]
    text = "\n".join([*header, *frame, "endian: little", "encoding: raw"])
    path.write_bytes(text.encode() + b"\n\n" + values.tobytes())
    return path


@pytest.mark.parametrize(
    ("space", "first"),
    [
        ("left-posterior-superior", (10, 20, 30)),
        ("right-anterior-superior", (-10, -20, 30)),
        ("left-anterior-superior", (10, -20, 30)),
    ],
)
def test_an_nrrd_is_placed_by_its_space(tmp_path, space, first):
    values, grid, _ = read_array(nrrd(tmp_path / "a.nrrd", space))
    np.testing.assert_allclose(grid.points_lps_mm(np.argwhere(values == 0)[0]), first)


def test_an_nrrd_without_a_space_is_refused(tmp_path, refused):
    path = nrrd(tmp_path / "a.nrrd", "")
    refused(lambda: read_array(path), str(path), "no 'space'", "left-posterior-superior")


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-right-handed"])
def test_an_nrrd_in_a_space_that_is_not_the_patient_is_refused(tmp_path, refused, space):
    path = nrrd(tmp_path / "a.nrrd", space)
    refused(lambda: read_array(path), str(path), "space")


def test_a_damaged_nrrd_is_refused(tmp_path, refused):
    path = nrrd(tmp_path / "a.nrrd", "left-posterior-superior")
    path.write_bytes(path.read_bytes()[:-30])
    refused(lambda: read_array(path), str(path), "cannot be read")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("liver.nii.gz", "liver"), ("a.b.NII", "a.b"), ("rois.seg.nrrd", "rois"), ("x.nrrd", "x"), ("y.mha", "y")],
)
def test_the_stem_of_a_file_has_none_of_its_image_suffixes(tmp_path, name, wanted):
    assert stem(tmp_path / name) == wanted


def test_read_array_returns_contiguous_arrays(tmp_path):
    nib.save(ras_image((2, 0, 1), (-1, 1, -1)), tmp_path / "a.nii")
    assert read_array(tmp_path / "a.nii")[0].flags.c_contiguous


def test_an_unknown_suffix_when_writing_is_refused(tmp_path, make_grid, field):
    grid = make_grid()
    with pytest.raises(InputError, match="nii"):
        write_nifti(Volume(field(grid), grid), tmp_path / "dose.dat")


def set_unit(image):
    image.header.set_xyzt_units("meter")


def lose_place(image):
    image.set_sform(None, 0)
    image.set_qform(None, 0)


@pytest.mark.parametrize(("change", "code"), [(set_unit, "unit-wrong"), (lose_place, "place-unknown")])
def test_a_header_that_cannot_be_used_has_its_code(tmp_path, change, code):
    image = ras_image((0, 1, 2), (1, 1, 1))
    change(image)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError) as refusal:
        read_array(tmp_path / "a.nii")
    assert refusal.value.code == code


def test_files_that_cannot_be_read_have_their_codes(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"no image")
    (tmp_path / "a.nrrd").write_bytes(b"no image")
    (tmp_path / "a.png").write_bytes(b"no image")
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)), tmp_path / "times.nii")
    codes = {"a.nii": "file-damaged", "a.nrrd": "file-damaged", "a.png": "format-unknown", "none.nii": "file-missing"}
    for name, code in (codes | {"times.nii": "dimensions-not-three"}).items():
        with pytest.raises(InputError) as refusal:
            read_array(tmp_path / name)
        assert refusal.value.code == code, name
