"""Losses that align features, against values by hand and independent libraries; DSN's parts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn

from adapter import DomainSeparation
from adapter.losses import (
    PAPER_BANDWIDTHS,
    DomainClassifier,
    adversarial_loss,
    coral_loss,
    coral_matrix,
    coral_recolour,
    covariance,
    difference_loss,
    median_bandwidths,
    mmd,
    reconstruction_loss,
    reverse_gradient,
)


def features(n: int, d: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Correlated float64 features (n, d) whose mean is not 0."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + random.normal(size=d)
    return torch.from_numpy(scale * mixed)


def test_covariance_is_numpys() -> None:
    x = features(9, 4)
    np.testing.assert_allclose(covariance(x).numpy(), np.cov(x.numpy(), rowvar=False), rtol=1e-12)


def test_coral_loss_by_hand() -> None:
    # Covariances diag(2, 0) and diag(0, 8): squared Frobenius distance 68, over 4 * 2^2.
    source = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    target = torch.tensor([[0.0, -2.0], [0.0, 2.0]])
    assert coral_loss(source, target).item() == pytest.approx(68 / 16)


def test_coral_loss_is_free_of_the_means_and_has_the_right_gradient() -> None:
    x, y = features(6, 3, 1).requires_grad_(), features(5, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(coral_loss, (x, y))
    torch.testing.assert_close(coral_loss(x + 7.0, y), coral_loss(x, y))


def test_coral_matrix_is_scipys() -> None:
    x, y = features(40, 5, 1), features(30, 5, 2, scale=0.3)
    one = np.eye(5)
    power = scipy.linalg.fractional_matrix_power
    expected = power(np.cov(x.numpy().T) + one, -0.5) @ power(np.cov(y.numpy().T) + one, 0.5)
    np.testing.assert_allclose(coral_matrix(x, y).numpy(), expected, rtol=1e-8, atol=1e-10)


def test_corals_way_back_is_the_inverse() -> None:
    x, y = features(40, 5, 1), features(30, 5, 2)
    product = coral_matrix(x, y) @ coral_matrix(y, x)
    torch.testing.assert_close(product, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-10)


def test_recoloured_features_have_the_targets_mean_and_covariance() -> None:
    """Features this large leave nothing for the identity to do."""
    x, y = features(60, 4, 1, scale=1e4), features(50, 4, 2, scale=3e4)
    recoloured = coral_recolour(x.float(), y.float())
    assert recoloured.dtype == torch.float64
    assert len(recoloured) == 60
    scale = covariance(y).abs().max()
    assert (covariance(recoloured) - covariance(y)).abs().max() / scale < 1e-5
    torch.testing.assert_close(recoloured.mean(dim=0), y.mean(dim=0), rtol=1e-5, atol=1e-2)


def test_small_features_are_hardly_recoloured() -> None:
    """The identity dominates their covariance, so that only the mean is the target's."""
    x, y = features(60, 4, 1, scale=1e-4), features(50, 4, 2, scale=1e-4)
    expected = x - x.mean(dim=0) + y.mean(dim=0)
    torch.testing.assert_close(coral_recolour(x, y), expected, rtol=0, atol=1e-9)


def test_the_papers_bandwidths() -> None:
    small, large = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], [100, 1e3, 1e4, 1e5, 1e6]
    assert pytest.approx([*small, 5, 10, 15, 20, 25, 30, 35, *large]) == PAPER_BANDWIDTHS


def test_mmd_of_single_points_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 6.0]])  # 25 apart, squared
    expected = 2 * (2 - np.exp(-25 / (2 * 5.0)) - np.exp(-25 / (2 * 50.0)))
    assert mmd(x, y, (5.0, 50.0)).item() == pytest.approx(expected, rel=1e-6)


