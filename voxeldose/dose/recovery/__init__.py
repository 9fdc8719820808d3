"""Dose of the patient, not of the blurred image: what a scanner's blur and noise hid is put back, with its uncertainty.

``recover(assessment, Resolution(fwhm_mm=(5.6, 6.3, 6.3)))`` gives numbers of tumors and normal liver, each with a 95 % interval, and
the recovered dose. The method: sharp regions with unknown means, texture, places and outlines, fitted to the image through a
model of the scanner, and posterior draws of the activity, whose doses are measured one by one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
