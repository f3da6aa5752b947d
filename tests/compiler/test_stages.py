"""Seconds by stage: they add up, whatever runs inside what."""
from __future__ import annotations

import threading
import time

import pytest

from chainrule.compiler.stages import STAGES, Clock, stage, ticking


def test_an_outer_stage_stands_still_while_an_inner_one_runs() -> None:
    begun = time.perf_counter()
    with ticking(Clock()) as clock, stage("compile"):
        assert clock.running == "compile"
        with stage("emit"):
            assert clock.running == "emit"
            time.sleep(0.02)
        assert clock.running == "compile"
        with stage("emit"):
            time.sleep(0.02)
    spent = time.perf_counter() - begun
    assert clock.running == ""
    assert list(clock.seconds) == ["compile", "emit"]
    assert 0.04 <= clock.seconds["emit"] <= sum(clock.seconds.values()) <= spent
    assert clock.seconds["compile"] <= spent - 0.04


def test_a_stage_ends_with_its_error() -> None:
    with ticking(Clock()) as clock, pytest.raises(KeyError), stage("lower"):
        raise KeyError
    assert clock.running == ""
    assert list(clock.seconds) == ["lower"]


def test_a_clock_is_that_of_its_thread_and_of_the_innermost_work() -> None:
    with ticking(Clock()) as outer, stage("trace"):
        other = threading.Thread(target=lambda: stage("fuse").__enter__())
        other.start()
        other.join()
        with ticking(Clock()) as inner, stage("compile"):
            pass
    assert list(outer.seconds) == ["trace"]
    assert list(inner.seconds) == ["compile"]
    with stage("compile"):  # nobody counts
        pass
    assert list(inner.seconds) == ["compile"]


def test_only_stages_have_names() -> None:
    assert all(name.isidentifier() and text for name, text in STAGES.items())
    with pytest.raises(AssertionError), stage("derive"):
        pass
