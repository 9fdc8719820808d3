"""Connections that we open to an archive in DICOM's own messages, and why one fails."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, evt

from voxeldose.io.network.credentials import client_tls
from voxeldose.io.network.refusals import CONNECT_S, archive_refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from voxeldose.errors import InputError
    from voxeldose.io.config.archive import Archive

__all__ = ["new_entity", "no_delay", "open_association", "require_status", "service_refusal"]

#: Longer pieces than the usual 16 kB: fewer answers per image.
_PDU_BYTES = 131072

#: Source and reason of a rejection (PS3.8 9.3.4) that say whose settings are wrong.
_CALLING_UNKNOWN, _CALLED_UNKNOWN = (1, 3), (1, 7)


def new_entity(archive: Archive) -> AE:
    """Our application entity with the archive's time limits."""
    entity = AE(ae_title=archive.calling_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = archive.timeout_s
    entity.connection_timeout = min(CONNECT_S, archive.timeout_s)
    entity.maximum_pdu_size = _PDU_BYTES
    return entity


def no_delay(event: Any) -> None:
    """Send small pieces at once (else each instance waits 40 ms for an acknowledgement), and never wait for ever."""
    connection = event.assoc.dul.socket.socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if os.name == "posix" and event.assoc.network_timeout:
        limit = struct.pack("ll", int(event.assoc.network_timeout) + 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


@contextmanager
def open_association(
    archive: Archive,
    contexts: Sequence[PresentationContext],
    what: str,
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Association]:
    """A connection for what is offered (``what``, for the message), closed when the block ends.

    Raises
    ------
    InputError
        If there is none, with what is wrong and on which side.
    """
    peer = archive.peer
    tls = (client_tls(archive), peer.host) if peer.has_tls else None
    try:
        association = new_entity(archive).associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae,
            max_pdu=_PDU_BYTES,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, no_delay), *handlers],
        )
    except OSError as error:
        raise _connection_refusal(archive, error) from error
    if not association.is_established:
        raise _rejection(archive, association, what)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        if not association.is_released:
            association.abort()


def require_status(archive: Archive, status: Any, what: str) -> int:
    """The status of an answer.

    Raises
    ------
    InputError
        If the answer has none: the archive broke off, or was silent for too long.
    """
    if "Status" not in status:
        msg = (
            f"the connection broke off, or nothing came for {archive.timeout_s:g} s, during {what}. If the archive only is "
            "slow, raise timeout_s; if it breaks off at once, it may not know our calling AE: ask its administrator."
        )
        raise archive_refusal(archive.peer, msg, code="connection-lost", side="network", transient=True)
    return int(status.Status)


def service_refusal(archive: Archive, what: str) -> InputError:
    """The refusal where an archive accepts the connection and not what it is for."""
    other = {"C-GET": ', or use retrieve = "move"', "C-MOVE": ', or use retrieve = "get"'}.get(what, "")
    msg = f"it does not offer {what} to {archive.calling_ae}. Have it allowed there{other}."
    return archive_refusal(archive.peer, msg, code="service-missing", side="archive", service=what)


def _rejection(archive: Archive, association: Association, what: str) -> InputError:
    """Why no connection came about."""
    peer = archive.peer
    if association.rejected_contexts and not association.accepted_contexts:
        return service_refusal(archive, what)
    if not association.is_rejected:
        return _broken_connection(archive)
    answer = association.acceptor.primitive
    reason = (answer.result_source, answer.diagnostic)
    if reason == _CALLING_UNKNOWN:
        msg = (
            f"the archive does not know us as {archive.calling_ae}. Have its administrator add this application entity "
            "title with this computer's address, or set calling_ae to the one that it knows."
        )
        return archive_refusal(peer, msg, code="calling-ae-unknown", side="archive")
    if reason == _CALLED_UNKNOWN:
        msg = f"the archive is not called {peer.ae}. Put its application entity title into the address, dicom://AE@host:port."
        return archive_refusal(peer, msg, code="called-ae-unknown", side="here")
    is_busy = answer.result == 2 or answer.result_source == 3
    msg = (
        f"the archive rejects the connection (result {answer.result}, source {answer.result_source}, reason "
        f"{answer.diagnostic}); it {'may have too many open' if is_busy else 'does not accept what we are'}. "
        "Its administrator can see why."
    )
    code = "archive-busy" if is_busy else "association-rejected"
    return archive_refusal(peer, msg, code=code, side="archive", transient=is_busy)


def _broken_connection(archive: Archive) -> InputError:
    """What a connection by hand finds, since the library does not say why its own failed."""
    peer = archive.peer
    limit = min(CONNECT_S, archive.timeout_s)
    try:
        with socket.create_connection((peer.host, peer.port), limit) as plain:
            if peer.has_tls:
                with client_tls(archive).wrap_socket(plain, server_hostname=peer.host) as connection:
                    connection.settimeout(1.0)
                    with suppress(TimeoutError):
                        connection.recv(1)  # TLS 1.3 tells only here that it does not like our certificate
    except OSError as error:
        return _connection_refusal(archive, error)
    msg = (
        "something answers, but it breaks off before a connection for DICOM is made. Is this the port of DICOM, and does "
        f"it want {'plain DICOM (dicom://)' if peer.has_tls else 'TLS (dicoms://)'}?"
    )
    return archive_refusal(peer, msg, code="association-broken", side="here", transient=True)


def _connection_refusal(archive: Archive, error: OSError) -> InputError:
    peer = archive.peer
    if isinstance(error, ssl.SSLCertVerificationError):
        msg = f"its certificate is not accepted ({error.verify_message}). Name its authority by ca in [tls], and the host as the certificate does."
        return archive_refusal(peer, msg, code="certificate-not-trusted", side="here")
    if isinstance(error, ssl.SSLError):
        msg = f"no encrypted connection ({error.reason or 'broken off'}): it does not accept our certificate or has none of our ways. Give certificate and key in [tls], and have them accepted there."
        return archive_refusal(peer, msg, code="tls-failed", side="archive")
    if isinstance(error, ConnectionResetError) and peer.has_tls:
        msg = "it breaks off during the encrypted connection. Does it speak TLS on this port, and does it accept our certificate?"
        return archive_refusal(peer, msg, code="tls-failed", side="archive")
    why = error.strerror or type(error).__name__
    msg = f"no connection ({why}). Check address and port, that the archive runs, and that no firewall stands between."
    return archive_refusal(peer, msg, code="archive-unreachable", side="network", transient=True)
