"""Sums of matrix products: what all of them begin or end with is written once.

`A B x + A C x` is `A (B + C) x`. A product is taken as scalars in front of a chain of matrices; an outer product is a chain with
a column and a row in it.
"""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from .arrange import Order
from .shown import Shown, key, make, product, transpose

__all__ = ["factored"]


class _Chain(NamedTuple):
    """`coefficient * above / below * links[0] @ links[1] @ ...`"""

    coefficient: Fraction
    above: tuple[Shown, ...]
    below: tuple[Shown, ...]
    links: tuple[Shown, ...]

    def scalars(self) -> Any:
        """Equal for chains with the same scalars in front, numbers apart."""
        return tuple(map(key, self.above)), tuple(map(key, self.below))


def factored(signs: Sequence[bool], addends: Sequence[Shown], axes: Order) -> Shown | None:
    """The sum with common first and last matrices, and a common fraction, taken out; None where there is nothing to take out.

    Args:
        signs: which addends are subtracted.
    """
    if any(a.axes != axes for a in addends):
        return None  # something is repeated along an axis
    chains = [_chain(a, -1 if s else 1) for s, a in zip(signs, addends, strict=True)]
    found = _grouped(chains, axes)
    share = _fraction(found)
    first = found[0]
    scalars = bool(first.above or first.below) and len({c.scalars() for c in found}) == 1
    if len(found) == len(chains) and share == 1 and not scalars:
        return None
    if len(found) == 1:
        return _written(first, axes)
    inner = _sum([_Chain(c.coefficient / share, () if scalars else c.above, () if scalars else c.below, c.links) for c in found], axes)
    return _written(_Chain(share, first.above if scalars else (), first.below if scalars else (), (inner,)), axes)


def _fraction(chains: Sequence[_Chain]) -> Fraction:
    """A fraction that is the coefficient of every chain, up to its sign."""
    sizes = {abs(c.coefficient) for c in chains}
    share = sizes.pop()
    return share if not sizes and share.denominator != 1 else Fraction(1)


def _grouped(chains: list[_Chain], axes: Order) -> list[_Chain]:
    """The chains of the sum, those with a common end joined where that reads better, the largest groups first."""
    chains = _collected(chains)
    while True:
        groups: dict[Any, list[int]] = {}
        for k, chain in enumerate(chains):
            for end in _ends(chain):
                groups.setdefault((end, tuple(map(key, _cut(chain.links, end)[0])), chain.scalars()), []).append(k)
        for (end, *_), members in sorted(groups.items(), key=lambda group: -len(group[1])):
            joined = _joined([chains[k] for k in members], end, len(members) == len(chains)) if len(members) > 1 else None
            if joined is not None:
                chains = [joined if k == members[0] else c for k, c in enumerate(chains) if k == members[0] or k not in members]
                break
        else:
            return chains


def _collected(chains: Sequence[_Chain]) -> list[_Chain]:
    """The addends one by one, equal ones together."""
    found: dict[Any, _Chain] = {}
    for chain in chains:
        (first, *rest) = chain.links
        parts = [chain]
        if first.kind == "add" and not (rest or chain.above or chain.below):
            parts = [_chain(a, -1 if s else 1) for s, a in zip(first.data, first.args, strict=True)]
            parts = [p._replace(coefficient=p.coefficient * chain.coefficient) for p in parts]
        for part in parts:
            same = (part.scalars(), tuple(map(key, part.links)))
            known = found.get(same)
            found[same] = part if known is None else known._replace(coefficient=known.coefficient + part.coefficient)
    return [c for c in found.values() if c.coefficient]


def _cut(links: tuple[Shown, ...], count: int) -> tuple[tuple[Shown, ...], tuple[Shown, ...]]:
    """The first links (the last, if the count is negative), and the others."""
    return (links[:count], links[count:]) if count > 0 else (links[count:], links[:count])


