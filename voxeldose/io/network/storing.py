"""Objects to an archive by C-STORE, and its commitment to keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.presentation import build_context

from voxeldose.errors import InputError
from voxeldose.io.network.association import open_association, require_status
from voxeldose.io.network.contexts import MOST_CONTEXTS, contexts_for_sending
from voxeldose.io.network.receiver import COMMITMENT
from voxeldose.io.network.refusals import archive_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.archive import Outgoing
    from voxeldose.io.network.receiver import Receiver

__all__ = ["confirm_by_commitment", "send_objects"]

_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST = 1
_SUCCESS = 0x0000
#: Stored, with some elements changed or left out by the archive (PS3.4 B.2.3).
_STORED = (_SUCCESS, 0xB000, 0xB006, 0xB007)


def send_objects(archive: Archive, objects: Sequence[Outgoing], report: Callable[[Outgoing], None]) -> None:
    """Send each over one connection that offers just their kinds and encodings; ``report`` hears of each that was stored.

    Raises
    ------
    InputError
        If the archive does not take one; those before it are stored.
    """
    contexts = contexts_for_sending((_kind(one), _syntax(one)) for one in objects)
    if len(contexts) > MOST_CONTEXTS:
        msg = f"{len(contexts)} kinds of objects are more than the {MOST_CONTEXTS} that one connection may offer."
        raise InputError(msg, code="kinds-too-many", side="here")
    with open_association(archive, contexts, "storage of any object at hand") as association:
        accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
        for one in objects:
            if (_kind(one), _syntax(one)) not in accepted:
                msg = (
                    f"it does not accept {one.name} ({one.dataset.SOPClassUID.name}, {_syntax_name(one)}) from "
                    f"{archive.calling_ae}. Have this kind of object allowed there."
                )
                raise archive_refusal(archive.peer, msg, code="kind-not-accepted", side="archive", kind=one.kind)
        for one in objects:
            status = require_status(archive, association.send_c_store(one.dataset), f"C-STORE of {one.name}")
            if status not in _STORED:
                raise _store_refusal(archive, one, status)
            report(one)


def _store_refusal(archive: Archive, one: Outgoing, status: int) -> InputError:
    peer = archive.peer
    if status >> 8 == 0xA7:
        msg = f"it does not store {one.name}: it is out of resources (status 0x{status:04X}). Its disk may be full."
        return archive_refusal(peer, msg, code="archive-full", side="archive", transient=True, status=status)
    if status == 0x0124:
        msg = f"{archive.calling_ae} may not store {one.name} there (status 0x0124). Have its administrator allow it."
        return archive_refusal(peer, msg, code="not-allowed", side="archive", status=status)
    msg = f"it does not store {one.name} ({one.kind}), status 0x{status:04X}. Its administrator can see why."
    return archive_refusal(peer, msg, code="object-refused", side="archive", status=status)


def confirm_by_commitment(archive: Archive, objects: Sequence[Outgoing], receiver: Receiver) -> frozenset[str] | None:
    """The instances that the archive commits itself to keep; ``None`` where it has no commitment or does not answer.

    Its answer comes over a connection of its own to the receiver, or over the one that asked.
    """
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = [_reference(one) for one in objects]
    receiver.expect_commitment(str(request.TransactionUID))
    handlers: list[tuple[Any, ...]] = [(evt.EVT_N_EVENT_REPORT, receiver.note_commitment)]
    try:
        with open_association(
            archive, [build_context(COMMITMENT)], "storage commitment", handlers=handlers
        ) as association:
            status, _ = association.send_n_action(request, _REQUEST, COMMITMENT, _COMMITMENT_INSTANCE)
            if require_status(archive, status, "storage commitment") != _SUCCESS:
                return None
            return receiver.wait_for_commitment(str(request.TransactionUID), archive.commitment_wait_s)
    except InputError:
        return None  # an archive without commitment may reject or break off; its instances are looked for then


def _reference(one: Outgoing) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.dataset.SOPClassUID, one.dataset.SOPInstanceUID
    return item


def _kind(one: Outgoing) -> str:
    return str(one.dataset.SOPClassUID)


def _syntax(one: Outgoing) -> str:
    return str(one.dataset.file_meta.TransferSyntaxUID)


def _syntax_name(one: Outgoing) -> str:
    return str(one.dataset.file_meta.TransferSyntaxUID.name)
