"""Files that a user writes: cases, plans, limits, tables of kernels and densities."""
