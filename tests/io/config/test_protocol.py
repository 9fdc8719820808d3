"""A site's protocol under a case file: who wins, what is merged, what is refused and where."""

from pathlib import Path

import pytest
from remarks import refusal

from voxeldose.errors import InputError
from voxeldose.io.config.case import case_file_from, input_files, read_case_file, read_case_tables
from voxeldose.io.config.flags import with_flags
from voxeldose.io.config.protocol import OF_ONE_CASE, lay_over
from voxeldose.io.config.reference import case_keys

CASE = """
protocol = "../site/site.toml"
[activity]
path = "pet.nii.gz"
[[rois]]
path = "labels.nii.gz"
[administration]
administered_mbq = 500.0
[dose]
engine = "local"
[report]
operator = "A. Example"
"""
SITE = """
[administration]
device = "glass"
[dose]
engine = "density"
constants = "vendor"
thresholds = "limits.toml"
[uncertainty]
probabilities = ["lesion.d95>=400"]
calibration_fraction = 0.05
[report]
activity_meter = "well chamber"
operator = "nobody"
"""


@pytest.fixture
def write(tmp_path):
    """Writer of a case file and the protocol that it names; gives the case file."""

    def both(case=CASE, site=SITE):
        for name, text in (("case", case), ("site", site)):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{name}.toml").write_text(text, "utf-8")
        return tmp_path / "case" / "case.toml"

    return both


def test_keys_of_the_case_win_and_tables_merge(write):
    case = read_case_file(write())
    assert (case.dose.engine, case.dose.constants) == ("local", "vendor")
    assert (case.administration.device, case.administration.administered_mbq) == ("glass", 500.0)
    assert (case.report.operator, case.report.activity_meter) == ("A. Example", "well chamber")


def test_lists_are_replaced_whole(write):
    own = CASE + '[uncertainty]\nprobabilities = ["lesion.mean>=100"]\n'
    case = read_case_file(write(own))
    assert case.uncertainty.probabilities == ["lesion.mean>=100"]
    assert case.uncertainty.calibration_fraction == 0.05


def test_paths_are_relative_to_the_file_that_they_stand_in(write, tmp_path):
    case = read_case_file(write())
    assert Path(case.dose.thresholds).resolve() == tmp_path / "site" / "limits.toml"
    assert Path(case.activity.path) == tmp_path / "case" / "pet.nii.gz"
    assert Path(case.protocol).resolve() == tmp_path / "site" / "site.toml"


def test_the_protocol_is_an_input(write, tmp_path):
    assert tmp_path / "site" / "site.toml" in {p.resolve() for p in input_files(read_case_file(write()))}


@pytest.mark.parametrize(
    ("site", "case", "kept"),
    [
        ('density = "ct"', "density_g_per_ml = 1.06", {"density": "uniform", "density_g_per_ml": 1.06}),
        ("density_g_per_ml = 1.06", 'density = "ct"', {"density": "ct", "density_g_per_ml": None}),
    ],
)
def test_of_keys_that_exclude_each_other_the_case_s_is_kept(write, site, case, kept):
    read = read_case_file(write(CASE.replace('engine = "local"', case), f"[dose]\n{site}\n"))
    assert {key: getattr(read.dose, key) for key in kept} == kept


def test_tables_are_laid_over_without_changing_either():
    below, above = {"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "e": 2}
    assert lay_over(below, above) == {"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}
    assert (below, above) == ({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "e": 2})


def test_an_unknown_key_names_the_protocol_and_the_nearest_key(write):
    with pytest.raises(
        InputError, match=r"site\.toml: unknown key 'dose\.engin'.*'engine'", check=refusal("key-unknown")
    ):
        read_case_file(write(site="[dose]\nengin = 'dpk'\n"))
    with pytest.raises(InputError, match=r"site\.toml: dose\.engine", check=refusal("value-wrong")):
        read_case_file(write(site="[dose]\nengine = 'fast'\n"))
    with pytest.raises(InputError, match="no such site protocol", check=refusal("file-missing")):
        read_case_file(write(CASE.replace("site.toml", "other.toml")))


@pytest.mark.parametrize(
    "site",
    [
        "[administration]\nadministered_mbq = 1850.0\n",
        '[report]\nsigned_off_by = "C. Example"\nsigned_off_at = 2024-05-02T10:15:00Z\n',
        '[case]\nid = "x"\n',
        'protocol = "other.toml"\n',
    ],
)
def test_what_belongs_to_one_case_is_refused_in_a_protocol(write, site):
    with pytest.raises(InputError, match=r"belong.* to one case", check=refusal("key-of-one-case")):
        read_case_file(write(site=site))


def test_keys_of_one_case_are_keys():
    known = {f"{key.table.strip('[]')}.{key.name}".lstrip(".") for key in case_keys()}
    tables = {key.table.strip("[]") for key in case_keys()}
    assert not [key for key in OF_ONE_CASE if key not in known | tables]


def test_the_flag_takes_the_place_of_the_protocol_that_the_case_names(write, tmp_path):
    path = write()
    (tmp_path / "mine.toml").write_text('[dose]\nconstants = "icrp107"\n')
    tables = with_flags(read_case_tables(path), {"protocol": tmp_path / "mine.toml"})
    assert case_file_from(tables, "test").dose.constants == "icrp107"
