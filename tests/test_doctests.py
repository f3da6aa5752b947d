"""Every example in a docstring runs and prints what it says."""
import doctest
import importlib

import pytest
from project_layout import module_files


@pytest.mark.parametrize("name", [name for name, _ in module_files() if not name.endswith("__main__")])
def test_doctests(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0, "the differences are in the captured output"
