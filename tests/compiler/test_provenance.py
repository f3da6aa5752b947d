"""How a place in the user's source is written."""
import sys
import types

import pytest

from chainrule.compiler import provenance
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


def test_lines_of_a_function_of_thousands_of_lines():
    body = "".join(f"    seen.append(({k + 2}, user_site().line))\n" if k % 3 else "\n" for k in range(6000))
    space = {"user_site": user_site, "seen": []}
    exec(compile(f"def long():\n{body}", "generated.py", "exec"), space)
    assert len(space["long"].__code__.co_linetable) > provenance._LONG_TABLE
    space["long"]()
    assert len(space["seen"]) == 4000
    assert all(expected == line for expected, line in space["seen"])
    for _ in range(provenance._MOST_LONG + 2):  # each is a code object of its own
        exec("\n" * 3 + "found = user_site().line\n" + "x = 1\n" * 2000, space)
        assert space["found"] == 4
        assert 0 < len(provenance._LONG) <= provenance._MOST_LONG