def test_mmd_is_scikit_learns_kernels() -> None:
    x, y = features(7, 3, 1), features(9, 3, 2)

    def mean_kernel(a: Tensor, b: Tensor) -> float:
        kernels = [rbf_kernel(a.numpy(), b.numpy(), gamma=1 / (2 * s)) for s in PAPER_BANDWIDTHS]
        return float(np.sum(kernels, axis=0).mean())

    expected = mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
    assert mmd(x, y, PAPER_BANDWIDTHS).item() == pytest.approx(expected, rel=1e-9)


def test_mmd_is_exact_in_float32_at_the_smallest_bandwidth() -> None:
    """Points far from 0 are all different from each other, and equal to themselves alone."""
    x = 100.0 + features(8, 16, 1).float()
    y = 100.0 + features(8, 16, 2).float()
    assert mmd(x, y, (1e-6,)).item() == pytest.approx(2 / 8)
    assert mmd(x, x, (1e-6,)).item() == pytest.approx(0.0, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), m=st.integers(1, 9))
def test_mmd_is_symmetric_and_not_negative(seed: int, n: int, m: int) -> None:
    x, y = features(n, 3, seed), features(m, 3, seed + 1)
    value = mmd(x, y, (0.5, 3.0))
    assert value.item() > 0
    torch.testing.assert_close(mmd(y, x, (0.5, 3.0)), value)


def test_mmd_has_the_right_gradient() -> None:
    x, y = features(4, 3, 1).requires_grad_(), features(5, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: mmd(a, b, (1.0, 4.0)), (x, y))


def test_below_its_floor_mmd_is_the_floor_and_pulls_no_more() -> None:
    x = features(4, 3).requires_grad_()
    value = mmd(x, x.detach() + 1e-9, (1.0,), floor=1e-4)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == pytest.approx(1e-4)
    assert x.grad is not None
    assert x.grad.abs().max() == 0


def test_median_bandwidths_are_scipys_and_carry_no_gradient() -> None:
    x, y = features(4, 3, 1).requires_grad_(), features(3, 3, 2)  # 21 pairs
    together = np.vstack([x.detach().numpy(), y.numpy()])
    median = np.median(scipy.spatial.distance.pdist(together, "sqeuclidean"))
    found = median_bandwidths(x, y, (0.5, 2.0))
    np.testing.assert_allclose(found.numpy(), [0.5 * median, 2.0 * median], rtol=1e-12)
    assert not found.requires_grad


def test_median_bandwidths_of_equal_samples_give_a_finite_mmd() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    value = mmd(x, x.detach(), median_bandwidths(x, x))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_a_reversed_gradient_is_multiplied_by_minus_its_strength() -> None:
    x = features(3, 2).requires_grad_()
    y = reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y**3).sum().backward()
    torch.testing.assert_close(x.grad, -0.25 * 3 * x.detach() ** 2)


def test_adversarial_loss_by_hand() -> None:
    """A classifier that gives the feature itself as logit, on one crop of each domain."""
    classifier = nn.Flatten(0)
    source, target = (torch.tensor([[v]], requires_grad=True) for v in (0.7, -0.4))
    loss = adversarial_loss(classifier, source, target, strength=2.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx((np.log1p(np.exp(0.7)) + np.log1p(np.exp(0.4))) / 2)
    assert source.grad is not None and target.grad is not None  # noqa: PT018
    # Cross-entropy's gradient is the probability less the truth; half of it, reversed, doubled.
    assert source.grad.item() == pytest.approx(-1 / (1 + np.exp(-0.7)))
    assert target.grad.item() == pytest.approx(1 - 1 / (1 + np.exp(0.4)))


def test_the_domain_classifier_learns_at_full_strength() -> None:
    torch.manual_seed(0)
    classifier = DomainClassifier(5)
    x, y = features(6, 5, 1).float(), features(6, 5, 2).float()
    gradients = []
    for strength in (0.0, 1.0):
        classifier.zero_grad()
        adversarial_loss(classifier, x, y, strength).backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad.clone() for p in classifier.parameters() if p.grad is not None])
    assert len(gradients[0]) == 4
    for first, second in zip(*gradients, strict=True):
        assert torch.equal(first, second)
        assert first.abs().max() > 0


