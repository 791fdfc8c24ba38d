"""The fastest way to ask Mars for many crops of one shape, whose speed the book measures."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from cropnb.mars.cropper import MarsCropper, crops_from_maps


class FixedShape:
    """Mars for one ratio and one size of photos, from pixels to the crop in one call: for many
    photos a second.

    On a GPU everything, post-processing included, is recorded once as a CUDA graph and replayed, in
    half precision if asked for; elsewhere the same function runs as it is. `call(image)` takes a
    photo (3, height, width) in 0…1 that has its longest side at 256 already and returns the crop
    (4,) in its pixels, on the device. The tensor is overwritten by the next call.

    Args:
        compiled: let `torch.compile` fuse what lies between the convolutions first.
    """

    def __init__(
        self,
        cropper: MarsCropper,
        aspect: float,
        height: int,
        width: int,
        half: bool = False,
        compiled: bool = False,
    ) -> None:
        device = cropper.device
        kind = torch.float16 if half and device.type == "cuda" else torch.float32
        self._model = copy.deepcopy(cropper.for_ratio(aspect)).to(kind)
        self._input = torch.zeros(1, 3, height, width, dtype=kind, device=device).to(
            memory_format=torch.channels_last
        )
        stride = self._model.mars.out_stride
        ratio = torch.tensor([aspect], dtype=torch.float32, device=device)
        photo = torch.tensor([width, height], dtype=torch.float32, device=device)
        cell = torch.tensor([stride, stride], dtype=torch.float32, device=device)
        rows, columns = -(-height // stride), -(-width // stride)

        def run(images: Tensor) -> Tensor:
            maps = self._model(images)[:, :rows, :columns].float().sigmoid()
            return crops_from_maps(maps, ratio, cell, photo, cropper.threshold).boxes[0]

        self._run: Callable[[Tensor], Tensor] = torch.compile(run) if compiled else run
        self._graph = None
        if device.type == "cuda":
            self._record(device)

    def _record(self, device: torch.device) -> None:
        """Record the CUDA graph."""
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(3):  # libraries choose their kernels before the recording
                self._run(self._input)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._output = self._run(self._input)

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """A photo (3, height, width) in 0…1 → the crop (4,) in its pixels, until the next call."""
        self._input.copy_(image[None], non_blocking=True)
        if self._graph is None:
            return self._run(self._input)
        self._graph.replay()
        return self._output
