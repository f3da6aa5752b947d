"""Optimisers and schedules, as `chainrule.optim` offers them."""
