"""LA2C: cropping a photo step by step with an advantage actor-critic (Liu, Zhu and Zhang).

The environment: `rules` (actions, rewards, boxes), and in `envs` crops as Pillow cuts them, many
episodes at once (`BatchedCropEnv`), the same for Gymnasium (`CropEnv` and `CropVectorEnv`), and
what it allows (`envs.planning`: the greedy oracle, perfect play). The agent: `Agent`, `losses`
(Eq. 2 to 5), `learner` (training), `cropper` (one photo step by step, many side by side).

`Agent(shared=True)` sees crops of the feature map of the whole photo, `envs.features.FeatureBank`,
instead of crops of the photo: what the `cpu` profile trains, and what ships. `play` and `play_all`
take either kind.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropnb.la2c.cropper import Episode, StepCropper, load_agent, play, play_all
from cropnb.la2c.envs.batched import BatchedCropEnv
from cropnb.la2c.envs.planning import oracle
from cropnb.la2c.losses import action_loss, discounted_returns, entropy, total_loss, value_loss
from cropnb.la2c.model import Agent

if TYPE_CHECKING:
    from cropnb.la2c.envs.gym import CropEnv, CropVectorEnv

# what `cropnb methods` says
PURPOSE = "moves the edges of the crop step by step until it decides to stop; one crop a photo"

__all__ = [
    "Agent",
    "BatchedCropEnv",
    "CropEnv",
    "CropVectorEnv",
    "Episode",
    "action_loss",
    "discounted_returns",
    "entropy",
    "load_agent",
    "load_cropper",
    "oracle",
    "play",
    "play_all",
    "total_loss",
    "value_loss",
]


def __getattr__(name: str) -> Any:
    if name in ("CropEnv", "CropVectorEnv"):  # these need Gymnasium, and nothing else here does
        return getattr(importlib.import_module("cropnb.la2c.envs.gym"), name)
    raise AttributeError(f"module 'cropnb.la2c' has no attribute {name!r}")


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> StepCropper:
    """A trained agent as a cropper. Raises as `load_agent`."""
    return StepCropper(load_agent(weights, device))
