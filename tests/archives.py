"""Archives on this computer for tests: one for DICOM's own messages, one for DICOMweb; and a tiny study for them."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from voxeldose.io.config.archive import Archive

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

CT, PT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
COMMITMENT, VERIFICATION = "1.2.840.10008.1.20.1", "1.2.840.10008.1.1"
AE_TITLE, OURS = "ARCHIVE", "VOXELDOSE"
#: Words that must never be seen outside of the files themselves.
MARKERS = (
    "MARKNAME",
    "MARKID",
    "MARKACC",
    "MARKDESC",
    "MARKSERIES",
    "MARKDOC",
    "MARKPLACE",
    "1.2.826.0.1.3680043.8.498.4711",
)
_KEYS = ("PatientID", "AccessionNumber", "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_ROOT = MARKERS[-1]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_instance(kind: str, series: int, n: int) -> Dataset:
    """A tiny image with markers wherever a header may name somebody."""
    new = Dataset()
    new.SOPClassUID, new.Modality = (CT, "CT") if kind == "CT" else (PT, "PT")
    new.StudyInstanceUID = f"{_ROOT}.1"
    new.SeriesInstanceUID = f"{_ROOT}.1.{series}"
    new.SOPInstanceUID = f"{_ROOT}.1.{series}.{n}"
    new.PatientName, new.PatientID, new.AccessionNumber = "MARKNAME^Ada", "MARKID", "MARKACC"
    new.StudyDescription, new.SeriesDescription = "MARKDESC", "MARKSERIES"
    new.ReferringPhysicianName, new.InstitutionName = "MARKDOC", "MARKPLACE"
    new.PatientBirthDate, new.PatientSex, new.StudyID = "19580317", "F", "7"
    new.StudyDate, new.StudyTime = "20240502", "140500"
    new.SeriesNumber, new.InstanceNumber = series, n
    new.Rows, new.Columns, new.BitsAllocated, new.BitsStored, new.HighBit = 5, 7, 16, 16, 15
    new.SamplesPerPixel, new.PixelRepresentation, new.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    new.PixelData = (np.arange(35, dtype="<u2") + 100 * n).tobytes() + b"\0\0"
    new.file_meta = FileMetaDataset()
    new.file_meta.MediaStorageSOPClassUID, new.file_meta.MediaStorageSOPInstanceUID = (
        new.SOPClassUID,
        new.SOPInstanceUID,
    )
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return new


def tiny_study(ct: int = 7, pt: int = 4) -> list[Dataset]:
    """A CT and a PET of so many slices."""
    return [make_instance("CT", 2, n + 1) for n in range(ct)] + [make_instance("PT", 3, n + 1) for n in range(pt)]


def assert_no_marker(*texts: str) -> None:
    """Nothing planted in the study stands in the texts."""
    for text in texts:
        assert not [marker for marker in (*MARKERS, "19580317") if marker in text]


@dataclass
class Store:
    """What an archive holds, and its faults.

    ``stated``: series UID -> count that it states. ``withheld``: instances that it lists and does not give. ``cuts``: how often a
    retrieval breaks off, after ``cut_after`` instances. ``grows``: instances that arrive after the first retrieval.
    """

    instances: dict[str, Dataset] = field(default_factory=dict)
    stated: dict[str, int | None] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    grows: list[Dataset] = field(default_factory=list)
    cuts: int = 0
    cut_after: int = 3
    passes_over_keys: bool = False
    status: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forgets: bool = False
    delay_s: float = 0.0

    @classmethod
    def of(cls, datasets, **faults) -> Store:
        return cls({str(d.SOPInstanceUID): d for d in datasets}, **faults)

    def answers(self, level: str, keys: dict[str, str]) -> list[dict[str, str | int | None]]:
        """One per study, series or instance that fits."""
        fitting = [d for d in self.instances.values() if self.passes_over_keys or _fits(d, keys)]
        groups: dict[str, list[Dataset]] = {}
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
        for dataset in fitting:
            groups.setdefault(str(dataset[key].value), []).append(dataset)
        found = []
        for uid, group in groups.items():
            first = group[0]
            answer = {k: str(first[k].value) for k in _KEYS if k in first}
            answer |= {
                "Modality": first.Modality,
                "SeriesNumber": first.get("SeriesNumber"),
                "SOPClassUID": str(first.SOPClassUID),
            }
            answer["NumberOfSeriesRelatedInstances"] = self.stated.get(uid, len(group)) if level == "SERIES" else None
            found.append(answer)
        return found

    def sending(self, keys) -> list[Dataset]:
        """What is given for a retrieval; then the archive grows."""
        wanted = [d for uid, d in self.instances.items() if _fits(d, keys) and uid not in self.withheld]
        if self.grows:
            self.instances |= {str(d.SOPInstanceUID): d for d in self.grows}
            self.grows = []
        return wanted


def _fits(dataset: Dataset, keys) -> bool:
    for key, wanted in keys.items():
        found = str(dataset.get(key, ""))
        if key == "StudyDate":
            first, _, last = str(wanted).partition("-")
            if not first <= found <= (last or first):
                return False
        elif (isinstance(wanted, str) and wanted and found != wanted) or (
            not isinstance(wanted, str) and found not in [str(w) for w in wanted]
        ):
            return False
    return True


def _keys_of(identifier: Dataset) -> dict:
    return {
        k: (v if isinstance(v := identifier[k].value, str) else list(v))
        for k in _KEYS
        if k in identifier and identifier[k].value
    }


@contextmanager
def dicom_archive(
    store: Store,
    *,
    destination: tuple[str, int] | None = None,
    services=(FIND, GET, MOVE),
    commitment=True,
    tls=None,
    known=(),
):
    """The address of an archive for DICOM's own messages while the block lasts; ``destination`` is where it knows us."""
    entity = AE(ae_title=AE_TITLE)
    entity.require_called_aet = True
    entity.require_calling_aet = list(known)
    for service in services:
        entity.add_supported_context(service)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, list(ALL_TRANSFER_SYNTAXES), scu_role=True, scp_role=True)
    if commitment:
        entity.add_supported_context(COMMITMENT)
    handlers = [
        (evt.EVT_C_FIND, _find, [store]),
        (evt.EVT_C_GET, _get, [store]),
        (evt.EVT_C_MOVE, _move, [store, destination]),
        (evt.EVT_C_STORE, _store, [store]),
        (evt.EVT_N_ACTION, _commit, [store, destination]),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
    try:
        yield f"dicom{'s' if tls else ''}://{AE_TITLE}@127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()


def _find(event, store):
    level = event.identifier.QueryRetrieveLevel
    store.asked.append(f"C-FIND {level}")
    if "C-FIND" in store.status:
        yield store.status["C-FIND"], None
        return
    for answer in store.answers(level, _keys_of(event.identifier)):
        found = Dataset()
        found.QueryRetrieveLevel = level
        for key, value in answer.items():
            if value is not None:
                setattr(found, key, value)
        yield 0xFF00, found


def _sub_operations(event, store, service):
    store.asked.append(f"{service} {event.identifier.QueryRetrieveLevel}")
    if service in store.status:
        yield 1
        yield store.status[service], None
        return
    sending = store.sending(_keys_of(event.identifier))
    cut = store.cuts > 0
    store.cuts -= cut
    yield len(sending)
    for n, dataset in enumerate(sending):
        if cut and n == store.cut_after:
            event.assoc.abort()
            return
        time.sleep(store.delay_s)
        yield 0xFF00, dataset


def _get(event, store):
    yield from _sub_operations(event, store, "C-GET")


def _move(event, store, destination):
    if destination is None or event.move_destination != OURS:
        yield None, None
        return
    yield (
        "127.0.0.1",
        destination[1],
        {"contexts": [c for c in AllStoragePresentationContexts if c.abstract_syntax in (CT, PT)]},
    )
    yield from _sub_operations(event, store, "C-MOVE")


def _store(event, store):
    store.asked.append("C-STORE")
    if "C-STORE" in store.status:
        return store.status["C-STORE"]
    if not store.forgets:
        dataset = dcmread(io.BytesIO(event.encoded_dataset()))
        store.instances[str(dataset.SOPInstanceUID)] = dataset
    return 0x0000


def _commit(event, store, destination):
    """Says over a connection of its own what it has."""
    store.asked.append("commitment")
    asked = event.action_information
    if destination is not None:
        threading.Thread(target=_report_commitment, args=(asked, store, destination)).start()
    return 0x0000, None


def _report_commitment(asked: Dataset, store: Store, destination) -> None:
    from pynetdicom.presentation import build_role

    report = Dataset()
    report.TransactionUID = asked.TransactionUID
    have = [i for i in asked.ReferencedSOPSequence if str(i.ReferencedSOPInstanceUID) in store.instances]
    lacks = [i for i in asked.ReferencedSOPSequence if i not in have]
    report.ReferencedSOPSequence = have
    if lacks:
        for item in lacks:
            item.FailureReason = 0x0112
        report.FailedSOPSequence = lacks
    entity = AE(ae_title=AE_TITLE)
    entity.add_requested_context(COMMITMENT)
    association = entity.associate(
        *destination[:1], destination[1], ae_title=OURS, ext_neg=[build_role(COMMITMENT, scu_role=False, scp_role=True)]
    )
    if association.is_established:
        association.send_n_event_report(report, 2 if lacks else 1, COMMITMENT, f"{COMMITMENT}.1")
        association.release()


class _Web(BaseHTTPRequestHandler):
    """QIDO-RS, WADO-RS and STOW-RS of a store, just as far as it is used."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        store, url = self.server.store, urlsplit(self.path)
        parts = url.path.strip("/").split("/")[1:]
        store.asked.append(f"GET {len(parts)}")
        if self._is_refused():
            return
        keys = dict(zip(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), parts[1::2], strict=False))
        if len(parts) % 2:
            asked = {k: v[0] for k, v in parse_qs(url.query).items()}
            keys |= {k: v for k, v in asked.items() if k in _KEYS}
            answers = store.answers({1: "STUDY", 3: "SERIES", 5: "IMAGE"}[len(parts)], keys)
            offset, limit = int(asked.get("offset", 0)), min(int(asked.get("limit", 3)), self.server.page)
            self._answer(
                json.dumps([_as_json(a) for a in answers[offset : offset + limit]]).encode(), "application/dicom+json"
            )
            return
        sending = store.sending(keys)
        bodies = []
        for dataset in sending:
            content = io.BytesIO()
            dcmwrite(content, dataset, enforce_file_format=True)
            bodies.append(b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + content.getvalue() + b"\r\n")
        body = b"".join(bodies) + b"--edge--"
        cut = store.cuts > 0
        store.cuts -= cut
        self._answer(
            body,
            'multipart/related; type="application/dicom"; boundary=edge',
            cut=sum(map(len, bodies[: store.cut_after])) + 400 if cut else None,
        )

    def do_POST(self):
        store = self.server.store
        store.asked.append("STOW")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_refused():
            return
        edge = self.headers["Content-Type"].split('boundary="')[1].rstrip('"').encode()
        answer = {}
        for part in body.split(b"--" + edge)[1:-1]:
            dataset = dcmread(io.BytesIO(part.split(b"\r\n\r\n", 1)[1][:-2]))
            if "STOW" in store.status:
                answer["00081198"] = {
                    "vr": "SQ",
                    "Value": [{"00081197": {"vr": "US", "Value": [store.status["STOW"]]}}],
                }
            elif not store.forgets:
                store.instances[str(dataset.SOPInstanceUID)] = dataset
        self._answer(json.dumps(answer).encode(), "application/dicom+json")

    def _is_refused(self):
        wanted = self.server.authorization
        status = self.server.store.status.get(
            "HTTP", 401 if wanted and self.headers.get("Authorization") != wanted else 0
        )
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return bool(status)

    def _answer(self, body, kind, cut=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if cut is None:
            self.send_header("Content-Length", str(len(body)))
        else:  # an answer whose length nobody states, and that ends too early
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body[:cut])


def _as_json(answer) -> dict:
    found = Dataset()
    for key, value in answer.items():
        if value is not None:
            setattr(found, key, value)
    return found.to_json_dict()


@contextmanager
def web_archive(store: Store, *, authorization: str = "", page: int = 1000, tls: ssl.SSLContext | None = None):
    """The address of a DICOMweb archive while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    server.daemon_threads = True
    server.store, server.authorization, server.page = store, authorization, page
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def quick(url: str, **settings) -> Archive:
    """An archive that is given up soon."""
    return Archive(url=url, **{"timeout_s": 5.0, "pause_s": 0.01, "attempts": 2, "commitment_wait_s": 3.0, **settings})


def new_uid() -> str:
    return generate_uid()


def files_in(folder: Path) -> list[Path]:
    """Every file, hidden ones too."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def write_dicom_case(folder: Path) -> Path:
    """A tiny CT, a Y-90 PET and labels with markers in their headers, and the case file that assesses them."""
    from voxeldose.demo.dicom_study import PhantomStudy, write_ct, write_pet
    from voxeldose.demo.phantom import CT_AT, INFUSION_AT, PET_AT
    from voxeldose.io.nifti import write_labels
    from voxeldose.model.administration import Administration
    from voxeldose.model.grid import Grid
    from voxeldose.model.radionuclide import Y90

    study = PhantomStudy("MARKDESC", "MARKID", "MARKNAME^Ada", "LIVER", CT_AT)
    grid = Grid.from_axes((8, 10, 12), (5.0, 6.0, 6.0), (-33.0, -27.0, -20.0), frame_uid=study.uid("frame"))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:7, 2:8, 2:10], labels[3:5, 4:6, 4:7] = 1, 2
    for name in ("ct", "pet"):
        (folder / name).mkdir(parents=True)
    write_ct(study, np.where(labels > 0, 60.0, 20.0), grid, folder / "ct", CT_AT)
    activity = np.where(labels == 2, 5e6, np.where(labels == 1, 1e6, 0)).astype(np.float32)
    given = Administration(Y90, 1850.0, INFUSION_AT)
    write_pet(study, activity, grid, folder / "pet", at=PET_AT, frame_s=900.0, given=given)
    write_labels(labels, grid, folder / "labels.nii.gz")
    (folder / "case.toml").write_text(_CASE)
    return folder / "case.toml"


_CASE = """
[activity]
path = "pet"
[ct]
path = "ct"
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion_1", role = "tumor" } }
[administration]
administered_mbq = 1850.0
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04
"""
