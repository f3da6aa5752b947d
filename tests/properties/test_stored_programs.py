"""A program that was stored and loaded again gives the same bits as the one that was compiled, whatever the graph."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from programs import Program, programs

from chainrule.compiler import program as running
from chainrule.compiler.assemble import assemble, planned
from chainrule.compiler.cache.entry import pack, unpack
from chainrule.compiler.kernel import load_object

KEY = "0" * 64


@given(programs())
def test_a_stored_program_gives_the_same_bits(program: Program) -> None:
    stages = planned(program.graph)
    record, code = assemble(*stages, None)
    loaded, object_code = unpack(KEY, pack(KEY, record, b"" if code is None else code.object_code()))
    assert loaded == record
    here = running.Program(record, code, lambda: stages)
    there = running.Program(loaded, load_object(object_code, loaded.symbol) if object_code else None, lambda: stages)
    for result, expected in zip(there.run(program.arrays), here.run(program.arrays), strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected, strict=True)
