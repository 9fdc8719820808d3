"""An archive spoken to by DICOMweb: QIDO-RS, WADO-RS, STOW-RS."""

from __future__ import annotations

import io
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import items, number, text
from voxeldose.io.network.answers import instances_of_answers, series_of_answer
from voxeldose.io.network.archive import RemoteSeries, RemoteStudy, Verification
from voxeldose.io.network.credentials import client_tls, read_secret
from voxeldose.io.network.refusals import CONNECT_S, archive_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voxeldose.io.config.archive import Archive, Peer
    from voxeldose.io.network.archive import Outgoing, Query, RemoteInstance
    from voxeldose.io.network.refusals import Side
    from voxeldose.io.network.spool import Spool

__all__ = ["WebClient"]

#: Any encoding: as the archive keeps it.
_AS_KEPT = (("application/dicom", "*"),)
_PAGE = 500
_MOST_PAGES = 200
_WHOLE = 2**31 - 1
_CHUNK_BYTES = 2**20
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL")

#: HTTP status -> code, side, whether it may pass, what to do.
_STATUS: dict[int, tuple[str, Side, bool, str]] = {
    401: ("login-refused", "here", False, "it does not accept the login. Check [login] in the archive's settings"),
    403: ("not-allowed", "archive", False, "this login may not do that. Have it allowed there"),
    404: ("service-missing", "here", False, "there is no such service or study. Check the path of the address"),
    405: ("service-missing", "archive", False, "it does not offer this service"),
    406: ("answer-not-acceptable", "archive", False, "it cannot answer in DICOM's own form"),
    408: ("archive-timeout", "network", True, "it waited too long for us"),
    413: ("object-too-large", "archive", False, "the object is larger than it accepts"),
    415: ("object-refused", "archive", False, "it does not accept this kind of object"),
    429: ("archive-busy", "archive", True, "it has too much to do"),
    501: ("service-missing", "archive", False, "it does not offer this service"),
    503: ("archive-busy", "archive", True, "it is not available now"),
    507: ("archive-full", "archive", True, "it has no room left"),
}


