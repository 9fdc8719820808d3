"""A study from an archive into a folder: every series whole by the archive's own count, or no folder."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voxeldose import __version__
from voxeldose.errors import InputError
from voxeldose.io.json_text import format_json
from voxeldose.io.network.connect import connect
from voxeldose.io.network.refusals import archive_refusal, quiet_libraries, with_attempts
from voxeldose.io.network.spool import Spool
from voxeldose.io.results.new_folder import new_folder
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.archive import ArchiveClient, Query, RemoteInstance, RemoteSeries

__all__ = ["RECORD", "FetchChoice", "Fetched", "FetchedSeries", "SeriesList", "fetch_study", "list_series"]

#: Written into the folder: what was fetched, without anything of the patient. Its presence lets --overwrite replace it.
RECORD = "fetch.json"
SCHEMA = "voxeldose/fetch/1"

T = TypeVar("T")

_MOST_STUDIES = 10
#: How often a study is looked at again because it has grown meanwhile.
_MOST_ROUNDS = 4


@dataclass(frozen=True)
class FetchChoice:
    """Which series of a study; all of them where nothing is chosen.

    Parameters
    ----------
    modalities : tuple of str
        CT, PT, NM and so on.
    labels : tuple of str
        As :func:`list_series` labels them.
    overwrite : bool
        Whether an earlier fetch in the same place is replaced.
    """

    modalities: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True)
class FetchedSeries:
    """A series as it lies in its folder, which has its label for a name; ``resumed`` of its instances lay there before."""

    label: str
    modality: str
    series_number: int | None
    instances: int
    stated_instances: int | None
    resumed: int
    size_bytes: int


@dataclass(frozen=True)
class Fetched:
    """What was fetched, how, and in which time."""

    out: Path
    archive: str
    method: str
    studies: int
    series: tuple[FetchedSeries, ...]
    duration_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON; nothing of the patient."""
        return {**asdict(self), "out": str(self.out), "series": [asdict(one) for one in self.series]}

    def lines(self) -> list[str]:
        """The series fetched, as a table."""
        return table_lines([_cells(s.label, s.modality, s.series_number, s.instances) for s in self.series])

    def notes(self) -> list[str]:
        """That it is whole, and where."""
        return [f"Whole by the archive's own count: {self.out}"]


@dataclass(frozen=True)
class SeriesList:
    """Which series an archive has, with its own counts."""

    series: tuple[RemoteSeries, ...]

    def as_dict(self) -> list[dict[str, Any]]:
        """For JSON; nothing of the patient."""
        rows = ((s.label, s.modality, s.number, s.stated) for s in self.series)
        return [dict(zip(("series", "modality", "number", "instances"), row, strict=True)) for row in rows]

    def lines(self) -> list[str]:
        """A table."""
        return table_lines([_cells(s.label, s.modality, s.number, s.stated) for s in self.series])

    def notes(self) -> list[str]:
        """Nothing besides."""
        return []


def _cells(label: str, modality: str, number: int | None, instances: int | None) -> dict[str, str]:
    row = {"series": label, "modality": modality, "number": number, "instances": instances}
    return {name: "-" if value is None else str(value) for name, value in row.items()}


@dataclass(frozen=True)
class _Session:
    """A connection, what it is connected to and who hears of each step."""

    client: ArchiveClient
    archive: Archive
    report_progress: Callable[[str], None]

    def try_for(self, action: Callable[[], T]) -> T:
        """What the action returns; see :func:`with_attempts`."""
        return with_attempts(self.archive, action, self.report_progress)


@dataclass(frozen=True)
class _Wanted:
    """A series and its instances, as the archive lists them."""

    series: RemoteSeries
    instances: tuple[RemoteInstance, ...]


def list_series(
    archive: Archive, query: Query, report_progress: Callable[[str], None] = lambda _: None
) -> list[RemoteSeries]:
    """Every series of the studies that fit, with the archive's own counts.

    Raises
    ------
    InputError
        If the archive cannot be asked, or has no such study.
    """
    with quiet_libraries(), connect(archive) as client:
        return _find_series(_Session(client, archive, report_progress), query)


