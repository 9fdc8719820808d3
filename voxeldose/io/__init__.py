"""Files to the things of :mod:`voxeldose.model` and back; knows no physics."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
