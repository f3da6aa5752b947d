"""A report for terminals."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .content import Content, Row

__all__ = ["parts"]


def parts(content: Content) -> Iterator[Any]:
    """What is printed, in order."""
    yield _head(content.name)
    yield Text(content.about)
    yield _head("source, and the operations that each line made")
    if content.remark:
        yield Text(content.remark)
    yield _table([(str(line.site), line.text, "\n".join([*line.made, *([f"and {line.more:,} more"] if line.more else [])]))
                  for line in content.lines], "line", "source", "operations")
    yield _head("formulas")
    for title, formula in content.formulas:
        yield Text(f"{title} = {formula}")
    for title, steps in content.derivations:
        yield _head(f"derivation of {title}: {len(steps)} step{'s' * (len(steps) != 1)}")
        yield Text(steps.text(content.derivations[0]))
    for picture in content.pictures:
        yield _head(f"IR, {picture.title}")
        yield _text(picture.rows)
    yield _head("rewrites of the program, by numerical class")
    for level, uses in content.rewrites:
        yield Text(f"{level.value}: {level.meaning}")
        yield _table([("", use.rule, f"{use.times:,}", use.sides, use.why) for use in uses])
    if content.schedule:
        yield _head("kernels, and why each is apart")
        yield _text(content.schedule)
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


def _text(rows: Iterable[Row]) -> Text:
    return Text("\n".join(row.text for row in rows))


def _table(rows: Any, *titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=bool(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
