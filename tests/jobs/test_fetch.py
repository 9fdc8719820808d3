"""From an archive: every series whole, three ways; what is missing, broken off or somebody else's is refused."""

import json

import pytest
from archives import (
    MARKERS,
    Store,
    assert_no_marker,
    dicom_archive,
    files_in,
    free_port,
    make_instance,
    quick,
    tiny_study,
    web_archive,
)
from pydicom import dcmread

from voxeldose.errors import InputError
from voxeldose.io.dicom.files import find_series
from voxeldose.io.network.archive import Query, date_range
from voxeldose.jobs.fetch import FetchChoice, fetch_study, list_series

STUDY = Query(study_uid=f"{MARKERS[-1]}.1")
SERIES = f"{MARKERS[-1]}.1.2"


class Way:
    """An archive and how it is asked."""

    def __init__(self, name, store, archive):
        self.name, self.store, self.archive = name, store, archive


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    from voxeldose.io.network import receiver

    monkeypatch.setattr(receiver, "_SETTLE_S", 0.2)


@pytest.fixture(params=["C-GET", "C-MOVE", "WADO-RS"])
def way(request):
    """Each of the three ways."""
    yield from open_way(request)


@pytest.fixture(params=["C-GET", "WADO-RS"])
def protocol(request):
    """Each of the two protocols, for what does not depend on how instances come."""
    yield from open_way(request)


def open_way(request):
    store, port = Store.of(tiny_study()), free_port()
    if request.param == "WADO-RS":
        with web_archive(store) as url:
            yield Way(request.param, store, quick(url))
    else:
        move = {"retrieve": "move", "receive": f"127.0.0.1:{port}"} if request.param == "C-MOVE" else {}
        with dicom_archive(store, destination=("127.0.0.1", port)) as url:
            yield Way(request.param, store, quick(url, **move))


def refusal(code, call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert_no_marker(str(caught.value), repr(caught.value.fields))
    assert all(word in str(caught.value) for word in words), caught.value
    return caught.value


def visible(folder):
    """The files that readers would look at."""
    return [p for p in files_in(folder) if not p.name.startswith(".")]


def test_a_study_comes_whole_and_unchanged_a_folder_per_series(way, tmp_path):
    steps = []
    fetched = fetch_study(way.archive, STUDY, tmp_path / "out", report_progress=steps.append)
    assert fetched.method == way.name
    assert [(s.modality, s.instances, s.stated_instances, s.resumed) for s in fetched.series] == [
        ("CT", 7, 7, 0),
        ("PT", 4, 4, 0),
    ]
    series = find_series(tmp_path / "out")
    assert sorted((s.modality, len(s.paths)) for s in series) == [("CT", 7), ("PT", 4)]
    assert {s.folder.name for s in series} == {one.label for one in fetched.series}
    for path in (p for s in series for p in s.paths):
        came = dcmread(path)
        assert came == way.store.instances[came.SOPInstanceUID]
    assert any(step.endswith("7 of 7") for step in steps)
    record = json.loads((tmp_path / "out" / "fetch.json").read_text())
    assert record["schema"] == "voxeldose/fetch/1"
    names = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")]
    assert_no_marker(*steps, *names, json.dumps(record), json.dumps(fetched.as_dict()))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    "query",
    [
        Query(accession_number="MARKACC"),
        Query(patient_id="MARKID", date="20240502"),
        Query(patient_id="MARKID", date=date_range("2024-05-01..2024-05-03")),
    ],
    ids=["accession", "day", "days"],
)
def test_a_study_is_found_by_accession_number_or_patient_and_date(protocol, query):
    assert [(s.modality, s.stated) for s in list_series(protocol.archive, query)] == [("CT", 7), ("PT", 4)]


@pytest.mark.parametrize("query", [Query(accession_number="OTHER"), Query(patient_id="MARKID", date="20240503")])
def test_a_study_that_is_not_there_is_refused(protocol, query, tmp_path):
    refusal("study-missing", lambda: fetch_study(protocol.archive, query, tmp_path / "out"))
    assert files_in(tmp_path) == []


def test_an_archive_that_passes_over_a_key_gives_no_other_patient(protocol):
    protocol.store.passes_over_keys = True
    refusal("study-missing", lambda: list_series(protocol.archive, Query(accession_number="OTHER")))


def test_studies_of_two_patients_under_one_number_are_refused(protocol):
    other = make_instance("CT", 9, 1)
    other.StudyInstanceUID, other.PatientID = f"{MARKERS[-1]}.2", "MARKID2"
    protocol.store.instances[str(other.SOPInstanceUID)] = other
    refusal("patients-several", lambda: list_series(protocol.archive, Query(accession_number="MARKACC")))


