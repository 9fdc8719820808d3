"""The things, immutable: grids, volumes, regions, kernels, cases and their results; no files, no engines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
