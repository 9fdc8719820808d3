"""Lung shunt fraction from planar views or SPECT(/CT), lung mass, and the lungs' absorbed dose next to its limits.

The shunt fraction is ``N_lung / (N_lung + N_liver)``; ``N`` is the geometric mean of opposite planar views, or the counts of
a reconstructed image. Planar views, lungs of 1 kg and the limit of 30 Gy were used together when the limit was found;
with a shunt by SPECT (planar views see 3 to 8 percentage points more) or a lung mass by CT the same number means another
thing, and every answer that mixes them says so.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
