"""Public studies for voxeldose: what exists and under which licence. Nothing is downloaded at import."""
