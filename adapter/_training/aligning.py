"""What aligns source and target: losses of MMD, CORAL, DANN and DSN as settings weigh them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from adapter import losses
from adapter._networks.dsn import DomainSeparation
from adapter._settings.baselines import BaselineConfig
from adapter._training.arithmetic import autocast
from adapter._training.schedule import ganin_ramp


class Alignment:
    """A system's losses on the codes of both domains, and the networks that they need.

    Making it draws these networks' weights from torch's generator.

    Args:
        channels, size: of the crops.
        code_length: of the codes.
        config: the system, and the weights of its losses.
    """

    def __init__(self, channels: int, size: int, code_length: int, config: BaselineConfig) -> None:
        self.config = config
        self.kind = config.similarity if config.system == "dsn" else config.system
        self.networks: dict[str, nn.Module] = {}
        """By their names in a checkpoint."""
        self._classifier, self._separation = None, None
        if self.kind == "dann":
            self._classifier = losses.DomainClassifier(code_length)
            initialise_xavier(self._classifier)
            self.networks["classifier"] = self._classifier
        if config.system == "dsn":
            self._separation = DomainSeparation(channels, size, code_length)
            initialise_xavier(self._separation)
            self.networks["separation"] = self._separation
        # They lie on the device from the start, for a copy in each step would wait for a GPU.
        paper = config.bandwidths == "paper"
        self._bandwidths = torch.tensor(
            losses.PAPER_BANDWIDTHS if paper else losses.MEDIAN_MULTIPLES,
            device=config.device,
        )

    def losses(
        self, step: int, source: Tensor, source_codes: Tensor, target: Tensor, target_codes: Tensor
    ) -> Iterator[tuple[str, float, Tensor]]:
        """Names, weights and values of the losses after `step` steps.

        Args:
            step: steps done, `alignment_from_step` at least.
            source, target: (N, C, H, W).
            source_codes, target_codes: (N, d), theirs.
        """
        weight, ramp = self.config.alignment_weight, ramp_after(step, self.config)
        if self._classifier is not None:
            # The ramp scales the gradient that is turned round, not what the classifier learns.
            value = losses.adversarial_loss(self._classifier, source_codes, target_codes, ramp)
            yield self.kind, weight, value
        else:
            yield self.kind, weight * ramp, self._distance(source_codes, target_codes)
        if self._separation is not None:
            yield from self._separate("source", source, source_codes, self._separation)
            yield from self._separate("target", target, target_codes, self._separation)

    def _distance(self, source_codes: Tensor, target_codes: Tensor) -> Tensor:
        """MMD's or CORAL's, between all codes of the two domains."""
        if self.kind != "mmd":
            return losses.coral_loss(source_codes, target_codes)
        if self.config.bandwidths == "paper":
            return losses.mmd(source_codes, target_codes, self._bandwidths, floor=1e-4)
        bandwidths = losses.median_bandwidths(source_codes, target_codes, self._bandwidths)
        return losses.mmd(source_codes, target_codes, bandwidths)

    def _separate(
        self, domain: str, x: Tensor, codes: Tensor, separation: DomainSeparation
    ) -> Iterator[tuple[str, float, Tensor]]:
        """DSN's losses beside the alignment, of one domain's crops and their shared codes."""
        config = self.config
        with autocast(config):
            parts = separation(x, codes, ("source", "target").index(domain))
        difference = losses.difference_loss(parts.private.float(), codes)
        yield f"{domain} difference", config.difference_weight, difference
        error = losses.reconstruction_loss(x, parts.reconstructed.float())
        yield f"{domain} reconstruction", config.reconstruction_weight, error


def ramp_after(step: int, config: BaselineConfig) -> float:
    """How far alignment has risen after `step` steps, 0 to 1."""
    if config.ramp == "constant":
        return 1.0
    from_step = config.alignment_from_step
    return ganin_ramp((step - from_step) / (config.steps - from_step))


def initialise_xavier(network: nn.Module) -> None:
    """Xavier's weights, biases 0: the default of the library that DSN's code was written with."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
