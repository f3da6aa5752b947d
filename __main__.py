"""`python -m chainrule`."""
from chainrule.runtime.main import main  # not relative: mypy, run from here, also takes this file for a module of its own

if __name__ == "__main__":
    raise SystemExit(main())
