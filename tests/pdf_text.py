"""The text of a PDF that voxeldose wrote, for tests of what it says."""

import re
import zlib


def words(path):
    """The text of a PDF as drawn, and its number of pages; ASCII keeps its codes in embedded fonts."""
    content = path.read_bytes()
    drawn = []
    for stream in re.split(rb"stream\r?\n", content)[1:]:
        try:
            page = zlib.decompressobj().decompress(stream, 500_000)
        except zlib.error:  # a stream that is not packed
            continue
        for line in page.splitlines() if b" Tj" in page else []:
            pieces = re.findall(rb"\((.*?)(?<!\\)\) Tj", line)
            drawn += [re.sub(rb"\\(.)", rb"\1", piece).decode("latin-1") for piece in pieces]
    return " ".join(drawn), len(re.findall(rb"/Type /Page\b(?!s)", content))
