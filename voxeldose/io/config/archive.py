"""The image archive (PACS) that studies come from and results go to: its address, and how to speak to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from voxeldose.errors import InputError
from voxeldose.io.config.toml import NotNegative, Positive, Table, read_toml, table_from

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Archive", "Login", "Peer", "Secret", "Tls", "read_archive"]

#: Ports where the address names none (PS3.15 B for DICOM over TLS).
_PORTS = {"dicom": 104, "dicoms": 2762, "http": 80, "https": 443}
_LONGEST_AE = 16
#: Keys that name files, by table.
_FILES = {"tls": ("ca", "certificate", "key")}
#: Keys that are secrets, by table.
_SECRETS = {"tls": ("key_password",), "login": ("password", "token")}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Secret(Table):
    """Where a secret stands: a file, or a variable of the environment. It never stands in the settings themselves."""

    file: str | None = None
    env: str | None = None


class Tls(Table):
    """Certificates (PEM files): of the authority that the archive's is signed by, and our own, where it wants one."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = None


class Login(Table):
    """What a DICOMweb service asks for: user and password, or a token."""

    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None


class Archive(Table):
    """An archive and how it is spoken to.

    Parameters
    ----------
    url : str
        ``https://host/dicom-web`` for DICOMweb; ``dicom://AE@host:port`` for DICOM itself, ``dicoms://`` for that over TLS.
    calling_ae : str
        Our application entity title, as the archive knows it.
    retrieve : str
        ``get`` (C-GET, over our own connection), or ``move`` (C-MOVE: the archive connects to ``receive``).
    receive : str, optional
        ``address:port`` where we listen for what the archive sends: C-MOVE, and its answer on storage commitment.
    timeout_s : float
        Longest silence of the archive.
    attempts : int
        How often something that failed for now is tried.
    pause_s : float
        Before the second attempt; each later pause is twice as long, a minute at most.
    commitment : bool
        Whether the archive is asked to commit itself to keep what was sent, where it can and ``receive`` is given.
    commitment_wait_s : float
        How long its answer is waited for.
    """

    url: str
    calling_ae: str = "VOXELDOSE"
    retrieve: Literal["get", "move"] = "get"
    receive: str | None = None
    timeout_s: Positive = 60.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    pause_s: NotNegative = 2.0
    commitment: bool = True
    commitment_wait_s: NotNegative = 30.0
    tls: Tls = Tls()
    login: Login = Login()

    @property
    def peer(self) -> Peer:
        """The address in its parts."""
        return _peer_of(self.url)

    @property
    def listen(self) -> tuple[str, int] | None:
        """Address and port of ``receive``."""
        if self.receive is None:
            return None
        host, _, port = self.receive.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Peer:
    """Where an archive listens. ``ae`` is its application entity title; empty for DICOMweb."""

    scheme: str
    host: str
    port: int
    ae: str = ""

    @property
    def is_web(self) -> bool:
        """Whether it is a DICOMweb service."""
        return self.scheme in ("http", "https")

    @property
    def is_loopback(self) -> bool:
        """Whether it is this computer."""
        return self.host in _LOOPBACK

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("https", "dicoms")

    def __str__(self) -> str:
        return f"{self.ae + ' at ' if self.ae else ''}{self.host}:{self.port}"


def read_archive(text: str) -> Archive:
    """The archive that a text names: an address, or a TOML file with the settings.

    Raises
    ------
    InputError
        If it is neither, or settings contradict each other.
    """
    if "://" in text:
        tables, where = {"url": text}, "archive"
    else:
        path = Path(text)
        tables, where = _with_whole_paths(read_toml(path, "file of an archive's settings"), path.parent), str(path)
    archive = table_from(Archive, tables, where)
    _check(archive, where)
    return archive


