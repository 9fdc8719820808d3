"""Texts without the names of a case's files and folders: people name them after patients."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.io.config.case import input_files, named_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.io.config.case import CaseFile
    from voxeldose.model.remarks import Remark

__all__ = ["Nameless", "without_paths"]

#: A bare name so short, without suffix, may be any word of a sentence.
_SHORTEST = 6


class Nameless:
    """Replaces the inputs of a case in texts by what they are to it: ``the activity image``, ``region file 2``.

    Parameters
    ----------
    config : CaseFile
        The case, with absolute paths.
    """

    def __init__(self, config: CaseFile) -> None:
        words = {str(Path(path)): word for path, word in _roles(config)}
        for path in named_inputs(config):
            words.setdefault(str(Path(path)), "an input of the case")
        for file in input_files(config):
            word = next((w for p, w in words.items() if Path(p) in file.parents), None)
            if word is not None:
                words.setdefault(str(file), f"a file of {word}")
        names: dict[str, str] = {}
        for path, word in words.items():
            name = Path(path).name
            if "." in name or len(name) >= _SHORTEST:
                names.setdefault(name, word)
        self._words = words | names
        longest_first = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def text(self, sentence: str) -> str:
        """The sentence without names."""
        return self._pattern.sub(lambda match: self._words[match[0]], sentence)

    def remarks(self, remarks: Iterable[Remark]) -> tuple[Remark, ...]:
        """The remarks without names in their sentences and facts."""
        return tuple(
            replace(
                one,
                numbers={k: self.text(v) if isinstance(v, str) else v for k, v in one.numbers.items()},
                sentence=self.text(one.sentence),
            )
            for one in remarks
        )


def without_paths(message: str, folders: Iterable[str | Path]) -> str:
    """A message in which no path below the folders is left; each ends where the message goes on with a colon or ends."""
    for folder in sorted({str(f) for f in folders}, key=len, reverse=True):
        message = re.sub(rf"{re.escape(folder)}(?:/[^:\n]*)?", "(a file of the case)", message)
    return message


def _roles(config: CaseFile) -> list[tuple[str, str]]:
    """Paths, and what each is to the case."""
    paths = [(config.activity.path, "the activity image")]
    if config.ct is not None:
        paths.append((config.ct.path, "the CT"))
    regions = [path for table in config.rois for path in table.paths]
    paths += [(p, "the region file" if len(regions) == 1 else f"region file {n}") for n, p in enumerate(regions, 1)]
    if config.dose.density not in ("uniform", "ct"):
        paths.append((config.dose.density, "the density image"))
    if config.registration is not None:
        paths += [(p, "the registration") for p in (config.registration.path, config.registration.image) if p]
    return paths
