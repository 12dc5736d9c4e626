"""CoGAN's networks: two coupled GANs whose discriminators share a classifier.

Source: Liu and Tuzel, "Coupled Generative Adversarial Networks", NIPS 2016, section 5, with the
networks of the authors' released code for MNIST to USPS.

One noise vector gives a pair of crops, one per domain, from generators that share all layers but
the last; discriminators that share all layers but the first judge them. A classifier on the
discriminators' last features learns from source crops, and reads target crops through the target's
first layer.

The released code takes 28x28 grey images in [0, 1]. For 32x32 and 64x64 crops in [-1, 1]:

- the generator doubles 4x4 maps up to the crop's side, where the released one goes by 7, 13 and 25
  to 28, and its last layer, 6x6 there, is 5x5 and keeps the side; a tanh replaces the sigmoid;
- the discriminator's shared 5x5 convolutions go on, each with twice the maps of the one before,
  until at most 8x8 pixels are left, and the last convolution is as large as these: 5x5 for 32
  pixels and 4x4 for 28 and 64;
- for poses, a quaternion is read from the classifier's features as in PixelDA's task network.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CoupledGenerator(nn.Module):
    """Pairs of crops, one per domain, from noise; the domains differ in the last layer alone.

    Args:
        channels, size: of the crops; size is a power of two, 8 at least.
        noise_dimension: length of z.
        width: factor of the feature maps: 1024 at 4x4, and half of it after each doubling.
    """

    def __init__(
        self, channels: int, size: int, *, noise_dimension: int = 100, width: float = 1.0
    ) -> None:
        super().__init__()
        doublings = (size // 4).bit_length() - 1
        maps = [_scaled(1024 / 2**k, width) for k in range(doublings + 1)]
        self.first = nn.ConvTranspose2d(noise_dimension, maps[0], 4)
        layers: list[nn.Module] = [nn.BatchNorm2d(maps[0], affine=False), nn.PReLU()]
        for wide, narrow in itertools.pairwise(maps):
            layers.append(nn.ConvTranspose2d(wide, narrow, 3, 2, padding=1, output_padding=1))
            layers += [nn.BatchNorm2d(narrow, affine=False), nn.PReLU()]
        self.shared = nn.Sequential(*layers)
        self.private = nn.ModuleList(
            nn.ConvTranspose2d(maps[-1], channels, 5, padding=2) for _ in range(2)
        )
        _initialise(self)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(N, noise_dimension) to source and target crops, (N, C, H, W) in [-1, 1] each."""
        h = self.shared(_channels_last(self.first(z[:, :, None, None])))
        source, target = (torch.tanh(last(h)) for last in self.private)
        return source, target


class CoupledDiscriminator(nn.Module):
    """Judges and classifies crops of both domains, which differ in the first layer alone.

    As in the released code, max pooling is the only non-linearity before the last features.

    Convention:
        domain 0 is the source, domain 1 the target.

    Args:
        channels, size: of the crops; the size is 16 at least.
        classes: number of object classes.
        task: "pose" adds a quaternion to the class.
        width: factor of the feature maps: 20, 50 (doubling with further layers), and 500.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        task: Literal["digits", "pose"] = "digits",
        *,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        maps, wider, side = _scaled(20, width), _scaled(50, width), (size - 4) // 2
        self.private = nn.ModuleList(nn.Conv2d(channels, maps, 5) for _ in range(2))
        layers: list[nn.Module] = []
        while side > 8:
            layers += [nn.Conv2d(maps, wider, 5), nn.MaxPool2d(2)]
            maps, wider, side = wider, 2 * wider, (side - 4) // 2
        self.feature_count = _scaled(500, width)
        layers += [nn.Conv2d(maps, self.feature_count, side), nn.PReLU(), nn.Flatten()]
        self.shared = nn.Sequential(*layers)
        self.fake_or_real = nn.Linear(self.feature_count, 2)
        self.class_logits = nn.Linear(self.feature_count, classes)
        self.quaternion = nn.Linear(self.feature_count, 4) if task == "pose" else None
        _initialise(self)

    def forward(self, x: Tensor, domain: int) -> tuple[Tensor, Tensor | None]:
        """(N, C, H, W) to (N, classes) logits and (N, 4) unit quaternions (None for digits)."""
        features: Tensor = self.shared(self._first(x, domain))
        return self.predict(features)

    def pair_features(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Source crops and as many target crops, (N, C, H, W), to (N, feature_count) each."""
        features = torch.cat([self._first(source, 0), self._first(target, 1)])
        source_features, target_features = self.shared(features).chunk(2)
        return source_features, target_features

    def logits(self, features: Tensor) -> Tensor:
        """(N, feature_count) to (N,) logits, positive for real: a softmax of two, as one number."""
        scores: Tensor = self.fake_or_real(features).float()
        return scores[:, 1] - scores[:, 0]

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, feature_count) to (N, classes) logits and (N, 4) unit quaternions, or None."""
        if self.quaternion is None:
            return self.class_logits(features), None
        quaternion = F.normalize(torch.tanh(self.quaternion(features)).float(), dim=1)
        return self.class_logits(features), quaternion

    def _first(self, x: Tensor, domain: int) -> Tensor:
        h: Tensor = F.max_pool2d(self.private[domain](_channels_last(x)), 2)
        return h


def _channels_last(x: Tensor) -> Tensor:
    # A third faster on processors. Weights stay in plain layout, as optimiser states read from a
    # checkpoint are; fused Adam goes through both in the order of memory.
    return x.contiguous(memory_format=torch.channels_last)


def _scaled(maps: float, width: float) -> int:
    return max(1, round(maps * width))


def _initialise(network: nn.Module) -> None:
    """Xavier's uniform weights with gain sqrt(2), biases 0.1, as in the released code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, math.sqrt(2.0))
            if module.bias is not None:
                nn.init.constant_(module.bias, 0.1)