def _with_whole_paths(tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The tables with the files that they name seen from here."""
    whole = dict(tables)
    for name in (*_FILES, *_SECRETS):
        if isinstance(whole.get(name), dict):
            table = dict(whole[name])
            for key in _FILES.get(name, ()):
                if isinstance(table.get(key), str):
                    table[key] = str(folder / table[key])
            for key in _SECRETS.get(name, ()):
                secret = table.get(key)
                if isinstance(secret, dict) and isinstance(secret.get("file"), str):
                    table[key] = secret | {"file": str(folder / secret["file"])}
            whole[name] = table
    return whole


def _check(archive: Archive, where: str) -> None:
    """Refuse settings that cannot be meant."""
    peer = archive.peer
    for ae in filter(None, (archive.calling_ae, peer.ae)):
        if not ae.strip() or len(ae) > _LONGEST_AE or not ae.isascii() or "\\" in ae:
            msg = f"{where}: {ae!r} is no application entity title; 1 to {_LONGEST_AE} ASCII characters are needed."
            raise InputError(msg, code="ae-title", found=ae)
    if archive.tls != Tls() and not peer.has_tls:
        msg = f"{where}: [tls] is given, but {peer.scheme}:// is not encrypted; use {peer.scheme}s://."
        raise InputError(msg, code="keys-contradict", keys=("tls", "url"))
    for name, secret in _secrets_of(archive):
        if (secret.file is None) == (secret.env is None):
            msg = f"{where}: {name} needs file or env, exactly one of them; the secret itself does not stand here."
            raise InputError(msg, code="keys-contradict", keys=(name,))
    _check_receive(archive, where)
    _check_login(archive, where)


def _check_receive(archive: Archive, where: str) -> None:
    if archive.receive is None:
        if archive.retrieve == "move" and not archive.peer.is_web:
            msg = f'{where}: retrieve = "move" needs receive = "address:port", where this computer listens for the archive.'
            raise InputError(msg, code="key-missing", keys=("receive",))
        return
    host, _, port = archive.receive.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        msg = f"{where}: receive is {archive.receive!r}; address:port is needed, such as 0.0.0.0:11112."
        raise InputError(msg, code="value-wrong", keys=("receive",))


def _check_login(archive: Archive, where: str) -> None:
    login, peer = archive.login, archive.peer
    if login.token is not None and login.password is not None:
        msg = f"{where}: login has a token and a password; give one of them."
        raise InputError(msg, code="keys-contradict", keys=("login.token", "login.password"))
    if (login.user is None) != (login.password is None):
        msg = f"{where}: login needs user and password together."
        raise InputError(msg, code="key-missing", keys=("login.user", "login.password"))
    if login == Login():
        return
    if not peer.is_web:
        msg = f"{where}: login is for DICOMweb; DICOM itself knows who asks by the certificates in [tls]."
        raise InputError(msg, code="keys-contradict", keys=("login",))
    if not peer.has_tls and not peer.is_loopback:
        msg = f"{where}: a password or token would go to {peer} unencrypted. Use https:// (its certificate: [tls] ca)."
        raise InputError(msg, code="login-unencrypted")


def _secrets_of(archive: Archive) -> list[tuple[str, Secret]]:
    named = [(f"{name}.{key}", getattr(getattr(archive, name), key)) for name in _SECRETS for key in _SECRETS[name]]
    return [(name, secret) for name, secret in named if secret is not None]


def _peer_of(url: str) -> Peer:
    forms = "https://host/dicom-web, dicom://AE@host:port or dicoms://AE@host:port"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        msg = f"The archive's address cannot be read; {forms} is needed."
        raise InputError(msg, code="archive-url") from error
    if parts.scheme not in _PORTS or not host:
        msg = f"The archive's address begins with {parts.scheme + '://' if parts.scheme else 'no scheme'}; {forms} is needed."
        raise InputError(msg, code="archive-url")
    peer = Peer(parts.scheme, host, port or _PORTS[parts.scheme], parts.username or "")
    if peer.is_web and parts.username is not None:
        msg = "The archive's address holds a user or password; they belong into [login] of a file of settings."
        raise InputError(msg, code="archive-url")
    if not peer.is_web and (not peer.ae or parts.password is not None):
        msg = f"The archive's address names no application entity title; dicom://AE@{peer.host}:{peer.port} is needed."
        raise InputError(msg, code="archive-url")
    if not peer.is_web and parts.path not in ("", "/"):
        msg = f"The archive's address goes on after its port; dicom://AE@{peer.host}:{peer.port} is needed."
        raise InputError(msg, code="archive-url")
    return peer
