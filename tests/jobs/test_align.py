"""What moves with a registration, what stays, and what is refused; and the whole job from files."""

import json

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from voxeldose.errors import GeometryError, InputError
from voxeldose.io.config.case import DerivedTable, RegistrationTable, case_file_from, read_case_tables
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.io.transforms import read_itk_transform, write_itk_transform
from voxeldose.jobs.align import AlignedImages, align
from voxeldose.jobs.run_case import run_case
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CountMap, CtImage

PET, CT, OTHER = "1.2.1", "1.2.2", "1.2.3"
MOTION = np.eye(4)
MOTION[:3, :3] = Rotation.from_euler("xyz", (4, -3, 8), degrees=True).as_matrix()
MOTION[:3, 3] = (12, -7, 20)


def field(grid):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    return 500 + grid.points_lps_mm(index) @ np.array([1.0, 2.0, 3.0])


def region(name, grid):
    occupancy = np.zeros(grid.shape)
    occupancy[2:4, 2:5, 3:6] = 1
    return Roi(name, "other", occupancy, grid)


@pytest.fixture
def study(tmp_path):
    """Images in two frames, a region on each, and the transform between them in a file."""

    def make(pet=PET, ct=CT, drawn=(None, None), extra=()):
        pet_grid = Grid.from_axes((6, 7, 9), (3, 2, 1.5), (0, 0, 0), frame_uid=pet)
        ct_grid = Grid.from_axes((7, 9, 8), (2, 1.5, 1), (5, 4, 3), frame_uid=ct)
        sets = (
            RoiSet((region("on_pet", pet_grid),), pet_grid),
            RoiSet((region("on_ct", ct_grid),), ct_grid),
            *(RoiSet((r,)) for r in extra),
        )
        drawn = (*drawn, *(None for _ in extra))
        write_itk_transform(MOTION, tmp_path / "t.tfm")
        image = ActivityMap(field(pet_grid), pet_grid)
        return AlignedImages(image, CtImage(field(ct_grid), ct_grid), sets, drawn)

    return make


def table(tmp_path, **keys):
    return RegistrationTable(path=str(tmp_path / "t.tfm"), **keys)


def test_the_activity_and_its_regions_move_to_the_ct_and_every_voxel_keeps_its_value(study, tmp_path):
    before = study()
    after, found = align(before, table(tmp_path))
    assert (found.moving, found.fixed, found.frames) == ("activity", "ct", (PET, CT))
    assert after.activity.grid.frame_uid == CT
    np.testing.assert_array_equal(after.activity.values, before.activity.values)
    back = after.activity.grid.moved(np.linalg.inv(MOTION), PET)
    np.testing.assert_allclose(after.activity.values, field(back), atol=1e-3)
    moved, still = after.rois[0]["on_pet"], after.rois[1]["on_ct"]
    wanted = before.rois[0]["on_pet"].grid.corners() @ MOTION[:3, :3].T + MOTION[:3, 3]
    np.testing.assert_allclose(moved.grid.corners(), wanted, atol=1e-9)
    assert still is before.rois[1]["on_ct"]
    assert moved.volume_ml == pytest.approx(before.rois[0]["on_pet"].volume_ml, rel=1e-12)


def test_the_ct_moves_to_the_activity_if_wished(study, tmp_path):
    before = study()
    after, found = align(before, table(tmp_path, moving="ct"))
    assert found.fixed == "activity"
    assert after.ct.grid.frame_uid == PET
    assert after.activity is before.activity
    assert after.rois[0]["on_pet"] is before.rois[0]["on_pet"]
    np.testing.assert_allclose(after.rois[1].grid.corners(), after.ct.grid.corners())


def test_regions_alone_move_where_there_is_no_ct(study, tmp_path):
    before = study()
    after, found = align(AlignedImages(before.activity, None, before.rois, before.drawn_on), table(tmp_path))
    assert (found.moving, found.fixed, found.frames) == ("rois", "activity", (CT, PET))
    assert after.rois[1]["on_ct"].grid.frame_uid == PET
    assert after.rois[0]["on_pet"] is before.rois[0]["on_pet"]


def test_without_frames_the_voxels_tell_on_what_a_region_was_drawn(study, tmp_path):
    after, _ = align(study(pet=None, ct=None), table(tmp_path))
    np.testing.assert_allclose(after.rois[0].grid.corners(), after.activity.grid.corners())
    np.testing.assert_allclose(after.rois[1].grid.corners(), after.ct.grid.corners())


def test_a_region_of_which_nothing_tells_is_refused_until_the_user_says(study, tmp_path):
    lost = region("lost", Grid.from_axes((6, 7, 9), (1, 1, 1), (3, 2, 1)))
    with pytest.raises(GeometryError, match=r"ROI 'lost'.*drawn_on") as refusal:
        align(study(extra=(lost,)), table(tmp_path))
    assert (refusal.value.code, refusal.value.fields) == ("drawn-on-unknown", {"roi": "lost"})
    before = study(extra=(lost,))
    stated = AlignedImages(before.activity, before.ct, before.rois, (None, None, "activity"))
    assert align(stated, table(tmp_path))[0].rois[2]["lost"].grid.frame_uid == CT


