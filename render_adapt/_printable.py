"""Text that may quote a stranger's file, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line, with escapes for characters that are not for printing.

    A name in a damaged or malicious file could otherwise move the cursor, change colours or break
    a message that is promised to be one line.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
