"""``[administration]`` of a case file: what was given, at once or into several territories."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic needs it at run time
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from voxeldose.io.config.toml import Fraction, NotNegative, Positive, Table

__all__ = ["AdministrationTable", "TerritoryTable"]


class TerritoryTable(Table):
    """``[[administration.territory]]``: one infusion of several, in place of the one activity of ``[administration]``."""

    roi: str = Field(min_length=1)
    """Region that the infusion was meant to reach: role perfused, segment or liver. Example: `"perfused_right"`."""
    administered_mbq: Positive
    """Activity in this infusion's vial in MBq, decayed to its infusion (or as of `assayed_at`). Example: `900.0`."""
    residual_mbq: NotNegative = 0.0
    """Activity left in its vial and tubing in MBq, at the infusion (or as of `residual_at`). Example: `8.0`."""
    at: datetime | None = None
    """Instant of this infusion, with its zone; that of `[administration]` without it. Example: `2024-05-02T10:15:00Z`."""
    assayed_at: datetime | None = None
    """When `administered_mbq` was measured, if not at the infusion."""
    residual_at: datetime | None = None
    """When `residual_mbq` was measured, if not at the infusion."""
    lung_shunt_fraction: Fraction | None = None
    """Lung shunt fraction of this vessel, 0 to 1; that of `[administration]` without it. Example: `0.03`."""


class AdministrationTable(Table):
    """``[administration]``."""

    radionuclide: Literal["Y-90"] = "Y-90"
    """Of the microspheres."""
    device: Literal["glass", "resin"] | None = None
    """Kind of microspheres; decides the published limits compared."""
    administered_mbq: Positive | None = None
    """Activity in the vial in MBq, decayed to the infusion (or as of `assayed_at`). Example: `1850.0`."""
    residual_mbq: NotNegative = 0.0
    """Activity left in vial and tubing in MBq, at the infusion (or as of `residual_at`). Example: `12.0`."""
    at: datetime | None = None
    """Instant of the infusion, with its zone. Example: `2024-05-02T10:15:00Z`."""
    assayed_at: datetime | None = None
    """When `administered_mbq` was measured, if not at the infusion."""
    residual_at: datetime | None = None
    """When `residual_mbq` was measured, if not at the infusion."""
    lung_shunt_fraction: Fraction | None = None
    """Fraction of the net activity that went to the lungs, 0 to 1 (not percent). Example: `0.04`."""
    territory_overlap: Literal["refuse", "shared"] = "refuse"
    """What to do with voxels of several territories: `refuse` the case, or give each an equal part (`shared`)."""
    territory: list[TerritoryTable] = Field(default=[])
    """Where several vessels were infused: what each got; `administered_mbq` and `residual_mbq` above are then left out."""

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An administration without territories is written as it was before there were any."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if self.territory or not key.startswith("territory")}
