"""``python -m voxeldose``."""

from voxeldose.cli import main

main()
