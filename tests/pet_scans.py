"""The test PET as scanners of every vendor would write it: one field of Y-90 at one infusion."""

from datetime import UTC, datetime, timedelta

from voxeldose.dose.activity import decay_to
from voxeldose.model.administration import Administration
from voxeldose.model.case import Case
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import RoiSet

INFUSION = datetime(2024, 5, 2, 16, 20, tzinfo=UTC)
FRAME_S = 1800.0
# slopes are written with 16 characters, stored values round to 3e-5 of the field
SAME = 1e-4
SCAN = INFUSION + timedelta(hours=22)


def stamp(at):
    return at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")


def scanner(*, correction, scanned_at, computed_as=Y90, administered_at=INFUSION, beds=1, factor=True, **header):
    """A change of the test series: ``field`` Bq/mL of Y-90 at the infusion as a scanner would write it.

    It measures counts over a frame from the true nuclide, divides by the positron fraction it believes in, and corrects
    for the decay of the nuclide it believes in.
    """

    def change(ds, n):
        start = scanned_at + timedelta(seconds=FRAME_S * (n * beds // 5))
        begin = {"START": scanned_at, "ADMIN": administered_at, "NONE": start}[correction]
        at_start = Y90.decay_factor((start - INFUSION).total_seconds())
        measured = at_start / Y90.frame_factor(FRAME_S) * Y90.positron_fraction / computed_as.positron_fraction
        applied = 1.0
        if correction != "NONE":
            applied = computed_as.frame_factor(FRAME_S) / computed_as.decay_factor((start - begin).total_seconds())
        ds.RescaleSlope = f"{float(ds.RescaleSlope) * measured * applied:.10g}"
        ds.DecayCorrection, ds.ActualFrameDuration = correction, int(FRAME_S * 1000)
        ds.SeriesDate, ds.SeriesTime = stamp(scanned_at)
        ds.AcquisitionDate, ds.AcquisitionTime = stamp(start)
        ds.FrameReferenceTime = (start - scanned_at).total_seconds() * 1000
        if factor:
            ds.DecayFactor = f"{applied:.8g}"
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadiopharmaceuticalStartDateTime = administered_at.strftime("%Y%m%d%H%M%S.%f")
        drug.RadionuclideHalfLife = f"{computed_as.half_life_s:.9g}"
        drug.RadionuclidePositronFraction = f"{computed_as.positron_fraction:.6g}"
        drug.RadionuclideCodeSequence[0].CodeMeaning = computed_as.name
        for key, value in header.items():
            setattr(ds, key, value)

    return change


def at_infusion(pet):
    return decay_to(pet, INFUSION, Y90)


def case_of(pet, **options):
    given = Administration(Y90, 1000.0, INFUSION)
    return Case(pet, RoiSet(), given, **options)
