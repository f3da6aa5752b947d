"""Record what torch prints for the cases, check the records, or shorten the list of pending runs.

    python tests/torch_cases/record.py [area ...]            rewrite the outputs from the installed torch
    python tests/torch_cases/record.py --check [area ...]    compare them with it instead
    python tests/torch_cases/record.py --pending             take the runs chainrule passes off pending.txt

Every program runs in its own fork of a process that has imported the module, so nothing leaks from one to the next.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType


def sibling(name: str) -> ModuleType:
    """The module beside this file: by path, as the tests are not a package."""
    spec = importlib.util.spec_from_file_location(f"torch_cases_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases, harness = sibling("cases"), sibling("harness")
TIMEOUT = 20


def forked(program: str, name: str, module: ModuleType) -> tuple[bool, str]:
    """(whether it ran to its end, what it printed or the last line of its traceback)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        succeeded = 1
        with os.fdopen(writer, "w", encoding="utf-8") as channel:
            signal.alarm(TIMEOUT)
            try:
                place = contextlib.nullcontext() if module.__name__ == "torch" else harness.in_torchs_place(module)
                with place:
                    channel.write(harness.run(program, name))
                succeeded = 0
            except BaseException:
                channel.write(traceback.format_exc())
        os._exit(succeeded)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as channel:
        text = channel.read()
    status = os.waitpid(child, 0)[1]
    if status == 0:
        return True, cases.normalized(text)
    return False, (text.strip().split("\n") or [""])[-1] or f"ended with status {status}"


def record(areas: list[str], torch: ModuleType) -> int:
    failed = 0
    for area in areas:
        recorded = []
        for case in cases.load([area]):
            ended, text = forked(case.program, case.id, torch)
            if not ended:
                failed += 1
                print(f"{case.id}: {text}")
            recorded.append(case._replace(expected=text if ended else ""))
        if recorded:
            cases.area_file(area).write_text(cases.render(recorded), encoding="utf-8")
    return failed


def runs(areas: list[str], module: ModuleType) -> list[tuple[str, str]]:
    """(id of the run, what is wrong with it, '' when nothing is) for every case, plain and observed."""
    verdicts = []
    for case in cases.load(areas):
        for suffix, program in (("", case.program), ("@observed", harness.observed(case.program))):
            ended, text = forked(program, case.id, module)
            wrong = "" if ended and text == case.expected else f"\n{text}\n  instead of\n{case.expected}"
            verdicts.append((case.id + suffix, wrong if ended else text))
    return verdicts


def shrink_pending(module: ModuleType) -> int:
    """Take the runs that pass off the list; the ones that fail and are not on it are printed, not added."""
    failing = [name for name, wrong in runs(list(cases.AREAS), module) if wrong]
    listed = cases.pending()
    kept = [name for name in failing if name in listed]
    cases.PENDING.write_text("".join(f"{name}\n" for name in kept), encoding="utf-8")
    broken = [name for name in failing if name not in listed]
    print(*broken, f"{len(kept)} runs pending, {len(broken)} fail without being listed", sep="\n")
    return len(broken) > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("areas", nargs="*", default=list(cases.AREAS))
    parser.add_argument("--check", action="store_true", help="compare with the installed torch")
    parser.add_argument("--pending", action="store_true", help="take the runs chainrule passes off pending.txt")
    parser.add_argument("--module", default="torch", help="with --check: compare with this module instead")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    module = importlib.import_module("chainrule" if options.pending else options.module)
    if options.pending:
        return shrink_pending(module)
    if options.check:
        verdicts = runs(options.areas, module)
        for name, wrong in verdicts:
            if wrong:
                print(f"{name}: {wrong}")
        failures = sum(bool(wrong) for _, wrong in verdicts)
        print(f"{len(verdicts) - failures} of {len(verdicts)} runs agree")
        return failures > 0
    return record(options.areas, module) > 0


if __name__ == "__main__":
    sys.exit(main())
