"""Published numbers that voxeldose is compared with, each with its source."""

__all__ = ["EDGE", "LANCONELLI", "NEMA_DIAMETERS_MM", "OFFSETS", "SELF_DOSES", "SPHERES", "TISSUE_RANGE"]

#: Lanconelli et al., Phys. Med. Biol. 57 (2012) 517, Y-90 in soft tissue of 1.04 g/mL: mGy/(MBq s) by voxel size in mm for
#: the offsets 000, 100, 110, 111, 200.
LANCONELLI = {
    2.21: (3.00, 5.70e-1, 2.26e-1, 1.20e-1, 7.00e-2),
    2.4: (2.53, 4.71e-1, 1.81e-1, 9.29e-2, 5.21e-2),
    3: (1.59, 2.75e-1, 9.50e-2, 4.29e-2, 2.05e-2),
    3.59: (1.08, 1.73e-1, 5.31e-2, 2.08e-2, 8.10e-3),
    4: (8.58e-1, 1.29e-1, 3.62e-2, 1.27e-2, 4.18e-3),
    4.42: (6.89e-1, 9.73e-2, 2.48e-2, 7.78e-3, 2.10e-3),
    4.8: (5.73e-1, 7.63e-2, 1.78e-2, 5.07e-3, 1.11e-3),
    5: (5.22e-1, 6.75e-2, 1.51e-2, 4.07e-3, 7.89e-4),
    6: (3.42e-1, 3.80e-2, 6.86e-3, 1.45e-3, 1.31e-4),
    9.28: (1.17e-1, 8.53e-3, 9.09e-4, 1.10e-4, 7.70e-7),
}
OFFSETS = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 0))

#: Electrons go 1.0122 times as far in four-component soft tissue as in water of the same mass thickness (README of the
#: kernel); Lanconelli's medium is such tissue.
TISSUE_RANGE = 1.0122

#: Self-dose of a voxel of water in mGy/(MBq s): spacing (k, j, i) in mm, value, stated or usual uncertainty, who.
SELF_DOSES = (
    ((3.0, 3.0, 3.0), 1.581, 0.01, "DPM Monte Carlo"),
    ((3.0, 3.0, 3.0), 1.61, 0.015, "MIRD Pamphlet 17"),
    ((6.0, 6.0, 6.0), 0.346, 0.01, "MIRD Pamphlet 17"),
    ((3.0, 4.0, 4.0), 1.013, 0.04, "DPM Monte Carlo"),
)

#: Absorbed fraction of uniform spheres in water by radius in mm, from the point kernel of Graves 2019
#: (doi:10.1002/mp.13789), energy within 11 mm: spheres of 0.1 g to 2 kg, and those of the NEMA phantom.
SPHERES = {
    2.88: 0.4314, 4.92: 0.6160, 6.20: 0.6862, 7.82: 0.7460, 9.85: 0.7956, 13.37: 0.8471, 16.84: 0.8774,
    21.22: 0.9017, 28.79: 0.9264, 36.28: 0.9407, 41.53: 0.9477, 49.24: 0.9553, 62.04: 0.9637, 78.16: 0.9703,
    5: 0.621, 6.5: 0.699, 8.5: 0.765, 11: 0.816, 14: 0.854, 18.5: 0.888,
}  # fmt: skip

#: Dose at a depth (mm) outside a half space of activity, in parts of that deep inside; Graves 2019, energy within 11 mm.
EDGE = (
    *((-5, 0.9845), (-3, 0.935), (-2, 0.875), (-1, 0.762), (0, 0.498), (0.5, 0.328), (1, 0.234)),
    *((2, 0.121), (3, 0.061), (4, 0.028), (5, 0.0115), (6, 0.004), (8, 0.0002)),
)

#: Inner diameters of the spheres of the NEMA IEC body phantom.
NEMA_DIAMETERS_MM = (10.0, 13.0, 17.0, 22.0, 28.0, 37.0)
