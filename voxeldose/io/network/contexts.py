"""What is offered to the other side: which kinds of objects, and in which encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom.presentation import build_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pynetdicom.presentation import PresentationContext

__all__ = ["MOST_CONTEXTS", "STORAGE_CLASSES", "contexts_for_receiving", "contexts_for_sending"]

#: A connection's opener may offer so many pairs of kind and encoding (PS3.8 9.3.2.2: odd numbers up to 255).
MOST_CONTEXTS = 128

#: What a study for dosimetry may hold, the most wanted first; for archives that do not tell the kind of their instances.
STORAGE_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{end}"
    for end in (
        "2",  # CT Image
        "128",  # Positron Emission Tomography Image
        "20",  # Nuclear Medicine Image
        "66.4",  # Segmentation
        "481.3",  # RT Structure Set
        "2.1",  # Enhanced CT Image
        "130",  # Enhanced PET Image
        "481.2",  # RT Dose
        "66.1",  # Spatial Registration
        "66.3",  # Deformable Spatial Registration
        "4",  # MR Image
        "4.1",  # Enhanced MR Image
        "481.5",  # RT Plan
        "88.34",  # Comprehensive 3D SR
        "88.33",  # Comprehensive SR
        "88.22",  # Enhanced SR
        "88.11",  # Basic Text SR
        "88.67",  # X-Ray Radiation Dose SR
        "88.68",  # Radiopharmaceutical Radiation Dose SR
        "88.59",  # Key Object Selection
        "104.1",  # Encapsulated PDF
        "7",  # Secondary Capture Image
        "7.2",  # Multi-frame Grayscale Byte Secondary Capture Image
        "7.4",  # Multi-frame True Color Secondary Capture Image
        "11.1",  # Grayscale Softcopy Presentation State
        "66",  # Raw Data
        "12.1",  # X-Ray Angiographic Image
        "6.1",  # Ultrasound Image
    )
)

#: Explicit and implicit little endian: every archive has the second.
_PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
#: Compressed encodings, each offered by itself: an archive that keeps one need not convert. The most used first.
_COMPRESSED = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.1.99",  # Deflated
)


def contexts_for_receiving(classes: Iterable[str], *, reserved: int) -> list[PresentationContext]:
    """Pairs for what the archive may send over a connection of ours, at most 128 less ``reserved`` ones.

    Every kind plain before any compressed: rather an archive that converts than one that leaves something out.
    """
    kinds = list(dict.fromkeys(classes)) or list(STORAGE_CLASSES)
    pairs = [(kind, list(_PLAIN)) for kind in kinds]
    pairs += [(kind, [syntax]) for syntax in _COMPRESSED for kind in kinds]
    return [build_context(kind, syntaxes) for kind, syntaxes in pairs[: MOST_CONTEXTS - reserved]]


def contexts_for_sending(pairs: Iterable[tuple[str, str]]) -> Sequence[PresentationContext]:
    """Just the pairs of kind and encoding of the objects at hand, each once."""
    return [build_context(kind, [syntax]) for kind, syntax in dict.fromkeys(pairs)]
