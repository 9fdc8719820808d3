"""Text that people wrote, whatever editor saved it: UTF-8 with or without a byte order mark, any end of line."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_text"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: Path) -> str:
    r"""The text of a file in UTF-8, without a byte order mark, with ``\n`` at the end of lines.

    Raises
    ------
    OSError
        If it cannot be read.
    InputError
        If it is in another encoding, which is named where that is certain.
    """
    content = path.read_bytes()
    found = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if (
        found is None
        and len(content) > 3
        and (content[1::2].count(0) > len(content) // 4 or content[::2].count(0) > len(content) // 4)
    ):
        found = "UTF-16"
    if found is None:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            msg = f"{path}: line {line} is not in UTF-8 (a Windows or Mac encoding?). Save the file in UTF-8."
            raise InputError(msg, code="encoding-wrong", line=line) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")
    msg = f"{path}: saved in {found}, as Windows' PowerShell and Notepad (Unicode) do. Save the file in UTF-8."
    raise InputError(msg, code="encoding-wrong", found=found)
