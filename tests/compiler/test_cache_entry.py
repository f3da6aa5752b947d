"""Entries of the disk cache as bytes: whatever is not exactly what was written is refused before LLVM sees it."""
from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import cached_programs
import pytest

from chainrule.compiler import record as records
from chainrule.compiler.assemble import assemble, planned
from chainrule.compiler.cache import entry
from chainrule.compiler.cache.elf import symbols
from chainrule.compiler.cache.entry import EntryError, pack, unpack
from chainrule.compiler.kernel import load_object
from chainrule.compiler.pipeline import Options, derive
from chainrule.compiler.record import ProgramRecord
from chainrule.compiler.sizes import symbol

KEY, OTHER = "1" * 64, "2" * 64


@pytest.fixture(scope="module")
def program() -> tuple[ProgramRecord, bytes]:
    simplified = derive(cached_programs.cubic(), cached_programs.GRADIENT, Options())[1]
    record, code = assemble(*planned(simplified), cached_programs.ENTRY)
    assert code is not None
    return record, code.object_code()


@pytest.fixture(scope="module")
def blob(program: tuple[ProgramRecord, bytes]) -> bytes:
    return pack(KEY, *program)


def test_an_entry_is_what_was_packed(program: tuple[ProgramRecord, bytes], blob: bytes) -> None:
    assert unpack(KEY, blob) == program


def test_records_of_all_kinds_of_steps_survive_their_text() -> None:
    for graph in (cached_programs.cubic(), cached_programs.determinant(), cached_programs.picked()):
        made, _ = assemble(*planned(graph), None)
        assert records.load(records.dump(made)) == made


@pytest.mark.parametrize("forged", [
    {"outputs": (99,)}, {"outputs": (-1,)}, {"inputs": ("a",) * 99}, {"symbol": 7}, {"guards": (1,)}, {"steps": ({},)},
    {"buffers": ()}, {"steps": (records.CheckRecord(99, 3, 0),)}, {"steps": (records.CheckRecord(0, symbol("unheard"), 0),)},
    {"steps": (records.KernelRecord((), (0,), (1,), 1, 1, True, ()),)}], ids=lambda changes: ", ".join(changes))
def test_a_record_that_cannot_run_is_refused(program: tuple[ProgramRecord, bytes], forged: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        records.load(records.dump(replace(program[0], **forged)))


def test_a_program_without_kernels_has_no_code(program: tuple[ProgramRecord, bytes]) -> None:
    record = replace(program[0], symbol="", entry="", steps=())
    assert unpack(KEY, pack(KEY, record, b"")) == (record, b"")


def test_a_truncated_entry_is_refused(blob: bytes) -> None:
    for length in {*range(0, len(blob), 100), *range(60), len(blob) - 1}:
        with pytest.raises(EntryError):
            unpack(KEY, blob[:length])
    with pytest.raises(EntryError):
        unpack(KEY, blob + b"\0")


def test_an_entry_with_a_flipped_bit_is_refused(blob: bytes) -> None:
    for place in {*range(60), *range(60, len(blob), 37)}:
        for bit in (0, 7):
            damaged = bytearray(blob)
            damaged[place] ^= 1 << bit
            with pytest.raises(EntryError):
                unpack(KEY, bytes(damaged))


def test_an_entry_under_another_key_is_refused(blob: bytes) -> None:
    with pytest.raises(EntryError, match="another key"):
        unpack(OTHER, blob)


def test_code_that_needs_a_function_of_numba_is_neither_stored_nor_loaded(
    program: tuple[ProgramRecord, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, code = program
    foreign = code.replace(b"PyTuple_New\0", b"NRT_Extend1\0")
    assert "NRT_Extend1" in symbols(foreign)[1]
    with pytest.raises(EntryError, match="NRT_Extend1"):
        pack(KEY, record, foreign)
    with monkeypatch.context() as patch:  # forged by somebody with another list
        patch.setattr(entry, "_check_code", lambda record, code: ["PyTuple_New"])
        forged = pack(KEY, record, foreign)
    with pytest.raises(EntryError, match="NRT_Extend1"):
        unpack(KEY, forged)


def test_a_forged_list_of_needed_names_is_refused(
    program: tuple[ProgramRecord, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(entry, "_check_code", lambda record, code: [])
        forged = pack(KEY, *program)
    with pytest.raises(EntryError, match="other names than the entry says"):
        unpack(KEY, forged)


def test_a_name_that_this_process_lacks_is_refused(
    program: tuple[ProgramRecord, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, code = program
    absent = code.replace(b"PyTuple_New\0", b"PyTuple_Nay\0")
    monkeypatch.setattr(entry, "ALLOWED", entry.ALLOWED | {"PyTuple_Nay"})
    with pytest.raises(EntryError, match="does not have PyTuple_Nay"):
        pack(KEY, record, absent)


def test_code_that_does_not_define_its_entry_is_refused(program: tuple[ProgramRecord, bytes]) -> None:
    record, code = program
    for changed in (replace(record, symbol="chainrule_other"), replace(record, entry="chainrule_other.call")):
        with pytest.raises(EntryError, match="does not define chainrule_other"):
            pack(KEY, changed, code)
    with pytest.raises(EntryError):
        pack(KEY, record, b"")


def test_a_parameter_that_has_no_text_is_not_stored(program: tuple[ProgramRecord, bytes]) -> None:
    record, code = program
    call = records.CallRecord("custom", (lambda x: x,), 0, (), ())
    with pytest.raises(EntryError, match="function cannot be part"):
        pack(KEY, replace(record, steps=(call,)), code)


def test_an_entry_of_another_format_is_refused(blob: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "FORMAT", entry.FORMAT + 1)
    with pytest.raises(EntryError, match="this format"):
        unpack(KEY, blob)


def test_the_symbol_table_is_read_as_it_is(program: tuple[ProgramRecord, bytes]) -> None:
    record, code = program
    defined, needed = symbols(code)
    assert {record.symbol, record.entry} <= defined
    assert {"PyObject_Vectorcall", "PyTuple_New", "PyTuple_SetItem"} <= needed <= entry.ALLOWED
    assert load_object(code, record.symbol).address_of(record.entry) != 0


def test_a_damaged_object_file_gives_an_error_or_names_and_nothing_else(program: tuple[ProgramRecord, bytes]) -> None:
    code = program[1]
    table = struct.unpack_from("<Q", code, 40)[0]  # where the section headers are
    places = [*range(64), *range(table, len(code))]
    refused = 0
    for place in places:
        damaged = bytearray(code)
        damaged[place] ^= 0xFF
        try:
            symbols(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 20
    for length in range(0, len(code), 100):
        with pytest.raises(ValueError, match=r"ELF|symbol|section"):
            symbols(code[:length])
