import copy
import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.autograd.gradcheck import GradcheckError
from torch.nn.utils import parametrize

from sagan.ops.spectral import (
    SpectralNorm,
    folded_state_dict,
    frozen_spectral,
    prepare_spectral,
    refresh_spectral,
    spectral_norm,
    spectral_norms,
)

LAYERS = {
    "conv": lambda: nn.Conv2d(6, 10, 3),
    "conv1x1": lambda: nn.Conv2d(12, 4, 1, bias=False),
    "linear": lambda: nn.Linear(9, 14),
    "head": lambda: nn.Linear(20, 1),
    "embedding": lambda: nn.Embedding(5, 7),
}
# What a layer's u counts: output channels, or classes.
ROWS = {"conv": 10, "conv1x1": 4, "linear": 14, "head": 1, "embedding": 5}


@pytest.fixture(params=LAYERS)
def kind(request):
    torch.manual_seed(0)
    return request.param


def the_norm(layer):
    [(norm, weight)] = spectral_norms(layer)
    return norm, weight


def top_singular_value(weight):
    return torch.linalg.svdvals(weight.detach().double().flatten(1))[0].item()


def an_iteration(matrix, u):
    """Algorithm 1 of Miyato et al. 2018, on its own."""
    v = matrix.T @ u
    v = v / v.norm()
    u = matrix @ v
    return u / u.norm(), v


def test_golden_numbers_of_one_and_two_updates():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.diag(torch.tensor([2.0, 1.0]))
    spectral_norm(layer)
    norm, _ = the_norm(layer)
    norm.u.copy_(torch.ones(2))
    assert 2.0 / layer.weight[0, 0].item() == pytest.approx(math.sqrt(3.4), abs=1e-6)
    assert 2.0 / layer.weight[0, 0].item() == pytest.approx(math.sqrt(257 / 65), abs=1e-6)


def test_an_access_in_training_mode_is_one_iteration_of_the_paper(kind):
    layer = spectral_norm(LAYERS[kind]())
    norm, weight = the_norm(layer)
    norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))
    u, v = an_iteration(weight.detach().flatten(1), norm.u.clone())
    used = layer.weight.detach()
    torch.testing.assert_close((norm.u, norm.v), (u, v))
    torch.testing.assert_close(used, weight.detach() / (u @ weight.detach().flatten(1) @ v))


def test_trap_08_vectors_move_in_training_mode_and_nowhere_else(kind, snapshot_of, assert_same):
    layer = spectral_norm(LAYERS[kind]())
    norm, weight = the_norm(layer)
    x = torch.zeros(2, dtype=torch.int64) if kind == "embedding" else torch.randn(2, *weight.shape[1:])
    norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))

    before = snapshot_of(layer)
    layer.eval()(x)
    assert_same(before, snapshot_of(layer))
    layer.train()
    with frozen_spectral(layer):
        layer(x)
    assert_same(before, snapshot_of(layer))

    u, v = an_iteration(weight.detach().flatten(1), norm.u.clone())
    layer(x)  # once and not twice
    torch.testing.assert_close((norm.u, norm.v), (u, v))


def test_trap_08_top_singular_value_is_one_after_200_forwards(kind):
    layer = spectral_norm(LAYERS[kind]())
    for _ in range(200):
        weight = layer.weight
    assert top_singular_value(weight) == pytest.approx(1.0, abs=1e-3)


