"""A minimal RTPLAN, for systems that take a dose only with the plan it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.io.dicom.codes import RTPLAN, RTSTRUCT
from voxeldose.io.dicom.new_object import any_study_reference, save_object

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.io.dicom.rtstruct import StructureSet
    from voxeldose.model.grid import Grid

__all__ = ["write_rtplan"]

_DESCRIPTION = "Microspheres in place, no beams and no sources: this object only connects the dose; nothing can be treated from it."


def write_rtplan(
    path: str | Path, *, reference: str | Path | StudyReference, grid: Grid, structure_set: StructureSet | None = None
) -> str:
    """Write a plan without beams, unapproved, in the patient and study of an image series.

    DICOM has no plan of radioembolization. Some planning systems import a dose only with the plan that it refers to; this
    one has what an RT Plan must have (PS3.3 A.20) and one fraction group of one fraction, and says that it plans nothing.

    Parameters
    ----------
    path : path
        File to write.
    reference : path or StudyReference
        Folder or file of the series whose patient, study and frame of reference the plan takes, or that series as read.
    grid : Grid
        Of the dose that will refer to the plan.
    structure_set : StructureSet, optional
        The regions of the same study. With them the plan's geometry is PATIENT, else TREATMENT_DEVICE: the standard
        offers no third, and PATIENT demands a structure set (PS3.3 C.8.8.9.1).

    Returns
    -------
    str
        SOP Instance UID, for the doses that refer to it.

    Raises
    ------
    GeometryError
        If the dose lies in another frame of reference than the series.
    """
    from pydicom.dataset import Dataset

    study = any_study_reference(reference)
    new = study.build_object(RTPLAN, "RTPLAN", "placeholder plan", 5)
    new.FrameOfReferenceUID = study.frame_uid_for(grid)
    if "PositionReferenceIndicator" not in new:
        new.PositionReferenceIndicator = ""
    new.RTPlanLabel, new.RTPlanName = "Y-90 placeholder", "Y-90 radioembolization, placeholder for the dose"
    new.RTPlanDescription = _DESCRIPTION
    new.RTPlanDate, new.RTPlanTime = new.InstanceCreationDate, new.InstanceCreationTime
    new.RTPlanGeometry = "TREATMENT_DEVICE"
    if structure_set is not None:
        regions = Dataset()
        regions.ReferencedSOPClassUID, regions.ReferencedSOPInstanceUID = RTSTRUCT, structure_set.uid
        new.RTPlanGeometry, new.ReferencedStructureSetSequence = "PATIENT", [regions]
    group = Dataset()
    group.FractionGroupNumber = group.NumberOfFractionsPlanned = 1
    group.NumberOfBeams = group.NumberOfBrachyApplicationSetups = 0
    new.FractionGroupSequence = [group]
    new.ApprovalStatus = "UNAPPROVED"
    save_object(new, path)
    return str(new.SOPInstanceUID)
