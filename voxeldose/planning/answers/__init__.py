"""What the planning commands answer, as records: content for JSON (``as_dict``), text (``lines``) and warnings (``notes``)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
