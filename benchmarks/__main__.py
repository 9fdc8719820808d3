"""``python -m benchmarks [accuracy|speed|all]``: the cards on the terminal, as JSON, as Markdown and as HTML."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.accuracy import SECTIONS, accuracy_card
from benchmarks.card import Card, text_of, write_card, write_json
from benchmarks.machine import describe_machine, told
from benchmarks.speed import speed_card
from voxeldose.errors import VoxeldoseError
from voxeldose.io.config.kernels import read_point_kernel
from voxeldose.model.kernel import point_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.kernel import PointKernel


def main(words: Sequence[str] | None = None) -> int:
    """Print the cards; 1 when an accuracy figure left its band, 3 for a kernel that cannot be read, else 0."""
    chosen = _parser().parse_args(words)
    machine = describe_machine()
    print(told(machine), flush=True)
    parts = [chosen.which, *(["--quick"] if chosen.quick else []), *(f"--section {s}" for s in chosen.section or ())]
    card = Card(machine, f"python -m benchmarks {' '.join(parts)}")
    try:
        if chosen.which != "speed":
            _accuracy(card, _kernel(chosen), chosen.section or SECTIONS, quick=chosen.quick)
    except VoxeldoseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3
    if chosen.which != "accuracy":
        print("\nSpeed (nothing is judged)")
        card.speed.update(speed_card(quick=chosen.quick, tell=lambda line: print(line, flush=True)))
    if chosen.json:
        write_json(card, chosen.json)
    if chosen.out:
        write_card(card, chosen.out)
        print(f"\nWritten: {chosen.out / 'card.md'}, {chosen.out / 'card.html'}")
    if chosen.which != "speed":
        print(f"\n{card.verdict}")
        for figure in card.outside:
            print(f"{figure.section}\n{text_of(figure)}\n    {figure.source}; {figure.reason}")
    return 1 if card.outside else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How right and how fast voxeldose is.")
    parser.add_argument("which", nargs="?", choices=("accuracy", "speed", "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="smaller grids, fewer voxel sizes; minutes on two cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write card.md and card.html")
    parser.add_argument("--section", action="append", choices=SECTIONS, help="accuracy: only this one (repeatable)")
    parser.add_argument(
        "--kernel",
        type=Path,
        metavar="CSV",
        help="judge another point kernel in water (radius_mm and one of the columns of read_point_kernel)",
    )
    parser.add_argument("--kernel-mev", type=float, metavar="MEV", help="mean energy a decay of that kernel")
    return parser


def _kernel(chosen: argparse.Namespace) -> PointKernel:
    """The kernel under test."""
    shipped = point_kernel()
    if chosen.kernel is None:
        return shipped
    energy = chosen.kernel_mev if chosen.kernel_mev is not None else shipped.mev_per_decay
    return read_point_kernel(chosen.kernel, mev_per_decay=energy, density_g_per_ml=1.0, source=chosen.kernel.name)


def _accuracy(card: Card, kernel: PointKernel, sections: Sequence[str], *, quick: bool) -> None:
    start = time.perf_counter()
    for name, figures in groupby(accuracy_card(kernel, sections, quick=quick), key=lambda f: f.section):
        print(f"\n{name}")
        said = ""
        for figure in figures:
            card.figures.append(figure)
            print(text_of(figure))
            if figure.source != said:
                said = figure.source
                print(f"          against: {said}", flush=True)
    print(f"\nAccuracy: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
