"""The things, immutable: grids, volumes, regions, kernels, cases and their results; no files, no engines."""
