"""Engines: from decays to absorbed dose."""
