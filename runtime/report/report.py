"""The report that `explain()` gives."""
from __future__ import annotations

import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .content import Content

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Report"]

WIDTH, NARROWEST, WIDEST = 100, 60, 140  # columns: where there is no terminal; of terminals, what is made use of


class Report:
    """Every stage of a decorated function, from its source to the generated code, for one signature.

    `str()` is plain text as wide as the terminal, `.print()` prints it in colour where the terminal has colours, a notebook shows
    it as HTML, `.save` writes one HTML file that needs nothing else.
    """

    def __init__(self, content: Content) -> None:
        self.content = content

    def __str__(self) -> str:
        import io

        from rich.console import Console

        console = Console(file=io.StringIO(), width=_width(), color_system=None, legacy_windows=False, force_jupyter=False)
        with console.capture() as captured:
            console.print(self)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    __repr__ = __str__

    def print(self) -> None:
        """Print the report: in colour on terminals that have colours, unless NO_COLOR is set, and as plain text into files."""
        from rich.console import Console

        Console(width=_width(), force_jupyter=False).print(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from .terminal import parts

        yield from parts(self.content, options.max_width)

    @cached_property
    def _fragment(self) -> str:
        from .page import fragment

        return fragment(self.content)

    def _repr_html_(self) -> str:
        return self._fragment

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML file, which loads nothing from anywhere.

        Returns:
            Where it is.
        """
        from .page import page

        target = Path(path)
        target.write_text(page(self.content, self._fragment), encoding="utf-8")
        return target


def _width() -> int:
    """Columns of the terminal, within bounds."""
    return min(max(shutil.get_terminal_size((WIDTH, 0)).columns, NARROWEST), WIDEST)
