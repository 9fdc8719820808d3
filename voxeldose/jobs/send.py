"""Results to an archive: the DICOM objects of a results folder, once, and only done when the archive says it has them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.encapsulated_pdf import encapsulate_pdf
from voxeldose.io.json_text import format_json, read_json
from voxeldose.io.network.archive import Outgoing
from voxeldose.io.network.connect import connect
from voxeldose.io.network.refusals import archive_refusal, quiet_libraries, with_attempts
from voxeldose.io.results.manifest import read_manifest, sha256
from voxeldose.io.results.new_folder import replacing
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pydicom.dataset import Dataset

    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.archive import ArchiveClient, Verification

__all__ = ["RECORD", "Sent", "SentObject", "send_results"]

#: In the results folder, next to the files whose hashes ``run.json`` holds: what was sent where, and when.
RECORD = "sent.json"
SCHEMA = "voxeldose/sent/1"

_REPORT, _DOSE = "report.pdf", "dose.dcm"
#: What is cited is sent before what cites it.
_ORDER = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "DOC")


@dataclass(frozen=True)
class SentObject:
    """One object: the file that it came from, its modality, its SHA-256 (of a report: of the PDF)."""

    name: str
    kind: str
    sha256: str


@dataclass(frozen=True)
class Sent:
    """What was sent, how, and how the archive confirmed it.

    Parameters
    ----------
    sent : bool
        False if these results had been sent there before, and nothing was done.
    sent_at : str
        When, ISO 8601; of the earlier sending if ``sent`` is false.
    """

    results: Path
    archive: str
    sent: bool
    method: str
    verified_by: str
    objects: tuple[SentObject, ...]
    sent_at: str
    duration_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON; nothing of the patient."""
        return {**asdict(self), "results": str(self.results), "objects": [asdict(one) for one in self.objects]}

    def lines(self) -> list[str]:
        """The objects sent, as a table."""
        return table_lines([{"file": one.name, "kind": one.kind} for one in self.objects]) if self.sent else []

    def notes(self) -> list[str]:
        """Where they are, and by whose word."""
        if not self.sent:
            return [
                f"Already sent to {self.archive} at {self.sent_at} ({self.verified_by}); nothing was done. --again sends it again."
            ]
        return [f"{len(self.objects)} objects are in {self.archive}, by its own word ({self.verified_by})."]


def send_results(
    results: str | Path,
    archive: Archive,
    *,
    kinds: Collection[str] = (),
    again: bool = False,
    report_progress: Callable[[str], None] = lambda _: None,
) -> Sent:
    """Send the DICOM objects of a results folder, and its report as one; ask the archive afterwards what it has.

    Parameters
    ----------
    results : path
        A folder that ``voxeldose assess`` or ``plan`` wrote from DICOM.
    archive : Archive
        Where to; see :func:`voxeldose.io.config.archive.read_archive`.
    kinds : collection of str
        Modalities of the objects to send (SEG, RTDOSE, SR, DOC and so on), where an archive does not take all; none means all.
    again : bool
        Whether they are sent although they have been sent there before.
    report_progress : callable
        Told each step.

    Raises
    ------
    InputError
        If the folder has no DICOM objects or they are not those of its run, or the archive does not take or confirm one.
    """
    results, started = Path(results), time.monotonic()
    with quiet_libraries():
        objects = _chosen(results, _collect(results), kinds)
        record = _Record(results / RECORD, archive)
        summary = tuple(SentObject(one.name, one.kind, one.sha256) for one in objects)
        earlier = record.earlier(summary)
        if earlier is not None and not again:
            return Sent(
                results,
                str(archive.peer),
                False,
                earlier["method"],
                earlier["verified_by"],
                summary,
                earlier["sent_at"],
                0.0,
            )
        entry = {"archive": archive.url, "sent_at": datetime.now(UTC).isoformat(), "verified_by": None}
        record.write({**entry, "method": None, "objects": []})  # before anything is sent: whether it can be written
        with connect(archive) as client:
            _store(client, archive, objects, report_progress)
            report_progress("asking what it has")
            verification = _verify(client, archive, objects, report_progress)
            method = client.stores_by
        record.write(
            {**entry, "method": method, "verified_by": verification.method, "objects": [asdict(s) for s in summary]}
        )
    return Sent(
        results=results,
        archive=str(archive.peer),
        sent=True,
        method=method,
        verified_by=verification.method,
        objects=summary,
        sent_at=entry["sent_at"] or "",
        duration_s=round(time.monotonic() - started, 3),
    )