def fetch_study(
    archive: Archive,
    query: Query,
    out: str | Path,
    choice: FetchChoice | None = None,
    report_progress: Callable[[str], None] = lambda _: None,
) -> Fetched:
    """Fetch the series of a study, each into a folder of its own in ``out``.

    The folder ``out`` appears when every series is whole: the archive is asked for its instances and its own count before and
    after. What has come when something fails is kept in a hidden folder next to ``out``, and the same call goes on from there.

    Parameters
    ----------
    archive : Archive
        Where from; see :func:`voxeldose.io.config.archive.read_archive`.
    query : Query
        Which studies.
    out : path
        The folder to make.
    choice : FetchChoice, optional
        Which series.
    report_progress : callable
        Told each step; nothing of the patient is in it.

    Raises
    ------
    InputError
        If anything is missing, with what and on which side; fields ``side`` and ``transient`` are for programs.
    """
    out, choice, started = Path(out), choice or FetchChoice(), time.monotonic()
    spools = out.absolute().parent / f".{out.absolute().name}.fetch"
    with (
        quiet_libraries(),
        new_folder(out, overwrite=choice.overwrite, marker=RECORD) as folder,
        connect(archive) as client,
    ):
        spools.mkdir(exist_ok=True)
        session = _Session(client, archive, report_progress)
        plan, resumed = _fetch_until_unchanged(session, query, choice, spools)
        report_progress("finishing")
        fetched = Fetched(
            out=out,
            archive=str(archive.peer),
            method=client.retrieves_by,
            studies=len({wanted.series.study_uid for wanted in plan}),
            series=tuple(_move_in(wanted, spools, folder, resumed[wanted.series.label]) for wanted in plan),
            duration_s=round(time.monotonic() - started, 3),
        )
        _write_record(fetched, folder / RECORD)
    shutil.rmtree(spools, ignore_errors=True)
    return fetched


def _find_series(session: _Session, query: Query) -> list[RemoteSeries]:
    """Every series of the studies that fit."""
    peer, ask = session.archive.peer, session.client
    session.report_progress(f"asking {peer}")
    studies = session.try_for(lambda: ask.find_studies(query))
    if not studies:
        msg = (
            f"it has no study with this {query}, or {session.archive.calling_ae} may not see it. Check the value in the "
            "archive's own viewer."
        )
        raise archive_refusal(peer, msg, code="study-missing", side="here")
    if len(studies) > _MOST_STUDIES:
        msg = f"{len(studies)} studies have this {query}; at most {_MOST_STUDIES} are fetched at once. Give the study UID."
        raise archive_refusal(peer, msg, code="studies-too-many", side="here", found=len(studies))
    if len({study.patient_id for study in studies}) > 1:
        msg = f"the {len(studies)} studies with this {query} are of different patients. Give the study UID."
        raise archive_refusal(peer, msg, code="patients-several", side="here", found=len(studies))
    every = [series for study in studies for series in session.try_for(partial(ask.find_series, study.uid))]
    labels = [series.label for series in every]
    if len(labels) != len(set(labels)):
        msg = "two series have the same short name. Fetch them one by one, with the study UID and --modality."
        raise archive_refusal(peer, msg, code="labels-equal", side="here")
    return every


def _plan(session: _Session, query: Query, choice: FetchChoice) -> list[_Wanted]:
    """The chosen series with their instances."""
    every = _find_series(session, query)
    unknown = set(choice.labels) - {series.label for series in every}
    modalities = {modality.upper() for modality in choice.modalities}
    chosen = [
        series
        for series in every
        if (not modalities or series.modality.upper() in modalities)
        and (not choice.labels or series.label in choice.labels)
    ]
    if unknown or not chosen:
        what = ", ".join(sorted(unknown)) or "of the chosen modality"
        msg = f"no series {what}; there are {', '.join(s.label for s in every) or 'none'}. --list shows them."
        raise archive_refusal(session.archive.peer, msg, code="series-missing", side="here")
    return [_with_instances(session, series) for series in chosen]


