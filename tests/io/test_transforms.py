"""Rigid transforms from DICOM REG and ITK files: direction, refusals, and what other programs make of ours."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from remarks import refusal
from scipy.spatial.transform import Rotation

from voxeldose.errors import GeometryError, InputError
from voxeldose.io.dicom.registration import read_registration
from voxeldose.io.transforms import read_itk_transform, read_transform, write_itk_transform

A, B, C = "1.2.3.1", "1.2.3.2", "1.2.3.3"
POINTS = np.array([[0.0, 0, 0], [10, -20, 30], [-7, 100, 4], [55, 2, -90]])


def motion(angles=(4, -7, 12), shift=(5.0, -8.0, 11.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def moved(matrix, points=POINTS):
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def euler():
    found = sitk.Euler3DTransform((11.0, -5.0, 40.0), 0.05, -0.12, 0.2, (6.0, 3.0, -9.0))
    found.SetComputeZYX(True)
    return found


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".h5", ".mat"])
@pytest.mark.parametrize("composite", [False, True])
def test_an_itk_transform_is_the_inverse_of_what_itk_does_to_points(tmp_path, suffix, composite):
    if composite and suffix == ".mat":
        pytest.skip("MATLAB files hold one transform")
    known = euler()
    written = sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), known]) if composite else known
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(written, str(path))
    in_moving = np.array([written.TransformPoint(p) for p in POINTS.tolist()])
    np.testing.assert_allclose(moved(read_itk_transform(path), in_moving), POINTS, atol=1e-9)


def test_what_is_written_is_read_back_and_simpleitk_resamples_with_it(tmp_path):
    matrix = motion()
    write_itk_transform(matrix, tmp_path / "r.tfm")
    np.testing.assert_allclose(read_itk_transform(tmp_path / "r.tfm"), matrix, atol=1e-9)
    fixed = sitk.Image(40, 44, 36, sitk.sitkFloat32)
    fixed.SetOrigin((-30.0, -40, -20))
    fixed.SetSpacing((2.0, 2, 2))
    spot = np.array([12.0, 4.0, 18.0])  # in the moving image; SimpleITK must find it where our matrix puts it
    moving = sitk.GaussianSource(
        sitk.sitkFloat32, (60, 60, 60), (5.0, 5, 5), spot.tolist(), 1.0, (-60.0, -60, -60), (2.0, 2, 2)
    )
    found = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, sitk.ReadTransform(str(tmp_path / "r.tfm"))))
    k, j, i = np.average(np.argwhere(found > -1), axis=0, weights=found.ravel())
    place = fixed.TransformContinuousIndexToPhysicalPoint((i, j, k))
    np.testing.assert_allclose(place, moved(matrix, spot[None])[0], atol=0.05)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (sitk.ScaleTransform(3, (1.0, 1.1, 1.0)), "not a rigid transform"),
        (sitk.Similarity3DTransform(1.05, (0, 0, 1), 0.1), "not a rigid transform"),
        (sitk.BSplineTransform(3), "no rigid transform"),
        (sitk.Euler2DTransform(), "2-dimensional"),
    ],
)
def test_a_transform_that_is_not_rigid_is_refused(tmp_path, transform, words):
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    with pytest.raises(GeometryError, match=words):
        read_itk_transform(tmp_path / "t.tfm")


@pytest.mark.parametrize("transform", [sitk.BSplineTransform(3), sitk.Euler2DTransform()])
def test_a_transform_between_results_must_be_linear_in_space(tmp_path, transform):
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    with pytest.raises(GeometryError) as refusal:
        read_transform(tmp_path / "t.tfm")
    assert refusal.value.code == "transform-not-rigid"


def test_both_readers_take_an_itk_file_in_the_same_direction(tmp_path):
    sitk.WriteTransform(euler(), str(tmp_path / "t.tfm"))
    one, other = read_itk_transform(tmp_path / "t.tfm"), read_transform(tmp_path / "t.tfm")
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_four_rows_of_four_numbers_are_the_matrix_itself(tmp_path):
    matrix = motion()
    np.savetxt(tmp_path / "m.txt", matrix)
    np.testing.assert_allclose(read_transform(tmp_path / "m.txt"), matrix, atol=1e-12)
    (tmp_path / "m.txt").write_text("1 2 3")
    with pytest.raises(InputError) as refusal:
        read_transform(tmp_path / "m.txt")
    assert refusal.value.code == "table-wrong"


def test_files_that_are_no_transforms_are_refused(tmp_path):
    (tmp_path / "t.tfm").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as an ITK transform") as damaged:
        read_itk_transform(tmp_path / "t.tfm")
    with pytest.raises(InputError, match="no such transform file") as missing:
        read_itk_transform(tmp_path / "none.tfm")
    assert (damaged.value.code, missing.value.code) == ("file-damaged", "file-missing")


@pytest.fixture
def reg(tmp_path):
    """Writer of a Spatial Registration: items of (frame, matrices), in the registered frame."""

    def write(registered, *items, sop="1.2.840.10008.5.1.4.1.1.66.1"):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.Modality, ds.PatientName, ds.SeriesInstanceUID = "REG", "Secret^Name", generate_uid()
        ds.FrameOfReferenceUID, ds.RegistrationSequence = registered, []
        for frame, matrices in items:
            item, one = Dataset(), Dataset()
            item.FrameOfReferenceUID, one.MatrixSequence = frame, []
            for matrix in matrices:
                step = Dataset()
                step.FrameOfReferenceTransformationMatrixType = "RIGID"
                step.FrameOfReferenceTransformationMatrix = [f"{v:.10g}" for v in np.ravel(matrix)]
                one.MatrixSequence.append(step)
            item.MatrixRegistrationSequence = [one]
            ds.RegistrationSequence.append(item)
        ds.save_as(tmp_path / "reg.dcm", enforce_file_format=True)
        return tmp_path / "reg.dcm"

    return write


def test_a_dicom_registration_takes_points_of_its_item_to_the_registered_frame(reg):
    m, n = motion(), motion((-3, 2, 20), (0, 40, -7))
    path = reg(A, (A, [np.eye(4)]), (B, [m]), (C, [n]))
    np.testing.assert_allclose(read_registration(path, B, A), m, atol=1e-8)
    np.testing.assert_allclose(read_registration(path, A, B), np.linalg.inv(m), atol=1e-8)
    np.testing.assert_allclose(read_registration(path, B, C), np.linalg.inv(n) @ m, atol=1e-8)
    np.testing.assert_allclose(read_registration(path.parent, B, A), m, atol=1e-8)


def test_several_matrices_count_only_if_their_order_does_not(reg):
    m, n = motion(), motion((-3, 2, 20), (0, 40, -7))
    np.testing.assert_allclose(read_registration(reg(A, (B, [np.eye(4), m])), B, A), m, atol=1e-8)
    with pytest.raises(InputError, match="order matters", check=refusal("registration-ambiguous")):
        read_registration(reg(A, (B, [m, n])), B, A)


def test_registrations_of_other_frames_or_kinds_are_refused_with_the_way_out(reg, tmp_path):
    m = motion()
    path = reg(A, (B, [m]))
    with pytest.raises(
        InputError, match=rf"frames of reference {A}, {B}, but not {C}", check=refusal("frame-differs")
    ) as caught:
        read_registration(path, C, A)
    assert "Secret" not in str(caught.value)
    with pytest.raises(InputError, match=r"moving image has none.*\.tfm", check=refusal("frame-missing")):
        read_registration(path, None, A)
    with pytest.raises(InputError, match="2 different matrices", check=refusal("registration-several")):
        read_registration(reg(A, (B, [m]), (B, [np.eye(4)])), B, A)
    scaled = np.diag([1.1, 1, 1, 1])
    with pytest.raises(GeometryError, match="not a rigid transform", check=refusal("transform-not-rigid")):
        read_registration(reg(A, (B, [scaled])), B, A)
    with pytest.raises(InputError, match="deformable", check=refusal("registration-missing")):
        read_registration(reg(A, (B, [m]), sop="1.2.840.10008.5.1.4.1.1.66.3"), B, A)
    with pytest.raises(InputError, match="no matrix", check=refusal("registration-incomplete")):
        read_registration(reg(A, (B, [])), B, A)


@pytest.mark.parametrize(
    ("values", "words"), [([], r"no Frame of Reference Transformation Matrix"), ([1.0] * 12, "12 values instead of 16")]
)
def test_a_matrix_that_is_not_whole_is_refused(reg, values, words):
    path = reg(A, (B, [values]))
    with pytest.raises(InputError, match=words, check=refusal("registration-incomplete")):
        read_registration(path, B, A)


def test_two_registrations_in_a_folder_are_refused(reg, tmp_path):
    path = reg(A, (B, [motion()]))
    (tmp_path / "again.dcm").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"found 2.*Name the file", check=refusal("registration-several")) as caught:
        read_registration(tmp_path, B, A)
    assert caught.value.fields["found"] == 2


# --- files that are cut off ---


RIGID = [
    euler(),
    sitk.VersorRigid3DTransform(),
    sitk.TranslationTransform(3, (1.25, -2.5, 3.75)),
    sitk.Transform(3, sitk.sitkIdentity),
]


@pytest.mark.parametrize("suffix", [".tfm", ".txt", ".mat", ".h5", ".xfm"])
@pytest.mark.parametrize("transform", RIGID, ids=lambda t: t.GetName())
@pytest.mark.parametrize("read", [read_itk_transform, read_transform])
def test_a_transform_cut_off_anywhere_is_refused_or_the_same(tmp_path, suffix, transform, read):
    if suffix == ".xfm" and transform.GetName() in ("TranslationTransform", "Transform"):
        pytest.skip("MNI files hold matrices")
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(transform, str(path))
    sound, content = read(path), path.read_bytes()
    step = max(len(content) // 80, 1)
    for left in range(0, len(content), step):
        path.write_bytes(content[:left])
        try:
            found = read(path)
        except (InputError, GeometryError):
            continue
        np.testing.assert_array_equal(found, sound)


HEAD = "#Insight Transform File V1.0\n#Transform 0\nTransform: {}\n"


@pytest.mark.parametrize(
    ("name", "rest", "error", "code"),
    [
        ("Euler3DTransform_double_3_3", "Parameters: \nFixedParameters: 0 0 0\n", InputError, "file-damaged"),
        ("Euler3DTransform_double_3_3", "Parameters: 0 0 0 1 2\nFixedParameters: 0 0 0\n", InputError, "file-damaged"),
        (
            "Euler3DTransform_double_3_3",
            "Parameters: 0 0 0 1 2 3 4\nFixedParameters: 0 0 0\n",
            InputError,
            "file-damaged",
        ),
        ("Euler3DTransform_double_3_3", "Parameters: 0 0 0 1 2 3\nFixedParameters: 0 0\n", InputError, "file-damaged"),
        ("Euler3DTransform_double_3_3", "Parameters: 0 0 0 1 2 3\n", InputError, "file-damaged"),
        ("Euler3DTransform_double_3_3", "", InputError, "file-damaged"),
        (
            "Euler3DTransform_double_3_3",
            "Parameters: 0 0 0 1 2 nan\nFixedParameters: 0 0 0\n",
            InputError,
            "file-damaged",
        ),
        (
            "Euler3DTransform_double_3_3",
            "Parameters: 0 0 0 1 2 inf\nFixedParameters: 0 0 0\n",
            InputError,
            "file-damaged",
        ),
        (
            "Euler3DTransform_double_3_3",
            "Parameters: 0 0 0 1 2 x\nFixedParameters: 0 0 0\n",
            InputError,
            "file-damaged",
        ),
        ("Euler3DTransform_double_3_3", "Parameters: 0 0 0 1 2 3\nFixedParameters: 0 0 0", InputError, "file-damaged"),
        ("Euler3DTransform_dou", "Parameters: 0 0 0 1 2 3\nFixedParameters: 0 0 0\n", InputError, "file-damaged"),
        (
            "AffineTransform_double_3_3",
            "Parameters: 1 0 0 0 1 0 0 0 1\nFixedParameters: 0 0 0\n",
            InputError,
            "file-damaged",
        ),
        ("CompositeTransform_double_3_3", "", InputError, "file-damaged"),
        (
            "Euler2DTransform_double_2_2",
            "Parameters: 0 1 2\nFixedParameters: 0 0\n",
            GeometryError,
            "transform-not-rigid",
        ),
        ("BSplineTransform_double_3_3", "Parameters: 0\nFixedParameters: 0\n", GeometryError, "transform-not-rigid"),
        ("NewTransform_double_3_3", "Parameters: 0\nFixedParameters: 0\n", GeometryError, "transform-not-rigid"),
        (
            "ScaleTransform_double_3_3",
            "Parameters: 1 1.1 1\nFixedParameters: 0 0 0\n",
            GeometryError,
            "transform-not-rigid",
        ),
    ],
)
@pytest.mark.parametrize("read", [read_itk_transform, read_transform])
@pytest.mark.parametrize("suffix", [".tfm", ".txt"])
def test_a_transform_that_is_not_whole_never_reaches_itk(tmp_path, name, rest, error, code, read, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_text(HEAD.format(name) + rest)
    with pytest.raises(error) as caught:
        read(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_every_end_of_line_is_read(tmp_path, end):
    (tmp_path / "t.tfm").write_bytes(
        (HEAD.format("TranslationTransform_double_3_3") + "Parameters: 1 2 3\nFixedParameters: \n")
        .replace("\n", end)
        .encode()
    )
    np.testing.assert_allclose(read_itk_transform(tmp_path / "t.tfm")[:3, 3], (-1, -2, -3))


@pytest.mark.parametrize(
    "rows",
    [
        "1 0 0 1\n0 1 0 2\n0 0 1 3\n0 0 0 2\n",
        "1.1 0 0 1\n0 1 0 2\n0 0 1 3\n0 0 0 1\n",
        "1 0 0 nan\n0 1 0 2\n0 0 1 3\n0 0 0 1\n",
        "1 0 0 1\n0 1 0 2\n0 0 -1 3\n0 0 0 1\n",
    ],
)
def test_a_matrix_that_is_not_rigid_is_refused(tmp_path, rows):
    (tmp_path / "m.txt").write_text(rows)
    with pytest.raises(GeometryError) as caught:
        read_transform(tmp_path / "m.txt")
    assert caught.value.code == "transform-not-rigid"