def _ends(chain: _Chain) -> list[int]:
    """How many links can be taken off so that a matrix, or a column, is left: a matrix or a column, or a column and a row.

    Negative numbers are counted from the end.
    """
    links = chain.links
    rows = [link.ndim == 1 and link.kind == "transpose" for link in links]
    matrices = [link.ndim == 2 for link in links]
    found: list[int] = []
    if len(links) > 1:
        found += [1] if matrices[0] else []
        found += [-1] if matrices[-1] or (matrices[-2] and not rows[-1]) else []
    if len(links) > 2:
        found += [2] if rows[1] else []
        found += [-2] if rows[-1] and matrices[-3] else []
    return found


def _joined(chains: Sequence[_Chain], end: int, whole: bool) -> _Chain | None:
    """The sum of chains with the same scalars and the same links at one end as one chain.

    None for a part of a sum, where what stays in brackets is a sum of products again.
    """
    first = chains[0]
    coefficient = abs(first.coefficient) if len({abs(c.coefficient) for c in chains}) == 1 else Fraction(1)
    if all(c.coefficient < 0 for c in chains):
        coefficient = -coefficient
    rests = [_Chain(c.coefficient / coefficient, (), (), _cut(c.links, end)[1]) for c in chains]
    inner_axes = _axes(rests[0].links)
    inner = _grouped(rests, inner_axes)
    if not whole and len(inner) > 1 and any(len(c.links) > 1 for c in inner):
        return None
    inside = _links(_sum(inner, inner_axes))
    common, _ = _cut(first.links, end)
    return _Chain(coefficient, first.above, first.below, (*common, *inside) if end > 0 else (*inside, *common))


def _axes(links: Sequence[Shown]) -> Order:
    """The axes of a product."""
    last = links[-1]
    return (*links[0].axes[:1], *(last.axes[1:] if last.ndim == 2 else last.axes if len(links) > 1 and last.kind == "transpose" else ()))


def _chain(shown: Shown, sign: int) -> _Chain:
    if shown.kind == "scaled":
        front, array = shown.args
        return _chain(front, sign)._replace(links=_links(array))
    if shown.kind == "number":
        return _Chain(sign * shown.data, (), (), ())
    if shown.kind == "product":
        coefficient, count = shown.data
        above, below = shown.args[:count], shown.args[count:]
        arrays = [a for a in above if a.axes]
        if len(arrays) <= 1 and not any(b.axes for b in below):
            return _Chain(sign * coefficient, tuple(a for a in above if not a.axes), below, _links(arrays[0]) if arrays else ())
    return _Chain(Fraction(sign), (), (), _links(shown)) if shown.axes else _Chain(Fraction(sign), (shown,), (), ())


def _links(shown: Shown) -> tuple[Shown, ...]:
    if shown.kind == "matmul":
        return shown.args
    if shown.kind == "outer":
        left, right = shown.args
        return (*_links(left), *(transpose(link) for link in reversed(_links(right))))
    return (shown,)


def _sum(chains: Sequence[_Chain], axes: Order) -> Shown:
    first = next((k for k, c in enumerate(chains) if c.coefficient > 0), 0)
    ordered = [chains[first], *chains[:first], *chains[first + 1:]]
    if len(ordered) == 1:
        return _written(ordered[0], axes)
    return make("add", [_written(c._replace(coefficient=abs(c.coefficient)), axes) for c in ordered], axes,
                tuple(c.coefficient < 0 for c in ordered))


def _written(chain: _Chain, axes: Order) -> Shown:
    array = _product(chain.links, axes)
    if array.kind in ("matmul", "outer", "diag"):
        front = product(chain.coefficient, chain.above, chain.below, ())
        return array if front.kind == "number" and front.data == 1 else make("scaled", [front, array], axes)
    return product(chain.coefficient, [*chain.above, array], chain.below, axes)


def _product(links: Sequence[Shown], axes: Order) -> Shown:
    """A chain of links as a product; a column before a row is an outer product."""
    for k, link in enumerate(links):
        if k and link.ndim == 1 and link.kind == "transpose":
            right = [transpose(s) for s in reversed(links[k:])]
            return make("outer", [_product(links[:k], axes[:1]), _product(right, axes[1:])], axes)
    return links[0] if len(links) == 1 else make("matmul", links, axes)
