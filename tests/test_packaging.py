"""The layout's traps: packages that do not ship, second copies of the package, stray files, heavy imports."""
from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from project_layout import PYPROJECT, ROOT, TORCH_NAMED_FOLDERS, module_files, package_folders, package_name

import chainrule

SOURCE_FOLDERS = [path for top in ("compiler", "runtime") for path in (ROOT / top, *sorted((ROOT / top).rglob("*")))
                  if path.is_dir() and any(path.glob("*.py"))]
# A package whose folder's place gives it a second import name: by the clone's directory, or by runtime/.
GUARDED = [name for name in package_folders() if name.count(".") == 1]


def test_every_source_folder_is_a_package_that_ships():
    assert not [str(path) for path in SOURCE_FOLDERS if not (path / "__init__.py").exists()]
    wanted = {"chainrule": ROOT} | {package_name(path): path for path in SOURCE_FOLDERS}
    assert package_folders() == wanted, "complete `packages` and `package-dir` in pyproject.toml"


def test_no_stray_module_ships_from_the_root():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_the_imported_package_is_this_tree():
    assert any(path.suffix == ".css" for path in package_folders()["chainrule.runtime.report"].iterdir())
    for name, folder in package_folders().items():
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed: run `pip install .` again"
        assert spec.submodule_search_locations is not None
        imported = Path(next(iter(spec.submodule_search_locations)))
        ours, theirs = ({path.name: path.read_bytes() for path in place.iterdir() if path.suffix in (".py", ".css", ".js")}
                        for place in (folder, imported))
        assert ours == theirs, f"{imported} differs from {folder}: remove build/ and run `pip install .` again"


def test_no_second_copy_is_loaded():
    for name, _ in module_files():
        importlib.import_module(name)
    names_of_file: dict[Path, list[str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            names_of_file.setdefault(Path(file).resolve(), []).append(name)
    package_files = {Path(sys.modules[name].__file__ or "").resolve() for name, _ in module_files()}
    assert package_files <= names_of_file.keys()
    for file, names in names_of_file.items():
        if file in package_files or file.is_relative_to(ROOT / "compiler") or file.is_relative_to(ROOT / "runtime"):
            assert len(names) == 1, f"{file} is loaded as {names}"
            assert names[0].split(".")[0] == "chainrule"


@pytest.mark.parametrize("name", GUARDED)
def test_a_package_refuses_to_be_imported_under_another_name(name):
    folder = package_folders()[name]
    wrong = f"another_name.{folder.name}"
    spec = importlib.util.spec_from_file_location(wrong, folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match="was imported as"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_every_root_package_is_reachable_after_importing_chainrule_alone():
    folders = {name for name in TORCH_NAMED_FOLDERS if (ROOT / "runtime" / name).is_dir()}
    assert set(chainrule._SUBMODULES) == folders


HEAVY = {"fast_sugiyama", "numba", "llvmlite", "sympy", "scipy", "rich", "platformdirs", "torch", "jax", "matplotlib", "IPython",
         "concurrent"}
DECORATED = "import numpy as np; from chainrule import grad; f = grad(lambda a, b: np.sum(3 * a**3 - b**2)); x = np.ones(3)"


def heavy_modules(program, **environment):
    """Which of the heavy packages a new process has imported when it has run a program."""
    shown = f"{program}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True, env={**os.environ, **environment})
    assert "chainrule" in done.stdout.split()
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("program", [
    "import chainrule",
    DECORATED,
    f"{DECORATED}; f.trace(x, x); f.stats",
    "import chainrule as torch; (torch.tensor([1.0], requires_grad=True) * 2).sum().backward()",
], ids=["import", "decorate", "trace", "tensors"])
def test_nothing_heavy_is_imported_before_something_is_compiled(program):
    assert heavy_modules(program) == set()


def test_a_second_process_imports_what_loads_the_code_and_nothing_else(tmp_path):
    cache = {"CHAINRULE_CACHE": "1", "CHAINRULE_CACHE_DIR": str(tmp_path / "cache"), "CHAINRULE_TIER": ""}
    compiled, loaded = (heavy_modules(f"{DECORATED}; f.value_and_grad(x, x)", **cache) for _ in range(2))
    assert "numba" in compiled
    assert loaded == {"llvmlite"}


def test_the_version_is_stated_once():
    assert chainrule.__version__ == PYPROJECT["project"]["version"]


@pytest.mark.parametrize("name", chainrule._PUBLIC)
def test_a_public_name_is_what_its_row_says(name):
    module, attribute = chainrule._PUBLIC[name]
    value = getattr(chainrule, name)
    assert value is getattr(importlib.import_module(f"chainrule.{module}"), attribute)
    assert name in dir(chainrule)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'chainrule' has no attribute 'no_such_name'"):
        _ = chainrule.no_such_name
    assert not hasattr(chainrule, "_private_name_that_tools_probe_for")


def test_type_checkers_see_the_names_of_the_table():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    declared = {}
    for statement in tree.body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            for imported in statement.body:
                assert isinstance(imported, ast.ImportFrom)
                for alias in imported.names:
                    declared[alias.asname] = (imported.module, alias.name)
    submodules = {name: (None, name) for name in chainrule._SUBMODULES}
    assert declared == chainrule._PUBLIC | submodules
