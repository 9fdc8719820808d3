"""Names in any script: a glyph for each letter in the PDF and its pictures, or a note."""

import shutil
import subprocess
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_case import make_result

from voxeldose.report import fonts, write_pdf
from voxeldose.report.fonts import FONT, glyph_note, in_fonts, runs_of
from voxeldose.report.images import figure_file

DEJAVU = ("Läsion", "Łódź", "печень", "ήπαρ", "≥ 5 mm α ½", "plain")
CJK = {"肝臓": "Han", "肝脏": "Han", "かんぞう": "kana", "간암": "Hangul"}
#: Letters that neither a font here nor a viewer of PDF is sure to have: Egyptian hieroglyphs.
RARE = "\U00013000\U00013001"


@pytest.fixture
def no_system_fonts(monkeypatch):
    """A computer without a font that DejaVu Sans could be helped by."""
    monkeypatch.setattr(fonts, "_font_with", lambda *_, **__: None)


@pytest.mark.parametrize("words", DEJAVU)
def test_latin_greek_and_cyrillic_are_of_one_font(words):
    assert runs_of(words) == [(FONT, words)]
    assert in_fonts(words) == words
    assert glyph_note(words) is None


@pytest.mark.parametrize("words", CJK)
def test_names_of_asia_have_a_font_of_this_computer_or_of_the_viewer(no_system_fonts, words):
    pieces = runs_of(f"ROI {words} 1")
    assert [p for f, p in pieces if f == FONT] == ["ROI ", " 1"]
    assert [p for f, p in pieces if f != FONT] == [words]
    viewer = {"Han": "STSong-Light", "kana": "HeiseiKakuGo-W5", "Hangul": "HYGothic-Medium"}[CJK[words]]
    assert pieces[1][0] == viewer
    assert glyph_note(words) is None


def test_ideographs_are_of_the_language_of_the_letters_around_them(no_system_fonts):
    assert {f for f, _ in runs_of("肝臓の腫瘍")} == {"HeiseiKakuGo-W5"}
    assert {f for f, _ in runs_of("간肝")} == {"HYGothic-Medium"}


def test_letters_without_a_glyph_anywhere_are_stated(no_system_fonts):
    note = glyph_note(f"liver {RARE}")
    assert "2 letters" in note
    assert "U+13000" in note


@pytest.mark.skipif(shutil.which("pdffonts") is None, reason="poppler is not installed")
@pytest.mark.parametrize("name", ["печень ήπαρ Läsion", "肝臓 腫瘍", "간암"])
def test_the_pdf_holds_every_name(tmp_path, name):
    write_pdf(make_result(name), tmp_path / "report.pdf")
    text = subprocess.run(["pdftotext", tmp_path / "report.pdf", "-"], capture_output=True, check=True).stdout.decode()
    assert name.replace(" ", "") in text.replace(" ", "").replace("\n", "")


def test_the_pdf_notes_letters_that_no_font_has(tmp_path, no_system_fonts):
    write_pdf(make_result(f"liver {RARE}"), tmp_path / "report.pdf")
    text = subprocess.run(["pdftotext", tmp_path / "report.pdf", "-"], capture_output=True, check=True).stdout.decode()
    assert "No font on this computer" in text.replace("\n", " ")


def figure_of(name):
    figure = Figure()
    figure.add_subplot().set_title(name)
    return figure


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("name", ["肝臓", "간암", f"liver {RARE}"])
def test_pictures_of_any_name_are_drawn_without_a_word_on_standard_error(kind, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_file(figure_of(name), kind, 50)


def test_pictures_have_a_glyph_for_a_name_where_this_computer_has_one():
    from io import BytesIO

    from matplotlib.image import imread

    lacking = "肝"
    if fonts._font_with(lacking, for_pdf=False) is None:
        pytest.skip("no font with Chinese letters is installed")
    drawn = imread(BytesIO(figure_file(figure_of("肝肝肝"), "png", 80)))
    other = imread(BytesIO(figure_file(figure_of("臓臓臓"), "png", 80)))
    assert np.abs(drawn - other).max() > 0.1  # the sign for a glyph that is missing is the same for both
