"""`python -m chainrule`."""
from .runtime.main import main

if __name__ == "__main__":
    raise SystemExit(main())