def test_trap_09_u_has_a_number_for_each_row_and_sigma_is_the_first_singular_value(kind):
    layer = spectral_norm(LAYERS[kind]())
    norm, weight = the_norm(layer)
    refresh_spectral(layer, 300)
    assert norm.u.shape == (ROWS[kind],)
    assert norm.v.shape == (weight.numel() // ROWS[kind],)
    sigma = (weight / layer.eval().weight).flatten()[0].item()
    assert sigma == pytest.approx(torch.linalg.svdvals(weight.detach().view(len(weight), -1))[0].item(), rel=1e-5)


def test_trap_09_a_head_of_one_unit_has_norm_one_at_once():
    head = spectral_norm(nn.Linear(20, 1))
    assert head.weight.norm().item() == pytest.approx(1.0, abs=1e-6)


def test_trap_10_gradient_equals_finite_differences_with_fixed_vectors():
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    norm = SpectralNorm(weight)
    norm.u.copy_(nn.functional.normalize(torch.randn(4, dtype=torch.float64), dim=0))  # not converged
    norm.frozen = True
    assert torch.autograd.gradcheck(norm, (weight,), eps=1e-6, atol=1e-4)


def test_trap_10_vectors_carry_no_gradient():
    torch.manual_seed(0)
    weight = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    norm = SpectralNorm(weight)
    norm.u.copy_(nn.functional.normalize(torch.randn(5, dtype=torch.float64), dim=0))
    upstream = torch.randn(5, 7, dtype=torch.float64)
    normalised = norm(weight)
    (normalised * upstream).sum().backward()
    # Miyato et al. 2018, equation 12: (upstream - <upstream, W_bar> u v^T) / sigma.
    sigma = (weight / normalised)[0, 0]
    expected = (upstream - (upstream * normalised).sum() * torch.outer(norm.u, norm.v)) / sigma
    torch.testing.assert_close(weight.grad, expected.detach())


def cold(rows, columns, **options):
    """A weight and its normalisation in float64, whose vectors know nothing of it yet."""
    torch.manual_seed(0)
    weight = torch.randn(rows, columns, dtype=torch.float64, requires_grad=True)
    norm = SpectralNorm(weight, **options)
    norm.u.copy_(nn.functional.normalize(torch.randn(rows, dtype=torch.float64), dim=0))
    return weight, norm


def test_full_gradient_equals_finite_differences_through_the_iteration():
    weight, norm = cold(4, 6, gradient="full")
    start = norm.u.clone()

    def from_the_start(w):
        norm.u.copy_(start)
        return norm(w)

    assert torch.autograd.gradcheck(from_the_start, (weight,), eps=1e-6, atol=1e-6)
    assert torch.autograd.gradgradcheck(from_the_start, (weight,), eps=1e-6, atol=1e-5)
    norm.gradient = "stop"
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(from_the_start, (weight,), eps=1e-6, atol=1e-4)


def test_full_and_stopped_gradients_agree_at_convergence_and_not_before():
    def difference(iterations):
        gradients = []
        for gradient in ("stop", "full"):
            weight, norm = cold(8, 20, gradient=gradient)
            norm.iterate(weight, iterations)
            gradients += torch.autograd.grad((weight / norm(weight)).mean(), weight)  # of sigma
        return ((gradients[1] - gradients[0]).norm() / gradients[0].norm()).item()

    assert difference(0) > 0.1
    assert difference(50) < 0.02
    assert difference(5000) < 1e-9


@pytest.mark.parametrize("channels_last", [False, True])
def test_full_gradient_moves_the_same_vectors_and_gives_the_same_weight(channels_last):
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layers = [nn.Conv2d(3, 5, 3).double().to(memory_format=layout) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    spectral_norm(layers[0])
    spectral_norm(layers[1], gradient="full")
    assert layers[0].state_dict().keys() == layers[1].state_dict().keys()  # checkpoints fit either
    layers[1].load_state_dict(layers[0].state_dict())
    for mode in (True, True, False):
        weights = [layer.train(mode).weight for layer in layers]
        torch.testing.assert_close(weights[1], weights[0], atol=1e-12, rtol=0.0)
        for (one, _), (other, _) in zip(*(spectral_norms(layer) for layer in layers), strict=True):
            assert torch.equal(one.u, other.u)
            assert torch.equal(one.v, other.v)


def test_full_gradient_of_a_further_micro_batch_goes_through_the_same_iteration():
    weight, norm = cold(4, 6, gradient="full")
    [first] = torch.autograd.grad(norm(weight)[0, 0], weight)
    norm.frozen = True
    [second] = torch.autograd.grad(norm(weight)[0, 0], weight)
    assert torch.equal(first, second)


@pytest.mark.parametrize("gradient", ["stop", "full"])
@pytest.mark.parametrize("together", [False, True])
def test_from_the_right_it_is_the_iteration_of_the_transposed_weight(gradient, together):
    """Weights, gradients and vectors, which change places; beside a layer that iterates from the left."""
    torch.manual_seed(0)
    beside, right, transposed = nn.Embedding(5, 7).double(), nn.Embedding(5, 7).double(), nn.Linear(5, 7).double()
    with torch.no_grad():
        transposed.weight.copy_(right.weight.t())
    for layer, side in ((beside, "left"), (right, "right"), (transposed, "left")):
        spectral_norm(layer, gradient=gradient, side=side)
    (norm, weight), (mirror, mirrored), (other, of_other) = map(the_norm, (right, transposed, beside))
    assert (norm.u.shape, norm.v.shape) == ((5,), (7,))
    norm.u.fill_(float("nan"))  # it is not looked at
    mirror.u.copy_(nn.functional.normalize(torch.randn(7).double(), dim=0))
    norm.v.copy_(mirror.u)
    expected_u, _ = an_iteration(of_other.detach(), other.u.clone())
    upstream = torch.randn(5, 7).double()
    for step in range(2):
        if together:
            prepare_spectral(nn.ModuleList([beside, right]))
        found, expected = right.weight, transposed.weight
        torch.testing.assert_close(found, expected.t(), atol=1e-12, rtol=0.0)
        torch.testing.assert_close((norm.u, norm.v), (mirror.v, mirror.u), atol=1e-12, rtol=0.0)
        [slope] = torch.autograd.grad(found, weight, upstream)
        [mirrored_slope] = torch.autograd.grad(expected, mirrored, upstream.t())
        torch.testing.assert_close(slope, mirrored_slope.t(), atol=1e-10, rtol=0.0)
        if step == 0 and together and gradient == "stop":
            torch.testing.assert_close(other.u, expected_u, atol=1e-12, rtol=0.0)
        with torch.no_grad():
            weight += 0.1 * upstream
            mirrored += 0.1 * upstream.t()


def test_a_convolution_does_not_iterate_from_the_right():
    with pytest.raises(ValueError, match=r"from the right needs a weight \(out, rest\), found \(5, 3, 2, 2\)"):
        spectral_norm(nn.Conv2d(3, 5, 2), side="right")


def plain_normalisation(weight, u, v):
    """W / sigma as the formulas say, for autograd."""
    return weight / torch.dot(u, torch.mv(weight.flatten(1), v))


@pytest.mark.parametrize("shape", [(5, 7), (1, 20), (4, 3, 3, 3), (4, 3, 1, 1), (4, 1, 3, 3)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_values_and_gradients_are_those_of_autograd_in_every_layout(shape, channels_last):
    """Weights in channels-last layout are read in the order of their memory; u and v keep theirs."""
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64)
    norm = SpectralNorm(weight)
    norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))
    u, v = an_iteration(weight.flatten(1), norm.u.clone())
    layout = torch.channels_last if channels_last and len(shape) == 4 else torch.contiguous_format
    weight = weight.clone(memory_format=layout).requires_grad_()
    found = norm(weight)
    torch.testing.assert_close((norm.u, norm.v), (u, v), atol=1e-10, rtol=0)
    torch.testing.assert_close(found, plain_normalisation(weight, u, v), atol=1e-10, rtol=0)
    for upstream in (torch.randn(shape).double(), torch.randn(shape[::-1]).double().permute(*range(len(shape))[::-1])):
        [gradient] = torch.autograd.grad(found, weight, upstream, retain_graph=True)
        [expected] = torch.autograd.grad(plain_normalisation(weight, u, v), weight, upstream)
        torch.testing.assert_close(gradient, expected, atol=1e-10, rtol=0)
        assert gradient.is_contiguous(memory_format=layout)  # else autograd copies it into the weight's layout


def layers_of_all_kinds(eps=1e-12):
    """Layers in float64 whose vectors are far from converged; two of them have equal shapes."""
    torch.manual_seed(0)
    layers = nn.ModuleList(make() for make in (*LAYERS.values(), LAYERS["conv"])).double()
    for layer in layers:
        spectral_norm(layer, eps)
        norm, _ = the_norm(layer)
        norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))
    return layers


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["training", "frozen", "evaluation", "some of each"])
@pytest.mark.parametrize("eps", [1e-12, 1.0])  # the large one bounds some norms
def test_prepared_together_layers_have_what_each_computes_alone(layout, mode, eps):
    """Weights, gradients and vectors, over three steps in which the weights change."""
    together = layers_of_all_kinds(eps).to(memory_format=layout)
    together.train(mode != "evaluation")
    if mode == "some of each":
        together[0].eval()
        the_norm(together[1])[0].frozen = True
    alone = copy.deepcopy(together)
    start = the_norm(together[2])[0].u.clone()
    upstream = [torch.randn_like(the_norm(layer)[1]) for layer in alone]
    both = nn.ModuleList([together, alone])
    with frozen_spectral(both) if mode == "frozen" else nullcontext():
        for _ in range(3):
            prepare_spectral(together)
            both.zero_grad()
            for ours, reference, g in zip(together, alone, upstream, strict=True):
                found, expected = ours.weight, reference.weight
                (found * g).sum().backward()
                (expected * g).sum().backward()
                for a, b in ((found, expected), (the_norm(ours)[1].grad, the_norm(reference)[1].grad)):
                    torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)
                for a, b in zip(ours.buffers(), reference.buffers(), strict=True):
                    torch.testing.assert_close(a, b, atol=1e-12, rtol=0.0)
                with torch.no_grad():
                    for layer in (ours, reference):
                        the_norm(layer)[1].sub_(0.1 * g)
    moved = not torch.equal(the_norm(together[2])[0].u, start)
    assert moved is (mode in ("training", "some of each"))


