"""Running one program with some module in torch's place, and with its intermediates looked at."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

SUBMODULES = (
    "autograd", "autograd.functional", "autograd.forward_ad", "autograd.graph", "func", "nn", "nn.functional",
    "nn.init", "nn.parameter", "nn.utils", "optim", "linalg", "special", "testing", "fft", "utils",
)  # fmt: skip


def is_torch(name: str) -> bool:
    return name == "torch" or name.startswith("torch.")


def submodule(module: ModuleType, path: str) -> Any:
    """`module.path` by import or by attribute; None, which makes an import of it fail, where there is none."""
    try:
        return importlib.import_module(f"{module.__name__}.{path}")
    except ImportError:
        found: Any = module
        for part in path.split("."):
            found = getattr(found, part, None)
        return found


@contextlib.contextmanager
def in_torchs_place(module: ModuleType) -> Iterator[None]:
    """Within the block `import torch` gives `module`, and a real torch does not show through."""
    replaced = {"torch": module} | {f"torch.{path}": submodule(module, path) for path in SUBMODULES}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if is_torch(name)}
    sys.modules.update(replaced)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if is_torch(name)]:
            del sys.modules[name]
        sys.modules.update(hidden)


def reset(torch: Any) -> None:
    """Put back every process-wide setting a program may have changed."""
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_printoptions(profile="default", sci_mode=None)
    torch.autograd.set_detect_anomaly(False)
    torch.manual_seed(0)


def run(program: str, name: str) -> str:
    """What `program` prints; whatever it raises passes through."""
    namespace = {"__name__": "__main__", "observe_value": observe_value}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(program, f"<{name}>", "exec"), namespace)
    return printed.getvalue()


def observe_value(value: object) -> None:
    if not (callable(value) or isinstance(value, ModuleType)):
        repr(value)


class Observer(ast.NodeTransformer):
    """Inserts `observe_value(name)` after each statement that gives `name` a value or changes it."""

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        return [node, *observations(node.targets)]

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        return [node, *observations([node.target])]

    def visit_For(self, node: ast.For) -> ast.stmt:
        self.generic_visit(node)
        node.body[:0] = observations([node.target])
        return node

    def visit_With(self, node: ast.With) -> ast.stmt:
        self.generic_visit(node)
        node.body[:0] = observations([item.optional_vars for item in node.items if item.optional_vars])
        return node


def observations(targets: list[ast.expr]) -> list[ast.stmt]:
    """One call for each variable in assignment targets: `a` and `b` in `a[0], b.x = ...`."""
    indices = {
        part
        for target in targets
        for sub in ast.walk(target)
        if isinstance(sub, ast.Subscript)
        for part in ast.walk(sub.slice)
    }
    names = [
        part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name) and part not in indices
    ]
    return [ast.parse(f"observe_value({name})").body[0] for name in dict.fromkeys(names)]


def observed(program: str) -> str:
    """The same program, taking the `repr` of every variable right after its assignment."""
    tree = Observer().visit(ast.parse(program))
    return ast.unparse(ast.fix_missing_locations(tree))
