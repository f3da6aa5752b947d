"""The status line of long compiles: in terminals and notebooks, nowhere else, and never for short ones."""
from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import types

import pytest

from chainrule.compiler.stages import Clock, stage, ticking
from chainrule.runtime import progress

SLOW = """
import sys, time
import numpy as np
from chainrule import grad
from chainrule.runtime import progress
progress.AFTER, progress.EVERY = float(sys.argv[1]), 0.02

def loss(x):
    time.sleep(0.4)
    return np.sum(x * x)

f = grad(loss)
print("result", f.grad(np.ones(3)).tolist())
"""


def in_terminal(after, **environment):
    """What a terminal gets from the program, on standard output and standard error together."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    wanted = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "CHAINRULE_CACHE": "0",
              "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        wanted.pop(name, None)
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(after)], stdin=follower, stdout=follower, stderr=follower, env=wanted)
    os.close(follower)
    received = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        received += part
    os.close(leader)
    assert process.wait(60) == 0, received.decode()
    return received.decode()


def test_a_terminal_shows_the_function_the_stage_and_the_seconds_and_is_left_clean():
    received = in_terminal(0.05)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", received)
    assert "chainrule: tracing loss, 0 s (trace: the function is run on traced values)" in plain
    assert "result [2.0, 2.0, 2.0]" in plain
    assert received.count("\x1b[?25l") == received.count("\x1b[?25h") > 0  # the cursor is hidden and comes back
    before, _, _ = received.partition("result")
    assert before.rstrip().endswith("\x1b[2K")  # the line is erased before anything else is printed


def test_short_work_shows_nothing():
    assert in_terminal(60.0).strip() == "result [2.0, 2.0, 2.0]"


def test_a_log_gets_nothing():
    done = subprocess.run([sys.executable, "-c", SLOW, "0.0"], capture_output=True, text=True, timeout=60, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert (done.stdout, done.stderr) == ("result [2.0, 2.0, 2.0]\n", "")


def test_no_thread_is_started_where_nobody_would_see_it(monkeypatch):
    monkeypatch.setattr(progress, "_Watch", None)
    for stream in (types.SimpleNamespace(isatty=lambda: False), types.SimpleNamespace(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.shown("compiling f", Clock()):
            pass


class Recorded:
    """A surface that remembers what it was shown."""

    def __init__(self):
        made.append(self)
        self.texts, self.cleared = [], False

    def show(self, text):
        self.texts.append(text)

    def clear(self):
        self.cleared = True


made: list[Recorded] = []


@pytest.fixture
def recorded(monkeypatch):
    made.clear()
    monkeypatch.setattr(progress, "_surface", lambda: Recorded)
    monkeypatch.setattr(progress, "AFTER", 0.02)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    return made


def wait_for(condition):
    limit = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_the_stage_is_the_one_that_runs(recorded):
    with ticking(Clock()) as clock, progress.shown("compiling f", clock):
        for name in ("simplify", "compile"):
            with stage(name):
                wait_for(lambda name=name: recorded and f"({name}: " in recorded[0].texts[-1])
    assert recorded[0].cleared
    assert not [thread for thread in threading.enumerate() if thread.name == "chainrule status"]


def test_it_ends_with_an_error_and_work_that_ends_early_shows_nothing(recorded):
    def fail_when_shown():
        with progress.shown("compiling f", Clock()):
            wait_for(lambda: recorded and recorded[0].texts)
            raise KeyError

    with pytest.raises(KeyError):
        fail_when_shown()
    assert recorded[0].cleared
    with progress.shown("compiling f", Clock()):
        pass
    assert len(recorded) == 1


def test_one_of_several_threads_has_the_line(recorded):
    with progress.shown("compiling f", Clock()):
        wait_for(lambda: recorded and recorded[0].texts)
        with progress.shown("compiling g", Clock()):
            time.sleep(0.1)
    assert len(recorded) == 1


@pytest.mark.parametrize("broken", ["__init__", "show", "clear"])
def test_a_status_that_cannot_be_shown_is_no_error(recorded, monkeypatch, broken):
    called = []

    def fail(*arguments):
        called.append(broken)
        raise OSError("the terminal is gone")

    monkeypatch.setattr(Recorded, broken, fail)
    for turn in range(2):  # the second finds the screen free
        called.clear()
        with progress.shown("compiling f", Clock()):
            wait_for(lambda turn=turn: called or (broken == "clear" and recorded[turn:] and recorded[turn].texts))
        assert called


@pytest.mark.slow
def test_a_notebook_shows_it_and_is_left_with_nothing_to_read():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    source = SLOW.replace("float(sys.argv[1])", "0.05")
    paths = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(paths + source)])
    seen = []

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                seen.append(message["content"]["data"]["text/plain"])
            return super().process_message(message, cell, index)

    Client(book, timeout=120, kernel_name="python3").execute()
    assert any("chainrule: tracing loss" in text for text in seen)
    assert seen[-1] == ""
    printed = [output["text"] for output in book.cells[0].outputs if output["output_type"] == "stream"]
    assert printed == ["result [2.0, 2.0, 2.0]\n"]
