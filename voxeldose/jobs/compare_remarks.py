"""What a comparison of results warns of and assumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.model.best_value import best_value
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from voxeldose.dose.comparison import GammaMap, SharedRois
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.volume import DoseMap

__all__ = ["collect_warnings", "gamma_remark", "shared_remarks"]

#: Net activities or volumes further apart than this part of the first earn a warning.
_APART = 0.05
#: A warning if more than this part of the voxels with a tenth of the highest dose is not reached by a map.
_MISSING = 0.001


def collect_warnings(results: list[StoredAssessment], doses: list[DoseMap], names: list[str]) -> list[Remark]:
    """How the results differ in ways that part of a difference may be due to; doses lie on the last one's grid."""
    contents = [one.content for one in results]
    remarks = []
    for key, plural, code in (
        ("engine", "dose engines", "engines-differ"),
        ("calibration", "calibrations", "calibrations-differ"),
    ):
        values = [str(c["method"][key]) for c in contents]
        if len(set(values)) > 1:
            listed = "; ".join(values)
            sentence = f"The {plural} differ ({listed}), so part of a difference may be the method's."
            remarks.append(Remark(code, {key: listed}, sentence))
    constants = [c["constants"]["name"] for c in contents]
    if len(set(constants)) > 1:
        listed = ", ".join(constants)
        remarks.append(Remark("constants-differ", {"constants": listed}, f"The sets of constants differ ({listed})."))
    net = [c["totals"]["net_mbq"] for c in contents]
    if len(net) == 2 and None not in net and abs(net[1] / net[0] - 1) > _APART:
        sentence = f"The net activities differ: {net[0]:.0f} and {net[1]:.0f} MBq; dose is proportional to them."
        remarks.append(Remark("net-activities-differ", {"first_mbq": net[0], "second_mbq": net[1]}, sentence))
    remarks += _kind_warnings(results, names)
    for name in names:
        volumes = [c["rois"][name]["volume_ml"] for c in contents if name in c["rois"]]
        if len(volumes) == 2 and abs(volumes[1] / volumes[0] - 1) > _APART:
            first, second = volumes
            sentence = f"ROI {name} has {first:.1f} mL in the first result and {second:.1f} mL in the second."
            remarks.append(Remark("volumes-differ", {"roi": name, "first_ml": first, "second_ml": second}, sentence))
    last = doses[-1]
    for n, dose in enumerate(doses[:-1], 1):
        missing = float(np.isnan(dose.gy[last.gy > 0.1 * last.gy.max()]).mean())
        if missing > _MISSING:
            sentence = (
                f"Result {n} does not reach {missing:.1%} of the voxels with a tenth of the last one's highest dose."
            )
            remarks.append(Remark("dose-not-reached", {"result": n, "part_fraction": missing}, sentence))
    return remarks


def _kind_warnings(results: list[StoredAssessment], names: list[str]) -> list[Remark]:
    """Two results in the wrong order, or one with better values than the other."""
    if len(results) != 2:
        return []
    remarks = []
    if [one.kind for one in results] == ["delivered", "predicted"]:
        sentence = "The first result is of a delivered dose and the second of a predicted one: give PRE, then POST."
        remarks.append(Remark("sides-swapped", {}, sentence))
    unlike: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if all(name in one.rois for one in results):
            first, second = (best_value(one, name, "mean_dose_gy").words or "the image's own" for one in results)
            if first != second:
                unlike.setdefault((first, second), []).append(name)
    for (first_words, second_words), some in unlike.items():
        listed = ", ".join(some)
        sentence = (
            f"The best values of {listed} are {first_words} in the first result and {second_words} in the second, so no ratio of "
            "them is given; compare the images' own, or recover both."
        )
        numbers = {"rois": listed, "first": first_words, "second": second_words}
        remarks.append(Remark("best-values-unlike", numbers, sentence))
    return remarks


def shared_remarks(names: SharedRois) -> list[Remark]:
    """Regions that are left out because only one result has them."""
    if not names.only_first and not names.only_second:
        return []
    first, second = (", ".join(only) or "none" for only in (names.only_first, names.only_second))
    sentence = f"Regions that only one result has are not compared: {first} (first), {second} (second)."
    return [Remark("rois-not-shared", {"only_first": first, "only_second": second}, sentence)]


def gamma_remark(gamma: GammaMap) -> Remark:
    """What agrees by the gamma index, and which voxels count."""
    criteria = gamma.criteria
    numbers = {"dose_fraction": criteria.dose_fraction, "distance_mm": criteria.distance_mm, "local": criteria.is_local}
    sentence = f"Gamma: {criteria}; reference is the second result, its voxels the ones counted."
    return Remark("gamma-criteria", numbers, sentence)
