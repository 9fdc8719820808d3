"""Metrics of a region as smooth functions of the errors of its place, outline and scale, through a few nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles


__all__ = ["Surface", "even_normals"]

#: Tolerance at the nodes, as a part of the median of the basis functions: a dose to a fraction of few voxels goes in steps.
SMOOTHING = 1e-3


@dataclass(frozen=True, eq=False)
class Surface:
    """Smooth functions through rows at nodes: cubic radial basis functions and a plane.

    Parameters
    ----------
    nodes : ndarray, (n, p)
        Errors in standard deviations.
    weights : ndarray, (n, m)
        Of the basis function at each node, for each of m functions.
    plane : ndarray, (1 + p, m)
        Constant and slopes.
    error_sd : ndarray, (m,)
        How well the others predict the function at a node (leave-one-out error).
    """

    nodes: Doubles
    weights: Doubles
    plane: Doubles
    error_sd: Doubles

    @classmethod
    def through(cls, nodes: Doubles, rows: Doubles) -> Surface:
        """Functions of these nodes (n, p) with these values (n, m); without errors (p = 0), their mean.

        Errors without a node are those of Rippa, Adv. Comput. Math. 11 (1999) 193-210: weight over the diagonal of the
        inverse.
        """
        nodes = np.ascontiguousarray(nodes)
        n, p = nodes.shape
        if p == 0:
            return cls(nodes, np.zeros_like(rows), rows.mean(axis=0)[None], np.zeros(rows.shape[1]))
        basis = np.linalg.norm(nodes[:, None] - nodes, axis=2) ** 3
        whole = np.zeros((n + p + 1, n + p + 1))
        whole[:n, :n] = basis + SMOOTHING * np.median(basis) * np.eye(n)
        whole[:n, n], whole[n, :n] = 1, 1
        whole[:n, n + 1 :], whole[n + 1 :, :n] = nodes, nodes.T
        inverse = np.linalg.inv(whole)
        solution = inverse[:, :n] @ rows
        missed = solution[:n] / np.diag(inverse)[:n, None]
        return cls(nodes, solution[:n], solution[n:], np.sqrt((missed**2).mean(axis=0)))

    def at(self, points: Doubles, column: int) -> Doubles:
        """One function at points (k, p)."""
        from voxeldose._compiled.cubic import add_cubes

        values = self.plane[0, column] + points @ self.plane[1:, column]
        if self.nodes.shape[1]:
            add_cubes(np.ascontiguousarray(points), self.nodes, self.weights[:, column].copy(), values)
        return np.asarray(values)

    def slope(self, point: Doubles, column: int) -> Doubles:
        """Its gradient at one point (p,)."""
        away = point - self.nodes
        far = np.sqrt((away**2).sum(axis=1))
        return np.asarray((3 * far * self.weights[:, column]) @ away + self.plane[1:, column])


def even_normals(count: int, size: int, random: np.random.Generator) -> Doubles:
    """Standard normal numbers (count, size) that fill their space evenly, from a random start.

    Multiples, modulo one, of the powers of ``1/g`` with ``g`` the root of ``g^(size+1) = g + 1``, which generalises the golden
    ratio (a Kronecker sequence), turned into normal numbers.
    """
    from scipy.special import ndtri

    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (size + 1))
    steps = ratio ** -np.arange(1.0, size + 1)
    places = (random.random(size) + np.arange(1, count + 1)[:, None] * steps) % 1.0
    tiny = 1 / math.ldexp(1.0, 40)
    return np.asarray(ndtri(np.clip(places, tiny, 1 - tiny)))
