"""The three networks: sizes from the paper and the official code, and what each must do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from adapter import BatchNorm, Discriminator, Generator, TaskTower


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def crops(n: int, channels: int, size: int) -> Tensor:
    return 2 * torch.rand(n, channels, size, size) - 1


@pytest.mark.parametrize(
    ("channels", "size", "blocks", "expected"), [(3, 32, 6, 456_963), (4, 64, 4, 343_684)]
)
def test_generator_has_the_official_number_of_parameters(
    channels: int, size: int, blocks: int, expected: int
) -> None:
    assert parameters(Generator(channels, size, blocks=blocks)) == expected


@pytest.mark.parametrize(("channels", "size", "expected"), [(3, 32, 1_559_169), (4, 64, 6_287_553)])
def test_discriminator_has_the_official_number_of_parameters(
    channels: int, size: int, expected: int
) -> None:
    assert parameters(Discriminator(channels, size)) == expected


def test_task_towers_have_the_official_number_of_parameters() -> None:
    """Counted for one domain's path: the other's private layer is extra."""
    pose, digits = TaskTower(4, 64, 11, "pose"), TaskTower(3, 32, 10, "digits")
    assert parameters(pose) - parameters(pose.private[0]) == 2_153_711
    assert parameters(digits) - parameters(digits.private[0]) == 359_290


@pytest.mark.parametrize("half_resolution", [False, True])
@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("noise_path", ["official", "paper", "coarse-to-fine"])
@pytest.mark.parametrize("last_kernel", [1, 3])
@pytest.mark.parametrize("residual_output", [False, True])
def test_every_generator_gives_crops_of_the_same_shape_in_range(
    half_resolution: bool, dilated: bool, noise_path: str, last_kernel: int, residual_output: bool
) -> None:
    generator = Generator(
        4,
        16,
        width=8,
        blocks=2,
        half_resolution=half_resolution,
        dilated=dilated,
        noise_path=noise_path,  # type: ignore[arg-type]
        last_kernel=last_kernel,  # type: ignore[arg-type]
        residual_output=residual_output,
    )
    x = crops(3, 4, 16)
    adapted = generator(x, torch.rand(3, 10))
    assert adapted.shape == x.shape
    assert adapted.abs().max() <= 1
    assert not torch.equal(adapted, generator(x, -torch.rand(3, 10)))


def test_half_resolution_generator_does_a_quarter_of_the_work_in_its_blocks() -> None:
    seen: list[tuple[int, ...]] = []
    generator = Generator(3, 32, width=8, blocks=1, half_resolution=True)
    generator.blocks[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    generator(crops(2, 3, 32), torch.rand(2, 10))
    assert seen == [(2, 8, 16, 16)]


def test_a_residual_generator_starts_near_the_identity() -> None:
    generator = Generator(3, 16, width=8, blocks=1, residual_output=True)
    nn.init.zeros_(generator.conv_out.weight)
    x = crops(2, 3, 16)
    assert (generator(x, torch.zeros(2, 10)) - x).abs().max() < 0.031


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
@pytest.mark.parametrize("size", [8, 16, 64, 256])
def test_discriminator_gives_one_logit_per_crop(norm: str, size: int) -> None:
    discriminator = Discriminator(3, size, width=4, norm=norm)  # type: ignore[arg-type]
    assert discriminator(crops(5, 3, size)).shape == (5,)


def test_discriminator_has_noise_enough_for_large_crops() -> None:
    assert Discriminator(3, 256)(crops(1, 3, 256)).shape == (1,)


def test_discriminator_noise_stays_on_in_evaluation_and_dropout_does_not() -> None:
    x = crops(4, 3, 16)
    noisy = Discriminator(3, 16, width=4, keep=1.0, noise=0.2).eval()
    assert not torch.equal(noisy(x), noisy(x))
    dropping = Discriminator(3, 16, width=4, keep=0.35, noise=0.0)
    assert not torch.equal(dropping(x), dropping(x))
    dropping.eval()
    assert torch.equal(dropping(x), dropping(x))


def test_spectral_discriminator_is_lipschitz() -> None:
    """Every layer's weights, as a matrix, have largest singular value 1 once it has converged."""
    discriminator = Discriminator(3, 8, width=4, norm="spectral")
    for _ in range(50):
        discriminator(crops(2, 3, 8))
    for layer in (*discriminator.convs, discriminator.logit):
        singular = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        assert singular[0].item() == pytest.approx(1.0, abs=0.02)


def before_the_logit(discriminator: Discriminator, n: int, bias: float) -> Tensor:
    """(n, values) what its one layer gives where all its activations are `bias`."""
    given: list[Tensor] = []
    (layer,) = discriminator.convs
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, bias)
    discriminator.logit.register_forward_pre_hook(lambda _, inputs: given.append(*inputs))
    discriminator(torch.zeros(n, 1, 4, 4))
    return given[0].detach()


