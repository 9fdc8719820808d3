"""A folder of results, written whole and read back."""
