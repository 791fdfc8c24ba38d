"""Feature maps of a backbone that doesn't move, and photos themselves, computed once and shared by
every run that needs them.

A cache is one file of half-precision numbers, or of bytes, and an index. It is memory-mapped: two
processes that train on the same photos share its pages, and a map is read when it is asked for.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from cropnb.errors import CheckpointError
from cropnb.files import locked, make_folder, unwritable, write_atomically
from cropnb.training import fingerprint

MAPS_FILE, INDEX_FILE = "maps.bin", "index.json"
KINDS = {torch.float16: np.float16, torch.uint8: np.uint8}  # of the numbers
# (index of a photo, index of a view) → its maps (C, h, w), one a level of the network
Look = Callable[[int, int], Sequence[Tensor]]


class FeatureCache:
    """The maps of every view of every photo.

    A view is a way to show a photo: as it is, mirrored, in other colours. A network with several
    outputs has several levels, each a map of its own.

    Args:
        look: computes the maps of one view of one photo, each (C, h, w).
        photos: how many photos there are.
        views: how many views of each.
        folder: where the cache is kept, or None to hold it in memory. Its name has to tell the
            cache from all others: see `cache_key`.
        progress: show a bar while it is computed.
        dtype: how the numbers are kept: `torch.float16`, or `torch.uint8` for whole numbers of
            0…255, such as photos.

    Raises:
        CheckpointError: the folder holds a damaged cache, with what to remove.
        WriteError: the disk is full.
    """

    def __init__(
        self,
        look: Look,
        photos: int,
        views: int = 1,
        folder: Path | None = None,
        progress: bool = True,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self.photos, self.views, self.dtype = photos, views, dtype
        if folder is None:
            chunks: list[np.ndarray] = []
            self._shapes = self._compute(look, chunks.append, progress)
            self._values = np.concatenate(chunks)
        else:
            make_folder(folder)
            with locked(folder, waiting=f"{folder} is being computed by another process: waiting"):
                if not (folder / INDEX_FILE).exists():
                    self._write(look, folder, progress)
            self._shapes, self._values = self._open(folder)
        sizes = [[int(np.prod(shape)) for shape in levels] for levels in self._shapes]
        ends = np.cumsum([size for levels in sizes for size in levels])
        levels = len(self._shapes[0]) if self._shapes else 1
        self._starts = np.concatenate([[0], ends[:-1]]).reshape(-1, levels)

    def _compute(
        self, look: Look, keep: Callable[[np.ndarray], object], progress: bool
    ) -> list[list[tuple[int, ...]]]:
        """Hand the values of each map to `keep`; returns their shapes, (photos × views, levels)."""
        shapes = []
        with torch.inference_mode():
            bar = tqdm(range(self.photos), desc="features", unit="photo", disable=not progress)
            for index in bar:
                for view in range(self.views):
                    levels = [
                        level.to("cpu", self.dtype).contiguous() for level in look(index, view)
                    ]
                    shapes.append([tuple(level.shape) for level in levels])
                    for level in levels:
                        keep(level.numpy().reshape(-1))
        return shapes

    def _write(self, look: Look, folder: Path, progress: bool) -> None:
        """Compute the maps into a file; the index comes last and says that they are whole."""
        path = folder / MAPS_FILE
        try:
            with path.open("wb") as stream:
                shapes = self._compute(
                    look, lambda values: stream.write(values.tobytes()), progress
                )
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            path.unlink()  # it holds nothing of use, and others need the room
            raise unwritable(path, error) from error
        index = {"photos": self.photos, "views": self.views, "shapes": shapes}
        write_atomically(folder / INDEX_FILE, json.dumps(index).encode())

    def _open(self, folder: Path) -> tuple[list[list[tuple[int, ...]]], np.ndarray]:
        """Map the file into memory."""
        damaged = CheckpointError(f"the features in {folder} are damaged; remove that folder")
        try:
            index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            shapes = [[tuple(shape) for shape in levels] for levels in index["shapes"]]
            # Copy-on-write, so that PyTorch may wrap it: nothing is ever written.
            values = np.memmap(folder / MAPS_FILE, dtype=KINDS[self.dtype], mode="c")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged from error
        size = sum(int(np.prod(shape)) for levels in shapes for shape in levels)
        if len(shapes) != self.photos * self.views or values.size != size:
            raise damaged
        return shapes, values

    def __len__(self) -> int:
        return self.photos

    def levels(self, photo: int, view: int = 0) -> tuple[Tensor, ...]:
        """The maps of one view as they are kept, (C, h, w) each; no copy is made."""
        place = photo * self.views + view
        return tuple(
            torch.from_numpy(self._values[start : start + int(np.prod(shape))]).view(shape)
            for start, shape in zip(self._starts[place], self._shapes[place], strict=True)
        )

    def __call__(
        self, photos: Sequence[int], views: Sequence[int], device: torch.device | str = "cpu"
    ) -> list[Tensor]:
        """A batch: single-precision maps (B, C, H, W), one a level, padded with zeros to the
        largest.
        """
        samples = [self.levels(photo, view) for photo, view in zip(photos, views, strict=True)]
        return [_padded(level).to(device).float() for level in zip(*samples, strict=True)]


def _padded(maps: Sequence[Tensor]) -> Tensor:
    """Maps (C, h, w) of several sizes as one (B, C, H, W)."""
    height, width = (max(one.shape[axis] for one in maps) for axis in (-2, -1))
    if all(one.shape[-2:] == (height, width) for one in maps):
        return torch.stack(list(maps))
    batch = maps[0].new_zeros(len(maps), maps[0].shape[0], height, width)
    for row, one in zip(batch, maps, strict=True):
        row[:, : one.shape[1], : one.shape[2]] = one
    return batch


def cache_key(
    network: nn.Module, photos: Iterable[str], views: Mapping[str, object], size: object
) -> str:
    """The name of a cache: it changes with everything that changes a value in it.

    Args:
        network: whose outputs are kept, with its weights.
        photos: the dataset, its split and the names of its photos.
        views: how each photo is shown, as constants.
        size: how photos are resized before they are shown.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    kind = [type(network).__name__, getattr(network, "name", ""), getattr(network, "cuts", "")]
    return fingerprint([kind, digest.hexdigest(), list(photos), dict(views), size])
