"""Every row of the table of NumPy functions against NumPy itself: values, dtypes, shapes, and slopes."""

from __future__ import annotations

import numpy as np
import pytest
from tracing import results, slope

from chainrule.compiler.trace.functions import FUNCTIONS
from chainrule.compiler.trace.functions.registry import spelled


def rng():
    return np.random.default_rng(7)


V = rng().uniform(0.5, 2.0, 5)
S = rng().uniform(-2.0, 2.0, 5)
A = rng().uniform(-2.0, 2.0, (3, 4))
P = rng().uniform(0.5, 2.0, (3, 4))
Q = rng().uniform(-1.0, 1.0, (4, 4)) + 3 * np.eye(4)
T = rng().uniform(-2.0, 2.0, (2, 3, 4))
K = np.array([3, 1, 2, 2, 0])
B = np.array([[True, False, True, True], [False, False, True, False], [True, True, True, True]])
N = np.where(B, A, np.nan)
F32 = A.astype(np.float32)

# (name of the function, expression in np and x, y, z; arguments). `~` in front: values only, as it has kinks or no slope.
ROWS = [
    ("sum", "np.sum(x)", A),
    ("sum", "np.sum(x, axis=0)", A),
    ("sum", "x.sum(axis=(0, 2), keepdims=True)", T),
    ("sum", "~np.sum(x)", K),
    ("sum", "~np.sum(x, axis=1)", B),
    ("sum", "np.sum(x, dtype=np.float32)", A),
    ("sum", "np.sum(x, initial=3.0)", A),
    ("sum", "np.sum(x, axis=1, where=x > 0)", A),
    ("sum", "~x.sum()", K.astype(np.int32)),
    ("add.reduce", "np.add.reduce(x)", A),
    ("multiply.reduce", "np.multiply.reduce(x, axis=1)", P),
    ("maximum.reduce", "np.maximum.reduce(x)", A),
    ("minimum.reduce", "np.minimum.reduce(x)", A),
    ("logical_and.reduce", "~np.logical_and.reduce(x)", B),
    ("logical_or.reduce", "~np.logical_or.reduce(x, axis=1)", B),
    ("logaddexp.reduce", "np.logaddexp.reduce(x, axis=1)", A),
    ("add.accumulate", "np.add.accumulate(x, axis=1)", A),
    ("add.outer", "np.add.outer(x, y)", V, S),
    ("multiply.outer", "np.multiply.outer(x, y)", A, S),
    ("prod", "np.prod(x)", V),
    ("prod", "x.prod(axis=1)", P),
    ("prod", "~np.prod(x)", K),
    ("mean", "np.mean(x)", A),
    ("mean", "x.mean(axis=1, keepdims=True)", A),
    ("mean", "~np.mean(x)", K),
    ("mean", "~np.mean(x)", B),
    ("mean", "np.mean(x, axis=0)", F32),
    ("mean", "np.mean(x, where=x > 0)", A),
    ("mean", "~np.mean(x)", A.astype(np.float16)),
    ("var", "np.var(x)", A),
    ("var", "x.var(axis=1, ddof=1)", A),
    ("var", "~np.var(x)", K),
    ("var", "np.var(x, correction=1)", A),
    ("std", "np.std(x)", A),
    ("std", "x.std(axis=0, keepdims=True)", A),
    ("std", "~x.std()", K),
    ("max", "np.max(x)", A),
    ("max", "x.max(axis=1)", A),
    ("amax", "np.amax(x, axis=0, keepdims=True)", A),
    ("max", "~x.max()", B),
    ("min", "np.min(x)", A),
    ("min", "x.min(axis=(0, 1))", T),
    ("amin", "np.amin(x)", A),
    ("max", "np.max(x, initial=0.5)", A),
    ("min", "np.min(x, axis=1, where=x > 0, initial=1.0)", A),
    ("ptp", "np.ptp(x, axis=1)", A),
    ("any", "~np.any(x)", B),
    ("any", "~x.any(axis=1)", B),
    ("all", "~np.all(x, axis=0)", B),
    ("all", "~(x > -5).all()", A),
    ("any", "~np.any(x, axis=1)", A),
    ("count_nonzero", "~np.count_nonzero(x, axis=1)", B),
    ("average", "np.average(x)", A),
    ("average", "np.average(x, axis=1, weights=y)", A, P),
    ("average", "np.average(x, axis=0, weights=y)", A, V[:3]),
    ("average", "np.average(x, weights=y, returned=True)[1]", A, P),
    ("cov", "np.cov(x)", A),
    ("cov", "np.cov(x, rowvar=False, bias=True)", A),
    ("cov", "np.cov(x, y)", V, S),
    ("corrcoef", "np.corrcoef(x)", A),
    ("nansum", "~np.nansum(x, axis=0)", N),
    ("nanprod", "~np.nanprod(x)", N),
    ("nanmean", "~np.nanmean(x, axis=1)", N),
    ("nanvar", "~np.nanvar(x, axis=1)", N),
    ("nanstd", "~np.nanstd(x)", N),
    ("nanmax", "~np.nanmax(x, axis=1)", N),
    ("nanmin", "~np.nanmin(x)", N),
    ("nanmean", "np.nanmean(x)", A),
    ("nansum", "np.nansum(x)", A),
    ("argmax", "~np.argmax(x, axis=1)", A),
    ("argmin", "~x.argmin()", A),
    ("argmax", "~np.argmax(x, axis=0, keepdims=True)", A),
    ("cumsum", "np.cumsum(x)", A),
    ("cumsum", "x.cumsum(axis=1)", A),
    ("cumsum", "~np.cumsum(x, axis=0)", B),
    ("cumulative_sum", "np.cumulative_sum(x, include_initial=True)", V),
    ("cumulative_sum", "np.cumulative_sum(x, axis=1)", A),
    ("quantile", "np.quantile(x, 0.3)", A),
    ("quantile", "np.quantile(x, [0.1, 0.75], axis=1)", A),
    ("quantile", "np.quantile(x, 0.4, axis=0, keepdims=True)", A),
    ("percentile", "np.percentile(x, 35.0, axis=1)", A),
    ("percentile", "np.percentile(x, [10, 50], axis=0)", A),
    ("median", "np.median(x)", A),
    ("median", "np.median(x, axis=1)", T),
    ("median", "np.median(x, axis=(0, 2), keepdims=True)", T),
    ("median", "~np.median(x)", K),
    ("median", "~np.median(x)", N),
    # shapes
    ("shape", "x * np.shape(x)[0]", A),
    ("ndim", "x * np.ndim(x)", A),
    ("size", "x * np.size(x, 1)", A),
    ("size", "x / np.size(x)", A),
    ("reshape", "np.reshape(x, (4, 3))", A),
    ("reshape", "x.reshape(2, -1)", A),
    ("reshape", "x.reshape((6, 2), order='F')", A),
    ("reshape", "x.T.reshape(-1)", A),
    ("ravel", "x.ravel()", A),
    ("ravel", "np.ravel(x, order='F')", A),
    ("transpose", "np.transpose(x)", T),
    ("transpose", "x.transpose(1, 0, 2)", T),
    ("transpose", "x.transpose((2, 0, 1))", T),
    ("permute_dims", "np.permute_dims(x, (1, 2, 0))", T),
    ("matrix_transpose", "np.matrix_transpose(x)", T),
    ("linalg.matrix_transpose", "np.linalg.matrix_transpose(x)", T),
    ("swapaxes", "np.swapaxes(x, 0, -1)", T),
    ("moveaxis", "np.moveaxis(x, 0, -1)", T),
    ("moveaxis", "np.moveaxis(x, (0, 1), (-1, 0))", T),
    ("rollaxis", "np.rollaxis(x, 2)", T),
    ("rollaxis", "np.rollaxis(x, 0, 3)", T),
    ("expand_dims", "np.expand_dims(x, (0, -1))", A),
    ("squeeze", "np.squeeze(x[None])", A),
    ("squeeze", "x[:, None].squeeze(axis=1)", A),
    ("broadcast_to", "np.broadcast_to(x, (2, 5))", V),
    ("broadcast_arrays", "np.broadcast_arrays(x[:, None], y)", V, S),
    ("atleast_1d", "np.atleast_1d(x.sum())", A),
    ("atleast_2d", "np.atleast_2d(x)", V),
    ("atleast_3d", "np.atleast_3d(x)", A),
    ("flip", "np.flip(x)", A),
    ("flip", "np.flip(x, axis=1)", A),
    ("flipud", "np.flipud(x)", A),
    ("fliplr", "np.fliplr(x)", A),
    ("rot90", "np.rot90(x)", A),
    ("rot90", "np.rot90(x, 3)", A),
    ("rot90", "np.rot90(x, 2)", A),
    ("roll", "np.roll(x, 2)", A),
    ("roll", "np.roll(x, -1, axis=1)", A),
    ("roll", "np.roll(x, (1, 2), axis=(0, 1))", A),
    ("tile", "np.tile(x, 3)", V),
    ("tile", "np.tile(x, (2, 1, 2))", A),
    ("repeat", "np.repeat(x, 3)", A),
    ("repeat", "x.repeat(2, axis=1)", A),
    ("repeat", "np.repeat(x, [1, 0, 2], axis=0)", A),
    ("pad", "np.pad(x, 1)", A),
    ("pad", "np.pad(x, ((1, 0), (0, 2)), constant_values=3.0)", A),
    ("pad", "np.pad(x, ((1, 1), (2, 0)), constant_values=((1.0, 2.0), (3.0, 4.0)))", A),
    ("pad", "np.pad(x, 2, mode='edge')", A),
    ("pad", "np.pad(x, (2, 1), mode='reflect')", V),
    ("pad", "np.pad(x, 2, mode='symmetric')", V),
    ("pad", "np.pad(x, 3, mode='wrap')", V),
    ("diagonal", "np.diagonal(x)", A),
    ("diagonal", "x.diagonal(1)", A),
    ("diagonal", "np.diagonal(x, -1, 1, 2)", T),
    ("linalg.diagonal", "np.linalg.diagonal(x, offset=1)", T),
    ("diag", "np.diag(x)", V),
    ("diag", "np.diag(x, -2)", V),
    ("diag", "np.diag(x, 1)", A),
    ("diagflat", "np.diagflat(x, 1)", A),
    ("tril", "np.tril(x, -1)", A),
    ("triu", "np.triu(x, 1)", A),
    ("tril", "np.tril(x)", V),
    ("trace", "np.trace(x)", A),
    ("trace", "x.trace(offset=1)", A),
    ("trace", "np.trace(x, 0, 1, 2)", T),
    ("linalg.trace", "np.linalg.trace(x)", T),
    ("concatenate", "np.concatenate([x, y])", V, S),
    ("concatenate", "np.concatenate((x, 2 * x), axis=1)", A),
    ("concatenate", "np.concatenate([x, y], axis=None)", A, V),
    ("concatenate", "~np.concatenate([x, y])", V, K),
    ("stack", "np.stack([x, y], axis=1)", V, S),
    ("stack", "np.stack([x[0], x[1] * x[2], 1.0])", V),
    ("vstack", "np.vstack([x, y])", V, S),
    ("hstack", "np.hstack([x, y])", V, S),
    ("hstack", "np.hstack([x, x])", A),
    ("dstack", "np.dstack([x, y])", V, S),
    ("column_stack", "np.column_stack([x, y])", V, S),
    ("append", "np.append(x, y)", A, V),
    ("append", "np.append(x, x, axis=0)", A),
    ("split", "np.split(x, 2, axis=1)[1]", A),
    ("split", "np.split(x, [1, 3])[1]", V),
    ("array_split", "np.array_split(x, 3)[0]", V),
    ("array_split", "np.array_split(x, 3)[2]", V),
    ("hsplit", "np.hsplit(x, 2)[0]", A),
    ("vsplit", "np.vsplit(x, 3)[1]", A),
    ("meshgrid", "np.meshgrid(x, y)[0]", V, S[:3]),
    ("meshgrid", "np.meshgrid(x, y, indexing='ij')[1]", V, S[:3]),
    ("meshgrid", "np.meshgrid(x, y, sparse=True)[1]", V, S[:3]),
    # products
    ("dot", "np.dot(x, y)", V, S),
    ("dot", "x.dot(y)", A, A.T),
    ("dot", "np.dot(x, y)", T, S[:4]),
    ("dot", "np.dot(x, y)", A, T.swapaxes(1, 2)),
    ("dot", "np.dot(x, 2.0)", V),
    ("vdot", "np.vdot(x, y)", A, P),
    ("inner", "np.inner(x, y)", A, P),
    ("inner", "np.inner(x, y)", V, S),
    ("outer", "np.outer(x, y)", A, V),
    ("linalg.outer", "np.linalg.outer(x, y)", V, S),
    ("matmul", "np.matmul(x, y)", T, A.T),
    ("matmul", "x @ y", A, A.T),
    ("matmul", "x @ y", T, S[:4]),
    ("matmul", "~x @ y", B, B.T),
    ("vecdot", "np.vecdot(x, y)", A, P),
    ("matvec", "np.matvec(x, y)", T, S[:4]),
    ("vecmat", "np.vecmat(x, y)", S[:3], A),
    ("tensordot", "np.tensordot(x, y)", T, T[0]),
    ("tensordot", "np.tensordot(x, y, axes=([0, 2], [1, 0]))", T, A.T[:, :2]),
    ("linalg.tensordot", "np.linalg.tensordot(x, y, axes=1)", A, A.T),
    ("einsum", "np.einsum('ij,kj->ik', x, y)", A, P),
    ("einsum", "np.einsum('ii->i', x)", Q),
    ("einsum", "np.einsum('...ij->...ji', x)", T),
    ("einsum", "np.einsum('i,j,ij->', x, y, z)", V[:3], S[:4], A),
    ("einsum", "np.einsum(x, [0, 1], y, [1], [0])", A, S[:4]),
    ("einsum", "np.einsum('ij,ij', x, y)", A, P),
    ("einsum", "~np.einsum('i,i->', x, x)", K),
    ("kron", "np.kron(x, y)", A, V),
    ("kron", "np.kron(x, y)", A, Q),
    ("cross", "np.cross(x, y)", A[:, :3], P[:, :3]),
    ("cross", "np.cross(x, y)", S[:3], V[:3]),
    ("linalg.cross", "np.linalg.cross(x, y)", S[:3], V[:3]),
    ("convolve", "np.convolve(x, y)", V, S[:3]),
    ("convolve", "np.convolve(x, y, 'same')", V, S[:3]),
    ("convolve", "np.convolve(x, y, mode='valid')", V, S[:3]),
    ("correlate", "np.correlate(x, y)", V, S[:3]),
    ("correlate", "np.correlate(x, y, 'full')", V, S[:3]),
    ("correlate", "np.correlate(x, y, 'full')", V[:2], S),
    # choices
    ("where", "np.where(x > 0, x, y)", A, P),
    ("where", "np.where(x > 0, x ** 2, 1.0)", A),
    ("where", "~np.where(x > 0)", A),
    ("where", "~np.where(x > 1, 2, x)", K),
    ("select", "np.select([x > 1, x > 0], [x, x ** 2], 0.5 * x)", A),
    ("piecewise", "np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, lambda t: t ** 2])", A),
    ("piecewise", "np.piecewise(x, x < 1, [3.0, lambda t: t * 2])", V),
    ("choose", "~np.choose(x % 2, [x * 2, x * 3])", K),
    ("nonzero", "~np.nonzero(x)", B),
    ("flatnonzero", "~np.flatnonzero(x)", B),
    ("argwhere", "~np.argwhere(x)", B),
    ("take", "np.take(x, [0, 2], axis=1)", A),
    ("take", "x.take([5, 0, -1])", A),
    ("take", "np.take(x, 1, axis=0)", A),
    ("take", "np.take(x, [7, -1], mode='clip')", V),
    ("take", "np.take(x, [7, -1], mode='wrap')", V),
    ("take_along_axis", "np.take_along_axis(x, np.argsort(x, axis=1), axis=1)", A),
    ("compress", "np.compress([True, False, True], x, axis=0)", A),
    ("extract", "np.extract(x > 0, x)", A),
    ("delete", "np.delete(x, [1, 3])", V),
    ("delete", "np.delete(x, 0, axis=1)", A),
    ("sort", "np.sort(x)", A),
    ("sort", "np.sort(x, axis=0)", A),
    ("sort", "np.sort(x, axis=None)", A),
    ("argsort", "~np.argsort(x, axis=0)", A),
    ("partition", "np.sort(np.partition(x, 2)[:3])", V),
    ("argpartition", "~np.sort(np.argpartition(x, 2)[:3])", V),
    ("searchsorted", "~np.searchsorted(np.sort(x), y)", V, S),
    ("searchsorted", "~np.searchsorted([0.0, 1.0], x, side='right')", A),
    ("digitize", "~np.digitize(x, [0.7, 1.1, 1.5])", V),
    ("interp", "np.interp(x, y, z)", S, np.sort(V), S),
    ("interp", "np.interp(x, [0.0, 1.0, 2.0], y, left=-1.0)", V, S[:3]),
    # elementwise functions that are no ufuncs
    ("clip", "np.clip(x, -1.0, 1.0)", A),
    ("clip", "x.clip(0.0, None)", A),
    ("clip", "np.clip(x, y, 2.5)", A, P),
    ("clip", "~np.clip(x, 1, 2)", K),
    ("clip", "~np.clip(x, 0.5, 2)", K),
    ("clip", "np.clip(x, min=0.1)", A),
    ("round", "~np.round(x, 1)", A),
    ("around", "~np.around(x)", A),
    ("round", "~x.round(2)", F32),
    ("fix", "~np.fix(x)", A),
    ("real", "np.real(x)", A),
    ("imag", "np.imag(x)", A),
    ("sinc", "np.sinc(x)", A),
    ("isreal", "~np.isreal(x)", A),
    ("iscomplex", "~np.iscomplex(x)", A),
    ("real_if_close", "np.real_if_close(x)", A),
    ("nan_to_num", "~np.nan_to_num(x)", N),
    ("nan_to_num", "~np.nan_to_num(x / 0.0, posinf=2.0, nan=-1.0)", A),
    ("isclose", "~np.isclose(x, y)", A, A + 1e-9),
    ("isclose", "~np.isclose(x, x, equal_nan=True)", N),
    ("allclose", "~np.allclose(x, y)", A, P),
    ("array_equal", "~np.array_equal(x, y)", A, P),
    ("diff", "np.diff(x)", A),
    ("diff", "np.diff(x, n=2, axis=0)", Q),
    ("diff", "np.diff(x, prepend=0.0)", V),
    ("diff", "np.diff(x, append=x[:1])", V),
    ("ediff1d", "np.ediff1d(x, to_begin=1.0)", A),
    ("trapezoid", "np.trapezoid(x, dx=0.5)", A),
    ("trapezoid", "np.trapezoid(x, y)", S, np.sort(V)),
    ("gradient", "np.gradient(x)", V),
    ("gradient", "np.gradient(x, 0.5)[1]", A),
    ("gradient", "np.gradient(x, y, axis=0)", S, np.sort(V)),
    ("polyval", "np.polyval(x, y)", V, S),
    ("polyval", "np.polyval([1.0, 2.0, 3.0], x)", A),
    ("vander", "np.vander(x)", V),
    ("vander", "np.vander(x, 3, increasing=True)", V),
    ("unwrap", "np.unwrap(x * 4)", S),
    # making
    ("zeros_like", "np.zeros_like(x) + x", A),
    ("empty_like", "np.empty_like(x) * 0 + x", A),
    ("ones_like", "np.ones_like(x) * x", A),
    ("ones_like", "~np.ones_like(x, dtype=int)", A),
    ("full_like", "np.full_like(x, 2.5) * x", A),
    ("full_like", "~np.full_like(x, 2.5)", K),
    ("copy", "np.copy(x)", A),
    ("array", "np.array([x, x], like=x)", V),
    ("asarray", "np.asarray(x, like=x)", V),
    ("asanyarray", "np.asanyarray(x, like=x)", V),
    ("zeros", "np.zeros((2, 3), like=x) + x[0]", V),
    ("empty", "np.empty((2,), like=x) * 0 + x[0]", V),
    ("ones", "np.ones(3, like=x) * x[0]", V),
    ("full", "np.full(3, 2.0, like=x) * x[0]", V),
    ("eye", "np.eye(3, like=x) * x[0]", V),
    ("arange", "np.arange(2, 9, 3, like=x) * x[0]", V),
    ("linspace", "np.linspace(x[0], x[1], 5)", V),
    ("linspace", "np.linspace(x, y, 4, endpoint=False, axis=1)", V, S),
    ("logspace", "np.logspace(x[0], x[1], 3)", V),
    ("geomspace", "np.geomspace(x[0], x[1], 4)", V),
    # linear algebra
    ("linalg.inv", "np.linalg.inv(x)", Q),
    ("linalg.det", "np.linalg.det(x)", Q),
    ("linalg.slogdet", "np.linalg.slogdet(x)[1]", Q),
    ("linalg.slogdet", "~np.linalg.slogdet(x).sign", Q),
    ("linalg.cholesky", "np.linalg.cholesky(x @ x.T)", Q),
    ("linalg.cholesky", "np.linalg.cholesky(x @ x.T, upper=True)", Q),
    ("linalg.svdvals", "np.linalg.svdvals(x)", Q),
    ("linalg.eigvalsh", "np.linalg.eigvalsh(x @ x.T)", Q),
    ("linalg.eigvalsh", "np.linalg.eigvalsh(x @ x.T, UPLO='U')", Q),
    ("linalg.eigh", "np.linalg.eigh(x @ x.T)[0]", Q),
    ("linalg.eigh", "np.linalg.eigh(x @ x.T).eigenvectors ** 2", Q),
    ("linalg.svd", "np.linalg.svd(x, compute_uv=False)", Q),
    ("linalg.svd", "np.linalg.svd(x, full_matrices=False).U ** 2", A),
    ("linalg.qr", "np.linalg.qr(x).R ** 2", Q),
    ("linalg.qr", "np.linalg.qr(x, 'r') ** 2", Q),
    ("linalg.pinv", "np.linalg.pinv(x)", A),
    ("linalg.norm", "np.linalg.norm(x, 2)", A),
    ("linalg.norm", "np.linalg.norm(x, -2, axis=(0, 2))", Q.reshape(2, 4, 2)),
    ("linalg.norm", "np.linalg.norm(x, 'nuc', axis=(1, 0), keepdims=True)", A),
    ("linalg.solve", "np.linalg.solve(x, y)", Q, S[:4]),
    ("linalg.solve", "np.linalg.solve(x, y)", Q, A.T),
    ("linalg.matrix_power", "np.linalg.matrix_power(x, 3)", Q),
    ("linalg.matrix_power", "np.linalg.matrix_power(x, -2)", Q),
    ("linalg.matrix_power", "np.linalg.matrix_power(x, 0)", Q),
    ("linalg.multi_dot", "np.linalg.multi_dot([x, y, z])", A, Q, A.T),
    ("linalg.norm", "np.linalg.norm(x)", A),
    ("linalg.norm", "np.linalg.norm(x, axis=1)", A),
    ("linalg.norm", "np.linalg.norm(x, 1)", S),
    ("linalg.norm", "np.linalg.norm(x, np.inf, axis=0, keepdims=True)", A),
    ("linalg.norm", "np.linalg.norm(x, 3)", S),
    ("linalg.norm", "np.linalg.norm(x, 'fro')", A),
    ("linalg.norm", "np.linalg.norm(x, 1)", A),
    ("linalg.norm", "np.linalg.norm(x, -np.inf, axis=(1, 0))", A),
    ("linalg.norm", "~np.linalg.norm(x, 0)", S),
    ("linalg.norm", "~np.linalg.norm(x)", K),
    ("linalg.vector_norm", "np.linalg.vector_norm(x, axis=1)", A),
    ("linalg.matrix_norm", "np.linalg.matrix_norm(x)", T),
    ("result_type", "x.astype(np.result_type(x, np.float32))", A),
    ("can_cast", "x * np.can_cast(x, np.float32)", A),
    ("isrealobj", "x * np.isrealobj(x)", A),
    ("iscomplexobj", "x + np.iscomplexobj(x)", A),
    ("shares_memory", "x * np.shares_memory(x, x.T)", A),
    ("may_share_memory", "x * np.may_share_memory(x, x.copy())", A),
]
WRITES = {"copyto", "putmask", "put_along_axis", "fill_diagonal"}  # tested with other writes
TEXT = {"array_repr", "array_str", "array2string"}


