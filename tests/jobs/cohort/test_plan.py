import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cohort_cases import make_case

from voxeldose.errors import InputError
from voxeldose.jobs.cohort.entry import Entry, build_case_file, known_columns
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import read_plan

LABELS = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lesion", "role": "tumor"}}
HEAD = "activity.path,activity.quantity,rois.path,rois.labels,administration.administered_mbq,administration.at"


def entries(path: Path, **more) -> list[Entry]:
    plan = path.parent / "the.plan"
    write_plan(Source(path, **more), path.parent / "out", plan)
    return list(read_plan(plan))


def table(folder: Path, text: str, name: str = "cases.csv") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def cells(folder: Path, row: str, head: str = HEAD) -> Entry:
    (entry,) = entries(table(folder, f"{head}\n{row}\n"))
    return entry


QUOTED = '"' + json.dumps(LABELS).replace('"', '""') + '"'


def test_a_row_of_paths_and_values_is_the_case_file_that_would_hold_them(tmp_path):
    entry = cells(tmp_path, f"a/pet.nii.gz,bq_per_ml,a/labels.nii.gz,{QUOTED},1850,2024-05-02T10:15:00+00:00")
    config = build_case_file(entry)
    assert config.activity.path == str(tmp_path / "a/pet.nii.gz")
    assert config.activity.quantity == "bq_per_ml"
    assert config.rois[0].path == str(tmp_path / "a/labels.nii.gz")
    assert config.rois[0].labels["2"].role == "tumor"
    assert config.administration.administered_mbq == 1850.0
    assert config.administration.at == datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    assert config.case.id == entry.name


def test_empty_cells_are_not_given(tmp_path):
    config = build_case_file(cells(tmp_path, f"pet,,labels,{QUOTED},1850,"))
    assert config.activity.quantity is None
    assert config.administration.at is None


def test_a_row_overrides_its_case_file_and_a_template_fills_what_both_leave_out(tmp_path):
    make_case(tmp_path, "one", 1)
    shared = table(
        tmp_path,
        '[dose]\nengine = "local"\n[activity]\nquantity = "bq"\n[administration]\nresidual_mbq = 2.0\n',
        "t.toml",
    )
    file = table(tmp_path, "case,administration.administered_mbq\none.toml,77.5\n")
    (entry,) = entries(file, template=shared)
    config = build_case_file(entry)
    assert (config.administration.administered_mbq, config.administration.residual_mbq) == (77.5, 2.0)
    assert (config.dose.engine, config.activity.quantity) == ("local", "bq_per_ml")
    assert config.case.id == "one"


