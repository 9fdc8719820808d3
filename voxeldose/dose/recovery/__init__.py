"""Dose of the patient, not of the blurred image: what a scanner's blur and noise hid is put back, with its uncertainty."""
