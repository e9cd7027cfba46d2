"""The bars of a vote as a picture, for places that show no page. Needs the extra ``shellbot[png]``."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN, BAR = 1000, 40, 22  # pixels
GROUND, INK, SOFT, EMPTY, FULL, WINNER = "#ffffff", "#1d2326", "#556063", "#f1efea", "#8cc4bd", "#0f766e"
# the font that Pillow brings knows English letters only
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def picture(question: str, state: str, bars: Sequence[tuple[str, str, float]], winner: str | None = None) -> bytes:
    """Draw a PNG. Any thread.

    Args:
        bars: Choice, what it got in words, and the width of its bar in percent; one under the other.
        winner: The choice whose bar is dark.
    """
    large, plain = _font(34), _font(22)
    room = WIDTH - 2 * MARGIN
    lines = [(line, large, INK, 44) for line in _wrapped(question, large, room)]
    lines.append(("", plain, SOFT, 8))
    lines += [(line, plain, SOFT, 30) for line in _wrapped(state, plain, room)]
    labels = [_wrapped(choice, plain, room - 260) for choice, _, _ in bars]
    height = 2 * MARGIN + sum(step for *_, step in lines) + sum(30 * len(label) + BAR + 34 for label in labels)

    image = Image.new("RGB", (WIDTH, height), GROUND)
    draw, y = ImageDraw.Draw(image), MARGIN
    for text, font, colour, step in lines:
        draw.text((MARGIN, y), text, fill=colour, font=font)
        y += step
    for label, (choice, told, percent) in zip(labels, bars, strict=True):
        y += 24
        draw.text((WIDTH - MARGIN - plain.getlength(told), y), told, fill=INK, font=plain)
        for line in label:
            draw.text((MARGIN, y), line, fill=INK, font=plain)
            y += 30
        draw.rectangle((MARGIN, y, WIDTH - MARGIN, y + BAR), fill=EMPTY)
        if percent:
            draw.rectangle(
                (MARGIN, y, MARGIN + room * percent / 100, y + BAR), fill=WINNER if choice == winner else FULL
            )
        y += BAR + 10
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


@lru_cache(1)
def _font_file() -> str:
    """Path of a font of this machine that knows more than English; '' where there is none."""
    for name in FONTS:
        try:
            return str(ImageFont.truetype(name, 10).path)
        except OSError:
            continue
    return ""


def _font(size: int) -> Font:
    # one for each picture, as a font is not to be used by two threads at once
    return ImageFont.truetype(_font_file(), size) if _font_file() else ImageFont.load_default(size)


def _wrapped(text: str, font: Font, room: float) -> list[str]:
    """Break a text into lines of that many pixels, between words where they fit."""
    lines = [""]
    for word in _known(text, font).split():
        if font.getlength(f"{lines[-1]} {word}") <= room:
            lines[-1] = f"{lines[-1]} {word}".strip()
            continue
        lines.append("")
        for letter in word:
            if font.getlength(lines[-1] + letter) > room:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line]


def _known(text: str, font: Font) -> str:
    """Put for each letter that the font lacks the one it is made of, or a question mark."""
    box = bytes(font.getmask("\uffff"))

    def known(letter: str) -> str:
        if letter.isspace():
            return " "
        plain = unicodedata.normalize("NFKD", letter)[0]
        return next((each for each in (letter, plain) if bytes(font.getmask(each)) != box), "?")

    return "".join(known(letter) for letter in unicodedata.normalize("NFC", text))
