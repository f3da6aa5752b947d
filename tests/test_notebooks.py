"""Notebooks are stored without outputs, name no machine's paths, run from top to bottom, and end in an assertion."""
import json
import re

import pytest
from project_layout import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _code_cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@each_notebook
def test_outputs_are_stripped(path):
    for cell in _code_cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@each_notebook
def test_no_path_of_a_machine(path):
    assert not re.findall(r"(?:/(?:home|Users|root|tmp|work|opt|var)/|[A-Z]:\\\\)[^\"'\s]*", path.read_text())


@each_notebook
def test_the_last_cell_asserts_something(path):
    assert re.search(r"\bassert", "".join(_code_cells(path)[-1]["source"]))


@pytest.mark.slow
@each_notebook
def test_it_runs(path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
