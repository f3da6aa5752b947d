"""How a place in the user's source is written."""
import sys
import types

import pytest

from chainrule.compiler.provenance import Site, at, user_site


def test_the_innermost_line_of_the_user():
    site = user_site()
    assert site is not None
    assert site.file == __file__
    assert at(site) == f" (at test_provenance.py:{site.line})"
    assert at(None) == ""


@pytest.mark.parametrize(("cells", "text"), [
    ({"/somewhere/4236.py": ("Cell", "In[3]")}, "In[3]:7"),  # as IPython answers for a cell
    ({}, "4236.py:7"),
])
def test_a_cell_of_a_notebook_is_named_by_its_prompt(monkeypatch, cells, text):
    shell = types.SimpleNamespace(compile=types.SimpleNamespace(format_code_name=cells.get))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert str(Site("/somewhere/4236.py", 7)) == text


@pytest.mark.parametrize("ipython", [types.SimpleNamespace(get_ipython=lambda: None), types.SimpleNamespace()])
def test_outside_of_a_notebook_files_have_their_names(monkeypatch, ipython):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert str(Site("/somewhere/model.py", 7)) == "model.py:7"
