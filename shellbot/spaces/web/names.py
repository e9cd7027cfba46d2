"""Names of people in the web space: cleaned for showing, folded for comparing. Pure."""

from __future__ import annotations

import unicodedata

from shellbot.errors import SpaceError

MAX_NAME = 40


def clean_name(name: str) -> str:
    """Give the name as it will be shown.

    Control, bidirectional and zero-width characters are taken out, so that a name can neither hide nor turn the text
    around it; white space is one blank.

    Raises:
        SpaceError: Nothing readable is left, or it is longer than 40 characters.
    """
    kept = "".join(
        " " if unicodedata.category(char) in ("Zs", "Zl", "Zp") or char in "\t\n\r" else char
        for char in unicodedata.normalize("NFC", name)
        if char in "\t\n\r" or not unicodedata.category(char).startswith("C")
    )
    shown = " ".join(kept.split())
    if not any(unicodedata.category(char)[0] in "LNS" for char in shown):
        raise SpaceError("Please give a name that others can read.")
    if len(shown) > MAX_NAME:
        raise SpaceError(f"This name has {len(shown)} characters; {MAX_NAME} is the most. Please take a shorter one.")
    return shown


def fold_name(name: str) -> str:
    """Give the form under which two names count as the same: case, width and blanks do not tell them apart."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())
