"""Long kernels without loops are cut into segments, which compute the same bits in functions of limited length."""
from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from kernels import let, literal, reads, writes
from llvmlite import ir

from chainrule import UnrolledLoopWarning, grad
from chainrule.compiler import segments as cutting
from chainrule.compiler.alike import pattern
from chainrule.compiler.collector import collector_paused
from chainrule.compiler.emit_llvm import emit_kernel
from chainrule.compiler.kernel import lowering_of
from chainrule.compiler.loopnest import Kernel, Load, Loop, Store
from chainrule.compiler.repeats import repeats
from chainrule.compiler.segments import segments
from chainrule.compiler.statements import accesses, defines, reads as names_read


def chain(length: int) -> Kernel:
    """Every value is used by the next statement and by the one that mirrors it, as in reverse mode."""
    lets = [let(f"v{k}", "add", f"v{k - 1}", literal(1.0)) for k in range(1, length)]
    back = [let(f"w{k}", "mul", f"w{k + 1}" if k < length - 1 else "v0", f"v{k}") for k in reversed(range(length))]
    return Kernel("chain", (reads("a", 0), writes("out", 0)), (), (Load("v0", "a", ()), *lets, *back, Store("out", (), "w0")))


def test_short_kernels_and_loops_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LENGTH", 10)
    assert segments(chain(9)) is None  # 19 statements
    kernel = chain(100)
    looped = Kernel("looped", kernel.buffers, (), (*kernel.body, Loop("i", 3, ())))
    assert segments(looped) is None


def test_segments_hold_every_statement_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LENGTH", 10)
    kernel = chain(100)
    found = segments(kernel)
    assert found is not None
    cut, (frame,) = found
    names = {b.name for b in kernel.buffers}
    own = [s for piece in cut for s in piece.kernel.body if not (isinstance(s, Load | Store) and s.buffer not in names)]
    assert tuple(own) == kernel.body
    assert 20 < len(cut) < 80
    assert 90 <= frame.length <= 100 + len(cut)  # all of the way forward, and what each segment of the way back leaves to the next
    for piece in (segment.kernel for segment in cut):
        known: set[str] = set()
        for s in piece.body:
            assert names_read(s) <= known
            known |= defines(s)
        assert {name for name, _, _ in accesses(piece.body)} == {b.name for b in piece.buffers}


def test_the_length_of_what_is_cut_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that all later segments use is loaded once in each of them, and nothing else is repeated."""
    monkeypatch.setattr(cutting, "LENGTH", 40)
    added = []
    for length in (400, 800, 1600):
        found = segments(chain(length))
        assert found is not None
        added.append(sum(len(piece.kernel.body) for piece in found[0]) - len(chain(length).body))
    assert added[2] < 4.2 * added[0]


def test_frames_are_not_on_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LENGTH", 10)
    module = ir.Module()
    entry = str(emit_kernel(module, chain(100), "chain", lowering_of))
    assert (entry.count('@"malloc"'), entry.count('@"free"'), entry.count("alloca")) == (1, 1, 0)


def test_the_turns_of_a_loop_share_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many turns there are: what differs is where windows begin."""
    monkeypatch.setattr(cutting, "LENGTH", 300)
    counts = []
    for length in (1500, 3000):
        found = segments(chain(length))
        assert found is not None
        counts.append((len(found[0]), len({pattern(piece.kernel) for piece in found[0]})))
    assert counts[1][0] > 1.8 * counts[0][0]
    assert counts[0][1] == counts[1][1] <= 8


def test_code_that_repeats_itself_is_found() -> None:
    def loop(x: str, op: str, turns: int) -> list[Any]:
        made = []
        for t in range(turns):
            last = f"{x}{t}"
            made += [let(f"p{last}", "mul", last, literal(2.0)), let(f"q{last}", "sin", last)]
            made.append(let(f"{x}{t + 1}", op, f"p{last}", f"q{last}"))
        return made

    ops = np.random.default_rng(0).choice(["sin", "cos", "exp"], 60)
    once = [let(f"s{k}", str(op), f"s{k - 1}" if k else "x400") for k, op in enumerate(ops)]
    first, second = repeats([*loop("x", "add", 400), *once, let("y0", "neg", "s59"), *loop("y", "sub", 300)])
    assert (first.length, second.length) == (3, 3)
    assert first.start <= 4
    assert 1195 <= first.stop <= 1201 <= 1258 <= second.start <= 1264
    assert second.stop >= 2158
    assert repeats(once) == []


def mixed(x: Any, n: Any) -> Any:
    """Floats of both widths, integers and bools that live across many statements."""
    small, positive, k = np.float32(0.5) * x.astype(np.float32), x > 0, n
    total = x
    for step in range(12):
        total = np.where(positive, total * 1.5 - np.sin(x * k), total + k * 0.25) + small
        k = k * 3 + step
    return total * np.where(positive, 1.0, -1.0) + small * k


def test_segments_have_the_bits_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    whole = grad(mixed, wrt=0)
    points = [(np.array(x), np.array(n)) for x in (-2.5, -0.0, 0.75, np.inf, np.nan) for n in (3, -4)]
    expected = [whole.value_and_grad(*point) for point in points]
    made: list[Any] = []
    original = cutting.segments

    def counted(kernel: Kernel) -> Any:
        made.append(original(kernel))
        return made[-1]

    monkeypatch.setattr("chainrule.compiler.emit_llvm.segments", counted)
    for length in (3, 7, 16):
        monkeypatch.setattr(cutting, "LENGTH", length)
        cut = grad(mixed, wrt=0)
        found = [cut.value_and_grad(*point) for point in points]
        np.testing.assert_array_equal(np.array(found), np.array(expected))
    frames = [frame for result in made if result for frame in result[1]]
    assert {str(frame.dtype) for frame in frames} >= {"float64", "float32", "bool", "int64"}


def test_a_long_program_is_one_kernel() -> None:
    def long(x: Any, c: Any) -> Any:
        for _ in range(1500):
            x = x + c * np.sin(x) * 0.5
        return x

    function = grad(long, wrt=0)
    with pytest.warns(UnrolledLoopWarning, match="cr.scan"):
        value, slope = function.value_and_grad(0.5, 0.1)
    assert (function.stats.kernels, function.stats.temporaries) == (1, 0)
    x, dx = 0.5, 1.0
    for _ in range(1500):
        x, dx = x + 0.1 * np.sin(x) * 0.5, dx * (1 + 0.05 * np.cos(x))
    np.testing.assert_allclose([value, slope], [x, dx], rtol=1e-12, atol=1e-300)


# ------------------------------------------------------------------------------------------------ the collector
def test_the_collector_pauses_and_goes_on() -> None:
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with pytest.raises(ZeroDivisionError), collector_paused():
            _ = 1 / 0
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_last_thread_that_leaves_starts_the_collector() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collector_paused():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with collector_paused():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()