def test_a_region_of_a_third_frame_stays_and_is_refused_later(study, tmp_path):
    third = region("third", Grid.from_axes((6, 7, 9), (1, 1, 1), (3, 2, 1), frame_uid=OTHER))
    after, _ = align(study(extra=(third,)), table(tmp_path))
    assert after.rois[2]["third"].grid.frame_uid == OTHER


@pytest.mark.parametrize(
    ("keys", "code"),
    [({}, "key-missing"), ({"path": "t.tfm", "method": "rigid"}, "keys-contradict")],
)
def test_a_table_with_neither_or_both_ways_is_refused(study, keys, code):
    with pytest.raises(InputError, match="either path") as refusal:
        align(study(), RegistrationTable(**keys))
    assert refusal.value.code == code


def test_moving_images_that_are_not_there_are_refused(study, tmp_path):
    placed = study()
    alone = AlignedImages(placed.activity, None, placed.rois[:1], (None,))
    without_ct = AlignedImages(placed.activity, None, placed.rois, (None, None))
    third = region("third", Grid.from_axes((6, 7, 9), (1, 1, 1), (3, 2, 1), frame_uid=OTHER))
    without_ct_of_two = AlignedImages(placed.activity, None, (*placed.rois, RoiSet((third,))), (None, None, None))
    for images, keys, code, words in (
        (alone, table(tmp_path, moving="activity"), "ct-missing", "needs a CT"),
        (alone, table(tmp_path), "nothing-moves", "nothing would move"),
        (without_ct, RegistrationTable(method="rigid"), "key-missing", "needs image"),
        (without_ct_of_two, table(tmp_path), "frames-several", rf"{CT}, {OTHER}.*Leave the others out"),
    ):
        with pytest.raises(InputError, match=words) as refusal:
            align(images, keys)
        assert refusal.value.code == code


def test_the_facts_of_a_motion_are_its_angles_and_the_shift_of_the_centre(study, tmp_path):
    placed = study()
    _, found = align(placed, table(tmp_path))
    facts = found.facts()
    np.testing.assert_allclose(facts["rotation_xyz_deg"], (4, -3, 8), atol=1e-6)
    assert facts["rotation_deg"] == pytest.approx(np.degrees(Rotation.from_matrix(MOTION[:3, :3]).magnitude()))
    centre = placed.activity.grid.corners().mean(axis=0)
    wanted = MOTION[:3, :3] @ centre + MOTION[:3, 3] - centre
    np.testing.assert_allclose(facts["shift_of_centre_mm_xyz"], wanted, atol=1e-9)
    assert "no value was interpolated" in found.remark().sentence


CASE = """
[activity]
path = "{activity}"
quantity = "counts"
[ct]
path = "ct.nii.gz"
[[rois]]
path = "labels.nii.gz"
labels = {{ 1 = {{ name = "liver", role = "liver" }}, 2 = {{ name = "lesion", role = "tumor" }} }}
[administration]
administered_mbq = 100.0
at = 2024-05-02T10:15:00Z
[dose]
engine = "local"
grid = "ct"
[[derived]]
name = "perfused_normal"
role = "other"
from = "liver | lesion - lesion"
[[derived]]
name = "ring"
role = "other"
from = "lesion"
margin_mm = 6
within = "liver"
[[derived]]
name = "hot"
role = "perfused"
isocontour_fraction = 0.3
isocontour_of = "maximum of lesion"
"""


@pytest.fixture
def files(tmp_path):
    """A CT with labels, an activity on the same voxels, and that activity as another scanner would have placed it."""
    grid = Grid.from_axes((20, 24, 28), (4, 4, 4), (-50, -40, -30))
    labels = np.zeros(grid.shape, np.uint8)
    labels[3:17, 4:20, 4:24] = 1
    labels[8:12, 9:14, 10:16] = 2
    hu = np.where(labels > 0, 100.0, -300.0) + np.random.default_rng(1).normal(0, 5, grid.shape)
    write_nifti(CtImage(hu, grid), tmp_path / "ct.nii.gz")
    write_labels(labels, grid, tmp_path / "labels.nii.gz")
    counts = np.where(labels == 2, 50.0, np.where(labels == 1, 10.0, 0.0))
    write_nifti(CountMap(counts, grid), tmp_path / "here.nii.gz")
    write_nifti(CountMap(counts, grid.moved(np.linalg.inv(MOTION), None)), tmp_path / "there.nii.gz")
    write_itk_transform(MOTION, tmp_path / "t.tfm")

    def run(activity, extra="", name="out"):
        (tmp_path / f"{name}.toml").write_text(CASE.format(activity=activity) + extra, "utf-8")
        config = case_file_from(read_case_tables(tmp_path / f"{name}.toml"), "case.toml")
        run_case(config, tmp_path / name)
        return json.loads((tmp_path / name / "assessment.json").read_text("utf-8")), tmp_path / name

    return run


