"""The pipeline's parts by hand: plan, render, adapt, without writing a dataset.

python examples/07_by_hand.py
"""

from __future__ import annotations

import adapter
import cad_models
import render_adapt
import renderer


def main() -> None:
    """Render and adapt eight crops and say what changed."""
    models = cad_models.load_models(["duck", "can"])
    plans = renderer.make_plans(renderer.PlanConfig(), models, seed=0, start=0, stop=8)
    crops = renderer.RasterRenderer(models).render(plans)
    shipped = adapter.load_adapter("shipped")
    adapted = render_adapt.adapt_crops(crops, shipped, seed=0, window=200.0)

    background = ~crops.mask
    print(f"background: {crops.rgb[background].mean():.0f} to {adapted.rgb[background].mean():.0f}")
    print(f"quaternions (w, x, y, z):\n{renderer.quaternion_from_matrix(plans.rotation).round(3)}")


if __name__ == "__main__":
    main()