def test_difference_loss_is_numpys() -> None:
    private, shared = features(7, 4, 1), features(7, 4, 2)

    def prepared(x: Tensor) -> np.ndarray:
        centred = x.numpy() - x.numpy().mean(axis=0)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    expected = np.square(prepared(private).T @ prepared(shared)).mean()
    assert difference_loss(private, shared).item() == pytest.approx(expected, rel=1e-9)


def test_difference_loss_by_hand() -> None:
    # After centring, two crops of +-(3, 4) and lengths 1: inner products 2 * (3/5)^2 and so on.
    same = torch.tensor([[3.0, 4.0], [-3.0, -4.0]]) + 10.0
    expected = np.mean([(2 * a * b) ** 2 for a in (0.6, 0.8) for b in (0.6, 0.8)])
    assert difference_loss(same, same - 3.0).item() == pytest.approx(expected, rel=1e-5)


def test_features_that_do_not_vary_together_have_no_difference_loss() -> None:
    private = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    shared = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
    assert difference_loss(private, shared).item() == pytest.approx(0.0, abs=1e-12)


def test_difference_loss_has_the_right_gradient() -> None:
    private, shared = features(5, 3, 1).requires_grad_(), features(5, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(difference_loss, (private, shared))


def test_reconstruction_loss_is_twice_the_variance_of_the_errors_summed() -> None:
    images, made = features(3, 2 * 4 * 4, 1).reshape(3, 2, 4, 4), features(3, 32, 2)
    made = made.reshape(3, 2, 4, 4)
    errors = (made - images).numpy().reshape(3, -1)
    expected = 2 * errors.var(axis=1).sum()
    assert reconstruction_loss(images, made).item() == pytest.approx(expected, rel=1e-9)
    shifted = reconstruction_loss(images, made + 3.0)
    assert shifted.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("size", "grid"), [(32, 10), (64, 20), (16, 5)])
def test_dsn_gives_crops_back_at_every_size(size: int, grid: int) -> None:
    networks = DomainSeparation(4, size, 12)
    assert networks.decoder.linear.out_features == 3 * grid**2
    parts = networks(torch.rand(2, 4, size, size), torch.rand(2, 12), 1)
    assert parts.private.shape == (2, 12)
    assert parts.reconstructed.shape == (2, 4, size, size)


def test_private_encoder_has_the_released_codes_layers() -> None:
    encoder = DomainSeparation(3, 32, 100).encoders[0]
    offsets = 32 + 64 + 100  # batch normalisation has an offset and no scale
    weights = 25 * 3 * 32 + 25 * 32 * 64 + 8 * 8 * 64 * 100
    assert sum(p.numel() for p in encoder.parameters()) == weights + offsets


def test_dsn_adds_shared_to_private_and_keeps_an_encoder_per_domain() -> None:
    torch.manual_seed(0)
    networks = DomainSeparation(3, 16, 8).eval()
    x, shared = torch.rand(4, 3, 16, 16), torch.rand(4, 8)
    source, target = (networks(x, shared, domain) for domain in (0, 1))
    assert not torch.allclose(source.private, target.private)
    again = networks.decoder(shared + target.private)
    assert torch.equal(again, target.reconstructed)


def test_dsns_autoencoder_learns_to_give_crops_back() -> None:
    torch.manual_seed(0)
    networks = DomainSeparation(3, 16, 32)
    x = torch.rand(8, 3, 16, 16) * 0.2 + (torch.rand(8, 3, 1, 1) - 0.5)
    x[:, :, 4:10, 4:10] += torch.linspace(-1, 1, 8)[:, None, None, None]
    shared = torch.zeros(8, 32)
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = reconstruction_loss(x, networks(x, shared, 0).reconstructed)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
