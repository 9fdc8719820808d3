"""Our own receiver, for what an archive sends over a connection that it opens: instances by C-MOVE, and its commitment."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import items, text
from voxeldose.io.network.association import new_entity, no_delay
from voxeldose.io.network.credentials import server_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import Dataset

    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.spool import Spool

__all__ = ["COMMITMENT", "VERIFICATION", "Receiver", "spool_handler"]

VERIFICATION = "1.2.840.10008.1.1"
#: Storage Commitment Push Model.
COMMITMENT = "1.2.840.10008.1.20.1"

_SUCCESS, _NOT_AUTHORISED, _DISK_FULL, _NO_SUCH_EVENT = 0x0000, 0x0124, 0xA700, 0x0113
#: How long the last instances are waited for after an archive has said that it is done.
_SETTLE_S = 5.0


def spool_handler(spool: Spool) -> Callable[[Any], int]:
    """What answers an instance that the archive sends: success only once it is on the disk."""

    def handle(event: Any) -> int:
        try:
            known = spool.write(str(event.request.AffectedSOPInstanceUID), [event.encoded_dataset()])
        except OSError:
            return _DISK_FULL
        return _SUCCESS if known else _NOT_AUTHORISED

    return handle


class Receiver:
    """Listens until it is closed; takes what a spool waits for, and answers on commitments that were asked for.

    Raises
    ------
    InputError
        If it cannot listen where ``receive`` says, or certificates are missing.
    """

    def __init__(self, archive: Archive) -> None:
        address = archive.listen
        assert address is not None  # noqa: S101 - checked where the settings are read
        self._spool: Spool | None = None
        self._commitments: dict[str, tuple[Event, set[str]]] = {}
        self._lock = Lock()
        entity = new_entity(archive)
        entity.require_called_aet = True
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, list(ALL_TRANSFER_SYNTAXES))
        entity.add_supported_context(VERIFICATION)
        # in this answer the archive is the provider although it opens the connection: both roles are accepted
        entity.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
        tls = server_tls(archive) if archive.peer.has_tls else None
        handlers = [
            (evt.EVT_CONN_OPEN, no_delay),
            (evt.EVT_C_STORE, self._take),
            (evt.EVT_N_EVENT_REPORT, self.note_commitment),
        ]
        try:
            self._server = entity.start_server(address, block=False, evt_handlers=handlers, ssl_context=tls)
        except OSError as error:
            msg = (
                f"receive {archive.receive}: cannot listen there ({error.strerror or type(error).__name__}). Is another "
                "program on this port, or is the address not this computer's?"
            )
            raise InputError(msg, code="receive-not-possible", side="here") from error

    @contextmanager
    def receiving(self, spool: Spool) -> Iterator[None]:
        """While this lasts, instances go to the spool; outside of it everything is turned away."""
        self._spool = spool
        try:
            yield
        finally:
            self._spool = None

    def settle(self, spool: Spool) -> None:
        """Wait for what is still on its way although the archive has said that it is done."""
        count, until = spool.count, time.monotonic() + _SETTLE_S
        while spool.missing and time.monotonic() < until:
            time.sleep(0.02)
            if spool.count != count:
                count, until = spool.count, time.monotonic() + _SETTLE_S

    def expect_commitment(self, transaction: str) -> None:
        """Be ready for the answer on a transaction."""
        with self._lock:
            self._commitments[transaction] = (Event(), set())

    def wait_for_commitment(self, transaction: str, longest_s: float) -> frozenset[str] | None:
        """The instances that the archive commits itself to keep; ``None`` if it has not answered."""
        answered, kept = self._commitments[transaction]
        return frozenset(kept) if answered.wait(longest_s) else None

    def note_commitment(self, event: Any) -> tuple[int, Dataset | None]:
        """What answers the archive's report; also bound to the connection that asked for it."""
        report = event.event_information
        with self._lock:
            expected = self._commitments.get(text(report, "TransactionUID"))
            if expected is None or event.event_type not in (1, 2):
                return _NO_SUCH_EVENT, None
            answered, kept = expected
            kept.update(text(item, "ReferencedSOPInstanceUID") for item in items(report, "ReferencedSOPSequence"))
            answered.set()
        return _SUCCESS, None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()

    def _take(self, event: Any) -> int:
        spool = self._spool
        return spool_handler(spool)(event) if spool is not None else _NOT_AUTHORISED