@pytest.mark.parametrize("keep", [0.35, 0.7, 0.9])
def test_dropout_keeps_the_wanted_fraction_everywhere_and_the_mean(keep: float) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(1, 4, width=64, keep=keep, noise=0.0)
    kept = before_the_logit(discriminator, 256, 1.0).flatten()
    assert len(kept) == 1 << 18
    assert kept.mean().item() == pytest.approx(1.0, abs=0.02)
    # Four draws come from one random number; each of the four must be a fair one.
    for place in range(4):
        fraction = (kept[place::4] > 0).float().mean().item()
        assert fraction == pytest.approx(keep, abs=0.012)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / keep])


def test_gaussian_noise_is_standard_and_differs_between_samples() -> None:
    torch.manual_seed(0)
    noise = before_the_logit(Discriminator(1, 4, width=256, keep=1.0, noise=1.0), 8, 0.0)
    assert noise.shape == (8, 4096)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    correlation = torch.corrcoef(noise).fill_diagonal_(0.0)
    assert correlation.abs().max() < 0.1


def test_batch_norm_has_an_offset_and_no_scale() -> None:
    norm = BatchNorm(3)
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
    x = 5 + 2 * torch.randn(64, 3, 8, 8)
    y = norm(x)
    assert y.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert y.var(correction=0).item() == pytest.approx(1.0, abs=1e-3)
    assert norm.running_mean.mean().item() == pytest.approx(0.5, abs=0.05)  # a tenth of the way


def test_batch_norm_learns_no_statistics_where_told_not_to() -> None:
    norm = BatchNorm(3)
    norm.update_statistics = False
    x = 5 + torch.randn(16, 3, 4, 4)
    assert norm(x).mean().item() == pytest.approx(0.0, abs=1e-5)
    assert (norm.running_mean == 0).all()
    norm.eval()
    assert norm(x).mean().item() == pytest.approx(5.0, abs=0.3)


def test_pose_tower_gives_unit_quaternions_of_either_sign() -> None:
    tower = TaskTower(4, 16, 5, "pose").eval()
    logits, quaternion = tower(crops(6, 4, 16), 1)
    assert logits.shape == (6, 5)
    torch.testing.assert_close(quaternion.norm(dim=1), torch.ones(6))


def test_task_tower_keeps_a_private_layer_per_domain_and_shares_the_rest() -> None:
    tower = TaskTower(3, 16, 5, "digits")
    x = crops(2, 3, 16)
    first, _ = tower(x, 0)
    second, _ = tower(x, 1)
    assert not torch.equal(first, second)
    first.sum().backward()
    without = {name for name, p in tower.named_parameters() if p.grad is None}
    assert without == {"private.1.weight", "private.1.bias"}


def test_weights_start_with_standard_deviation_002_and_biases_at_zero() -> None:
    for network in (Generator(4, 64), Discriminator(4, 64), TaskTower(4, 64, 11)):
        for name, parameter in network.named_parameters():
            if name.endswith("weight"):
                spread = parameter.std().item()
                assert spread == pytest.approx(0.02, rel=0.25 if parameter.numel() < 999 else 0.05)
            else:
                assert (parameter == 0).all()


def test_dilation_shows_each_pixel_more_of_the_crop() -> None:
    """How far a change of one pixel reaches, with the noise held still."""

    def reach(dilated: bool) -> int:
        torch.manual_seed(0)
        generator = Generator(
            3, 64, width=8, blocks=4, half_resolution=True, dilated=dilated, last_kernel=3
        ).eval()
        for parameter in generator.parameters():
            nn.init.normal_(parameter, std=0.3)
        x, z = torch.zeros(1, 3, 64, 64), torch.zeros(1, 10)
        changed = x.clone()
        changed[0, :, 32, 32] = 1.0
        with torch.no_grad():
            difference = (generator(x, z) - generator(changed, z)).abs().sum(dim=(0, 1))
        columns = torch.nonzero(difference.sum(dim=0)).flatten()
        return int(columns.max() - columns.min()) + 1

    assert reach(dilated=True) > reach(dilated=False)


@pytest.mark.parametrize("batch_deviation", [False, True])
def test_batch_deviation_lets_a_crop_be_judged_by_its_company(batch_deviation: bool) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(
        3, 16, width=4, keep=1.0, noise=0.0, norm="none", batch_deviation=batch_deviation
    )
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.3)
    varied = crops(6, 3, 16)
    alike = varied[:1].expand(6, -1, -1, -1)
    same = torch.allclose(discriminator(varied)[0], discriminator(alike)[0], atol=1e-5)
    assert same is not batch_deviation
