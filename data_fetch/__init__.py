"""Public data sets for trying and validating voxeldose: a catalogue, and fetchers that check what they fetch.

Nothing is downloaded at import. ``python -m data_fetch --help`` lists the commands.
"""
