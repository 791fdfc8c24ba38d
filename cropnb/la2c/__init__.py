"""LA2C: cropping a photo step by step with an advantage actor-critic (Liu, Zhu and Zhang).

The game: `rules` (actions, rewards, boxes), `observe` (crops as Pillow cuts them), `game` (many
episodes at once), and as Gymnasium environments `CropEnv` and `CropVectorEnv`. The agent: `Agent`,
`losses` (Equations 2 to 5), `learner` (training), `play` (one photo step by step). What the game
allows: `planning` (perfect play), `analysis.oracle`.

`Agent(shared=True)` sees crops of the feature map of the whole photo, `features.FeatureAlbum`,
instead of crops of the
photo: what the `cpu` profile trains, and what ships. Everything that plays (`play`, `play_all`)
    takes either kind.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropnb.la2c.analysis import oracle
from cropnb.la2c.game import Game
from cropnb.la2c.losses import action_loss, discounted_returns, entropy, total_loss, value_loss
from cropnb.la2c.model import Agent
from cropnb.la2c.play import Episode, play, play_all

if TYPE_CHECKING:
    from cropnb.la2c.cropper import StepCropper
    from cropnb.la2c.env import CropEnv, CropVectorEnv

# what `cropnb methods` says
PURPOSE = "moves the edges of the crop step by step until it decides to stop; one crop a photo"

__all__ = [
    "Agent",
    "CropEnv",
    "CropVectorEnv",
    "Episode",
    "Game",
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
        return getattr(importlib.import_module("cropnb.la2c.env"), name)
    raise AttributeError(f"module 'cropnb.la2c' has no attribute {name!r}")


def load_agent(weights: str | Path | None = None, device: str = "cpu") -> Agent:
    """A trained agent: of a checkpoint, or the one that comes with the package. `agent.card` says
    how it was trained.

    Raises `WeightsUnavailable` without weights, `CheckpointError` for those of another method.
    """
    from cropnb.la2c.cropper import load_agent

    return load_agent(weights, device)


def load_cropper(weights: str | Path | None = None, device: str = "cpu") -> "StepCropper":
    """A trained agent as a cropper. Raises as `load_agent`."""
    from cropnb.la2c.cropper import StepCropper

    return StepCropper(load_agent(weights, device))
