"""The compiler: tracing, IR, differentiation, simplification, scheduling and lowering. Knows nothing of `runtime`."""

if __name__ != "chainrule.compiler":  # a second copy would have its own op table and its own interned nodes
    raise ImportError(
        f"chainrule.compiler was imported as {__name__!r}; import `chainrule` itself (for tests: run pytest from the "
        "repository's root, with --import-mode=importlib)"
    )
