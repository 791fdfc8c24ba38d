"""The units of the ImageNet backbone that training left as they were, once for all weights that
ship: `python -m cropnb.backbones.frozen` writes them beside this module.

Three methods' weights for scenes stand on a MobileNetV2 whose early units never moved. They ship
without these, and are filled in when they are loaded.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from cropnb.errors import CheckpointError
from cropnb.photos.atomic import replacing

PATH = Path(__file__).with_name("frozen.safetensors")
LAST = "c4_7"  # what several share; set prediction's keep later units too, and ship with them
PREFIX = "backbone."  # what the methods call it


def names_in(state: Mapping[str, Tensor]) -> list[str]:
    """Which of these weights, in half precision, are the frozen ones under the same name."""
    frozen = _read()
    return [
        name for name, value in state.items() if name in frozen and torch.equal(value, frozen[name])
    ]


def filled(state: Mapping[str, Tensor], names: object, where: object) -> dict[str, Tensor]:
    """A state with the frozen weights of these names; `CheckpointError` for names that aren't any.

    Args:
        names: as a card has them, so anything at all.
        where: the checkpoint, for the message.
    """
    frozen = _read()
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name in frozen for name in names
    ):
        raise CheckpointError(f"{where} leaves out weights that {PATH.name} doesn't hold")
    return {**state, **{name: frozen[name] for name in names}}


def _read() -> dict[str, Tensor]:
    try:
        return load_file(PATH)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{PATH} is no readable checkpoint ({error})") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file from the ImageNet weights at hand. Returns the exit status."""
    from cropnb.backbones import build

    argparse.ArgumentParser(description=main.__doc__).parse_args(arguments)
    state = build("mobilenet_v2", (LAST,)).state_dict()
    half = {
        PREFIX + name: value.half() if value.is_floating_point() else value
        for name, value in state.items()
    }
    with replacing(PATH) as temporary:
        temporary.write_bytes(
            save(half, {"weights": "MobileNet_V2_Weights.IMAGENET1K_V1 in half precision"})
        )
    print(f"wrote {PATH.name}: {len(half)} tensors, {PATH.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
