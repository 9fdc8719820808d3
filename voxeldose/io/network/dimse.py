"""An archive spoken to in DICOM's own messages: C-FIND, C-GET or C-MOVE, C-STORE, storage commitment."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context, build_role

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import text
from voxeldose.io.network.answers import instances_of_answers, series_of_answer
from voxeldose.io.network.archive import RemoteStudy, Verification
from voxeldose.io.network.association import open_association, require_status, service_refusal
from voxeldose.io.network.contexts import contexts_for_receiving
from voxeldose.io.network.receiver import Receiver, spool_handler
from voxeldose.io.network.refusals import archive_refusal
from voxeldose.io.network.storing import confirm_by_commitment, send_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pynetdicom.association import Association

    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.archive import Outgoing, Query, RemoteInstance, RemoteSeries
    from voxeldose.io.network.spool import Spool

__all__ = ["DimseClient"]

_FIND, _MOVE, _GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
_NAMES = {_FIND: "C-FIND", _MOVE: "C-MOVE", _GET: "C-GET"}
_SUCCESS, _PENDING = 0x0000, (0xFF00, 0xFF01)
#: Some of it came and some did not: what is missing is asked for again.
_IN_PART = 0xB000
#: Unknown to DICOM, but what Orthanc says of an unknown destination.
_DESTINATION_UNKNOWN = (0xA801, 0xC000)
_OUT_OF_RESOURCES = (0xA700, 0xA701, 0xA702)
#: UIDs in one question: some archives limit its length.
_MOST_UIDS = 50


class DimseClient:
    """One connection for all questions, opened again where the archive has closed it, and one per retrieval."""

    stores_by = "C-STORE"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._receiver: Receiver | None = None
        self._questions = ExitStack()
        self._asking: Association | None = None
        self.retrieves_by = "C-MOVE" if archive.retrieve == "move" else "C-GET"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asking()
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def find_studies(self, query: Query) -> list[RemoteStudy]:
        """Those whose answer fits."""
        wanted = {"StudyInstanceUID": "", "PatientID": "", **query.keys}
        answers = [answer for answer in self._find("STUDY", wanted) if query.fits({k: text(answer, k) for k in wanted})]
        studies = {
            text(a, "StudyInstanceUID"): RemoteStudy(text(a, "StudyInstanceUID"), text(a, "PatientID")) for a in answers
        }
        return [study for uid, study in studies.items() if uid]

    def find_series(self, study_uid: str) -> list[RemoteSeries]:
        """With NumberOfSeriesRelatedInstances (0020,1209)."""
        keys = ("SeriesInstanceUID", "Modality", "SeriesNumber", "NumberOfSeriesRelatedInstances")
        answers = self._find("SERIES", {"StudyInstanceUID": study_uid, **dict.fromkeys(keys, "")})
        return [series_of_answer(study_uid, answer) for answer in answers if text(answer, "SeriesInstanceUID")]

    def find_instances(self, series: RemoteSeries) -> list[RemoteInstance]:
        """At the level of images."""
        keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.uid}
        answers = self._find("IMAGE", {**keys, "SOPInstanceUID": "", "SOPClassUID": ""})
        return instances_of_answers(answers)

    def _find(self, level: str, keys: Mapping[str, Any]) -> list[Dataset]:
        """Every answer on a question."""
        if self._asking is None or not self._asking.is_established:
            self._stop_asking()
            self._asking = self._questions.enter_context(self._open(_FIND))
        found = []
        try:
            for status, answer in self._asking.send_c_find(_identifier(level, keys), _FIND):
                code = require_status(self._archive, status, "C-FIND")
                if code in _PENDING and answer is not None:
                    found.append(answer)
                elif code != _SUCCESS and code not in _PENDING:
                    self._refuse(code, "C-FIND", f"the question at the level {level}")
        except InputError:
            self._stop_asking()
            raise
        return found

    def _stop_asking(self) -> None:
        self._asking = None
        self._questions.close()

    def retrieve(self, series: RemoteSeries, wanted: Sequence[RemoteInstance], spool: Spool, *, whole: bool) -> None:
        """By C-GET or C-MOVE, the series or a list of instances."""
        keys: dict[str, Any] = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.uid}
        if whole:
            questions = [_identifier("SERIES", keys)]
        else:
            uids = [instance.uid for instance in wanted]
            groups = [uids[n : n + _MOST_UIDS] for n in range(0, len(uids), _MOST_UIDS)]
            questions = [_identifier("IMAGE", {**keys, "SOPInstanceUID": group}) for group in groups]
        if self._archive.retrieve == "move":
            self._move(questions, spool)
        else:
            self._get(questions, {instance.sop_class_uid for instance in spool.wanted.values()}, spool)
        spool.require_written()

    def _get(self, questions: Sequence[Dataset], classes: set[str], spool: Spool) -> None:
        storage = contexts_for_receiving([] if "" in classes else sorted(classes), reserved=1)
        kinds = dict.fromkeys(str(context.abstract_syntax) for context in storage)
        roles = [build_role(kind, scp_role=True) for kind in kinds]
        handlers = [(evt.EVT_C_STORE, spool_handler(spool))]
        contexts = [build_context(_GET), *storage]
        with open_association(self._archive, contexts, "C-GET", roles=roles, handlers=handlers) as association:
            if not any(context.abstract_syntax == _GET for context in association.accepted_contexts):
                raise service_refusal(self._archive, "C-GET")
            for question in questions:
                self._follow(association.send_c_get(question, _GET), "C-GET")

    def _move(self, questions: Sequence[Dataset], spool: Spool) -> None:
        receiver = self._receive()
        with receiver.receiving(spool), self._open(_MOVE) as association:
            for question in questions:
                self._follow(association.send_c_move(question, self._archive.calling_ae, _MOVE), "C-MOVE")
            receiver.settle(spool)

    def _follow(self, answers: Any, what: str) -> None:
        """Answers until the last; whether everything came is seen from what is there."""
        for status, _ in answers:
            code = require_status(self._archive, status, what)
            if code not in (_SUCCESS, _IN_PART, *_PENDING):
                self._refuse(code, what, "the retrieval")

    def _refuse(self, code: int, service: str, what: str) -> NoReturn:
        peer, ours = self._archive.peer, self._archive.calling_ae
        if service == "C-MOVE" and code in _DESTINATION_UNKNOWN:
            msg = (
                f"it answers {what} with status 0x{code:04X}: it cannot send to {ours}. Have its administrator add the "
                f"application entity title {ours} with this computer's address and the port of receive "
                f'({self._archive.receive}); or use retrieve = "get".'
            )
            raise archive_refusal(peer, msg, code="move-destination-unknown", side="archive", status=code)
        is_busy = code in _OUT_OF_RESOURCES
        msg = (
            f"it answers {what} by {service} with status 0x{code:04X}{' (out of resources)' if is_busy else ''}. "
            f"Its administrator can see why; {ours} may not have the right to it."
        )
        code_ = "archive-busy" if is_busy else "archive-refuses"
        raise archive_refusal(peer, msg, code=code_, side="archive", transient=is_busy, status=code)

    @contextmanager
    def _open(self, service: str) -> Iterator[Association]:
        """A connection for one service; refused where the archive does not have it."""
        with open_association(self._archive, [build_context(service)], _NAMES[service]) as association:
            yield association

    def _receive(self) -> Receiver:
        if self._receiver is None:
            self._receiver = Receiver(self._archive)
        return self._receiver

    def store(self, objects: Sequence[Outgoing], report: Callable[[Outgoing], None]) -> None:
        """By C-STORE."""
        send_objects(self._archive, objects, report)

    def verify(self, objects: Sequence[Outgoing]) -> Verification:
        """By storage commitment where the archive answers it, else by C-FIND of every instance."""
        if self._archive.commitment and self._archive.listen is not None:
            committed = confirm_by_commitment(self._archive, objects, self._receive())
            if committed is not None:
                return Verification("storage commitment", committed)
        return Verification("C-FIND", frozenset(one.uid for one in objects if self._has(one)))

    def _has(self, one: Outgoing) -> bool:
        keys = {key: text(one.dataset, key) for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
        return any(text(answer, "SOPInstanceUID") == one.uid for answer in self._find("IMAGE", keys))


def _identifier(level: str, keys: Mapping[str, Any]) -> Dataset:
    """The question at a level of the archive."""
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for key, value in keys.items():
        setattr(asked, key, value)
    return asked
