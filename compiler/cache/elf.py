"""The symbols of a relocatable object file, read without trusting it. Format: System V ABI, chapter 4 (ELF-64)."""
from __future__ import annotations

import struct

__all__ = ["symbols"]

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_SYMBOL_TABLE = 2
_UNDEFINED = 0
_HEADER = struct.Struct("<40xQ10xHH2x")  # section headers: offset, size of one, how many
_SECTION = struct.Struct("<4xI16xQQI12xQ")  # type, offset, size, link, size of an entry
_SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size


def symbols(code: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """The names that an object file defines, and those that it needs from elsewhere.

    Raises:
        ValueError: these bytes are not a 64-bit little-endian ELF object with a symbol table.
    """
    if not code.startswith(_MAGIC):
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        offset, step, count = _HEADER.unpack_from(code)
        if step < _SECTION.size or offset + count * step > len(code):
            raise ValueError("section headers of the wrong size")
        sections = [_SECTION.unpack_from(code, offset + k * step) for k in range(count)]
        tables = [s for s in sections if s[0] == _SYMBOL_TABLE]
        if len(tables) != 1:
            raise ValueError(f"{len(tables)} symbol tables")
        _, start, size, link, entry = tables[0]
        names = code[sections[link][1]:sections[link][1] + sections[link][2]]
        if entry != _SYMBOL.size or start + size > len(code):
            raise ValueError("a symbol table of the wrong size")
        defined: set[str] = set()
        undefined: set[str] = set()
        for place in range(start + entry, start + size, entry):  # the first symbol stands for none
            name, _, _, section, _, _ = _SYMBOL.unpack_from(code, place)
            text = names[name:names.index(b"\0", name)].decode()
            (undefined if section == _UNDEFINED else defined).add(text)
    except (struct.error, IndexError) as error:
        raise ValueError(f"a damaged ELF file: {error}") from None
    return frozenset(defined), frozenset(undefined)
