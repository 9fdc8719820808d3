"""What a run assumes before it computes anything, as remarks: of its images, constants, administration and engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.dose.limits import published_limits
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from voxeldose.dose.engines.base import Engine
    from voxeldose.model.administration import Administration
    from voxeldose.model.case import Case
    from voxeldose.model.volume import Volume

__all__ = ["assumptions_of", "image_doubts"]

#: Remarks on an image that are warnings of a run, whatever its calibration and the units of its image.
_DOUBTS = ("attenuation-uncorrected", "image-described-as-map", "series-may-be-incomplete")


def image_doubts(volume: Volume) -> tuple[Remark, ...]:
    """Remarks on an image that warn: it may not be what it is used as."""
    return tuple(remark for remark in volume.remarks if remark.code in _DOUBTS)


def assumptions_of(case: Case, engine: Engine) -> list[Remark]:
    """Every assumption of a case and its engine, in the order of a run; what the steps themselves assume comes later."""
    image = case.activity
    images = (image, case.ct) if case.ct is not None else (image,)
    remarks = [note for one in images for note in one.remarks if note not in image_doubts(one)]
    remarks += [note for roi in case.rois for note in roi.remarks]
    if isinstance(case.density, DensityMap):
        remarks += case.density.remarks
    if case.registration is not None:
        remarks.append(case.registration.remark())
    remarks.append(
        Remark(
            "microspheres-fixed",
            {},
            "Microspheres do not move: all activity decays where it is (time-integrated activity = A T½/ln 2).",
        )
    )
    remarks += _of_administration(case.administration)
    if case.limits is not None:
        own = len([limit for limit in case.limits if limit not in published_limits()])
        published = len(case.limits) - own
        sentence = f"The thresholds compared are the site's: {own} of its own and {published} published."
        remarks.append(Remark("limits-of-site", {"own": own, "published": published}, sentence))
    if not isinstance(case.density, DensityMap):
        sentence = f"Uniform density {case.density:g} g/mL everywhere, lungs and bone included."
        remarks.append(Remark("density-uniform", {"density_g_per_ml": case.density}, sentence))
    remarks += engine.remarks()
    frames = [image.grid.frame_uid, *(v.grid.frame_uid for v in (case.ct, *case.rois) if v is not None)]
    if None in frames:
        sentence = "Not every image states its frame of reference; positions are taken to be in the same patient frame."
        remarks.append(Remark("frame-unstated", {}, sentence))
    return remarks + _of_tissues(case)


def _of_administration(given: Administration) -> list[Remark]:
    nuclide = given.radionuclide
    numbers = {
        "half_life_h": nuclide.half_life_h,
        "mean_energy_mev": nuclide.energy_mev,
        "gy_kg_per_gbq": nuclide.gy_kg_per_gbq,
    }
    sentence = (
        f"One set of constants: {nuclide.name} T½ {nuclide.half_life_h:g} h, {nuclide.energy_mev:.4f} MeV per decay, "
        f"K = {nuclide.gy_kg_per_gbq:.2f} Gy kg/GBq ({nuclide.source}); kernels keep their shape and take this energy."
    )
    remarks = [Remark("constants", numbers, sentence)]
    if given.lung_shunt_fraction is None:
        sentence = "No lung shunt fraction was given: 0 is taken."
        remarks.append(Remark("lung-shunt-missing", {"lung_shunt_fraction": 0.0}, sentence))
    if given.at is None:
        sentence = "The instant of the infusion was not given; the administered activity is taken as of then."
        remarks.append(Remark("infusion-instant-missing", {}, sentence))
    if given.device is None:
        sentence = "No device was given, so no published threshold is compared."
        remarks.append(Remark("device-missing", {}, sentence))
    return remarks


def _of_tissues(case: Case) -> list[Remark]:
    """Which parameters BED and EUD are computed with, one remark per set."""
    if not any(r.role in case.radiobiology for r in case.rois):
        return []
    return [
        Remark(
            "tissue-parameters",
            {
                "set": tissue.name,
                "tissue": tissue.tissue,
                "alpha_beta_gy": tissue.alpha_beta_gy,
                "repair_half_time_h": tissue.repair_half_time_h,
                "alpha_per_gy": tissue.alpha_per_gy,
            },
            f"BED and EUD of {tissue.tissue} ({tissue.name}): α/β {tissue.alpha_beta_gy:g} Gy, repair half-time "
            f"{tissue.repair_half_time_h:g} h, α {tissue.alpha_per_gy:g} per Gy ({tissue.source}).",
        )
        for tissue in dict.fromkeys(case.radiobiology.values())
    ]
