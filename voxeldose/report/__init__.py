"""An ``Assessment`` for people: a page that opens offline, a PDF, and figures; computes nothing.

Every number comes from the ``Assessment``; fractions become percent here and nowhere else.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
