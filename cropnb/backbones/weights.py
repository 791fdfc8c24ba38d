"""ImageNet weights of a backbone: from `$CROPNB_WEIGHTS`, else torchvision's own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from cropnb.backbones.network import Backbone
from cropnb.errors import CheckpointError, CropnbError, WeightsUnavailable


def build(
    name: str, cuts: Sequence[str], weights: str | None = "imagenet", train_statistics: bool = False
) -> Backbone:
    """A backbone with ImageNet weights, or with a random start when `weights` is None.

    ImageNet weights are downloaded only where `CROPNB_DOWNLOAD=1` asks for it.

    Raises:
        WeightsUnavailable: they can't be had here; there is never a random start instead.
        CropnbError: other weights than "imagenet" or None, or no such network or cut.
    """
    backbone = Backbone(name, cuts, train_statistics)
    if weights == "imagenet":
        load_imagenet(backbone)
    elif weights is not None:
        raise CropnbError(f"weights are 'imagenet' or None, not {weights!r}")
    return backbone


def load_imagenet(backbone: Backbone) -> None:
    """Copy ImageNet weights into a backbone: from `$CROPNB_WEIGHTS`, else torchvision's own with
    its hash checked.

    Raises:
        WeightsUnavailable: they can't be had here, are damaged, or are of another network.
    """
    state = _imagenet_state(backbone.name)
    own = backbone.state_dict()
    renamed = {
        new: state[old]
        for old, new in _torchvision_names(backbone.name, state)
        if new in own and not _is_head(new)
    }
    missing = set(own) - set(renamed)
    if missing or any(own[key].shape != value.shape for key, value in renamed.items()):
        raise WeightsUnavailable(
            f"the ImageNet weights found for {backbone.name} are of another network: {missing}"
        )
    backbone.load_state_dict(renamed)


def _is_head(name: str) -> bool:
    return name.startswith("classifier.") or name.startswith("fc.")


def _imagenet_state(name: str) -> dict[str, Tensor]:
    local = os.environ.get("CROPNB_WEIGHTS")
    if local:
        path = Path(local) / f"{name}_imagenet.safetensors"
        if path.exists():
            try:
                return load_file(path)
            except (SafetensorError, OSError) as error:
                raise WeightsUnavailable(f"{path} is damaged ({error}); fetch it again") from error
    entry = (
        models.get_model_weights(name).DEFAULT
        if name != "mobilenet_v2"
        else models.MobileNet_V2_Weights.IMAGENET1K_V1
    )
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    if not cached.exists() and not _may_download():
        raise WeightsUnavailable(
            f"ImageNet weights of {name}: not in $CROPNB_WEIGHTS ({local or 'unset'}) and not "
            "downloaded before. Set "
            "CROPNB_DOWNLOAD=1 to let torchvision fetch them, put the file there, or start at "
            "random (--init random)."
        )
    try:
        return entry.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"the ImageNet weights of {name} could not be fetched: {error}"
        ) from error


def _may_download() -> bool:
    # Nothing is fetched without having been asked for, and CROPNB_OFFLINE=1 forbids it even then.
    return os.environ.get("CROPNB_DOWNLOAD") == "1" and os.environ.get("CROPNB_OFFLINE") != "1"


def _torchvision_names(name: str, state: dict[str, Tensor]) -> list[tuple[str, str]]:
    """(torchvision's key, ours) pairs: the same modules, held in a list of units."""
    if name == "mobilenet_v2":
        return [(key, key.replace("features.", "units.", 1)) for key in state]
    if name == "vgg16":
        pairs, unit, offset = {}, 0, 0
        for index, layer in enumerate(models.vgg16(weights=None).features):
            pairs[str(index)] = f"units.{unit}.{index - offset}"
            if isinstance(layer, nn.ReLU):
                unit, offset = unit + 1, index + 1
        return [
            (key, f"{pairs[key.split('.')[1]]}.{key.split('.')[2]}")
            for key in state
            if key.startswith("features.")
        ]
    stem = {"conv1": "units.0.0", "bn1": "units.0.1"}
    first = {"layer1": 1, "layer2": 4, "layer3": 8, "layer4": 14}
    pairs = []
    for key in state:
        head, _, rest = key.partition(".")
        if head in stem:
            pairs.append((key, f"{stem[head]}.{rest}"))
        elif head in first:
            block, _, tail = rest.partition(".")
            pairs.append((key, f"units.{first[head] + int(block)}.{tail}"))
    return pairs


def state_in(state: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """The weights of a backbone's units in those of a network that is built on the same one.

    Args:
        state: a whole network's, whose backbone reaches at least as deep.

    Raises:
        CheckpointError: there are none, or they are of another network.
    """
    wanted = backbone.state_dict()
    first = next(iter(wanted))
    starts = [name.removesuffix(first) for name in state if name.endswith(first)]
    own = {name: state.get(starts[0] + name) if starts else None for name in wanted}
    wrong = [n for n, one in own.items() if one is None or one.shape != wanted[n].shape]
    if wrong:
        raise CheckpointError(f"these weights hold no {backbone.name} with {wrong[0]}")
    return own