def _collect(results: Path) -> list[Outgoing]:
    """The objects of a run as it wrote them, what is cited before what cites it."""
    manifest, is_intact = read_manifest(results)
    stated = manifest["outputs"]
    files = [results / name for name in sorted(stated) if name.endswith(".dcm")]
    report = results / _REPORT
    changed = [p.name for p in (*files, report) if p.is_file() and sha256(p) != stated.get(p.name)]
    changed += [p.name for p in files if not p.is_file()]
    if changed or not is_intact:
        msg = f"{results}: {', '.join(changed) or 'run.json'} is not as the run wrote it. Run the case again and send that."
        raise InputError(msg, code="results-changed", files=tuple(changed), side="here")
    if not files:
        msg = f"{results}: there is no DICOM object here; the results of images that are not DICOM cannot go to an archive."
        raise InputError(msg, code="dicom-missing", side="here")
    objects = [_outgoing(path) for path in files]
    if report.is_file():
        beside = next((path for path in files if path.name == _DOSE), files[0])
        dataset = encapsulate_pdf(report, beside=beside)
        objects.append(Outgoing(_REPORT, "DOC", dataset, sha256(report)))
    return sorted(objects, key=lambda one: (_ORDER.index(one.kind) if one.kind in _ORDER else len(_ORDER), one.name))


def _chosen(results: Path, objects: list[Outgoing], kinds: Collection[str]) -> list[Outgoing]:
    there = {one.kind for one in objects}
    unknown = {kind.upper() for kind in kinds} - there
    if unknown:
        msg = f"{results}: there is no object of the kind {', '.join(sorted(unknown))}; there are {', '.join(sorted(there))}."
        raise InputError(msg, code="kind-missing", side="here")
    return [one for one in objects if not kinds or one.kind in {kind.upper() for kind in kinds}]


def _outgoing(path: Path) -> Outgoing:
    dataset = _read_object(path)
    return Outgoing(path.name, str(dataset.Modality), dataset, sha256(path))


@refusing_damage
def _read_object(path: Path) -> Dataset:
    from pydicom import dcmread

    return dcmread(path)


def _store(
    client: ArchiveClient, archive: Archive, objects: Sequence[Outgoing], report_progress: Callable[[str], None]
) -> None:
    """Send all; after a failure that may pass only those that are not there yet."""
    stored: set[str] = set()

    def note(one: Outgoing) -> None:
        stored.add(one.uid)
        report_progress(f"sent {len(stored)} of {len(objects)}")

    def attempt() -> None:
        client.store([one for one in objects if one.uid not in stored], note)

    report_progress(f"sending to {archive.peer}")
    with_attempts(archive, attempt, report_progress)


def _verify(
    client: ArchiveClient, archive: Archive, objects: Sequence[Outgoing], report_progress: Callable[[str], None]
) -> Verification:
    """What confirmed every object; asked again for a while, since archives take time to file what they took."""

    def attempt() -> Verification:
        verification = client.verify(objects)
        absent = [one.name for one in objects if one.uid not in verification.confirmed]
        if absent:
            msg = (
                f"it took {', '.join(absent)} and does not confirm it ({verification.method}), so these results do not "
                "count as sent. Its administrator can see what became of it; send again then."
            )
            raise archive_refusal(
                archive.peer, msg, code="not-confirmed", side="archive", transient=True, files=tuple(absent)
            )
        return verification

    return with_attempts(archive, attempt, report_progress)


class _Record:
    """What was sent from a results folder, an entry for each archive."""

    def __init__(self, path: Path, archive: Archive) -> None:
        self._path, self._url = path, archive.url
        self._entries: list[dict[str, Any]] = []
        if path.is_file():
            try:
                self._entries = list(read_json(path)["sendings"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                msg = f"{path}: cannot be read ({type(error).__name__}), so nothing says whether these results were sent. Remove it to send them."
                raise InputError(msg, code="file-damaged", side="here") from error

    def earlier(self, objects: Sequence[SentObject]) -> dict[str, Any] | None:
        """The last sending of just these objects to this archive that was confirmed."""
        wanted = {(one.name, one.sha256) for one in objects}
        for entry in reversed(self._entries):
            sent = {(one["name"], one["sha256"]) for one in entry["objects"]}
            if entry["archive"] == self._url and entry["verified_by"] and sent == wanted:
                return dict(entry)
        return None

    def write(self, entry: dict[str, Any]) -> None:
        """Add an entry, in place of one that was begun and not confirmed."""
        kept = [e for e in self._entries if e["archive"] != self._url or e["verified_by"]]
        self._entries = [*kept, entry]
        content = {"schema": SCHEMA, "sendings": self._entries}
        try:
            with replacing(self._path) as partial:
                partial.write_text(format_json(content) + "\n", "utf-8")
        except OSError as error:
            msg = f"{self._path}: cannot be written ({error.strerror}), and what was sent must be recorded. Make the folder writable."
            raise InputError(msg, code="file-not-written", side="here") from error
