"""The accuracy card's sections, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import accuracy_kernels, accuracy_phantoms, accuracy_shapes, accuracy_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.figures import Figure
    from voxeldose.model.kernel import PointKernel

__all__ = ["SECTIONS", "accuracy_card"]

#: In the order of the card; those that take longest last.
SECTIONS = ("kernels", "spheres", "edge", "simulated", "lung", "structures", "gamma", "nema", "blur", "liver")


def accuracy_card(kernel: PointKernel, chosen: Iterable[str] = SECTIONS, *, quick: bool) -> Iterator[Figure]:
    """Figures of the chosen sections for a point kernel; references come from elsewhere or from the shipped kernel."""
    makers: dict[str, Callable[[], Iterator[Figure]]] = {
        "kernels": lambda: accuracy_kernels.s_values(kernel, quick=quick),
        "spheres": lambda: accuracy_kernels.spheres(kernel, quick=quick),
        "edge": lambda: accuracy_kernels.edges(kernel),
        "simulated": lambda: accuracy_transport.s_values_simulated(kernel),
        "lung": lambda: accuracy_transport.beside_lung(kernel),
        "structures": accuracy_shapes.structures,
        "gamma": lambda: accuracy_shapes.gamma(kernel),
        "nema": lambda: accuracy_phantoms.nema_sharp(kernel, quick=quick),
        "blur": lambda: accuracy_phantoms.nema_blurred(kernel),
        "liver": lambda: accuracy_phantoms.liver(kernel),
    }
    for name in chosen:
        figures = list(makers[name]())
        order = list(dict.fromkeys(f.section for f in figures))
        yield from sorted(figures, key=lambda f: order.index(f.section))
