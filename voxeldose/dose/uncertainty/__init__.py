"""Uncertainty of the doses of a run: intervals that hold the truth as often as they say, and a budget of the errors.

Dose is linear in activity, so nothing here needs a dose run: the scale is a number, noise one FFT with blur and kernel in one,
and regions move over a dose that stays.

- :mod:`~voxeldose.dose.uncertainty.region`: a region that is moved and measured;
- :mod:`~voxeldose.dose.uncertainty.budget`: each error's own standard deviation of a mean dose, without sampling;
- :mod:`~voxeldose.dose.uncertainty.response_surface`: metrics as smooth functions of the errors of place, outline and scale;
- :mod:`~voxeldose.dose.uncertainty.confidence`: from these and from samples of noise to confidence in the true value;
- :mod:`~voxeldose.dose.uncertainty.run`: all of it for a run.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
