"""What an archive answers on a question, as records, whichever way it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import number, text
from voxeldose.io.network.archive import RemoteInstance, RemoteSeries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset

__all__ = ["instances_of_answers", "series_of_answer"]


def series_of_answer(study_uid: str, answer: Dataset) -> RemoteSeries:
    """A series as an archive describes it."""
    stated, place = number(answer, "NumberOfSeriesRelatedInstances"), number(answer, "SeriesNumber")
    return RemoteSeries(
        study_uid=study_uid,
        uid=text(answer, "SeriesInstanceUID"),
        modality=text(answer, "Modality"),
        number=int(place) if place is not None else None,
        stated=int(stated) if stated is not None else None,
    )


def instances_of_answers(answers: Iterable[Dataset]) -> list[RemoteInstance]:
    """Each instance once, as an archive describes them."""
    named = {
        text(a, "SOPInstanceUID"): RemoteInstance(text(a, "SOPInstanceUID"), text(a, "SOPClassUID")) for a in answers
    }
    return [instance for uid, instance in named.items() if uid]