def test_only_what_was_chosen_comes(protocol, tmp_path):
    fetched = fetch_study(protocol.archive, STUDY, tmp_path / "out", FetchChoice(modalities=("pt",)))
    assert [s.modality for s in fetched.series] == ["PT"]
    label = next(s.label for s in list_series(protocol.archive, STUDY) if s.modality == "CT")
    choice = FetchChoice(labels=(label,), overwrite=True)
    assert [s.label for s in fetch_study(protocol.archive, STUDY, tmp_path / "out", choice).series] == [label]
    refusal(
        "series-missing", lambda: fetch_study(protocol.archive, STUDY, tmp_path / "no", FetchChoice(("MR",))), label
    )


def test_a_folder_is_not_replaced_without_being_asked(protocol, tmp_path):
    (tmp_path / "out" / "mine").mkdir(parents=True)
    refusal("output-exists", lambda: fetch_study(protocol.archive, STUDY, tmp_path / "out"))


def test_a_slice_that_is_listed_and_does_not_come_refuses_the_folder_and_the_rest_is_kept(way, tmp_path):
    lost = f"{SERIES}.7"
    way.store.withheld = {lost}
    error = refusal("instances-missing", lambda: fetch_study(way.archive, STUDY, tmp_path / "out"), "6 of 7")
    assert (error.fields["found"], error.fields["needed"], error.fields["side"]) == (6, 7, "archive")
    assert not (tmp_path / "out").exists()
    assert files_in(tmp_path)
    assert visible(tmp_path) == []  # what has come is not taken for a series
    way.store.withheld = set()
    fetched = fetch_study(way.archive, STUDY, tmp_path / "out")
    assert {s.modality: s.resumed for s in fetched.series} == {"CT": 6, "PT": 0}
    assert len(find_series(tmp_path / "out")[0].paths) == 7


def test_a_count_above_the_list_is_refused(protocol, tmp_path):
    protocol.store.stated = {SERIES: 9}
    error = refusal("counts-contradict", lambda: fetch_study(protocol.archive, STUDY, tmp_path / "out"), "9", "7")
    assert (error.fields["stated"], error.fields["found"]) == (9, 7)
    assert not (tmp_path / "out").exists()


def test_an_archive_without_counts_is_held_to_its_list(protocol, tmp_path):
    protocol.store.stated = {SERIES: None}
    fetched = fetch_study(protocol.archive, STUDY, tmp_path / "out", FetchChoice(("CT",)))
    assert [(s.instances, s.stated_instances) for s in fetched.series] == [(7, None)]


def test_a_series_that_grows_while_it_comes_is_whole_in_the_end(way, tmp_path):
    way.store.grows = [make_instance("CT", 2, n) for n in (8, 9)]
    fetched = fetch_study(way.archive, STUDY, tmp_path / "out")
    assert fetched.series[0].instances == 9


def test_a_connection_that_breaks_off_goes_on_where_it_was(way, tmp_path):
    way.store.cuts = 2  # as many as there are attempts: those that bring something do not count
    fetched = fetch_study(way.archive, STUDY, tmp_path / "out")
    assert [s.instances for s in fetched.series] == [7, 4]
    for series in find_series(tmp_path / "out"):
        for path in series.paths:
            came = dcmread(path)
            assert came == way.store.instances[came.SOPInstanceUID]


def test_a_full_disk_is_said_and_nothing_is_there(way, tmp_path, monkeypatch):
    from voxeldose.io.network import spool

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.os, "fsync", full)
    refusal("output-not-writable", lambda: fetch_study(way.archive, STUDY, tmp_path / "out"), "No space left")
    assert visible(tmp_path) == []
    assert not (tmp_path / "out").exists()


def test_another_fetch_to_the_same_place_is_refused(protocol, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".out.lock"):
        refusal("output-locked", lambda: fetch_study(protocol.archive, STUDY, tmp_path / "out"))


@pytest.mark.parametrize("word", ["", "*", "MARK?D", "A\\B"])
def test_a_pattern_is_no_identifier(word):
    refusal("query-pattern", lambda: Query(accession_number=word))


@pytest.mark.parametrize(
    "query", [{}, {"study_uid": "1.2", "accession_number": "3"}, {"patient_id": "1"}, {"study_uid": "1", "date": "2"}]
)
def test_a_question_names_one_way(query):
    refusal("keys-contradict", lambda: Query(**query))


@pytest.mark.parametrize("text", ["yesterday", "2024-05-03..2024-05-02", "2024-13-01"])
def test_a_date_is_a_day_or_a_range(text):
    refusal("date-malformed", lambda: date_range(text))
