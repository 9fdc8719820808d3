"""Fonts that have a glyph for each letter of a name: DejaVu Sans, then one of this computer's, then those of PDF viewers.

DejaVu Sans comes with matplotlib and has Latin, Greek and Cyrillic. Chinese, Japanese and Korean names take a font of this
computer if it has one; a PDF without one names the fonts that viewers bring for them, and does not hold them.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

__all__ = ["BOLD", "FONT", "complete_texts", "glyph_note", "in_fonts", "register_fonts", "runs_of"]

FONT, BOLD = "VoxeldoseSans", "VoxeldoseSans-Bold"
_OTHER = "VoxeldoseOther"
#: File names of fonts that hold the letters of many scripts, most of them first.
_WIDE = (
    "droidsansfallback",
    "notosanscjk",
    "sourcehansans",
    "arialuni",
    "wqy",
    "unifont",
    "msyh",
    "malgun",
    "meiryo",
    "notosans",
)
#: The most fonts of a computer whose letters are looked at.
_MOST_FONTS = 300
#: Fonts of PDF viewers by the letters that only they have: Korean, Japanese, and Chinese for the rest of the ideographs.
_OF_VIEWERS = (
    ("HYGothic-Medium", re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")),
    ("HeiseiKakuGo-W5", re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff61-\uff9f]")),
    ("STSong-Light", re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")),
)


@cache
def _letters_of(path: Path) -> frozenset[int]:
    """Code points that a font file has glyphs for; none if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


def _sans(file: str = "DejaVuSans.ttf") -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf" / file


def _lacking(words: str) -> str:
    """The letters of a text, each once, that DejaVu Sans has no glyph for."""
    known = _letters_of(_sans())
    return "".join(sorted({c for c in words if ord(c) > 0x7F and ord(c) not in known and c.isprintable()}))


@cache
def _font_with(letters: str, *, for_pdf: bool) -> Path | None:
    """The file of a font of this computer that has these letters, or most of them; ``None`` if none has any."""
    from matplotlib.font_manager import findSystemFonts

    def rank(path: str) -> tuple[int, str]:
        name = Path(path).name.casefold()
        return next((n for n, wide in enumerate(_WIDE) if name.startswith(wide)), len(_WIDE)), path

    wanted = {ord(c) for c in letters}
    files = sorted(findSystemFonts(), key=rank)[:_MOST_FONTS]
    best: tuple[int, Path | None] = (0, None)
    for file in files:
        path = Path(file)
        found = len(wanted & _letters_of(path))
        if found > best[0] and (not for_pdf or _is_for_pdf(path)):
            best = found, path
        if found == len(wanted) and best[1] == path:
            break
    return best[1]


@cache
def _is_for_pdf(path: Path) -> bool:
    """Whether a font can be put into a PDF: it has outlines of TrueType."""
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    try:
        TTFont(_OTHER, str(path))
    except (TTFError, OSError):
        return False
    return True


@cache
def register_fonts() -> None:
    """DejaVu Sans for PDF: it has the signs that the standard fonts of PDF lack (≥, α, ½)."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name, file in ((FONT, "DejaVuSans.ttf"), (BOLD, "DejaVuSans-Bold.ttf")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(_sans(file))))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=FONT, boldItalic=BOLD)


@cache
def _registered(path: Path | None, name: str) -> str:
    """A font for PDF by its file, or one of viewers by its name; the name that it has from then on."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(UnicodeCIDFont(name) if path is None else TTFont(name, str(path)))
    pdfmetrics.registerFontFamily(name, normal=name, bold=name, italic=name, boldItalic=name)
    return name


def _font_of(letter: str, lacking: str) -> str | None:
    """The font for PDF of one of the letters of a text that DejaVu Sans lacks; ``None`` if there is none."""
    path = _font_with(lacking, for_pdf=True)
    if path is not None and ord(letter) in _letters_of(path):
        return _registered(path, f"{_OTHER}-{path.stem}")
    is_ideograph = _OF_VIEWERS[-1][1].search(letter) is not None
    for name, letters in _OF_VIEWERS:
        if letters.search(letter) or (
            is_ideograph and letters.search(lacking)
        ):  # of the language of the letters around it
            return _registered(None, name)
    return None


def runs_of(words: str, font: str = FONT) -> list[tuple[str, str]]:
    """A text in pieces of one font for PDF each: (font, piece)."""
    lacking = _lacking(words)
    runs: list[tuple[str, str]] = []
    for letter in words:
        own = (_font_of(letter, lacking) or font) if letter in lacking else font
        if runs and runs[-1][0] == own:
            runs[-1] = (own, runs[-1][1] + letter)
        else:
            runs.append((own, letter))
    return runs


def in_fonts(markup: str) -> str:
    """Markup of a paragraph with each letter that DejaVu Sans lacks in a font that has it."""
    if markup.isascii():
        return markup
    return "".join(piece if font == FONT else f'<font name="{font}">{piece}</font>' for font, piece in runs_of(markup))


def glyph_note(words: str) -> str | None:
    """What a PDF says if no font has a glyph for some letters of it; ``None`` if all have one."""
    lacking = _lacking(words)
    missing = [c for c in lacking if _font_of(c, lacking) is None]
    if not missing:
        return None
    listed = ", ".join(f"U+{ord(c):04X}" for c in missing[:8])
    return f"No font on this computer has a glyph for {len(missing)} letters of the names here ({listed}); the HTML page shows them."


@contextmanager
def complete_texts(figure: Figure) -> Iterator[None]:
    """Give the texts of a figure a second font for letters that DejaVu Sans lacks, where this computer has one."""
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.text import Text

    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and not t.get_text().isascii()]
    lacking = _lacking("".join(t.get_text() for t in texts))
    path = _font_with(lacking, for_pdf=False) if lacking else None
    if path is not None:
        fontManager.addfont(str(path))
        name = FontProperties(fname=str(path)).get_name()
        for text in texts:
            text.set_fontfamily([*text.get_fontfamily(), name])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")  # stated by the page or the PDF
        yield
