"""A report as HTML: a fragment for notebooks, and the same as one file. Nothing is loaded; whatever comes from a user is escaped.

Every element that comes from lines of the user says so (`data-at`); `page.js` lights up what comes from the same line.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from functools import cache
from html import escape
from importlib.resources import files

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ...compiler.formula import Formula
from ...compiler.formula.steps import Steps
from ...compiler.ir import Node
from ...compiler.provenance import Site
from .content import Content, Line, Picture, Row
from .drawing import drawing
from .picture import MissingLayoutError, svg

__all__ = ["fragment", "page"]

MOST_MATHEMATICS = 2000  # operations of formulas that are drawn as mathematics, rather than written as text
MOST_STEPS, MOST_DRAWN = 600, 150  # steps of all derivations that are shown; that are drawn as mathematics
SMALL = 30  # boxes of a picture that is shown without being asked for
_FORMATTER = HtmlFormatter(nowrap=True)
_STAGES = {"traced": "what the function computes", "differentiated": "what is asked for, before it is simplified",
           "simplified": "what is scheduled and compiled"}


@cache
def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def page(content: Content, body: str) -> str:
    """A whole file."""
    return ("<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            "<meta name='color-scheme' content='light dark'>"
            f"<title>{escape(content.name)}</title></head><body style='margin:0'>{body}</body></html>\n")


def fragment(content: Content) -> str:
    """The report as an element, with its style."""
    at = _Marks(content.lines)
    parts = [_section("Formulas", _formulas(content.formulas, at)),
             _section("What each line made", _made(content.lines, at)),
             _section("Derivations", _derivations(content.derivations, at)),
             _section("Graphs", _graphs(content, at)),
             _section("Rewrites of the program, by numerical class", _rewrites(content, at))]
    if content.schedule:
        parts.append(_section("Kernels, and why each is apart", _listing(content.schedule, at)))
        parts.append(_section("Generated code", _listing(content.code, at, python=True)))
    counts = [(title, f"{sum(c.values()):,}", ", ".join(f"{n:,} {op}" for op, n in c.items())) for title, c in content.counts]
    parts += [_section("Operations", _table(counts)), _section("Memory and arithmetic", _table(content.facts)),
              _section("Seconds", _seconds(content.seconds))]
    head = f"<h1>{escape(content.name)}</h1><div class='muted'>{escape(content.about)}</div>"
    source = f"<aside class='source'>{_section('Source', _source(content, at))}</aside>"
    return (f"<div class='chainrule-report'><style>{_resource('page.css')}</style><div>{head}<div class='columns'>{source}"
            f"<main>{''.join(parts)}</main></div></div><script>{_resource('page.js')}</script></div>")


class _Marks:
    """The attribute that ties an element to lines of the source."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._names = {line.site: f"L{k}" for k, line in enumerate(lines)}

    def __call__(self, sites: Iterable[Site]) -> str:
        names = sorted(self._names[s] for s in sites if s in self._names)
        return f" data-at='{' '.join(names)}'" if names else ""


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _folded(items: Iterable[tuple[str, str, bool]]) -> str:
    """Parts to be opened: (title, body, whether it is open)."""
    return "".join(f"<details{' open' if shown else ''}><summary>{escape(title)}</summary>{body}</details>" for title, body, shown in items)


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<div class='scroll'><table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table></div>"


def _python(lines: Iterable[str]) -> list[str]:
    """Source in colours, line by line."""
    texts = list(lines)
    coloured: str = highlight("\n".join([*texts, "#"]), PythonLexer(stripnl=False, ensurenl=False), _FORMATTER)
    return coloured.split("\n")[:len(texts)]


def _source(content: Content, at: _Marks) -> str:
    """Each line with its number; files one after the other."""
    if content.remark:
        return f"<div class='muted'>{escape(content.remark)}</div>"
    rows, file = [], ""
    for line, text in zip(content.lines, _python(line.text for line in content.lines), strict=True):
        name, _, number = str(line.site).rpartition(":")
        if name != file:
            rows.append(f"<span class='row muted'>{escape(name)}</span>")
            file = name
        tied = f"{at([line.site])} tabindex='0'" if line.made else ""
        indent = len(line.text) - len(line.text.lstrip())
        rows.append(f"<span class='row line' style='--indent:{indent}ch'{tied}><span class='at'>{number}</span>{text}</span>")
    return f"<pre>{''.join(rows)}</pre>"


