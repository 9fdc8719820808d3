"""What an archive is asked and answers, whichever way it is spoken to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Protocol

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from pydicom.dataset import Dataset

    from voxeldose.io.network.spool import Spool

__all__ = [
    "ArchiveClient",
    "Outgoing",
    "Query",
    "RemoteInstance",
    "RemoteSeries",
    "RemoteStudy",
    "Verification",
    "date_range",
    "short_hash",
]

#: Characters that archives take for patterns or lists: a value with one could match other patients.
_PATTERNS = frozenset("*?\\")


@dataclass(frozen=True)
class Query:
    """Which studies are meant: by UID, by accession number, or by patient and date.

    Parameters
    ----------
    study_uid, accession_number, patient_id : str, optional
        Exactly as the archive has them.
    date : str, optional
        With ``patient_id``: a day ``YYYYMMDD``, or a range of days ``YYYYMMDD-YYYYMMDD``.

    Raises
    ------
    InputError
        If not exactly one of the three ways is given, or a value is a pattern.
    """

    study_uid: str | None = None
    accession_number: str | None = None
    patient_id: str | None = None
    date: str | None = None

    def __post_init__(self) -> None:
        ways = [value for value in (self.study_uid, self.accession_number, self.patient_id) if value is not None]
        if len(ways) != 1 or (self.patient_id is None) != (self.date is None):
            msg = "Give a study UID, an accession number, or a patient ID with a date; one of these."
            raise InputError(msg, code="keys-contradict", keys=("study", "accession", "patient", "date"))
        if not ways[0].strip() or _PATTERNS & set(ways[0]):
            msg = "The study UID, accession number or patient ID is empty or holds * ? or \\, which could match other patients; give it whole."
            raise InputError(msg, code="query-pattern")

    @property
    def keys(self) -> dict[str, str]:
        """DICOM keyword -> the value that an answer must have."""
        pairs = {
            "StudyInstanceUID": self.study_uid,
            "AccessionNumber": self.accession_number,
            "PatientID": self.patient_id,
            "StudyDate": self.date,
        }
        return {key: value.strip() for key, value in pairs.items() if value is not None}

    def fits(self, answer: Mapping[str, str]) -> bool:
        """Whether an answer is what was asked for: some archives pass over keys that they do not know."""
        for key, value in self.keys.items():
            found = answer.get(key, "").strip()
            if key == "StudyDate":
                first, _, last = value.partition("-")
                if found and not first <= found <= (last or first):
                    return False
            elif found != value:
                return False
        return True

    def __str__(self) -> str:
        return "study UID" if self.study_uid else "accession number" if self.accession_number else "patient ID and date"


@dataclass(frozen=True)
class RemoteStudy:
    """A study in the archive."""

    uid: str
    patient_id: str = ""


@dataclass(frozen=True)
class RemoteSeries:
    """A series in the archive; ``stated`` is how many instances it has by the archive's own count, where it has one."""

    study_uid: str
    uid: str
    modality: str
    number: int | None = None
    stated: int | None = None

    @property
    def label(self) -> str:
        """Modality and a short hash of the UID: a name that holds nothing of the patient."""
        kind = "".join(c for c in self.modality.lower() if c.isascii() and c.isalnum())[:8]
        return f"{kind or 'series'}-{short_hash(self.uid)}"


@dataclass(frozen=True)
class RemoteInstance:
    """An instance in the archive; its SOP class is empty where the archive does not tell."""

    uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True, eq=False)
class Outgoing:
    """An object to send: what it is called here, what it is, and its content."""

    name: str
    kind: str
    dataset: Dataset
    sha256: str

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.dataset.SOPInstanceUID)


@dataclass(frozen=True)
class Verification:
    """What the archive says it has of what was sent, by SOP Instance UID, and how it was asked."""

    method: str
    confirmed: frozenset[str] = field(default_factory=frozenset)


class ArchiveClient(Protocol):
    """A connection to an archive; every method refuses with what failed and on which side."""

    #: How instances come and go, for people: C-GET, WADO-RS and so on.
    retrieves_by: str
    stores_by: str

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None: ...

    def find_studies(self, query: Query) -> list[RemoteStudy]:
        """The studies that fit, each once."""

    def find_series(self, study_uid: str) -> list[RemoteSeries]:
        """The series of a study with the archive's own counts."""

    def find_instances(self, series: RemoteSeries) -> list[RemoteInstance]:
        """Every instance of a series; none where the archive does not list them."""

    def retrieve(self, series: RemoteSeries, wanted: Sequence[RemoteInstance], spool: Spool, *, whole: bool) -> None:
        """Let the spool have the instances: the series as a ``whole``, or one by one."""

    def store(self, objects: Sequence[Outgoing], report: Callable[[Outgoing], None]) -> None:
        """Send the objects in this order; ``report`` is called with each that was taken."""

    def verify(self, objects: Sequence[Outgoing]) -> Verification:
        """Ask the archive what it has of them."""


def date_range(text: str) -> str:
    """A day, or first and last day, as DICOM writes it: ``2024-05-02`` or ``2024-05-02..2024-05-05``.

    Raises
    ------
    InputError
        If it is neither.
    """
    first, dots, last = text.partition("..")
    try:
        days = [date.fromisoformat(day.strip()) for day in ([first, last] if dots else [first])]
    except ValueError as error:
        msg = f"{text!r} is no day such as 2024-05-02 and no range such as 2024-05-02..2024-05-05."
        raise InputError(msg, code="date-malformed") from error
    if days != sorted(days):
        msg = f"The range {text!r} ends before it begins."
        raise InputError(msg, code="date-malformed")
    return "-".join(f"{day:%Y%m%d}" for day in days)


def short_hash(uid: str) -> str:
    """Eight hexadecimal digits that stand for a UID."""
    return hashlib.sha256(uid.encode()).hexdigest()[:8]
