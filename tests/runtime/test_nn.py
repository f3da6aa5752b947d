"""Modules, losses and layers: recorded values of torch, formulas written out, and torch itself where it is installed."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import chainrule as ct
from chainrule import nn
from chainrule.nn import functional as F, init, utils


def close(actual, expected, rtol=1e-5):
    np.testing.assert_allclose(actual.detach().numpy(), np.asarray(expected), rtol=rtol, atol=1e-6)


def test_cross_entropy_is_the_negative_log_softmax_of_the_class():
    x = ct.tensor([[1.0, 2.0, 0.5], [0.1, -1.0, 3.0]], requires_grad=True)
    loss = F.cross_entropy(x, ct.tensor([1, 2]), weight=ct.tensor([1.0, 2.0, 3.0]))
    values = x.detach().numpy().astype(np.float64)
    p = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    close(loss, -(2 * np.log(p[0, 1]) + 3 * np.log(p[1, 2])) / 5)
    loss.backward()
    weight = np.array([[2.0], [3.0]]) / 5
    close(x.grad, weight * (p - np.array([[0, 1, 0], [0, 0, 1]])))


def test_ignored_targets_count_neither_above_nor_below_the_fraction():
    x = ct.tensor([[1.0, 2.0], [np.inf, 0.0]], requires_grad=True)
    loss = F.nll_loss(x, ct.tensor([0, -100]))
    loss.backward()
    assert loss.item() == -1.0
    assert x.grad.tolist() == [[-1.0, 0.0], [0.0, 0.0]]
    assert np.isnan(F.nll_loss(x.detach(), ct.tensor([-100, -100])).item())


def test_binary_cross_entropy_of_logits_does_not_cancel_in_either_tail():
    x = ct.tensor([-50.0, 50.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, ct.tensor([0.0, 1.0]), reduction="none")
    loss.sum().backward()
    close(loss, [np.exp(-50.0)] * 2)
    np.testing.assert_allclose(x.grad.numpy(), [np.exp(-50.0), -np.exp(-50.0)], rtol=1e-5, atol=0)


def test_binary_cross_entropy_has_bounded_slopes_at_zero_and_one():
    x = ct.tensor([0.0, 1.0], requires_grad=True)
    F.binary_cross_entropy(x, ct.tensor([1.0, 0.0]), reduction="sum").backward()
    np.testing.assert_allclose(x.grad.numpy(), [-1e12, 1e12], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "left", "at", "right"),
    [
        ("relu", 0.0, 0.0, 1.0),
        ("leaky_relu", 0.01, 0.01, 1.0),
        ("elu", 1.0, 1.0, 1.0),
        ("hardtanh", 1.0, 1.0, 1.0),
        ("relu6", 0.0, 0.0, 1.0),
    ],
)
def test_slopes_at_zero(name, left, at, right):
    x = ct.tensor([-1e-6, 0.0, 1e-6], requires_grad=True)
    getattr(F, name)(x).sum().backward()
    close(x.grad, [left, at, right])


def test_in_place_activations_write_to_their_input():
    x = ct.tensor([-1.0, 2.0])
    assert F.relu(x, inplace=True) is x
    assert x.tolist() == [0.0, 2.0]


def test_batch_norm_moves_its_running_statistics_and_uses_them_in_evaluation():
    layer = nn.BatchNorm1d(1, momentum=0.5)
    layer(ct.tensor([[1.0], [3.0]]))
    assert layer.running_mean.tolist() == [1.0]
    assert layer.running_var.tolist() == [1.5]  # half of 1, half of the unbiased variance 2
    assert layer.num_batches_tracked.item() == 1
    close(layer.eval()(ct.tensor([[1.0], [2.0]])), [[0.0], [1 / np.sqrt(1.5 + 1e-5)]])


def test_convolution_against_loops():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 5, 4)), rng.standard_normal((3, 2, 2, 3))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    expected = np.array(
        [[[(padded[0, :, 2 * i : 2 * i + 2, j : j + 3] * w[o]).sum() for j in range(2)] for i in range(3)] for o in range(3)]
    )
    close(F.conv2d(ct.tensor(x), ct.tensor(w), stride=(2, 1), padding=(1, 0))[0], expected)


def test_a_transposed_convolution_is_the_adjoint_of_the_convolution():
    rng = np.random.default_rng(1)
    x, w = ct.tensor(rng.standard_normal((2, 3, 9)), requires_grad=True), ct.tensor(rng.standard_normal((4, 3, 2)))
    y = F.conv1d(x, w, stride=3, padding=1, dilation=2)
    ct_y = ct.tensor(rng.standard_normal(tuple(y.shape)))
    y.backward(ct_y)
    output_padding = 9 - ((y.shape[2] - 1) * 3 - 2 + 2 + 1)
    close(F.conv_transpose1d(ct_y, w, stride=3, padding=1, dilation=2, output_padding=output_padding), x.grad.numpy())


def test_the_first_of_equal_elements_wins_in_a_pool():
    x = ct.ones(1, 1, 2, 2, requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


def test_pools_at_the_border_count_what_is_there():
    x = ct.tensor([[1.0, 2.0, 3.0]])
    assert F.avg_pool1d(x, 2, ceil_mode=True).tolist() == [[1.5, 3.0]]
    assert F.avg_pool1d(x, 2, padding=1, count_include_pad=False).tolist() == [[1.0, 2.5]]
    assert F.max_pool1d(x, 2, ceil_mode=True).tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("reflect", [3, 2, 1, 2, 3, 2]),
        ("replicate", [1, 1, 1, 2, 3, 3]),
        ("circular", [2, 3, 1, 2, 3, 1]),
        ("constant", [0, 0, 1, 2, 3, 0]),
    ],
)
def test_pad(mode, expected):
    x = ct.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = F.pad(x, (2, 1), mode=mode)
    assert y.tolist() == [expected]
    y.sum().backward()
    assert x.grad.tolist() == [[float(expected.count(k)) for k in (1, 2, 3)]]


def test_attention_is_softmax_of_scores_times_values():
    rng = np.random.default_rng(2)
    q, k, v = (rng.standard_normal((2, 3, 4, 5)) for _ in range(3))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(5)
    scores[..., np.triu_indices(4, 1)[0], np.triu_indices(4, 1)[1]] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    for stack in (slice(None), 0):
        close(F.scaled_dot_product_attention(*(ct.tensor(t[stack]) for t in (q, k, v)), is_causal=True), expected[stack], rtol=1e-9)


# ---------------------------------------------------------------- modules
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        self.scale = nn.Parameter(ct.ones(3))
        self.register_buffer("shift", ct.zeros(3))
        self.register_buffer("scratch", ct.zeros(1), persistent=False)

    def forward(self, x):
        return self.body(x) * self.scale + self.shift


def test_a_module_knows_its_parameters_buffers_and_children():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == ["scale", "body.0.weight", "body.0.bias"]
    assert list(net.state_dict()) == ["scale", "shift", "body.0.weight", "body.0.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1"]
    assert net.get_parameter("body.0.bias") is net.body[0].bias
    shared = nn.ModuleList([net.body, net.body])
    assert len(list(shared.parameters())) == 2


def test_state_goes_from_one_module_to_another_and_shares_memory_with_its_own():
    first, second = Net(), Net()
    assert str(second.load_state_dict(first.state_dict())) == "<All keys matched successfully>"
    x = ct.tensor([[0.3, -0.4]])
    assert second(x).tolist() == first(x).tolist()
    state = first.state_dict()
    with ct.no_grad():
        first.scale.fill_(2.0)
    assert state["scale"].tolist() == [2.0] * 3
    with pytest.raises(RuntimeError, match=r"(?s)Missing key.*scale.*size mismatch for shift"):
        first.load_state_dict({"shift": ct.zeros(2), "body.0.weight": ct.ones(3, 2), "body.0.bias": ct.ones(3)})


def test_copies_of_modules_are_independent():
    net = Net()
    other = copy.deepcopy(net)
    other.scale.data.fill_(5.0)
    assert net.scale.tolist() == [1.0] * 3
    assert isinstance(other.scale, nn.Parameter)


def test_casts_keep_parameters_the_same_objects():
    net = Net()
    weight = net.body[0].weight
    net.double()
    assert net.body[0].weight is weight
    assert weight.dtype == ct.float64
    assert net.shift.dtype == ct.float64


def test_hooks_see_and_replace():
    layer = nn.Identity()
    seen = []
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(out.item()) or out * 2)
    assert layer(ct.tensor(1.0)).item() == 4.0
    handle.remove()
    assert layer(ct.tensor(1.0)).item() == 2.0
    assert seen == [2.0]


def test_training_mode_and_zero_grad_reach_all_modules():
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1))
    assert not net.eval()[0].training
    x = ct.ones(4, 2)
    assert net[0](x) is x
    net(x).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net[1].weight.grad.tolist() == [[0.0, 0.0]]
    net.zero_grad()
    assert net[1].weight.grad is None


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda net: setattr(net, "scale", ct.ones(3)), TypeError, "cannot assign 'torch.FloatTensor' as parameter 'scale'"),
        (lambda net: net.register_parameter("a.b", None), KeyError, "parameter name can.*contain"),
        (lambda net: net.register_buffer("scale", None), KeyError, "attribute 'scale' already exists"),
        (lambda net: net.missing, AttributeError, "'Net' object has no attribute 'missing'"),
        (lambda net: nn.Module()(1), NotImplementedError, 'missing the required "forward" function'),
        (lambda net: net.body[2], IndexError, "index 2 is out of range"),
    ],
)
def test_refusals(action, error, message):
    with pytest.raises(error, match=message):
        action(Net())


def test_containers_change_like_lists():
    layers = nn.Sequential(nn.ReLU(), nn.Tanh())
    layers.append(nn.Sigmoid()).insert(0, nn.Identity())
    del layers[1]
    assert [type(m).__name__ for m in layers] == ["Identity", "Tanh", "Sigmoid"]
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    assert isinstance(layers[1:], nn.Sequential)
    assert len(layers[1:]) == 2


def test_equal_neighbours_in_a_list_are_shown_once():
    assert repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"


# ---------------------------------------------------------------- initial values, gradients
def test_draws_stay_within_their_bounds_and_follow_the_seed():
    ct.manual_seed(3)
    first = init.kaiming_uniform_(ct.empty(40, 30), nonlinearity="relu")
    assert first.abs().max().item() <= np.sqrt(6 / 30)
    ct.manual_seed(3)
    assert init.kaiming_uniform_(ct.empty(40, 30), nonlinearity="relu").tolist() == first.tolist()
    q = init.orthogonal_(ct.empty(5, 3))
    close(q.T @ q, np.eye(3))
    assert init.trunc_normal_(ct.empty(100), a=-0.5, b=0.5).abs().max().item() <= 0.5


def test_clipping_scales_gradients_in_place():
    a, b = ct.tensor([3.0], requires_grad=True), ct.tensor([4.0], requires_grad=True)
    ((a**2 + b**2) / 2).sum().backward()
    held = a.grad
    assert utils.clip_grad_norm_([a, b], 1.0).item() == 5.0
    close(held, [0.6])
    utils.clip_grad_value_([a, b], 0.7)
    close(b.grad, [0.7])


def test_parameters_as_one_vector_and_back():
    net = Net()
    vector = utils.parameters_to_vector(net.parameters())
    utils.vector_to_parameters(ct.arange(float(vector.numel())), net.parameters())
    assert utils.parameters_to_vector(net.parameters()).tolist() == list(range(vector.numel()))


# ---------------------------------------------------------------- torch as oracle
def _losses():
    pair = ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "kl_div", "binary_cross_entropy_with_logits"]
    return [(name, reduction) for name in pair for reduction in ("mean", "sum", "none")]


def _run(module, function, arrays):
    inputs = [module.tensor(a, requires_grad=True) for a in arrays]
    y = function(module.nn.functional, *inputs)
    (y * module.arange(1.0, y.numel() + 1).reshape(y.shape)).sum().backward()
    return [y.detach().numpy(), *(x.grad.numpy() for x in inputs)], y.grad_fn.name()


def _agree(function, *shapes):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    (expected, name), (actual, own) = (_run(module, function, arrays) for module in (torch, ct))
    assert own == name
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "reduction"), _losses())
def test_losses_agree_with_torch(name, reduction):
    _agree(lambda f, x, t: getattr(f, name)(x, t, reduction=reduction), (3, 4), (3, 4))


@pytest.mark.oracle
@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "softplus",
        "softsign",
        "tanhshrink",
        "hardshrink",
        "softshrink",
        "logsigmoid",
        "glu",
    ],
)
def test_activations_agree_with_torch(name):
    _agree(lambda f, x: getattr(f, name)(x * 3), (5, 6))


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda f, x, w, b: f.linear(x, w, b), [(2, 3, 4), (5, 4), (5,)]),
        (lambda f, x, w, b: f.layer_norm(x, (4,), w, b), [(2, 3, 4), (4,), (4,)]),
        (lambda f, x, w, b: f.group_norm(x, 2, w, b), [(2, 4, 6), (4,), (4,)]),
        (lambda f, x, w, b: f.batch_norm(x, None, None, w, b, training=True), [(5, 4), (4,), (4,)]),
        (lambda f, x: f.instance_norm(x), [(2, 3, 4)]),
        (lambda f, x, w, b: f.conv1d(x, w, b, stride=2, padding=1, groups=2), [(2, 4, 7), (6, 2, 3), (6,)]),
        (lambda f, x, w: f.conv_transpose2d(x, w, stride=(2, 1), padding=(1, 0)), [(2, 3, 4, 5), (3, 2, 3, 2)]),
        (lambda f, x: f.max_pool2d(x, 3, 2, 1), [(2, 3, 6, 7)]),
        (lambda f, x: f.avg_pool2d(x, 3, 2, 1, count_include_pad=False), [(2, 3, 6, 7)]),
        (lambda f, x: f.adaptive_avg_pool2d(x, (3, 2)), [(2, 3, 5, 7)]),
        (lambda f, x: f.pad(x, (2, 1, 1, 0), mode="reflect"), [(2, 3, 5, 7)]),
        (lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True), [(2, 2, 4, 3)] * 3),
        (lambda f, a, b: f.cosine_similarity(a, b), [(3, 4), (3, 4)]),
        (lambda f, a, b: f.pairwise_distance(a, b), [(3, 4), (3, 4)]),
        (lambda f, a, b, w: f.bilinear(a, b, w), [(3, 4), (3, 5), (2, 4, 5)]),
    ],
)
def test_layers_agree_with_torch(function, shapes):
    _agree(function, *shapes)