def _made(lines: Sequence[Line], at: _Marks) -> str:
    rows = []
    for line in lines:
        if line.made:
            chips = " ".join(f"<code class='chip'>{escape(made)}</code>" for made in line.made)
            more = f" <small>and {line.more:,} more</small>" if line.more else ""
            rows.append(f"<tr{at([line.site])}><td class='muted'>{escape(str(line.site))}</td><td>{chips}{more}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _formulas(formulas: Iterable[tuple[str, Formula]], at: _Marks) -> str:
    """As mathematics, and as text; those that would be too much of the one as text alone."""
    parts: list[str] = []
    left = MOST_MATHEMATICS
    for title, formula in formulas:
        text = f"<pre>{escape(str(formula))}</pre>"
        if formula.ops <= left:
            left -= formula.ops
            text = (f"<div class='scroll'><math display='block'>{formula.marked(at)}</math></div>"
                    f"<details><summary><small>as text</small></summary>{text}</details>")
        parts.append(f"<h3>{escape(title)}</h3>{text}")
    return "".join(parts)


def _derivations(derivations: Sequence[tuple[str, Steps]], at: _Marks) -> str:
    most, drawn = (total // max(len(derivations), 1) for total in (MOST_STEPS, MOST_DRAWN))
    return _folded((f"{title}: {len(steps)} step{'s' * (len(steps) != 1)}", steps.html(at, most, drawn, derivations[0]), False)
                   for title, steps in derivations)


def _graphs(content: Content, at: _Marks) -> str:
    original, *_ = content.pictures
    before, lines = frozenset(original.graph.nodes()), frozenset(line.site for line in content.lines)
    return "".join(_graph(picture, before if picture.differentiated else frozenset(), lines, at) for picture in content.pictures)


def _graph(picture: Picture, before: Set[Node], lines: Set[Site], at: _Marks) -> str:
    """A drawing, where it can be made, and the same as text."""
    shown = False
    try:
        made = drawing(picture.graph, picture.results, before, lines)
        body = f"<figcaption>{escape(made.caption)}</figcaption><div class='scroll'>{svg(made, at, picture.title)}</div>"
        shown = len(made.boxes) <= SMALL
    except MissingLayoutError as error:
        body = f"<figcaption>{escape(str(error))}</figcaption>"
    listing = _folded([("as text", _listing(picture.rows, at), False)])
    return _folded([(f"{picture.title}: {_STAGES.get(picture.title, 'what it computes')}", f"<figure>{body}</figure>{listing}", shown)])


def _listing(rows: Sequence[Row], at: _Marks, python: bool = False) -> str:
    texts = _python(row.text for row in rows) if python else [escape(row.text) for row in rows]
    return f"<pre>{''.join(f'<span class=row{at(row.sites)}>{text}</span>' for row, text in zip(rows, texts, strict=True))}</pre>"


def _rewrites(content: Content, at: _Marks) -> str:
    if not content.rewrites:
        return "<div>none</div>"
    parts = []
    for level, uses in content.rewrites:
        rows = "".join(f"<tr{at(use.sites)}><td>{escape(use.rule)}</td><td class='number'>{use.times:,}</td>"
                       f"<td><code>{escape(use.sides)}</code></td><td>{escape(use.why)}</td></tr>"
                       for use in uses)
        title = f"{escape(level.value)} <small>{escape(level.meaning)}</small>"
        parts.append(f"<h3>{title}</h3><div class='scroll'><table>{rows}</table></div>")
    return "".join(parts)


def _seconds(rows: Sequence[tuple[str, float, str]]) -> str:
    most = max((spent for _, spent, _ in rows), default=0.0)
    lines = (f"<tr><td>{escape(stage)}</td><td class='number'>{spent:.4f}</td><td style='width:7rem'>"
             f"<div class='bar' style='width:{100 * spent / most if most else 0:.0f}%'></div></td><td>{escape(what)}</td></tr>"
             for stage, spent, what in rows)
    return f"<div class='scroll'><table>{''.join(lines)}</table></div>"
