"""A small run for `test_training`: started as a program, killed, and started again."""

import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from cropnb import checkpoints, training

RECIPE = training.Recipe(
    epochs=6, learning_rate=1e-2, batch_size=2, schedule="cosine", clip=1.0, seed=7
)


def build() -> nn.Module:
    """Convolution, dropout and a batch normalisation that learns its statistics: everything that
    has a state.
    """
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 36, 1),
    )


def run(
    folder: Path | None, pause: float = 0.0, save_every: float = 0.0
) -> tuple[nn.Module, training.History]:
    """Train on 24 noise pictures whose mean is to be found; random shifts of the pictures come from
    the step.
    """
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    pictures, model = torch.rand(24, 3, 8, 8, generator=rng), build()
    targets = pictures.mean((1, 2, 3))

    def loss(batch: list[int], rng: torch.Generator) -> dict[str, torch.Tensor]:
        time.sleep(pause)
        shift = int(torch.randint(8, (1,), generator=rng))
        error = F.mse_loss(model(pictures[batch].roll(shift, 3)).squeeze(1), targets[batch])
        return {"loss": error, "shift": torch.tensor(float(shift))}

    def validate() -> float:
        return -float((model(pictures).squeeze(1) - targets).abs().mean())

    history = training.train(
        model, loss, 24, RECIPE, folder, validate=validate, progress=False, save_every=save_every
    )
    return model, history


if __name__ == "__main__":
    print("ready", flush=True)
    trained, _ = run(Path(sys.argv[1]), pause=0.01)
    checkpoints.save_weights(
        Path(sys.argv[1]) / "final.safetensors", trained.state_dict(), {"method": "trial"}
    )
