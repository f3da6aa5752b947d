"""The command line: `python -m chainrule`."""
from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

__all__ = ["main"]

LARGEST = 1_000_000  # rows of the demonstration: finite differences of more would take minutes


def parser() -> argparse.ArgumentParser:
    """Options of the demonstration, which is what runs when no other command is named."""
    made = argparse.ArgumentParser(
        prog="python -m chainrule",
        description="Show functions with their formulas, derivatives, compiled gradients and Tensors. "
                    "The exit status is 1 if a gradient does not agree with finite differences.",
        epilog="python -m chainrule cache [--clear]: say what the disk cache of compiled programs holds, or empty it.")
    made.add_argument("--size", type=int, default=200, metavar="N",
                      help="elements of the vectors and rows of the data (default 200)")
    made.add_argument("--seed", type=int, default=0, metavar="S",
                      help="of the random numbers that fill them (default 0)")
    return made


def manage_cache(arguments: Sequence[str]) -> int:
    """Print what the disk cache holds, after emptying it if that is asked for."""
    options = argparse.ArgumentParser(prog="python -m chainrule cache",
                                      description="Say what the disk cache of compiled programs holds, or empty it.")
    options.add_argument("--clear", action="store_true", help="delete every stored program")
    clear = options.parse_args(arguments).clear
    from ..compiler.cache import cache

    if clear:
        print(f"{cache.clear()} programs deleted")
    print(cache)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["cache"]:
        return manage_cache(given[1:])
    commands = parser()
    options = commands.parse_args(given)
    if not 1 <= options.size <= LARGEST:
        commands.error(f"argument --size: {options.size} is not between 1 and {LARGEST}")
    if options.seed < 0:
        commands.error(f"argument --seed: {options.seed} is negative")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a log in ASCII shows a question mark for a sign that it cannot hold
    from .demonstration import demonstrate

    return demonstrate(options.size, options.seed)
