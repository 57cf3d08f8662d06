"""Text that came from anywhere, made fit for a terminal: nothing in it can move the cursor, and its width is known."""

from __future__ import annotations

import re
from typing import Any

DOT = " · "
INDENT = "    "
MORE = "…"
# Controls of terminals, what turns the direction of writing round, and halves of characters, which cannot be encoded.
UNSEEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


def visible(text: str) -> str:
    """The text with each character that is an order to the terminal written out; lines stay lines."""
    if text.isprintable():
        return text
    return re.sub(UNSEEN, lambda found: found[0].encode("unicode_escape").decode(), text).expandtabs()


def one_line(text: object) -> str:
    """The same as one line, whatever it is."""
    return visible(" ".join(str(text).split()))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # here, because almost all text is ASCII

    return cell_len(text)


def padded(text: str, width: int) -> str:
    """The text with blanks up to this width."""
    return text + " " * (width - cells(text))


def fitted(text: str, width: int) -> str:
    """The text, cut so that it takes no more columns than this."""
    if cells(text) <= width:
        return text
    if text.isascii():
        return text[: width - 1] + MORE
    from rich.cells import set_cell_size  # as above

    return set_cell_size(text, width - 1).rstrip(" ") + MORE


def folded(text: str, width: int | None) -> str:
    """The text, broken at ` · ` into indented lines where it is wider than that."""
    first, *parts = text.split(DOT)
    lines = [first]
    for part in parts:
        if width and cells(lines[-1] + DOT + part) > width:
            lines.append(INDENT + part)
        else:
            lines[-1] += DOT + part
    return "\n".join(lines)


def short(value: Any) -> str:
    """The value of a property, in few words."""
    if value is None:
        return "(absent)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "(none)"
    text = str(value)
    return text[:12] if len(text) == 64 else text