class WebClient:
    """A session of requests; the words of its failures are not passed on, as they hold addresses with UIDs."""

    retrieves_by, stores_by = "WADO-RS", "STOW-RS"

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._session = _session(archive)
        limits = (min(CONNECT_S, archive.timeout_s), archive.timeout_s)
        self._client = DICOMwebClient(
            archive.url.rstrip("/"), session=self._session, permissive_uid=True, timeout=limits, chunk_size=_CHUNK_BYTES
        )
        self._client.set_http_retry_params(retry=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def find_studies(self, query: Query) -> list[RemoteStudy]:
        """Those whose answer fits."""
        fields = ["StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate"]
        answers = self._pages(self._client.search_for_studies, fields, search_filters=query.keys)
        fitting = [a for a in answers if query.fits({key: text(a, key) for key in query.keys})]
        studies = {text(a, "StudyInstanceUID"): text(a, "PatientID") for a in fitting}
        return [RemoteStudy(uid, patient) for uid, patient in studies.items() if uid]

    def find_series(self, study_uid: str) -> list[RemoteSeries]:
        """With NumberOfSeriesRelatedInstances (0020,1209)."""
        fields = ["SeriesInstanceUID", "Modality", "SeriesNumber", "NumberOfSeriesRelatedInstances"]
        answers = self._pages(self._client.search_for_series, fields, study_instance_uid=study_uid)
        return [series_of_answer(study_uid, answer) for answer in answers if text(answer, "SeriesInstanceUID")]

    def find_instances(self, series: RemoteSeries) -> list[RemoteInstance]:
        """Page by page, as some archives answer only so many at once."""
        place = {"study_instance_uid": series.study_uid, "series_instance_uid": series.uid}
        fields = ["SOPInstanceUID", "SOPClassUID"]
        return instances_of_answers(self._pages(self._client.search_for_instances, fields, **place))

    def _pages(self, search: Callable[..., Any], fields: Sequence[str], **asked: Any) -> list[Dataset]:
        """Every answer; until a page brings nothing new, since some archives take no offset."""
        found: dict[str, Dataset] = {}
        for _ in range(_MOST_PAGES):
            with self._failures("the question (QIDO-RS)"):
                answers = search(fields=list(fields), limit=_PAGE, offset=len(found), **asked)
                page = {text(a, fields[0]): a for a in map(Dataset.from_json, answers)}
            count = len(found)
            found |= page
            if len(found) == count:  # a short page may be the archive's own limit
                break
        return list(found.values())

    def retrieve(self, series: RemoteSeries, wanted: Sequence[RemoteInstance], spool: Spool, *, whole: bool) -> None:
        """In the encoding that the archive keeps."""
        self._client.set_chunk_size(_CHUNK_BYTES)
        with self._failures("the retrieval (WADO-RS)"):
            if whole:
                arriving = self._client.iter_series(series.study_uid, series.uid, media_types=_AS_KEPT)
            else:
                arriving = (
                    self._client.retrieve_instance(series.study_uid, series.uid, one.uid, media_types=_AS_KEPT)
                    for one in wanted
                )
            for dataset in arriving:
                self._keep(dataset, spool)
        spool.require_written()

    def _keep(self, dataset: Dataset, spool: Spool) -> None:
        if not _is_whole(dataset):
            msg = "an instance came cut off. Run the same command again; it goes on from here."
            raise archive_refusal(self._archive.peer, msg, code="connection-lost", side="network", transient=True)
        content = io.BytesIO()
        dcmwrite(content, dataset, enforce_file_format=True)
        try:
            spool.write(text(dataset, "SOPInstanceUID"), [content.getvalue()])
        except OSError:
            spool.require_written()

    def store(self, objects: Sequence[Outgoing], report: Callable[[Outgoing], None]) -> None:
        """One request per object."""
        self._client.set_chunk_size(_WHOLE)  # in one piece: not every archive takes a request in chunks
        for one in objects:
            with self._failures(f"the storing of {one.name} (STOW-RS)"):
                answer = self._client.store_instances([one.dataset])
                failed = items(answer, "FailedSOPSequence")
            if failed:
                reason = int(number(failed[0], "FailureReason") or 0)
                msg = (
                    f"it does not store {one.name} ({one.kind}), reason 0x{reason:04X}. Its administrator can see why."
                )
                raise archive_refusal(
                    self._archive.peer, msg, code="object-refused", side="archive", transient=reason >> 8 == 0xA7
                )
            report(one)

    def verify(self, objects: Sequence[Outgoing]) -> Verification:
        """By QIDO-RS of every instance."""
        return Verification("QIDO-RS", frozenset(one.uid for one in objects if self._has(one)))

    def _has(self, one: Outgoing) -> bool:
        study, series = text(one.dataset, "StudyInstanceUID"), text(one.dataset, "SeriesInstanceUID")
        try:
            found = self.find_instances(RemoteSeries(study, series, ""))
        except InputError as error:
            if error.fields.get("status") == 404:  # some archives say so of a series without instances
                return False
            raise
        return any(instance.uid == one.uid for instance in found)

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        """Failures of requests as refusals."""
        peer, refusal = self._archive.peer, None
        try:
            yield
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            refusal = _status_refusal(peer, status, what)
        except requests.exceptions.SSLError as error:
            refusal = _tls_refusal(peer, error)
        except requests.Timeout:
            msg = f"nothing came for {self._archive.timeout_s:g} s during {what}. Raise timeout_s if it only is slow."
            refusal = archive_refusal(peer, msg, code="archive-timeout", side="network", transient=True)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            msg = f"no connection, or it broke off, during {what}. Check address and port, that the archive runs, and that no firewall stands between."
            refusal = archive_refusal(peer, msg, code="archive-unreachable", side="network", transient=True)
        except (requests.RequestException, InvalidDicomError, ValueError, KeyError, TypeError, EOFError):
            msg = f"its answer on {what} cannot be read. Is the address that of a DICOMweb service, with its path?"
            refusal = archive_refusal(peer, msg, code="answer-not-understood", side="archive", transient=True)
        if refusal is not None:
            raise refusal  # without the failure itself, whose words hold addresses with UIDs


class _OwnTls(HTTPAdapter):  # type: ignore[misc]  # a library without types
    """Connections with our certificate and the lowest version of TLS that is accepted."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the library does, with the context."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def _session(archive: Archive) -> requests.Session:
    session, login = requests.Session(), archive.login
    session.trust_env = False  # neither proxies nor passwords of the environment: images go where the address says
    session.headers["Accept"] = "application/dicom+json"
    if archive.peer.has_tls:
        session.mount("https://", _OwnTls(client_tls(archive)))
        session.verify = archive.tls.ca or True
    if login.token is not None:
        session.headers["Authorization"] = f"Bearer {read_secret(login.token, 'login.token')}"
    elif login.password is not None and login.user is not None:
        session.auth = (login.user.encode(), read_secret(login.password, "login.password").encode())
    return session


def _status_refusal(peer: Peer, status: int, what: str) -> InputError:
    usual: tuple[str, Side, bool, str] = (
        ("archive-failed", "archive", True, "it has failed. Its administrator can see why")
        if status >= 500
        else ("archive-refuses", "archive", False, "it does not do that. Its administrator can see why")
    )
    code, side, transient, hint = _STATUS.get(status, usual)
    msg = f"it answers {what} with HTTP status {status}: {hint}."
    return archive_refusal(peer, msg, code=code, side=side, transient=transient, status=status)


def _tls_refusal(peer: Peer, error: requests.exceptions.SSLError) -> InputError:
    causes: list[object] = [error, *error.args]
    causes += [getattr(cause, "reason", None) for cause in causes]
    is_ours = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes) or any(
        isinstance(arg, ssl.SSLCertVerificationError) for cause in causes for arg in getattr(cause, "args", ())
    )
    if is_ours:
        msg = (
            "its certificate is not accepted. Name its authority by ca in [tls], and the host as the certificate does."
        )
        return archive_refusal(peer, msg, code="certificate-not-trusted", side="here")
    msg = "no encrypted connection: it does not accept our certificate or has none of our ways. Give certificate and key in [tls], and have them accepted there."
    return archive_refusal(peer, msg, code="tls-failed", side="archive")


def _is_whole(dataset: Dataset) -> bool:
    """Whether an instance goes on to its end: one that was cut off reads as if its last value were shorter."""
    tags = sorted(dataset.keys())
    last = dataset.get_item(tags[-1]) if tags else None
    if last is None or (text(dataset, "Rows") and not any(key in dataset for key in _PIXELS)):
        return False
    stated = getattr(last, "length", None)
    value = getattr(last, "value", None)
    return not isinstance(value, bytes) or stated in (None, 0xFFFFFFFF, len(value))
