import math

import pytest
import torch

from sagan.losses import classification_loss, discriminator_loss, generator_loss


def logits(*values):
    return torch.tensor(values, requires_grad=True)


def test_trap_14_hinge_golden_numbers():
    real, fake = logits(2.0, 0.0), logits(-2.0, 0.0)
    assert discriminator_loss("hinge", real, fake).item() == 1.0
    assert generator_loss("hinge", fake).item() == 1.0


def test_trap_14_an_untrained_discriminator_loses_two():
    assert discriminator_loss("hinge", torch.zeros(5), torch.zeros(5)).item() == 2.0


def test_trap_14_hinge_gradients():
    real, fake = logits(2.0, 0.0), logits(-2.0, 0.0)
    discriminator_loss("hinge", real, fake).backward()
    assert real.grad.tolist() == [0.0, -0.5]
    assert fake.grad.tolist() == [0.0, 0.5]
    fake.grad = None
    generator_loss("hinge", fake).backward()
    assert fake.grad.tolist() == [-0.5, -0.5]  # no margin: G is pushed everywhere


def test_hinge_is_the_papers_formula():
    real, fake = torch.randn(9), torch.randn(7)
    expected = -torch.stack([min(torch.zeros(()), -1 + r) for r in real]).mean()
    expected = expected - torch.stack([min(torch.zeros(()), -1 - f) for f in fake]).mean()
    torch.testing.assert_close(discriminator_loss("hinge", real, fake), expected)


def test_non_saturating_is_the_cross_entropy_of_a_sigmoid():
    real, fake = [1.5, -0.5], [0.3, -2.0, 4.0]
    sigmoid = lambda t: 1.0 / (1.0 + math.exp(-t))  # noqa: E731
    d = -sum(math.log(sigmoid(r)) for r in real) / 2 - sum(math.log(1.0 - sigmoid(f)) for f in fake) / 3
    g = -sum(math.log(sigmoid(f)) for f in fake) / 3
    assert discriminator_loss("non-saturating", logits(*real), logits(*fake)).item() == pytest.approx(d, rel=1e-6)
    assert generator_loss("non-saturating", logits(*fake)).item() == pytest.approx(g, rel=1e-6)


def test_non_saturating_stays_finite_for_extreme_logits():
    extreme = logits(-1e4, 1e4)
    loss = discriminator_loss("non-saturating", extreme, extreme) + generator_loss("non-saturating", extreme)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(extreme.grad).all()


def test_relativistic_is_the_papers_formula():
    real, fake = [1.5, -0.5, 2.0], [0.3, -2.0, 4.0]
    d = sum(math.log(1.0 + math.exp(-(r - f))) for r, f in zip(real, fake, strict=True)) / 3
    g = sum(math.log(1.0 + math.exp(-(f - r))) for r, f in zip(real, fake, strict=True)) / 3
    assert discriminator_loss("relativistic", logits(*real), logits(*fake)).item() == pytest.approx(d, rel=1e-6)
    assert generator_loss("relativistic", logits(*fake), logits(*real)).item() == pytest.approx(g, rel=1e-6)
    assert discriminator_loss("relativistic", torch.zeros(3), torch.zeros(3)).item() == pytest.approx(math.log(2.0))
    with pytest.raises(ValueError, match="as many real logits as generated ones, found 3, 2"):
        discriminator_loss("relativistic", torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="pass real_logits"):
        generator_loss("relativistic", torch.zeros(3))


def test_a_pair_counts_by_its_difference_alone():
    """The same number added to all logits, which the hinge loss would feel, changes nothing."""
    real, fake = torch.randn(6), torch.randn(6)
    for shift in (-3.0, 5.0):
        d = discriminator_loss("relativistic", real + shift, fake + shift)
        torch.testing.assert_close(d, discriminator_loss("relativistic", real, fake))
        g = generator_loss("relativistic", fake + shift, real + shift)
        torch.testing.assert_close(g, generator_loss("relativistic", fake, real))


def test_both_losses_pull_logits_the_same_way():
    for loss in ("hinge", "non-saturating"):
        real, fake = logits(0.2, -0.3), logits(0.1, -0.4)
        discriminator_loss(loss, real, fake).backward()
        assert (real.grad < 0.0).all()
        assert (fake.grad > 0.0).all()
        fake.grad = None
        generator_loss(loss, fake).backward()
        assert (fake.grad < 0.0).all()


def test_classification_loss_is_the_mean_negative_log_probability_in_nats():
    scores, y = torch.randn(4, 3), torch.tensor([2, 0, 1, 2])
    probabilities = scores.exp() / scores.exp().sum(1, keepdim=True)
    expected = -sum(math.log(probabilities[i, k]) for i, k in enumerate(y.tolist())) / 4
    assert classification_loss(scores, y).item() == pytest.approx(expected, rel=1e-5)
    assert classification_loss(torch.zeros(4, 3), y).item() == pytest.approx(math.log(3), rel=1e-6)


def test_trap_15_logits_of_a_wrong_shape_are_refused():
    column = torch.zeros(4, 1)
    for call in (
        lambda: discriminator_loss("hinge", column, torch.zeros(4)),
        lambda: discriminator_loss("hinge", torch.zeros(4), column),
        lambda: generator_loss("non-saturating", column),
    ):
        with pytest.raises(ValueError, match=r"logits must be \(B,\), or \(B, J\) of J > 1 judges, found \(4, 1\)"):
            call()


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="hinge, non-saturating or relativistic, found 'wasserstein'"):
        discriminator_loss("wasserstein", torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="hinge, non-saturating or relativistic, found 'wasserstein'"):
        generator_loss("wasserstein", torch.zeros(1))