def test_labels_of_a_template_are_kept_for_regions_of_a_row(tmp_path):
    shared = table(
        tmp_path,
        '[[rois]]\npath = "none"\nlabels = { 1 = { name = "liver", role = "liver" } }\n[activity]\npath = "x"\n',
        "t.toml",
    )
    (entry,) = entries(table(tmp_path, "activity.path,rois.path\npet,mine.nii.gz\n"), template=shared)
    (rois,) = build_case_file(entry).rois
    assert rois.path == str(tmp_path / "mine.nii.gz")
    assert rois.labels["1"].name == "liver"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_are_told_apart_by_comma_semicolon_or_tab_and_a_byte_order_mark_is_no_column(tmp_path, mark):
    (tmp_path / "cases.csv").write_bytes(b"\xef\xbb\xbf" + f"case{mark}dose.engine\r\na.toml{mark}local\r\n".encode())
    (entry,) = entries(tmp_path / "cases.csv")
    assert entry.case_file == str(tmp_path / "a.toml")
    assert entry.cells == {"dose.engine": "local"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("case,administration.administerd_mbq\na,1\n", "key-unknown", "did you mean 'administration.administered_mbq'"),
        ("case,case\na,b\n", "name-taken", "'case' appears twice"),
        ("pair,dose.engine\nx,local\n", "key-missing", "no column 'case'"),
        ("case\n", "cohort-empty", "no rows"),
        ('case,case.id\na,"b\n', "file-damaged", "cannot be read as CSV"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused_as_a_whole(tmp_path, text, code, words):
    with pytest.raises(InputError, match=words) as refusal:
        entries(table(tmp_path, text))
    assert refusal.value.code == code


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError) as refusal:
        entries(tmp_path / "cases.csv")
    assert refusal.value.code == "file-missing"


def test_a_number_with_a_decimal_comma_is_refused_and_not_guessed(tmp_path):
    file = table(tmp_path, "activity.path;rois.path;administration.administered_mbq\npet;labels;1850,5\n")
    (entry,) = entries(file)
    with pytest.raises(InputError, match=r"administration\.administered_mbq.*'1850,5'"):
        build_case_file(entry)


def test_labels_in_a_cell_that_are_no_json_are_refused_with_an_example(tmp_path):
    entry = cells(tmp_path, "pet,,labels,{1: liver},1850,")
    with pytest.raises(InputError, match=r'written \{"1": \{"name": "liver"') as refusal:
        build_case_file(entry)
    assert refusal.value.code == "value-not-understood"


def test_a_row_longer_than_its_head_is_refused_alone(tmp_path):
    first, second = entries(table(tmp_path, "case\na.toml,b.toml\nc.toml\n"))
    assert first.refused_code == "row-too-long"
    with pytest.raises(InputError, match="more cells") as refusal:
        build_case_file(first)
    assert refusal.value.code == "row-too-long"
    assert second.refused is None


def test_the_second_case_of_a_label_is_refused_whatever_its_letters_case(tmp_path):
    first, second, third = entries(table(tmp_path, "case,case.id\na.toml,LIV-1\nb.toml,liv-1\nc.toml,LIV-2\n"))
    assert first.refused is None
    assert third.refused is None
    assert "row 1" in second.refused
    assert len({e.name.casefold() for e in (first, second, third)}) == 3


@pytest.mark.parametrize("label", ["../../etc", "a/b", "a\\b", ".hidden", "über", "x" * 300, "a b", "con:1"])
def test_a_label_becomes_a_folder_name_that_stays_where_it_belongs(tmp_path, label):
    (entry,) = entries(table(tmp_path, f'case,case.id\na.toml,"{label}"\n'))
    assert Path(entry.name).name == entry.name
    assert not entry.name.startswith(".")
    assert entry.name.isascii()
    assert len(entry.name) < 120


def test_a_folder_is_searched_for_case_files_and_its_names_stay_out_of_the_plan(tmp_path):
    data = tmp_path / "data"
    for name in ("Doe_Jane", "Roe_Richard"):
        (data / name).mkdir(parents=True)
        make_case(data / name, "scan", 1)
        file = data / name / "scan.toml"
        file.write_text(file.read_text().replace('id = "scan"', ""))
    (data / "settings.toml").write_text("[tool]\nx = 1\n")
    (data / "broken.toml").write_text("[activity\n")
    shutil.copytree(data / "Doe_Jane", data / "out")
    found = entries_of_folder(data)
    assert [Path(e.case_file).relative_to(data).as_posix() for e in found] == [
        "broken.toml",
        "Doe_Jane/scan.toml",
        "Roe_Richard/scan.toml",
    ]
    assert len({e.name for e in found}) == 3
    assert not any("Doe" in e.name + e.pair + e.where for e in found)
    assert build_case_file(found[1]).case.id == found[1].name
    named = entries_of_folder(data, identifiers=True)
    assert named[1].name.startswith("Doe_Jane_scan")


def entries_of_folder(folder: Path, **more) -> list[Entry]:
    plan = folder.parent / "the.plan"
    write_plan(Source(folder, **more), folder / "out", plan)
    return list(read_plan(plan))


def test_case_files_in_one_folder_are_a_pair(tmp_path):
    data = tmp_path / "data"
    for name, folder in (("maa", "one"), ("pet", "one"), ("pet2", "two")):
        (data / folder).mkdir(parents=True, exist_ok=True)
        make_case(data / folder, name, 1)
    first, second, third = entries_of_folder(data)
    assert first.pair == second.pair != third.pair


def test_a_folder_without_case_files_says_what_to_do(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="--template"):
        entries_of_folder(tmp_path / "data")


TEMPLATE = """
[activity]
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[[rois]]
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion", role = "tumor" }, 3 = { name = "other", role = "tumor" } }
[administration]
administered_mbq = 60.0
at = 2024-05-02T10:15:00Z
"""


def studies(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for n, name in enumerate(("first", "second")):
        (data / name).mkdir(parents=True)
        make_case(data / name, f"s{n}", n)
        (data / name / f"s{n}.toml").unlink()
    return data


def test_a_template_finds_in_each_study_the_one_image_and_the_one_set_of_regions(tmp_path):
    data, template = studies(tmp_path), table(tmp_path, TEMPLATE, "t.toml")
    found = entries_of_folder(data, template=template)
    configs = [build_case_file(e) for e in found]
    assert [c.activity.path for c in configs] == [str(data / "first/s0-pet.nii.gz"), str(data / "second/s1-pet.nii.gz")]
    assert [c.rois[0].path for c in configs] == [
        str(data / "first/s0-labels.nii.gz"),
        str(data / "second/s1-labels.nii.gz"),
    ]
    assert all(c.administration.administered_mbq == 60.0 for c in configs)
    assert not any("first" in e.name for e in found)


def test_a_study_with_two_images_is_refused_with_both_named(tmp_path):
    data, template = studies(tmp_path), table(tmp_path, TEMPLATE, "t.toml")
    shutil.copy(data / "first/s0-pet.nii.gz", data / "first/again.nii.gz")
    first, second = entries_of_folder(data, template=template)
    named = r"2 series or files can be the activity: .*again\.nii\.gz.*s0-pet\.nii\.gz"
    with pytest.raises(InputError, match=named) as refusal:
        build_case_file(first)
    assert refusal.value.code == "study-ambiguous"
    assert build_case_file(second).activity.path.endswith("s1-pet.nii.gz")


def test_paths_of_a_template_are_within_each_study(tmp_path):
    data = studies(tmp_path)
    for name in ("first", "second"):
        for file in (data / name).glob("*.nii.gz"):
            file.rename(file.with_name(file.name.partition("-")[2]))
    text = TEMPLATE.replace("[activity]", '[activity]\npath = "pet.nii.gz"').replace(
        "[[rois]]", '[[rois]]\npath = "labels.nii.gz"'
    )
    found = entries_of_folder(data, template=table(tmp_path, text, "t.toml"))
    assert [build_case_file(e).activity.path for e in found] == [
        str(data / n / "pet.nii.gz") for n in ("first", "second")
    ]


def test_a_parquet_table_says_the_same_as_csv(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    at = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    columns = {
        "activity.path": ["pet", "pet2"],
        "rois.path": ["labels", "labels"],
        "administration.administered_mbq": [1850, None],
        "administration.at": [at, None],
        "case.id": ["one", "two"],
    }
    parquet.write_table(pa.table(columns), tmp_path / "cases.parquet")
    first, second = (build_case_file(e) for e in entries(tmp_path / "cases.parquet"))
    assert (first.administration.administered_mbq, first.administration.at) == (1850.0, at)
    assert first.activity.path == str(tmp_path / "pet")
    assert (second.case.id, second.administration.administered_mbq) == ("two", None)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read as Parquet") as refusal:
        entries(tmp_path / "broken.parquet")
    assert refusal.value.code == "file-damaged"


def test_every_key_of_a_case_file_with_one_value_is_a_column():
    known = known_columns()
    assert {"case.id", "activity.path", "ct.path", "rois.path", "rois.labels", "administration.at", "dose.grid"} <= set(
        known
    )
    assert "rois" not in known


@pytest.mark.parametrize(("cell", "grid"), [("ct", "ct"), ("2.5", 2.5)])
def test_a_cell_is_a_word_or_a_number_as_its_key_wants(tmp_path, cell, grid):
    assert build_case_file(cells(tmp_path, f"pet,labels,{cell}", "activity.path,rois.path,dose.grid")).dose.grid == grid


def test_text_that_looks_like_a_number_stays_text_where_text_is_wanted(tmp_path):
    (entry,) = entries(table(tmp_path, "case.id,activity.path,rois.path\n007,1e5,3\n"))
    config = build_case_file(entry)
    assert config.case.id == entry.name == "007"
    assert config.activity.path == str(tmp_path / "1e5")


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_a_label_like_the_name_of_a_refused_row_takes_no_ones_place(tmp_path, order):
    labels = ("a", "a", "a-row2", "a-row3")
    rows = [f"case-{n}.toml,{labels[n]}" for n in order]
    found = entries(table(tmp_path, "case,case.id\n" + "\n".join(rows) + "\n"))
    assert len({entry.name.casefold() for entry in found}) == 4
    taken = {entry.name for entry in found if entry.refused is None}
    assert taken == {"a", "a-row2", "a-row3"}
    (refused,) = [entry for entry in found if entry.refused is not None]
    assert refused.refused_code == "name-taken"
    assert refused.row == max(n for n, at in enumerate(order, 1) if labels[at] == "a")


def test_a_case_file_that_cannot_be_read_is_an_entry_and_not_the_end(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    make_case(folder, "one", 1)
    (folder / "deep.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    found = entries(folder)
    assert len(found) == 2
    with pytest.raises(InputError, match="nested too deeply"):
        build_case_file(next(e for e in found if e.case_file.endswith("deep.toml")))


# --- linked folders ---


def case_text(name):
    return f'[case]\nid = "{name}"\n[activity]\npath = "x"\n[[rois]]\npath = "y"\n[administration]\nadministered_mbq = 1.0\n'


def test_linked_case_folders_are_cases_and_links_that_lead_nowhere_are_refused_rows(tmp_path):
    for place in ("cohort/one", "elsewhere/two"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "case.toml").write_text(case_text(place[-3:]))
    (tmp_path / "cohort/two").symlink_to(tmp_path / "elsewhere/two")
    (tmp_path / "cohort/three").symlink_to(tmp_path / "elsewhere/three")
    (tmp_path / "cohort/one/round").symlink_to(tmp_path / "cohort")
    found = entries(tmp_path / "cohort")
    assert sorted(e.name for e in found if e.refused is None) == ["one", "two"]
    (gone,) = [e for e in found if e.refused is not None]
    assert gone.refused_code == "link-dangling"
    assert "three" not in gone.refused
    with pytest.raises(InputError) as caught:
        build_case_file(gone)
    assert caught.value.code == "link-dangling"


def test_a_linked_study_that_leads_nowhere_is_a_refused_row(tmp_path):
    (tmp_path / "studies/one").mkdir(parents=True)
    (tmp_path / "studies/two").symlink_to(tmp_path / "gone")
    (tmp_path / "template.toml").write_text(case_text("all"))
    found = entries(tmp_path / "studies", template=tmp_path / "template.toml")
    assert [e.refused_code for e in found] == [None, "link-dangling"]
