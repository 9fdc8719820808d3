"""``python -m data_fetch list`` and ``python -m data_fetch info NAME``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

CATALOGUE = Path(__file__).with_name("catalogue.toml")


def main(arguments: list[str]) -> int:
    """Print the catalogue or one entry; 2 for wrong usage, 3 for an unknown name."""
    sets = tomllib.loads(CATALOGUE.read_text("utf-8"))["sets"]
    match arguments:
        case ["list"]:
            for name, entry in sets.items():
                print(f"{name:28s} {entry['licence']:14s} {entry['size']:>10s}  {entry['title']}")  # noqa: T201
            return 0
        case ["info", name] if name in sets:
            for key, value in sets[name].items():
                print(f"{key}: {value}")  # noqa: T201
            return 0
        case ["info", name]:
            sys.stderr.write(f"data_fetch: no set {name!r}; there are {', '.join(sets)}.\n")
            return 3
        case _:
            sys.stderr.write("usage: python -m data_fetch list | info NAME\n")
            return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
