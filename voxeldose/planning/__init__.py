"""Activity for a wanted dose: by compartments, by the voxels of a predicted dose map, and back to the vial."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
