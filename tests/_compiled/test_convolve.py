import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from voxeldose._compiled.convolve import direct_sum, find_reach, kernel_rows, sum_spectra


def symmetric_kernel(size, seed=0, zero_corners=True):
    """Odd sizes, unchanged by any flip, falling steeply; zero beyond an ellipsoid if asked."""
    rng = np.random.default_rng(seed)
    offset = np.meshgrid(*(np.abs(np.arange(n) - n // 2) for n in size), indexing="ij")
    kernel = rng.uniform(0.5, 1.5, tuple(n // 2 + 1 for n in size))[tuple(offset)]
    far = sum((o / (n // 2 + 0.6)) ** 2 for o, n in zip(offset, size, strict=True))
    kernel *= np.exp(-5 * far)
    if zero_corners:
        kernel[far > 1] = 0
    return kernel


def octant(kernel):
    return kernel[tuple(slice(n // 2, None) for n in kernel.shape)]


def blobs(shape, seed, share=0.02):
    """Few rows and columns filled, so that rows, slices and groups are left out."""
    rng = np.random.default_rng(seed)
    values = rng.random(shape).astype(np.float32) + np.float32(0.1)
    values[rng.random(shape[:2]) > 5 * share] = 0
    values[rng.random(shape) > 0.3] = 0
    return values


def direct(values, kernel, parts=1):
    dose = np.zeros_like(values)
    reach = find_reach(values, kernel.shape)
    work = direct_sum(values, octant(kernel), reach, dose)
    edges = np.linspace(0, reach.out[0].stop - reach.out[0].start, parts + 1).astype(int)
    for begin, end in reversed(list(pairwise(edges))):
        work(int(begin), int(end))
    return dose


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((7, 11, 13), (3, 5, 7)),
        ((5, 40, 50), (7, 3, 5)),
        ((6, 9, 33), (1, 1, 1)),
        ((4, 1, 17), (3, 3, 1)),
        ((1, 1, 1), (5, 7, 9)),
        ((1, 30, 31), (9, 5, 25)),
        ((2, 3, 2100), (3, 5, 11)),  # one row fills a group
        ((3, 150, 700), (11, 3, 5)),  # more than one tile
    ],
)
def test_direct_sum_is_the_float64_convolution_in_every_voxel(shape, size):
    for seed in range(3):
        values = blobs(shape, seed) if seed else np.random.default_rng(9).random(shape, np.float32)
        values.flat[seed % values.size] = 1
        kernel = symmetric_kernel(size, seed)
        expected = ndimage.convolve(values.astype(float), kernel, mode="constant")
        # only products are added: up to about 30 float32 roundings in a row, none of them cancelled
        np.testing.assert_allclose(direct(values, kernel), expected, rtol=2e-6, atol=0)


def test_slabs_of_slices_give_the_same_bits_as_the_whole():
    values, kernel = blobs((19, 23, 70), 4), symmetric_kernel((5, 7, 9))
    whole = direct(values, kernel)
    for parts in (2, 3, 19):
        np.testing.assert_array_equal(direct(values, kernel, parts), whole)


def test_signs_are_kept():
    values = blobs((9, 9, 30), 1) - blobs((9, 9, 30), 2)
    kernel = symmetric_kernel((3, 5, 7))
    expected = ndimage.convolve(values.astype(float), kernel, mode="constant")
    np.testing.assert_allclose(direct(values, kernel), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_array_equal(direct(-values, kernel), -direct(values, kernel))


def test_rows_of_weights_hold_the_octant_widest_first():
    part = octant(symmetric_kernel((5, 7, 9)))
    offset, weight = kernel_rows(part)
    assert (np.diff(offset[:, 2]) <= 0).all()
    assert len(offset) == (part.any(axis=2)).sum()
    for (k, j, reach), row in zip(offset, weight[:-1], strict=True):
        halves = (1 if k else 2) * (1 if j else 2)
        np.testing.assert_allclose(row[: part.shape[2]] * halves, part[k, j], rtol=1e-7)
        assert part[k, j, reach] > 0
        assert not part[k, j, reach + 1 :].any()
    assert not weight[-1].any()


def test_reach_holds_every_column_with_activity_in_reach():
    values = blobs((9, 12, 40), 3)
    size = (3, 7, 5)
    reach = find_reach(values, size)
    for k, j in np.ndindex(values.shape[:2]):
        near = values[max(0, k - 1) : k + 2, max(0, j - 3) : j + 4].any(axis=(0, 1))
        columns = np.flatnonzero(near)
        expected = (columns[0], columns[-1] + 1) if columns.size else (0, 0)
        assert (reach.start[k, j], reach.stop[k, j]) == expected
    filled = np.argwhere(values)
    for axis, (b, o) in enumerate(zip(reach.box, reach.out, strict=True)):
        assert (b.start, b.stop) == (filled[:, axis].min(), filled[:, axis].max() + 1)
        assert o.start == max(0, b.start - size[axis] // 2)
        assert o.stop == min(values.shape[axis], b.stop + size[axis] // 2)


def test_nothing_reaches_from_an_empty_image():
    assert find_reach(np.zeros((3, 4, 5), np.float32), (3, 3, 3)) is None
    assert find_reach(np.full((3, 4, 5), -0.0, np.float32), (3, 3, 3)) is None


def test_spectra_are_summed_with_the_kernels_weights():
    rng = np.random.default_rng(2)
    count = 1500  # more than a block
    spectra = rng.normal(size=(6, 2 * count)).astype(np.float32)
    kernel = rng.normal(size=(3, count)).astype(np.float32)
    slot = np.array([[0, 1, 2, 3, 4], [5, 5, 0, 1, 2]], np.int32)
    total = np.empty((2, 2 * count), np.float32)
    sum_spectra(spectra, slot, kernel, total)
    weights = np.repeat(kernel.astype(float)[[2, 1, 0, 1, 2]], 2, axis=1)
    expected = (spectra.astype(float)[slot] * weights).sum(axis=1)
    np.testing.assert_allclose(total, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_the_loops_run_uncompiled():
    code = """
import sys
from itertools import pairwise
sys.path.insert(0, sys.argv[1])
import numpy as np, test_convolve as t
assert not hasattr(t.sum_spectra, "signatures")
t.test_direct_sum_is_the_float64_convolution_in_every_voxel((3, 4, 6), (3, 5, 3))
t.test_spectra_are_summed_with_the_kernels_weights()
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]  # noqa: PTH120
    subprocess.run(command, check=True, env=environment, timeout=60)
