"""The client for an archive, by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from voxeldose.io.config.archive import Archive
    from voxeldose.io.network.archive import ArchiveClient

__all__ = ["connect"]


def connect(archive: Archive) -> ArchiveClient:
    """The client for an archive, to be used in a ``with`` block; connects when it is first asked for something.

    Raises
    ------
    InputError
        If the extra ``voxeldose[dicom]`` is not installed, or a certificate or secret cannot be read.
    """
    try:
        if archive.peer.is_web:
            from voxeldose.io.network.web import WebClient

            return WebClient(archive)
        from voxeldose.io.network.dimse import DimseClient

        return DimseClient(archive)
    except ModuleNotFoundError as error:
        msg = f"{error.name} is needed to speak to an archive, and it is not installed: pip install 'voxeldose[dicom]'."
        raise InputError(msg, code="extra-missing", extra="dicom") from error