def test_a_preparation_serves_one_forward():
    layer = spectral_norm(nn.Linear(6, 4))
    norm, weight = the_norm(layer)
    norm.u.copy_(nn.functional.normalize(torch.randn(4), dim=0))
    u, _ = an_iteration(weight.detach(), norm.u.clone())
    prepare_spectral(layer)
    torch.testing.assert_close(norm.u, u)
    layer(torch.randn(2, 6))
    torch.testing.assert_close(norm.u, u)  # moved once by both
    u, _ = an_iteration(weight.detach(), u)
    layer(torch.randn(2, 6))  # by itself again
    torch.testing.assert_close(norm.u, u)


def test_backward_works_after_a_later_preparation_moved_the_vectors():
    layers = layers_of_all_kinds()
    alone = copy.deepcopy(layers)
    prepare_spectral(layers)
    first = [layer.weight.sin().sum() for layer in layers]
    prepare_spectral(layers)
    for loss, ours, reference in zip(first, layers, alone, strict=True):
        loss.backward()
        reference.weight.sin().sum().backward()
        torch.testing.assert_close(the_norm(ours)[1].grad, the_norm(reference)[1].grad, atol=1e-12, rtol=1e-12)


def test_a_network_without_spectral_normalisation_is_left_alone(snapshot_of, assert_same):
    layer = nn.Linear(3, 2)
    before = snapshot_of(layer)
    prepare_spectral(layer)
    assert_same(before, snapshot_of(layer))


