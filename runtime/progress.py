"""A status line while a program takes long to trace or to compile: its name, the stage, the seconds so far.

It is shown in a terminal and in a notebook, on standard error, and vanishes when the program is ready. Nothing is shown,
and no thread is started, where standard error goes elsewhere.
"""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Protocol

from ..compiler.stages import STAGES, Clock

__all__ = ["shown"]

AFTER = 2.0  # seconds that go by before anything is shown
EVERY = 0.5  # seconds from one picture to the next

_screen = threading.Lock()  # of several threads that compile, one has the line


class _Line(Protocol):
    """Where the status is written."""

    def show(self, text: str) -> None: ...

    def clear(self) -> None: ...


class _Terminal:
    """The last line of a terminal, by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # what the function prints while it is traced goes where it always goes
        self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def show(self, text: str) -> None:
        from rich.text import Text

        self._live.update(Text(text, style="dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def clear(self) -> None:
        self._live.stop()


class _Notebook:
    """A text below a notebook's cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        data = {"text/plain": text}
        if self._handle is None:
            display: Any = import_module("IPython.display").display
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)


def _surface() -> type[_Terminal] | type[_Notebook] | None:
    """Where a status can be shown to a person now; None where nobody would see it."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if type(shell).__name__ == "ZMQInteractiveShell":
        return _Notebook
    try:
        return _Terminal if sys.stderr.isatty() else None
    except (AttributeError, ValueError):  # there is no standard error, or it is closed
        return None


class _Watch(threading.Thread):
    """Shows a clock's stage, from some seconds after the start until it is stopped."""

    def __init__(self, what: str, clock: Clock, surface: type[_Terminal] | type[_Notebook]) -> None:
        super().__init__(name="chainrule status", daemon=True)
        self._what, self._clock, self._surface = what, clock, surface
        self._begun, self._over = time.monotonic(), threading.Event()

    def run(self) -> None:
        if self._over.wait(AFTER) or not _screen.acquire(blocking=False):
            return
        line: _Line | None = None
        try:
            line = self._surface()
            while not self._over.is_set():
                line.show(self.text())
                self._over.wait(EVERY)
        except Exception:  # a status must never be why a program fails
            return
        finally:
            with suppress(Exception):
                if line is not None:
                    line.clear()
            _screen.release()

    def text(self) -> str:
        running = self._clock.running
        about = f"{running}: {STAGES[running]}" if running else "..."
        return f"chainrule: {self._what}, {time.monotonic() - self._begun:.0f} s ({about})"

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def shown(what: str, clock: Clock) -> Iterator[None]:
    """Show what is under way for as long as it runs, if it runs long."""
    surface = _surface()
    if surface is None:
        yield
        return
    watch = _Watch(what, clock, surface)
    watch.start()
    try:
        yield
    finally:
        watch.stop()