def function_of(expression):
    return eval(f"lambda x, y=None, z=None: {expression.lstrip('~')}", {"np": np})


def leaves(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


@pytest.mark.parametrize(("expression", "arguments"), [(row[1], row[2:]) for row in ROWS], ids=[row[1].lstrip("~") for row in ROWS])
def test_values_shapes_and_dtypes_are_numpys(expression, arguments):
    function = function_of(expression)
    with np.errstate(all="ignore"):
        expected = leaves(function(*arguments))
    actual = results(function, *arguments)
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        tolerance = {2: 2e-3, 4: 3e-6}.get(theirs.dtype.itemsize, 1e-12)
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


SMOOTH = [
    row
    for row in ROWS
    if not row[1].startswith("~") and all(a.dtype != np.float32 for a in row[2:]) and "float32" not in row[1] and "//" not in row[1]
]


@pytest.mark.parametrize(("expression", "arguments"), [(row[1], row[2:]) for row in SMOOTH], ids=[row[1] for row in SMOOTH])
def test_slopes_agree_with_differences(expression, arguments):
    function = function_of(expression)
    first = np.asarray(leaves(function(*arguments))[0])
    random = np.random.default_rng(3)
    directions = [random.normal(size=a.shape) if a.dtype.kind == "f" else np.zeros_like(a) for a in arguments]
    weights = random.normal(size=first.shape)
    step = 1e-6

    def at(t):
        moved = [a + t * d if a.dtype.kind == "f" else a for a, d in zip(arguments, directions, strict=True)]
        return np.sum(weights * leaves(function(*moved))[0])

    expected = (at(step) - at(-step)) / (2 * step)
    actual = slope(lambda *xs: leaves(function(*xs))[0], arguments, directions, weights)
    assert actual == pytest.approx(expected, rel=2e-6, abs=2e-6)


def test_every_row_of_the_table_is_tested():
    methods = {"reduce"}
    names = {spelled(f).removeprefix("np.").replace("np._core.", "") for f in FUNCTIONS if getattr(f, "__name__", "") not in methods}
    tested = {row[0] for row in ROWS} | WRITES | TEXT | {"ascontiguousarray"}
    assert {n.removeprefix("np.") for n in names} - tested == set()


def test_arrays_with_zeros_on_the_diagonal_are_no_multiples_of_the_identity():
    swapped = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(results(lambda x: swapped + 0 * x, np.ones((2, 2)))[0], swapped)
    np.testing.assert_array_equal(results(lambda x: 3 * np.eye(2) + x, np.ones((2, 2)))[0], [[4, 1], [1, 4]])
