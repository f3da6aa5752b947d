"""A report for terminals."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .content import Content

__all__ = ["parts"]

HANGING = 4  # columns, by which a line that goes on is set in


def parts(content: Content, width: int) -> Iterator[Any]:
    """What is printed, in order, in so many columns."""
    def text(lines: Iterable[str]) -> Text:
        return Text("\n".join(_hanging(line, width) for line in lines))

    yield _head(content.name)
    yield text([content.about])
    yield _head("source, and the operations that each line made")
    if content.remark:
        yield Text(content.remark)
    yield _table([(str(line.site), line.text, "\n".join([*line.made, *([f"and {line.more:,} more"] if line.more else [])]))
                  for line in content.lines], "line", "source", "operations")
    yield _head("formulas")
    for title, formula in content.formulas:
        yield text(f"{title} = {formula}".split("\n"))
    for title, steps in content.derivations:
        yield _head(f"derivation of {title}: {len(steps)} step{'s' * (len(steps) != 1)}")
        yield text(steps.text(content.derivations[0]).split("\n"))
    for picture in content.pictures:
        yield _head(f"IR, {picture.title}")
        yield text(row.text for row in picture.rows)
    yield _head("rewrites of the program, by numerical class")
    for level, uses in content.rewrites:
        yield Text(f"{level.value}: {level.meaning}")
        yield _table([("", use.rule, f"{use.times:,}", use.sides, use.why) for use in uses])
    if content.schedule:
        yield _head("kernels, and why each is apart")
        yield text(row.text for row in content.schedule)
        yield _head("generated code")
        code = "\n".join(row.text for row in content.code)
        yield Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)
    yield _head("operations")
    yield _table([(title, str(sum(counts.values())), ", ".join(f"{n} {op}" for op, n in counts.items()))
                  for title, counts in content.counts], "stage", "in all", "of each kind")
    yield _head("memory and arithmetic")
    yield _table(content.facts)
    yield _head("seconds")
    yield _table([(stage, f"{spent:.4f}", what) for stage, spent, what in content.seconds])


def _head(text: str) -> Rule:
    return Rule(Text(text, style="bold"), align="left")


def _hanging(line: str, width: int) -> str:
    """A line that goes on below its beginning where it is too long."""
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + HANGING)
    return "\n".join(wrap(line, width, subsequent_indent=indent, break_on_hyphens=False))


def _table(rows: Any, *titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=bool(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
