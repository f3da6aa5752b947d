"""A report as HTML: a fragment for notebooks, and the same as one file. Nothing is loaded; whatever comes from a user is escaped."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ...compiler.formula import Formula
from ...compiler.provenance import Site
from .content import Content, Line, Row, mathematics

__all__ = ["fragment", "page"]

_STYLE = """
.chainrule-report { font: 14px/1.5 system-ui, sans-serif; color: #1d2329; background: #fff; max-width: 76rem; margin: 0 auto;
  padding: 0 1rem 2rem; text-align: left }
.chainrule-report h1 { font-size: 1.5rem; margin: 1rem 0 .25rem }
.chainrule-report h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; border-bottom: 1px solid #d8dee4 }
.chainrule-report pre, .chainrule-report code { font: 12px/1.5 ui-monospace, monospace }
.chainrule-report pre { margin: .25rem 0; padding: .5rem; background: #f6f8fa; overflow-x: auto; white-space: pre }
.chainrule-report table { border-collapse: collapse; margin: 0 }
.chainrule-report td, .chainrule-report th { padding: 0 1rem 0 0; text-align: left; vertical-align: top; background: none; border: 0 }
.chainrule-report .scroll { overflow-x: auto }
.chainrule-report .source td { white-space: pre-wrap }
.chainrule-report .source td + td { white-space: pre }
.chainrule-report .source td:last-child { white-space: normal }
.chainrule-report .chip { display: inline-block; background: #eef2f6; border-radius: 3px; padding: 0 .35em; margin: 1px }
.chainrule-report .muted, .chainrule-report small { color: #59636e }
.chainrule-report summary { cursor: pointer }
.chainrule-report details details { margin-left: 1rem }
.chainrule-report details table { margin-left: 1.5rem }
.chainrule-report math { font-size: 1.15rem; margin: .4rem 0 }
.chainrule-report .row { display: block }
.chainrule-report .on { background: #fff1b8 }
"""

_SCRIPT = """
document.querySelectorAll('.chainrule-report:not([data-live])').forEach(report => {
  report.dataset.live = '';
  const mark = (event, on) => {
    const from = event.target.closest('[data-at]');
    if (!from || !report.contains(from)) return;
    for (const name of from.dataset.at.split(' ').filter(Boolean))
      report.querySelectorAll('[data-at~="' + name + '"]').forEach(other => other.classList.toggle('on', on));
  };
  report.addEventListener('mouseover', event => mark(event, true));
  report.addEventListener('mouseout', event => mark(event, false));
});
"""


def page(content: Content, body: str) -> str:
    """A whole file."""
    return ("<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{escape(content.name)}</title></head><body style='margin:0'>{body}</body></html>\n")


def fragment(content: Content) -> str:
    """The report as an element, with its style."""
    at = _Marks(content.lines)
    parts = [f"<h1>{escape(content.name)}</h1><div class='muted'>{escape(content.about)}</div>",
             _section("Source, and the operations that each line made", _source(content.lines, at)),
             _section("Formulas", "".join(f"<div class='scroll'>{_formula(title, made)}</div>" for title, made in content.formulas))]
    steps = [(title, f"<div>{len(s)} steps</div>{s.html(at)}") for title, s in content.derivations]
    parts.append(_section("Derivations", _folded(steps)))
    parts.append(_section("IR", _folded([(f"{title}: {len(rows) - 1} lines", _listing(rows, at)) for title, rows in content.listings])))
    if content.schedule:
        parts.append(_section("Kernels, and why each is apart", f"<pre>{escape(content.schedule)}</pre>"))
        code = highlight(content.code.strip(), PythonLexer(), _FORMATTER)
        parts.append(_section("Generated code", f"<pre>{code}</pre>"))
    counts = [(title, str(sum(c.values())), ", ".join(f"{n} {op}" for op, n in c.items())) for title, c in content.counts]
    parts.append(_section("Operations", _table(counts)))
    parts.append(_section("Memory and arithmetic", _table(content.facts)))
    parts.append(_section("Seconds", _table([(stage, f"{spent:.4f}", what) for stage, spent, what in content.seconds])))
    colours = _FORMATTER.get_style_defs(".chainrule-report")
    return f"<div class='chainrule-report'><style>{colours}{_STYLE}</style>{''.join(parts)}<script>{_SCRIPT}</script></div>"


_FORMATTER = HtmlFormatter(nowrap=True, style="default")


class _Marks:
    """The attribute that ties an element to lines of the source."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._names = {line.site: f"L{k}" for k, line in enumerate(lines)}

    def __call__(self, sites: Iterable[Site]) -> str:
        names = sorted(self._names[s] for s in sites if s in self._names)
        return f" data-at='{' '.join(names)}'" if names else ""


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _folded(items: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<details><summary>{escape(title)}</summary>{body}</details>" for title, body in items)


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _source(lines: Sequence[Line], at: _Marks) -> str:
    coloured = highlight("\n".join(line.text for line in lines), PythonLexer(stripnl=False), _FORMATTER).split("\n")
    rows = []
    for line, text in zip(lines, coloured, strict=False):
        chips = " ".join(f"<code class='chip'>{escape(made)}</code>" for made in line.made)
        rows.append(f"<tr{at([line.site]) if line.made else ''}><td class='muted'>{escape(str(line.site))}</td>"
                    f"<td><code>{text}</code></td><td>{chips}</td></tr>")
    return f"<div class='scroll'><table class='source'>{''.join(rows)}</table></div>"


def _formula(title: str, formula: Formula) -> str:
    drawn = mathematics(formula)
    text = f"<pre>{escape(f'{title} = {formula}')}</pre>"
    return f"{text}<math display='block'>{drawn}</math>" if drawn else text


def _listing(rows: Sequence[Row], at: _Marks) -> str:
    lines = "".join(f"<span class='row'{at(row.sites)}>{escape(row.text)}</span>" for row in rows)
    return f"<pre>{lines}</pre>"