def _with_instances(session: _Session, series: RemoteSeries) -> _Wanted:
    """A series as the archive lists it; refused where its list and its count differ."""
    peer = session.archive.peer
    instances = session.try_for(partial(session.client.find_instances, series))
    listed, stated = len(instances), series.stated
    if not listed:
        msg = (
            f"it lists no instance of {series.label}, so nothing says when it is whole. Leave it out (--modality, "
            "--series), or use the archive's other service."
        )
        raise archive_refusal(peer, msg, code="instances-not-listed", side="archive", series=series.label)
    if stated is not None and stated != listed:
        msg = (
            f"{series.label} has {stated} instances by its count and {listed} in its list. The archive may still be "
            "receiving it; try again when it is whole there."
        )
        fields: dict[str, Any] = {"series": series.label, "stated": stated, "found": listed}
        raise archive_refusal(peer, msg, code="counts-contradict", side="archive", **fields)
    return _Wanted(series, tuple(instances))


def _fetch_until_unchanged(
    session: _Session, query: Query, choice: FetchChoice, spools: Path
) -> tuple[list[_Wanted], dict[str, int]]:
    """Fetch until the archive lists after it what it listed before; also how many instances each series began with."""
    resumed: dict[str, int] = {}
    earlier: dict[str, frozenset[str]] | None = None
    for _ in range(_MOST_ROUNDS):
        plan = _plan(session, query, choice)
        uids = {wanted.series.uid: frozenset(one.uid for one in wanted.instances) for wanted in plan}
        if uids == earlier:
            return plan, resumed
        for wanted in plan:
            label, total = wanted.series.label, len(wanted.instances)
            report = partial(_report_count, session, label, total)
            spool = Spool(spools / label, wanted.instances, report)
            resumed.setdefault(label, spool.count)
            _fill(session, wanted.series, spool)
        earlier = uids
    msg = "the study grows while it is fetched. Try again when the archive has it whole; what has come is kept."
    raise archive_refusal(session.archive.peer, msg, code="study-growing", side="archive")


def _report_count(session: _Session, label: str, total: int, count: int) -> None:
    session.report_progress(f"{label}: {count} of {total}")


def _fill(session: _Session, series: RemoteSeries, spool: Spool) -> None:
    """Retrieve until nothing is missing; attempts that bring something do not count."""
    whole = spool.count == 0

    def attempt() -> None:
        nonlocal whole
        while spool.missing:
            before, was_whole = spool.count, whole
            try:
                session.client.retrieve(series, spool.missing, spool, whole=whole)
            except InputError as error:
                spool.require_written()
                whole = spool.count == before
                # an archive may not take a list of instances; then the series is asked for as a whole
                takes_no_list = not was_whole and error.code == "archive-refuses"
                if spool.count == before and not takes_no_list:
                    raise
                continue
            whole = spool.count == before
            if whole:
                raise _missing(session.archive, series, spool)

    session.try_for(attempt)


def _missing(archive: Archive, series: RemoteSeries, spool: Spool) -> InputError:
    total = len(spool.wanted)
    msg = (
        f"{series.label}: {spool.count} of {total} instances came, although the archive lists them all. Nothing is left "
        "but what has come, out of sight; the same command goes on from there. The archive's log says what it did not send."
    )
    return archive_refusal(
        archive.peer,
        msg,
        code="instances-missing",
        side="archive",
        transient=True,
        series=series.label,
        found=spool.count,
        needed=total,
    )


def _move_in(wanted: _Wanted, spools: Path, folder: Path, resumed: int) -> FetchedSeries:
    series = wanted.series
    size = Spool(spools / series.label, wanted.instances, lambda _: None).release(folder / series.label)
    return FetchedSeries(
        label=series.label,
        modality=series.modality,
        series_number=series.number,
        instances=len(wanted.instances),
        stated_instances=series.stated,
        resumed=resumed,
        size_bytes=size,
    )


def _write_record(fetched: Fetched, path: Path) -> None:
    content = {
        "schema": SCHEMA,
        "version": __version__,
        "fetched_at": datetime.now(UTC).isoformat(),
        **fetched.as_dict(),
    }
    path.write_text(format_json({k: v for k, v in content.items() if k != "out"}) + "\n", "utf-8")
