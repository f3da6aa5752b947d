"""The torch-shaped face: tensors, autograd, and the types and printing around them."""

if __name__ != "chainrule.runtime":  # a second copy would have its own dtypes and its own default dtype
    raise ImportError(
        f"chainrule.runtime was imported as {__name__!r}; import `chainrule` itself (for tests: run pytest from the "
        "repository's root, with --import-mode=importlib)"
    )
