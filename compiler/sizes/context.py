"""Questions about sizes during a trace: answered by the example's sizes, and kept as guards."""
from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import InternalError
from ..provenance import Site, user_site
from .expressions import Size, SizeExpr, evaluate, linear, mod, never_negative, never_one, quotients, substitute, symbol, symbols_of


class Guard(NamedTuple):
    """A comparison of sizes that a call must satisfy for a compiled program to be right for it."""

    op: str  # "==", "!=", "<", ">="
    left: Size
    right: Size
    site: Site | None = None

    def holds(self, values: Mapping[str, int]) -> bool:
        left, right = evaluate(self.left, values), evaluate(self.right, values)
        return {"==": left == right, "!=": left != right, "<": left < right, ">=": left >= right}[self.op]

    def __str__(self) -> str:
        where = f"  ({self.site})" if self.site else ""
        return f"{self.left} {self.op} {self.right}{where}"


UNBACKED = "u"  # the first letter of such a symbol
UNBACKED_HINT = 4096  # an example's value for a size that is not known before the program runs


class SizeContext:
    """The sizes of one trace: symbols with the example's sizes as hints, and the guards that were relied on."""

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self.guards: list[Guard] = []
        self._unbacked: dict[object, Size] = {}
        self.equal_to: dict[str, Size] = {}  # symbol -> what it was found equal to

    def fresh(self, hint: int) -> Size:
        """A new symbol for an axis of size `hint`; size 1 is known to be 1, since it broadcasts."""
        if hint == 1:
            return 1
        name = f"s{len(self.hints)}"
        self.hints[name] = hint
        return symbol(name)

    def unbacked(self, of: object) -> Size:
        """The symbol of a size that only running tells (how many elements of a mask are true), one for each mask."""
        known = self._unbacked.get(of)
        if known is None:
            name = f"{UNBACKED}{len(self._unbacked)}"
            self.hints[name] = UNBACKED_HINT
            known = self._unbacked[of] = symbol(name)
        return known

    def resolve(self, size: Size) -> Size:
        """`size` in terms of the symbols that represent their class of equal ones."""
        while isinstance(size, SizeExpr) and self.equal_to:
            replaced = substitute(size, self.equal_to)
            if replaced is size or replaced == size:
                break
            size = replaced
        return size

    def hint(self, size: Size) -> int:
        """The example's value of `size`."""
        return evaluate(size, self.hints)

    def equal(self, left: Size, right: Size) -> bool:
        """Whether two sizes are equal: by form, or by the hints, and then a guard is recorded.

        After a positive answer both sizes resolve to one form, so that a finished program needs no context: a symbol is
        expressed by the others where that is possible, else the symbols involved are specialised to the example's.
        """
        left, right = self.resolve(left), self.resolve(right)
        if left is right or left == right:
            return True
        difference = left - right
        if isinstance(difference, int):
            return False
        if any(never_one(a) and b == 1 for a, b in ((left, right), (right, left))):
            self._record("!=", left, right)
            return False
        if self.hint(left) != self.hint(right):
            self._record("!=", left, right)
            return False
        self._record("==", left, right)
        self._unify(left, right)
        return True

    def less(self, left: Size, right: Size) -> bool:
        """Whether `left < right`, recorded as a guard where the forms do not tell."""
        left, right = self.resolve(left), self.resolve(right)
        difference = left - right
        if isinstance(difference, int):
            return difference < 0
        if self.hint(left) < self.hint(right):
            self._record("<", left, right)
            return True
        if not never_negative(difference):
            self._record(">=", left, right)
        return False

    def specialise(self, size: Size) -> int:
        """The number behind `size`; from here on the program is for this number only."""
        size = self.resolve(size)
        if isinstance(size, int):
            return size
        value = self.hint(size)
        self.equal(size, value)
        return value

    def _record(self, op: str, left: Size, right: Size) -> None:
        guard = Guard(op, left, right, user_site())
        if all(guard[:3] != known[:3] for known in self.guards):
            self.guards.append(guard)

    def guards_left(self) -> list[Guard]:
        """The guards in representatives, without those that every size of this form satisfies.

        An equality that was solved for a symbol is gone from them: it is what the inputs' resolved shapes say.
        """
        left: dict[tuple[object, ...], Guard] = {}
        for guard in self.guards:
            resolved = guard._replace(left=self.resolve(guard.left), right=self.resolve(guard.right))
            if not isinstance(resolved.left - resolved.right, int):
                left.setdefault(resolved[:3], resolved)
        return list(left.values())

    def _unify(self, left: Size, right: Size) -> None:
        """Give two sizes with equal hints one form."""
        if self._solve(left - right):
            return
        for atom in quotients(left - right):
            self._divide(atom.left, atom.right)
        left, right = self.resolve(left), self.resolve(right)
        if left != right and not self._solve(left - right):
            for name in sorted(symbols_of(left - right), key=_age):
                self.specialise(symbol(name))

    def _solve(self, difference: Size) -> bool:
        """Express the youngest symbol for which `difference == 0` can be solved by the others."""
        for name in sorted(symbols_of(difference), key=_age, reverse=True):
            parts = linear(difference, name)
            if parts is not None and parts[0] in (1, -1):
                self._substitute(name, -parts[0] * parts[1])
                return True
        return False

    def _divide(self, dividend: Size, divisor: Size) -> None:
        """Where an input's axis is a multiple of `divisor` for the example, let a new symbol count how many."""
        for name in sorted(symbols_of(dividend), key=_age):
            parts = linear(dividend, name)
            if parts is None or parts[1] != 0 or name.startswith(UNBACKED) or name in symbols_of(divisor):
                continue
            count, remainder = divmod(self.hints[name], self.hint(divisor))
            if remainder == 0:
                if dividend != symbol(name):
                    self._record("==", mod(symbol(name), divisor), 0)
                self._substitute(name, divisor * self.fresh(count))
                return

    def _substitute(self, name: str, value: Size) -> None:
        self.equal_to = {k: substitute(v, {name: value}) for k, v in self.equal_to.items()}
        self.equal_to[name] = value


class _Active(threading.local):
    context: SizeContext | None = None


active = _Active()  # the size context of the trace that this thread is in, if any


def equal(left: Size, right: Size) -> bool:
    """Whether two sizes are equal: decided by the active trace's context, else by form alone."""
    if left is right or left == right:
        return True
    return active.context is not None and active.context.equal(left, right)


def resolve(size: Size) -> Size:
    """`size` in the active trace's representatives."""
    return size if active.context is None else active.context.resolve(size)


def less(left: Size, right: Size) -> bool:
    """Whether `left < right`; outside a trace the forms must tell.

    Raises:
        InternalError: there is no active trace and the forms do not tell.
    """
    if active.context is not None:
        return active.context.less(left, right)
    difference = left - right
    if isinstance(difference, int):
        return difference < 0
    if never_negative(difference):
        return False
    raise InternalError(f"whether {left} < {right} cannot be decided without a trace")


def _age(name: str) -> tuple[bool, int, str]:
    """Symbols in the order of their making; those that only running tells come first, as nothing else binds them."""
    return (not name.startswith(UNBACKED), len(name), name)
