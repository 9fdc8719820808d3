"""Certificates and secrets, read from files and the environment when a connection is made."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from voxeldose.io.config.archive import Archive, Secret, Tls

__all__ = ["client_tls", "read_secret", "server_tls"]


def read_secret(secret: Secret, name: str) -> str:
    """A secret, without the blanks around it.

    Raises
    ------
    InputError
        If the file or variable is missing or empty. The message names it and never its content.
    """
    if secret.env is not None:
        value, where = os.environ.get(secret.env, ""), f"the variable {secret.env} of the environment"
    else:
        where = str(secret.file)
        try:
            value = Path(where).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{name}: {where} cannot be read ({type(error).__name__})."
            raise InputError(msg, code="secret-missing", side="here") from error
    if not value.strip():
        msg = f"{name}: {where} is not set or empty."
        raise InputError(msg, code="secret-missing", side="here")
    return value.strip()


def client_tls(archive: Archive) -> ssl.SSLContext:
    """For connections that we open: the archive must prove its name; we show our certificate where there is one."""
    return _with_our_certificate(ssl.create_default_context(cafile=_file(archive.tls.ca)), archive.tls)


def server_tls(archive: Archive) -> ssl.SSLContext:
    """For connections that the archive opens to us: both sides show a certificate.

    Raises
    ------
    InputError
        If we have none, or no authority is named that the archive's must be signed by.
    """
    if archive.tls.certificate is None or archive.tls.ca is None:
        msg = "Receiving over TLS needs our certificate and the archive's authority: certificate, key and ca in [tls]."
        raise InputError(msg, code="certificate-missing", side="here")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=_file(archive.tls.ca))
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_our_certificate(context, archive.tls)


def _with_our_certificate(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        password = read_secret(tls.key_password, "tls.key_password") if tls.key_password is not None else ""
        try:
            # a password that is always given: without one the library would ask on the terminal
            context.load_cert_chain(_file(tls.certificate) or "", _file(tls.key), password)
        except (ssl.SSLError, ValueError, OSError) as error:
            msg = f"{tls.certificate}: certificate and key cannot be used ({type(error).__name__}); PEM files that belong together are needed."
            raise InputError(msg, code="certificate-unusable", side="here") from error
    return context


def _file(path: str | None) -> str | None:
    if path is not None and not Path(path).is_file():
        msg = f"{path}: there is no such file of certificates or keys."
        raise InputError(msg, code="file-missing", side="here")
    return path
