"""Uncertainty of the doses of a run: intervals that hold the truth as often as they say, and a budget of the errors.

Dose is linear in activity, so nothing here needs a dose run: the scale is a number, noise one FFT with blur and kernel in one,
and regions move over a dose that stays.

- :mod:`~voxeldose.uncertainty.region`: a region that is moved and measured;
- :mod:`~voxeldose.uncertainty.budget`: each error's own standard deviation of a mean dose, without sampling;
- :mod:`~voxeldose.uncertainty.surface`: metrics as smooth functions of the errors of place, outline and scale;
- :mod:`~voxeldose.uncertainty.inversion`: from these and from samples of noise to confidence in the true value;
- :mod:`~voxeldose.uncertainty.run`: all of it for a run.
"""

from voxeldose.uncertainty.run import with_uncertainty

__all__ = ["with_uncertainty"]
