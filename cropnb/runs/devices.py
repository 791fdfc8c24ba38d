"""The machine that a run is on: its device, and what a ledger row says of it."""

import platform

import torch

from cropnb.errors import CropnbError


def torch_device(name: str) -> torch.device:
    """A device by its name, such as "cpu", "cuda" or "cuda:1".

    Raises:
        CropnbError: it isn't there, with what there is.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CropnbError(f"no device {name!r}: give --device cpu or --device cuda") from error
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and not gpus:
        raise CropnbError("there is no CUDA GPU here; leave --device out, or give --device cpu")
    if gpus and (device.index or 0) >= gpus:
        raise CropnbError(f"no device {name!r}: the GPUs here are cuda:0 to cuda:{gpus - 1}")
    return device


def device_name(device: str | torch.device) -> str:
    """What a ledger row says about the machine: the GPU's name, or the CPU's architecture and
    threads.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