def test_a_gradient_can_be_differentiated_again():
    torch.manual_seed(0)
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = torch.randn(3, 2, 2, 2, dtype=torch.float64).to(memory_format=layout).requires_grad_()
        norm = SpectralNorm(weight).eval()
        torch.autograd.gradgradcheck(norm, (weight,))


def test_backward_works_after_a_later_forward_moved_the_vectors():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(6, 6)).double()
    norm, weight = the_norm(layer)
    norm.u.copy_(nn.functional.normalize(torch.randn_like(norm.u), dim=0))
    alone = copy.deepcopy(layer)
    x = torch.randn(3, 6, dtype=torch.float64)

    first = layer(x).square().sum()
    layer(x)
    first.backward()
    alone(x).square().sum().backward()
    torch.testing.assert_close(weight.grad, the_norm(alone)[1].grad)


def test_frozen_state_is_given_back_also_nested_and_after_an_error():
    layer = spectral_norm(nn.Linear(3, 3))
    norm, _ = the_norm(layer)
    with frozen_spectral(layer):
        with frozen_spectral(layer):
            pass
        assert norm.frozen
    assert not norm.frozen
    with pytest.raises(RuntimeError), frozen_spectral(layer):
        raise RuntimeError
    assert not norm.frozen


def test_refresh_follows_a_weight_that_changed():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(8, 8)).eval()
    _, weight = the_norm(layer)
    weight.data = torch.randn(8, 8) + 3.0  # the constant makes the first singular value stand out
    assert abs(top_singular_value(layer.weight) - 1.0) > 0.1
    refresh_spectral(layer)
    assert top_singular_value(layer.weight) == pytest.approx(1.0, abs=1e-5)


