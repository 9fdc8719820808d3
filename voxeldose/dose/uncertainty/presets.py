"""Published standard uncertainties by name, each with its source; none is used unless a case asks for it."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Preset", "PresetUsed", "chosen_presets", "published_presets"]

#: Keys of which one is enough: a preset's is left out where the case gives the other.
_SAME = ({"contour_mm", "contour_fwhm_mm"}, {"noise_fraction", "noise_region"})


@dataclass(frozen=True)
class Preset:
    """One published set.

    Parameters
    ----------
    name : str
        What a case calls it.
    values : mapping
        Keys of ``[uncertainty]`` and their values.
    title : str
        What it is of.
    source : str
        Where it was published.
    read : str
        What of the source was read.
    how : str
        How the values follow from what the source states.
    """

    name: str
    values: Mapping[str, float]
    title: str
    source: str
    read: str
    how: str


@dataclass(frozen=True)
class PresetUsed:
    """A preset that a case asks for: what was taken from it, and what the case's own keys replaced."""

    name: str
    taken: Mapping[str, float]
    replaced: tuple[str, ...]
    title: str
    source: str
    how: str


@cache
def published_presets() -> tuple[Preset, ...]:
    """The sets shipped in ``tables/uncertainty_presets.toml``."""
    text = (resources.files("voxeldose") / "tables" / "uncertainty_presets.toml").read_text("utf-8")
    return tuple(Preset(**row) for row in tomllib.loads(text)["preset"])


def chosen_presets(names: Iterable[str], given: Iterable[str]) -> tuple[PresetUsed, ...]:
    """The presets of these names, without what the case gives itself.

    Parameters
    ----------
    names : iterable of str
        As the case lists them.
    given : iterable of str
        Keys of ``[uncertainty]`` that the case gives; they win.

    Raises
    ------
    QuantityError
        If there is no such preset, or two of them give the same key.
    """
    known = {one.name: one for one in published_presets()}
    own, used = set(given), list[PresetUsed]()
    own |= {key for group in _SAME if group & own for key in group}
    for name in dict.fromkeys(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            hint = f"did you mean {near[0]!r}" if near else f"there are {', '.join(known)}"
            msg = f"uncertainty.presets: there is no preset {name!r}; {hint}."
            raise QuantityError(msg, code="preset-unknown", found=name, known=tuple(known))
        preset = known[name]
        twice = [(key, other.name) for key in preset.values for other in used if key in other.taken]
        if twice:
            key, other_name = twice[0]
            msg = f"uncertainty.presets: {other_name} and {name} both give {key}; keep one of them."
            raise QuantityError(msg, code="keys-contradict", keys=("uncertainty.presets",))
        taken = {key: value for key, value in preset.values.items() if key not in own}
        replaced = tuple(key for key in preset.values if key in own)
        used.append(PresetUsed(name, taken, replaced, preset.title, preset.source, preset.how))
    return tuple(used)
