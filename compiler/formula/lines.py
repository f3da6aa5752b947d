"""Marked text of a `MathML` writer in rows that are not too wide: broken before signs and behind commas, as far out as can be."""
from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["CLOSE", "OPEN", "rows"]

OPEN, CLOSE = "\ue000", "\ue001"  # around the name of an element
WIDEST = 92  # characters
_LEAST = 0.4  # of that: a row is not shorter, if it can be helped
_RAISED = 0.7  # of its size: exponents and indices
_PART = re.compile(rf"{OPEN}(/?)(\w+)([^{CLOSE}]*){CLOSE}|( [+-] |, | |∘)|([(\[]|[)\]])|[^{OPEN} ,∘()\[\]]+|,")
_SMALL = frozenset({"msub", "msup", "msubsup", "munder"})


@dataclass(frozen=True)
class _Piece:
    """A part of a text that stays together.

    Attributes:
        depth: of brackets.
        breaks: whether a row may end before it.
        row: the mark that it opens a row with, `/` where it closes one; empty: neither.
    """

    text: str
    width: float
    depth: int
    breaks: bool = False
    row: str = ""


def rows(text: str, widest: float = WIDEST) -> list[str]:
    """The text in rows, each of whole elements."""
    pieces = _pieces(text, widest)
    ends = [0.0, *accumulate(piece.width for piece in pieces)]
    found: list[str] = []
    opened: list[str] = []
    start = 0
    while start < len(pieces):
        stop = _stop(pieces, ends, start, widest)
        row = "".join(opened) + "".join(piece.text for piece in pieces[start:stop])
        for piece in pieces[start:stop]:
            if piece.row == "/":
                opened.pop()
            elif piece.row:
                opened.append(piece.row)
        found.append(row + f"{OPEN}/mrow{CLOSE}" * len(opened))
        start = stop
    return found


def _stop(pieces: list[_Piece], ends: list[float], start: int, widest: float) -> int:
    """Where the row that starts there ends."""
    if ends[-1] - ends[start] <= widest:
        return len(pieces)
    places = [k for k in range(start + 1, len(pieces)) if pieces[k].breaks]
    near = [k for k in places if _LEAST * widest <= ends[k] - ends[start] <= widest]
    if near:
        return min(near, key=lambda k: (pieces[k].depth, -k))
    return next((k for k in places if ends[k] - ends[start] > widest), len(pieces))


def _pieces(text: str, widest: float) -> list[_Piece]:
    found: list[_Piece] = []
    depth, at, comma = 0, 0, False
    while at < len(text):
        match = _PART.match(text, at)
        assert match is not None
        end, breaks, comma = match.end(), comma, False
        closing, name, _, sign, bracket = match.groups()
        if name == "mrow":
            found.append(_Piece(match.group(), 0.0, depth, breaks and not closing, "/" if closing else match.group()))
            comma = breaks and bool(closing)
        elif name is not None:
            end = _end(text, at)
            element = text[at:end]
            width = _width(element)
            opened = _opened(element) if name in _SMALL and width > _LEAST * widest else ""
            if opened:
                text, end = text[:at] + opened + text[end:], at
            else:
                found.append(_Piece(_narrow(element, widest) if width > widest else element, min(width, widest), depth, breaks))
        else:
            depth -= bracket in (")", "]")
            before = sign in (" + ", " - ", "∘")
            found.append(_Piece(match.group(), 0.4 * (sign == " ") or end - at, depth, breaks or before))
            depth += bracket in ("(", "[")
            comma = sign == ", "
        at = end
    return found


def _end(text: str, at: int) -> int:
    """Where the element that begins there ends."""
    depth = 0
    for match in re.compile(f"{OPEN}(/?)[^{CLOSE}]*{CLOSE}").finditer(text, at):
        depth += -1 if match.group(1) else 1
        if depth == 0:
            return match.end()
    return len(text)


def _parts(element: str) -> tuple[str, str, list[str]]:
    """An element's mark, its name, and its children's text."""
    close = element.index(CLOSE) + 1
    mark, inside = element[:close], element[close: element.rindex(OPEN)]
    found, at = [], 0
    while at < len(inside):
        end = _end(inside, at) if inside[at] == OPEN else len(inside)
        found.append(inside[at:end])
        at = end
    return mark, re.split(r"\W", mark[1:])[0], found


def _width(text: str) -> float:
    """About how many characters wide a text is."""
    width, at = 0.0, 0
    while at < len(text):
        if text[at] != OPEN:
            end = text.find(OPEN, at)
            end = len(text) if end < 0 else end
            width += end - at
        else:
            end = _end(text, at)
            width += _element_width(text[at:end])
        at = end
    return width


def _element_width(element: str) -> float:
    mark, name, children = _parts(element)
    if name == "mrow":
        return _width(element[len(mark): element.rindex(OPEN)])
    inner = list(map(_width, children))
    if name == "mfrac":
        return 1 + max(inner)
    return sum(inner[:1]) + (_RAISED if name in _SMALL else 1.0) * sum(inner[1:]) + (name == "msqrt")


def _opened(element: str) -> str:
    """With an exponent or an index on nothing but the bracket that ends its base; empty where none does."""
    mark, name, (base, *above) = _parts(element)
    inner = re.sub(f"(?:{OPEN}/mrow{CLOSE})*$", "", base)
    if inner[-1:] not in (")", "]", "‖"):
        return ""
    return f"{inner[:-1]}{mark}{OPEN}mrow{CLOSE}{inner[-1]}{OPEN}/mrow{CLOSE}{''.join(above)}{OPEN}/{name}{CLOSE}{base[len(inner):]}"


def _narrow(element: str, widest: float) -> str:
    """A fraction with its sides in rows of their own; other elements as they are."""
    mark, name, children = _parts(element)
    if name != "mfrac":
        return element
    return mark + "".join(map(_stacked, (rows(child, widest) for child in children))) + f"{OPEN}/{name}{CLOSE}"


def _stacked(lines: list[str]) -> str:
    """Rows below each other as one element."""
    if len(lines) == 1:
        return lines[0]
    cells = "".join(f"{OPEN}mtr{CLOSE}{OPEN}mtd{CLOSE}{line}{OPEN}/mtd{CLOSE}{OPEN}/mtr{CLOSE}" for line in lines)
    return f"{OPEN}mrow{CLOSE}{OPEN}mtable{CLOSE}{cells}{OPEN}/mtable{CLOSE}{OPEN}/mrow{CLOSE}"
