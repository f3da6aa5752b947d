"""Steps of a stencil: backward kernels read as much for the tenth step as for the second, and interiors have no masks."""
from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import grad
from chainrule.compiler.loopnest import Load, walk
from chainrule.compiler.program import Program


def heat(u: Any, steps: int) -> Any:
    for _ in range(steps):
        around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        u = np.pad(u[1:-1, 1:-1] + 0.1 * around, 1)
    return np.sum(u**2)


def test_kernels_of_steps_do_not_grow() -> None:
    u = np.random.default_rng(2).normal(size=(9, 7))
    direction = np.cos(np.arange(63.0)).reshape(u.shape)
    for steps in (3, 8):
        compiled = grad(lambda u, steps=steps: heat(u, steps), wrt="u")
        value, gradient = compiled.value_and_grad(u)
        ahead, behind = (heat(u + h * direction, steps) for h in (1e-5, -1e-5))
        np.testing.assert_allclose(value, heat(u, steps), rtol=1e-12)
        np.testing.assert_allclose(np.sum(gradient * direction), (ahead - behind) / 2e-5, rtol=1e-7)
        program: Program = compiled.trace(u)._execution("value_and_gradient").program
        masked = [sum(isinstance(s, Load) and s.when is not None for s in walk(k.body)) for k in program.kernels]
        # forward: the step, the padding; the last step with the sum; then four neighbours, each of them outside somewhere
        assert masked == [0, 1] * (steps - 1) + [5, 0] + [4] * (steps - 1) + [5]
        buffers = [len(k.buffers) for k in program.kernels]
        assert buffers == [2, 2] + [3, 2] * (steps - 2) + [3, 3, 5] + [4] * (steps - 2) + [3]
