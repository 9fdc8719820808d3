"""voxeldose: voxel-based absorbed dose for Y-90 radioembolization.

Names and packages are loaded when first used, so that importing the package costs nothing. They are listed once, in the stub
beside this file; ``docs/python.md`` says which to start with.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
