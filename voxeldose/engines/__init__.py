"""Decays to dose: one file an engine, all with the seam that ``pipeline.assess`` calls."""
