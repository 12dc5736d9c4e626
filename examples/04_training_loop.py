"""A training loop on the written dataset: a small network learns how objects are turned.

pip install 'render-adapt[train]'
python examples/04_training_loop.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

import render_adapt


def main() -> None:
    """Make 40 crops and go over them twice."""
    config = render_adapt.RunConfig(
        objects=("driller",), n=40, out=Path("runs/training_loop"), workers=1
    )
    folder = render_adapt.generate(config).folder

    # Batches are dicts of tensors with the labels of each crop's target. For tar files and many
    # machines there is `render_adapt.webdataset_pipeline`.
    torch.manual_seed(0)
    loader = DataLoader(render_adapt.torch_dataset(folder), batch_size=8, shuffle=True)

    network = nn.Sequential(
        nn.Conv2d(4, 16, 5, stride=4), nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=4), nn.ReLU(),
        nn.Flatten(), nn.LazyLinear(4),
    )  # fmt: skip
    network(torch.zeros(1, 4, 64, 64))  # so that the lazy layer has its weights
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    for epoch in range(2):
        for batch in loader:
            # A depth of 0 is no measurement; else it is millimetres, here around the object's own.
            distance = batch["translation"][:, 2].view(-1, 1, 1, 1)
            depth = torch.where(batch["depth"] > 0, (batch["depth"] - distance) / 200, 1.0)
            guess = network(torch.cat([batch["rgb"] / 255, depth], dim=1))

            # q and -q are the same rotation, and the angle between two is 2 acos |q . q'|.
            likeness = (nn.functional.normalize(guess) * batch["quaternion"]).sum(1).abs()
            loss = (1 - likeness).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        angle = torch.rad2deg(2 * likeness.clamp(max=1).acos()).mean()
        print(f"epoch {epoch + 1}: {angle:.0f} degrees off in the last batch")


if __name__ == "__main__":
    main()
