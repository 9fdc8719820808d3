"""From activity to numbers in regions; no files."""