def test_a_registered_case_gives_the_doses_of_the_case_that_needed_none(files):
    plain, _ = files("here.nii.gz", name="plain")
    moved, folder = files("there.nii.gz", '[registration]\npath = "t.tfm"\n', name="moved")
    assert plain["registration"] is None
    for roi, numbers in plain["rois"].items():
        # NIfTI keeps affines in float32
        assert moved["rois"][roi]["mean_dose_gy"] == pytest.approx(numbers["mean_dose_gy"], rel=1e-4)
        assert moved["rois"][roi]["volume_ml"] == pytest.approx(numbers["volume_ml"], rel=1e-4)
    facts = moved["registration"]
    assert facts["rotation_deg"] == pytest.approx(9.5, abs=0.5)
    assert facts["metric"]["after"] > facts["metric"]["before"]
    registered = next(one for one in moved["assumptions"] if one["code"] == "registered")
    assert "registered rigidly to the ct" in registered["message"]
    np.testing.assert_allclose(read_itk_transform(folder / "registration.tfm"), MOTION, atol=1e-9)
    manifest = json.loads((folder / "run.json").read_text("utf-8"))
    assert manifest["registration"] == facts
    assert {"t.tfm", "there.nii.gz"} <= {p["path"].rpartition("/")[2] for p in manifest["inputs"]}
    again = DerivedTable.model_validate(manifest["case"]["derived"][0])
    assert (again.name, again.expression) == ("perfused_normal", "liver | lesion - lesion")
    page = (folder / "report.html").read_text("utf-8")
    assert "Registration" in page
    assert "ITK transform t.tfm" in page


def test_a_transform_the_wrong_way_round_earns_a_warning(files, tmp_path):
    away = np.eye(4)
    away[:3, :3] = Rotation.from_euler("z", 2, degrees=True).as_matrix()
    counts = sitk.ReadImage(str(tmp_path / "here.nii.gz"))
    sitk.WriteImage(counts[:, :, 1:], str(tmp_path / "cut.nii.gz"))  # so that its voxels are not those of the CT
    away[:3, 3] = (9, -8, 6)
    write_itk_transform(away, tmp_path / "away.tfm")
    found, _ = files("cut.nii.gz", '[registration]\npath = "away.tfm"\n')
    doubt = next(one for one in found["warnings"] if one["code"] == "registration-less-alike")
    assert "not its inverse" in doubt["message"]


def test_derived_regions_stand_in_the_results_with_how_they_were_made(files):
    found, _ = files("here.nii.gz")
    rois = found["rois"]
    assert rois["perfused_normal"]["volume_ml"] == pytest.approx(rois["normal_liver"]["volume_ml"], rel=1e-6)
    assert rois["hot"]["role"] == "perfused"
    # from 50 to 10 between voxel centres, 15 is reached three eighths of a voxel beyond the lesion of 4 x 5 x 6 voxels
    assert rois["hot"]["volume_ml"] == pytest.approx(4.75 * 5.75 * 6.75 * 0.064, rel=0.01)
    assert rois["ring"]["volume_ml"] > 10
    derived = {one["numbers"]["roi"]: one for one in found["assumptions"] if one["code"] == "roi-derived"}
    assert set(derived) == {"perfused_normal", "ring", "hot"}
    assert "it is lesion, grown by 6 mm" in derived["ring"]["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('[[derived]]\nname = "x"\nrole = "other"\nfrom = "livr"\n', "did you mean 'liver'"),
        ('[[derived]]\nname = "x"\nrole = "other"\n', "give one of from"),
        ('[[derived]]\nname = "x"\nrole = "other"\nform = "liver"\n', "did you mean 'from'"),
        ('[[derived]]\nname = "x"\nrole = "other"\nisocontour_fraction = 40\n', "less than or equal to 1"),
        (
            '[[derived]]\nname = "x"\nrole = "other"\nisocontour_fraction = 0.4\nisocontour_of = "max"\n',
            "isocontour_of",
        ),
        ('[registration]\npth = "t.tfm"\n', "did you mean 'path'"),
        ('[registration]\nmethod = "rigid"\nmoving = "pet"\n', "registration.moving"),
    ],
)
def test_mistakes_in_the_new_tables_name_the_key_and_the_nearest(files, change, words):
    with pytest.raises(InputError, match=f"(?i){words}"):
        files("here.nii.gz", change)


def test_a_registration_found_by_the_job_is_told_with_its_metric(files, tmp_path):
    image = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))
    image.SetOrigin([o + d for o, d in zip(image.GetOrigin(), (-3, 2, -4), strict=True)])
    sitk.WriteImage(image, str(tmp_path / "low_ct.nii.gz"))
    activity = sitk.ReadImage(str(tmp_path / "here.nii.gz"))
    activity.SetOrigin(image.GetOrigin())
    sitk.WriteImage(activity, str(tmp_path / "there.nii.gz"))
    found, _ = files("there.nii.gz", '[registration]\nmethod = "rigid"\nimage = "low_ct.nii.gz"\n')
    np.testing.assert_allclose(found["registration"]["shift_of_centre_mm_xyz"], (3, -2, 4), atol=0.5)
    assert found["registration"]["rotation_deg"] < 0.5
    assert found["registration"]["metric"]["name"] == "Mattes mutual information"
