"""PixelDA's three networks: generator, discriminator, task tower.

Source: Bousmalis et al., "Unsupervised Pixel-Level Domain Adaptation with Generative Adversarial
Networks", CVPR 2017. Where the paper and the authors' released code differ, the code's choice is
the default and the paper's is an option.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapter._errors import AdapterError
from adapter._networks.architecture import AdapterArchitecture
from adapter._networks.export import export_onnx
from adapter._networks.normalisation import BatchNorm
from adapter._networks.randomness import Dropout, dropped, gaussian
from adapter._processes import all_rows, for_own_rows
from adapter._settings.pixelda import TrainConfig


class ResidualBlock(nn.Module):
    """conv-BN-ReLU-conv-BN plus the input, with no activation after the sum.

    Args:
        width: feature maps.
        dilation: of the first convolution; 1 is the paper's.
    """

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return x + y


class NoiseImage(nn.Module):
    """The noise vector as feature maps, drawn from coarse to fine as DCGAN draws an image.

    Where the paper's single channel leaves it to the residual blocks to make a scene of it, these
    maps have one already: large shapes from the 4x4 stage, detail from the later ones.

    Args:
        noise_dimension: length of z.
        size: side of the maps, a power of two, at least 8.
        fewest: number of maps, if the size leaves room to narrow to it; see `features`.
    """

    def __init__(self, noise_dimension: int, size: int, fewest: int = 32) -> None:
        super().__init__()
        self.start = 4 * fewest
        self.linear = nn.Linear(noise_dimension, self.start * 16, bias=False)
        self.norm = BatchNorm(self.start)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        width = self.start
        for _ in range((size // 4).bit_length() - 1):
            narrower = max(width // 2, fewest)
            self.convs.append(nn.Conv2d(width, narrower, 3, padding=1, bias=False))
            self.norms.append(BatchNorm(narrower))
            width = narrower
        self.features = width

    def forward(self, z: Tensor) -> Tensor:
        """(N, noise_dimension) to (N, features, size, size)."""
        h: Tensor = F.relu(self.norm(self.linear(z).unflatten(1, (self.start, 4, 4))))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.relu(norm(conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))))
        return h


class NoiseChannel(nn.Module):
    """The noise vector as one more image channel: linear, and BN and ReLU in the official code.

    Args:
        noise_dimension: length of z.
        size: side of the channel.
        official: with BN and ReLU (official code) or without (paper).
    """

    def __init__(self, noise_dimension: int, size: int, official: bool) -> None:
        super().__init__()
        self.size = size
        self.linear = nn.Linear(noise_dimension, size * size, bias=not official)
        self.norm = BatchNorm(size * size) if official else None

    def forward(self, z: Tensor) -> Tensor:
        """(N, noise_dimension) to (N, 1, size, size)."""
        noise: Tensor = self.linear(z)
        if self.norm is not None:
            noise = F.relu(self.norm(noise))
        return noise.reshape(-1, 1, self.size, self.size)


class Generator(nn.Module):
    """Makes a source crop look like the target domain: G(x, z) of Eq. 1.

    Args:
        channels: 3 (RGB) or 4 (RGB and depth).
        size: crops are size x size pixels.
        noise_dimension: length of z.
        width: feature maps of every hidden layer.
        blocks: residual blocks (paper: 6 for digits, 4 for LineMod).
        half_resolution: the residual blocks work on half the resolution (pixel-unshuffle in,
            pixel-shuffle out), which makes them four times cheaper; a last, thin convolution sees
            the crop itself again, so that outlines stay where they are.
        dilated: the first convolutions of the blocks are dilated by 1, 2, 4, ... and, to smooth
            the grid that this leaves, by 1 in the last block: pixels are decided in view of more
            of the crop.
        noise_path: "official": z -> linear -> BN -> ReLU -> channel; "paper": z -> linear ->
            channel; "coarse-to-fine": `NoiseImage`.
        last_kernel: of the last convolution: 1 (official code) or 3 (paper).
        residual_output: the last layer predicts a change to the input, added before tanh.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        noise_dimension: int = 10,
        width: int = 64,
        blocks: int = 4,
        half_resolution: bool = False,
        dilated: bool = False,
        noise_path: Literal["official", "paper", "coarse-to-fine"] = "official",
        last_kernel: Literal[1, 3] = 1,
        residual_output: bool = False,
    ) -> None:
        super().__init__()
        self.scale = 2 if half_resolution else 1
        self.residual_output = residual_output
        self.noise: NoiseImage | NoiseChannel
        if noise_path == "coarse-to-fine":
            self.noise = NoiseImage(noise_dimension, size // self.scale)
            noise_features = self.noise.features
        else:
            self.noise = NoiseChannel(noise_dimension, size, noise_path == "official")
            noise_features = self.scale**2
        self.conv_in = nn.Conv2d(channels * self.scale**2 + noise_features, width, 3, padding=1)
        self.blocks = nn.Sequential(*[ResidualBlock(width, d) for d in _dilations(blocks, dilated)])
        fine = width // self.scale**2
        self.conv_fine = (
            nn.Conv2d(width, fine * self.scale**2, 3, padding=1) if half_resolution else None
        )
        before_last = fine + channels if half_resolution else width
        self.conv_out = nn.Conv2d(before_last, channels, last_kernel, padding=last_kernel // 2)
        initialise(self)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] and (N, noise_dimension) to (N, C, H, W) in [-1, 1]."""
        noise: Tensor = self.noise(z).to(x.dtype)
        h: Tensor = x
        if self.scale > 1:
            h = F.pixel_unshuffle(h, self.scale)  # (N, 4 C, H / 2, W / 2)
            if isinstance(self.noise, NoiseChannel):
                noise = F.pixel_unshuffle(noise, self.scale)  # (N, 4, H / 2, W / 2)
        h = self.blocks(F.relu(self.conv_in(torch.cat([h, noise], dim=1))))
        if self.conv_fine is not None:
            h = F.relu(F.pixel_shuffle(self.conv_fine(h), self.scale))  # (N, width / 4, H, W)
            h = torch.cat([h, x.to(h.dtype)], dim=1)
        h = self.conv_out(h)
        if self.residual_output:
            # atanh of the input, held away from +-1, so that a change of 0 gives the input back.
            h = h + torch.atanh(0.97 * x)
        return torch.tanh(h)


def _dilations(blocks: int, dilated: bool) -> list[int]:
    if not dilated:
        return [1] * blocks
    return [min(2**block, 8) for block in range(blocks - 1)] + [1]


class Discriminator(nn.Module):
    """Tells real crops from adapted ones: one logit, positive for real.

    Each layer is conv, BN (not in the first), leaky ReLU 0.2, dropout, additive Gaussian noise.
    The first has stride 1, the others stride 2 and twice the width, down to 4x4 pixels.

    Args:
        channels, size: of the crops.
        width: feature maps of the first layer (paper: 64).
        keep: probability that dropout keeps a value (paper: 0.9 digits, 0.35 LineMod).
        noise: standard deviation of the noise after every layer, in training and evaluation.
        norm: "batch" (paper), "spectral" (spectral normalisation of the weights) or "none".
        batch_deviation: tell the last layer how much the crops of a batch differ from each other
            (Karras et al. 2018, section 3), so that too little variety gives adapted crops away.
    """

    noise_pool: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        width: int = 64,
        keep: float = 0.9,
        noise: float = 0.2,
        norm: Literal["batch", "spectral", "none"] = "batch",
        batch_deviation: bool = False,
    ) -> None:
        super().__init__()
        self.keep = keep
        self.batch_deviation = batch_deviation
        self.noise = noise
        pool_size = max(1 << 21, 2 * width * size * size)  # twice the first layer's values
        pool = torch.randn(pool_size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("noise_pool", pool, persistent=False)
        batch = norm == "batch"
        convs: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        norms: list[nn.Module] = [nn.Identity()]
        while size > 4:
            convs.append(nn.Conv2d(width, 2 * width, 3, stride=2, bias=not batch))
            norms.append(BatchNorm(2 * width) if batch else nn.Identity())
            width, size = 2 * width, size // 2
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(norms)
        self.logit: nn.Module = nn.Linear((width + batch_deviation) * size * size, 1)
        initialise(self)
        if norm == "spectral":
            self.convs = nn.ModuleList(nn.utils.parametrizations.spectral_norm(c) for c in convs)
            self.logit = nn.utils.parametrizations.spectral_norm(self.logit)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] to (N,) logits."""
        if not x.is_cuda:
            # Plain layout is the faster one on a processor in bfloat16, channels-last in float32.
            plain = torch.is_autocast_enabled("cpu")
            x = x.contiguous(
                memory_format=torch.contiguous_format if plain else torch.channels_last
            )
        for layer, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if layer > 0:
                x = F.pad(x, (0, 1, 0, 1))  # as TensorFlow pads "SAME" at stride 2
            x = F.leaky_relu(norm(conv(x)), 0.2)
            if self.training and self.keep < 1:
                x = dropped(x, self.keep)
            if self.noise > 0:
                x = x + gaussian(x, self.noise_pool) * self.noise
        if self.batch_deviation:
            whole = all_rows(x.float())
            deviation = torch.sqrt(whole.var(dim=0, unbiased=False) + 1e-8).mean()
            deviation = for_own_rows(deviation).to(x.dtype)
            x = torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], dim=1)
        logits: Tensor = self.logit(x.flatten(1))
        return logits.squeeze(1)


