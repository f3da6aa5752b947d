"""Hypothesis profiles (`HYPOTHESIS_PROFILE=ci pytest` is what CI runs); graphs verified after passes; no disk cache."""
import os

from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

os.environ.setdefault("CHAINRULE_VERIFY", "1")
os.environ.setdefault("SYMPY_GROUND_TYPES", "python")  # as most users have it; gmpy2 is there for mpmath
os.environ.setdefault("CHAINRULE_CACHE", "0")  # tests of the cache have folders of their own