def test_initial_vectors_are_good_already():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(64, 64))
    assert 1.0 - 1e-6 <= top_singular_value(layer.eval().weight) < 1.1


def test_folding_keeps_the_outputs_and_leaves_plain_weights():
    torch.manual_seed(0)
    network = nn.Sequential(spectral_norm(nn.Conv2d(3, 5, 3)), nn.Flatten(), spectral_norm(nn.Linear(20, 2)))
    x = torch.randn(2, 3, 4, 4)
    twin = copy.deepcopy(network).eval()
    prepare_spectral(twin)  # as the networks do at the start of a forward: layer by layer sigma is rounded otherwise
    expected = twin(x)
    before = copy.deepcopy(network.state_dict())
    folded = folded_state_dict(network)  # in training mode, where a careless access would move the vectors
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert sorted(folded) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 2))
    plain.load_state_dict(folded)
    assert torch.equal(plain(x), expected)


def test_copies_and_states_carry_the_vectors():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Linear(4, 6))
    layer(torch.randn(2, 4))
    twin = copy.deepcopy(layer)
    other = spectral_norm(nn.Linear(4, 6))
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4)
    expected = layer(x)
    assert torch.equal(twin(x), expected)
    assert torch.equal(other(x), expected)


def test_a_normalised_weight_has_as_many_parameters_as_a_plain_one(kind):
    plain, normalised = LAYERS[kind](), spectral_norm(LAYERS[kind]())
    assert sum(p.numel() for p in normalised.parameters()) == sum(p.numel() for p in plain.parameters())


def test_the_bias_stays_as_it_is():
    layer = nn.Linear(3, 2)
    layer.bias.data.fill_(50.0)
    assert spectral_norm(layer).bias.tolist() == [50.0, 50.0]


def test_eps_bounds_the_norms_from_below():
    norm = SpectralNorm(torch.full((2, 2), 1e-9), eps=1e-3)
    assert norm.u.norm() < 1e-3


def test_normalising_twice_is_refused():
    layer = spectral_norm(nn.Linear(3, 2))
    with pytest.raises(ValueError, match=r"Linear\.weight is already parametrised"):
        spectral_norm(layer)
    assert parametrize.is_parametrized(layer, "weight")
