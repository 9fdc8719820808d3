"""Refusals of the network: what failed, and on which side it is put right. Addresses and codes, never identifiers."""

from __future__ import annotations

import logging
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxeldose.io.config.archive import Archive, Peer

__all__ = ["CONNECT_S", "Side", "archive_refusal", "quiet_libraries", "with_attempts"]

T = TypeVar("T")

#: Who can put it right: the archive's administrator, whoever runs voxeldose, or whoever runs the network.
Side = Literal["archive", "here", "network"]

#: Longest wait for a connection itself.
CONNECT_S = 10.0
_LONGEST_PAUSE_S = 60.0


def archive_refusal(
    peer: Peer, message: str, *, code: str, side: Side, transient: bool = False, **fields: object
) -> InputError:
    """A refusal that begins with the archive's address.

    Parameters
    ----------
    peer : Peer
        The archive.
    message : str
        What was found, what is needed, the way out.
    code, side, transient
        What kind it is, who can put it right, and whether the same may succeed when it is tried again.
    """
    return InputError(
        f"{peer}: {message}", code=code, side=side, transient=transient, host=peer.host, port=peer.port, **fields
    )


def with_attempts(archive: Archive, action: Callable[[], T], report_progress: Callable[[str], None]) -> T:
    """What the action returns; when it fails for now it is tried again, with growing pauses.

    Raises
    ------
    InputError
        That of the last attempt.
    """
    pause_s = archive.pause_s
    for attempt in range(2, archive.attempts + 1):
        try:
            return action()
        except InputError as error:
            if not error.fields.get("transient"):
                raise
            report_progress(f"{error.code}; attempt {attempt} of {archive.attempts} in {pause_s:.0f} s")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return action()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """While this lasts the libraries neither log nor warn: their words hold addresses with UIDs, and values of headers."""
    loggers = [logging.getLogger(name) for name in ("pynetdicom", "dicomweb_client", "retrying", "pydicom", "urllib3")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
