"""Figures as files in memory, and as addresses that hold them, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from voxeldose.report.fonts import complete_texts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["data_uri", "figure_file", "figure_uri"]

_MIME = {"png": "image/png", "svg": "image/svg+xml"}


def figure_file(figure: Figure, kind: str, dpi: int) -> bytes:
    """A figure as ``png`` or ``svg``; an SVG inside an image runs no script, whatever a region is called."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "voxeldose"}), complete_texts(figure):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """The address of a ``png`` or ``svg`` that holds the content itself."""
    return f"data:{_MIME[kind]};base64,{base64.b64encode(content).decode('ascii')}"


def figure_uri(figure: Figure, kind: str, dpi: int) -> str:
    """The address of a figure that holds the figure itself."""
    return data_uri(figure_file(figure, kind, dpi), kind)
