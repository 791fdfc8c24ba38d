"""LA2C as two networks: one looks at the photo, the other says for a box what to do next."""

from pathlib import Path

import torch
from torch import Tensor, nn

from cropnb import checkpoints
from cropnb.errors import CropnbError
from cropnb.export import Exported, Network
from cropnb.la2c import rules
from cropnb.la2c.envs.features import MULTIPLE, SHORT_SIDE
from cropnb.la2c.model import Agent


class Look(nn.Module):
    """A photo (1, 3, H, W) → its feature map (1, C, h, w), in the half precision of an episode."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, photo: Tensor) -> Tensor:
        """Once a photo; every step of the episode reads it."""
        return self.agent.backbone(photo)[0].half().float()


class Step(nn.Module):
    """A feature map (1, C, h, w) and a box (4,), divided by the photo's sides → the probability of
    each action (A,) and the value of the box (1,).

    The box is cut as `envs.crops.cut` does it, with a triangle filter; here as two products with
    matrices, since a feature map is small.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, maps: Tensor, box_norm: Tensor) -> tuple[Tensor, Tensor]:
        """One step of an agent without memory."""
        across = self._weights(box_norm[0::2], maps[0, 0, 0])  # (grid, w)
        down = self._weights(box_norm[1::2], maps[0, 0, :, 0])  # (grid, h)
        seen = torch.matmul(torch.matmul(down, maps), across.transpose(0, 1))  # (1, C, grid, grid)
        output = self.agent.act(seen)
        return output.logits[0].softmax(-1), output.value

    def _weights(self, edges_norm: Tensor, line: Tensor) -> Tensor:
        """What each cell of a line of the map adds to each cell of what the agent sees."""
        place = torch.cumsum(torch.ones_like(line), 0) - 0.5  # (n,), the middle of each cell
        low, high = edges_norm[0] * line.shape[0], edges_norm[1] * line.shape[0]
        scale = (high - low) / self.agent.grid
        support = scale.clamp(min=1.0)
        centre = low + (torch.arange(self.agent.grid) + 0.5) * scale  # (grid,)
        weights = (1 - (place[None] - centre[:, None]).abs() / support).clamp(min=0)
        return weights / weights.sum(dim=1, keepdim=True)


def parts(weights: Path) -> Exported:
    """The agent of a checkpoint.

    Raises:
        CropnbError: an agent with a memory, or one that looks at each crop of the photo anew.
    """
    state, card = checkpoints.load_weights(weights, "la2c")
    agent = Agent(weights=None, **card["agent"]).eval()
    if agent.lstm is not None or not agent.shared:
        raise CropnbError("only an agent with a shared backbone and without memory is exported")
    checkpoints.load_into(agent, state, weights)
    photo = torch.rand(1, 3, 256, 384)
    with torch.inference_mode():
        maps = Look(agent)(photo)
    networks = [
        Network(
            "look", Look(agent), {"photo": photo}, ("maps",), {"photo": (2, 3), "maps": (2, 3)}
        ),
        Network(
            "step",
            Step(agent),
            {"maps": maps.clone(), "box": torch.tensor([0.1, 0.0, 0.9, 1.0])},
            ("probabilities", "value"),
            {"maps": (2, 3)},
        ),
    ]
    actions = rules.ACTIONS[card["actions"]]
    facts = {
        "kind": "steps",
        "short_side": SHORT_SIDE,
        "multiple": MULTIPLE,
        "divisions": actions.divisions,
        "least": actions.least,
        "names": list(actions.names),
        "moves": [list(move) for move in actions.moves],
        "step_limit": card["step_limit"],
        "smallest_photo": rules.MIN_PHOTO,
    }
    return Exported(networks, facts, card)