class TaskTower(nn.Module):
    """The task network T: a private first layer per domain, everything else shared.

    Convention:
        domain 0 is the source, domain 1 the adapted source; real crops take the path of domain 1.

    Args:
        channels, size: of the crops.
        classes: number of object classes.
        kind: "pose" (the LineMod tower: class and quaternion) or "digits" (class only).
        batch_norm: normalise every layer but the heads; the paper's towers do not. It comes after
            the pooling, where there is a quarter of the values.
        dropout: probability that a value of the last hidden layer is dropped; None is the paper's:
            0.5 for "pose", 0 for "digits".
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        kind: Literal["pose", "digits"] = "pose",
        *,
        batch_norm: bool = False,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        pose = kind == "pose"
        self.feature_count = 128 if pose else 100
        width = 64 if pose else 48
        self.private = nn.ModuleList(nn.Conv2d(channels, 32, 5, padding=2) for _ in range(2))
        self.shared = nn.Conv2d(32, width, 5, padding=2)
        self.private_norm = BatchNorm(32) if batch_norm else None
        self.shared_norm = BatchNorm(width) if batch_norm else None
        sizes = [width * (size // 4) ** 2, *([128] if pose else [100, 100])]
        hidden: list[nn.Module] = []
        for entering, leaving in itertools.pairwise(sizes):
            hidden += [nn.Linear(entering, leaving)]
            hidden += [BatchNorm(leaving)] if batch_norm else []
            hidden += [nn.ReLU()]
        if dropout is None:
            dropout = 0.5 if pose else 0.0
        self.hidden = nn.Sequential(*hidden, Dropout(dropout))
        self.code_depth = 3 if batch_norm else 2
        self.class_logits = nn.Linear(self.feature_count, classes)
        self.quaternion = nn.Linear(self.feature_count, 4) if pose else None
        initialise(self)

    def forward(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor | None]:
        """(N, C, H, W) to (N, classes) logits and (N, 4) unit quaternions (None for digits)."""
        return self.predict(self.features(x, domain))

    def features(self, x: Tensor, domain: int) -> Tensor:
        """(N, C, H, W) to (N, feature_count): the last hidden layer."""
        return self.features_of(self.codes(x, domain))

    def codes(self, x: Tensor, domain: int) -> Tensor:
        """(N, C, H, W) to (N, feature_count): the first fully connected layer ("fc3" of DSN's
        code), which the baselines align; not negative."""
        # Channels-last halves the time of a step on a processor. Pooling first gives the same
        # values, and leaves a quarter of them to the layers after it.
        h = x.contiguous(memory_format=torch.channels_last)
        h = F.max_pool2d(self.private[domain](h), 2)
        h = F.relu(h if self.private_norm is None else self.private_norm(h))
        h = F.max_pool2d(self.shared(h), 2)
        h = F.relu(h if self.shared_norm is None else self.shared_norm(h))
        codes: Tensor = self.hidden[: self.code_depth](h.flatten(1))
        return codes

    def features_of(self, codes: Tensor) -> Tensor:
        """(N, feature_count) codes to (N, feature_count): the last hidden layer, with dropout."""
        features: Tensor = self.hidden[self.code_depth :](codes)
        return features

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, feature_count) to (N, classes) logits and (N, 4) unit quaternions, or None."""
        if self.quaternion is None:
            return self.class_logits(features), None
        quaternion = F.normalize(torch.tanh(self.quaternion(features)).float(), dim=1)
        return self.class_logits(features), quaternion


def build_generator(channels: int, size: int, config: TrainConfig) -> Generator:
    """The generator that a configuration describes, freshly initialised.

    Raises:
        AdapterError: it is to have no noise, which this one cannot do without.
    """
    if config.noise_dimension < 1:
        raise AdapterError("`noise_dimension` must be at least 1 for `architecture` pixelda")
    return Generator(
        channels,
        size,
        noise_dimension=config.noise_dimension,
        width=config.width,
        blocks=config.blocks,
        half_resolution=config.half_resolution,
        dilated=config.dilated,
        noise_path=config.noise_path,
        last_kernel=config.last_kernel,
        residual_output=config.residual_output,
    )


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02^2), biases 0, as the official code does for all three networks."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


PIXELDA = AdapterArchitecture("pixelda", build_generator, export_onnx)
"""The paper's generator, and what we made of it."""
