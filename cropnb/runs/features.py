"""Feature maps of a backbone that doesn't move, and photos themselves, computed once and shared by
every run that needs them.

A cache is one file of half-precision numbers, or of bytes, and an index. It is memory-mapped: two
processes that train on the same photos share its pages, and a map is read when it is asked for.
"""

import errno
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from cropnb.errors import CheckpointError, OutOfTime
from cropnb.files import locked, make_folder, unwritable, write_atomically
from cropnb.training import fingerprint

MAPS_FILE, INDEX_FILE = "maps.bin", "index.json"
BEGUN_FILE = "begun.json"  # the index of what there is before the maps are whole
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
        deadline: of the computation, on the clock of `time.monotonic`. In a folder it goes on from
            there at the next call, and so does one that an error or Ctrl-C has ended.

    Raises:
        CheckpointError: the folder holds a damaged cache, with what to remove.
        WriteError: the disk is full.
        OutOfTime: the deadline has passed.
    """

    def __init__(
        self,
        look: Look,
        photos: int,
        views: int = 1,
        folder: Path | None = None,
        progress: bool = True,
        dtype: torch.dtype = torch.float16,
        deadline: float | None = None,
    ) -> None:
        self.photos, self.views, self.dtype = photos, views, dtype
        self._deadline = deadline
        if folder is None:
            chunks: list[np.ndarray] = []
            self._shapes: list[list[tuple[int, ...]]] = []
            self._compute(look, self._shapes, chunks.append, progress)
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
        self,
        look: Look,
        shapes: list[list[tuple[int, ...]]],
        keep: Callable[[np.ndarray], object],
        progress: bool,
    ) -> None:
        """Hand the values of each map to `keep`; add the shapes of each photo, (views, levels)."""
        # Photos whose shapes are there already are passed over.
        first = len(shapes) // self.views
        with torch.inference_mode():
            bar = tqdm(
                range(first, self.photos),
                desc="features",
                unit="photo",
                initial=first,
                total=self.photos,
                disable=not progress,
            )
            for index in bar:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    raise OutOfTime(f"the features of {index} of {self.photos} photos are computed")
                looks = [
                    [level.to("cpu", self.dtype).contiguous() for level in look(index, view)]
                    for view in range(self.views)
                ]
                for levels in looks:
                    for level in levels:
                        keep(level.numpy().reshape(-1))
                shapes += [[tuple(level.shape) for level in levels] for levels in looks]

    def _write(self, look: Look, folder: Path, progress: bool) -> None:
        """Compute the maps, or the rest, into a file; the index comes last and vouches for them."""
        path = folder / MAPS_FILE
        shapes = self._begun(folder)
        try:
            with path.open("r+b" if shapes else "wb") as stream:
                if shapes:  # whatever was written after the index
                    stream.truncate(stream.seek(self._bytes(shapes)))
                try:
                    self._compute(
                        look, shapes, lambda values: stream.write(values.tobytes()), progress
                    )
                except (Exception, KeyboardInterrupt) as error:
                    if not _is_full(error):
                        stream.flush()
                        self._write_index(folder / BEGUN_FILE, shapes)
                    raise
        except OSError as error:
            if not _is_full(error):
                raise
            path.unlink()  # others need the room
            (folder / BEGUN_FILE).unlink(missing_ok=True)
            raise unwritable(path, error) from error
        self._write_index(folder / INDEX_FILE, shapes)
        (folder / BEGUN_FILE).unlink(missing_ok=True)

    def _write_index(self, path: Path, shapes: list[list[tuple[int, ...]]]) -> None:
        index = {"photos": self.photos, "views": self.views, "shapes": shapes}
        write_atomically(path, json.dumps(index).encode())

    def _begun(self, folder: Path) -> list[list[tuple[int, ...]]]:
        """The shapes of the maps that an earlier call has computed."""
        try:
            index = json.loads((folder / BEGUN_FILE).read_text(encoding="utf-8"))
            shapes = [[tuple(shape) for shape in levels] for levels in index["shapes"]]
            size = (folder / MAPS_FILE).stat().st_size
            whole = len(shapes) % self.views == 0 and len(shapes) <= self.photos * self.views
            return shapes if whole and self._bytes(shapes) <= size else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _bytes(self, shapes: list[list[tuple[int, ...]]]) -> int:
        """How much maps of these shapes take."""
        numbers = sum(int(np.prod(shape)) for levels in shapes for shape in levels)
        return numbers * np.dtype(KINDS[self.dtype]).itemsize

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
        if len(shapes) != self.photos * self.views or values.nbytes != self._bytes(shapes):
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
        """A batch: maps (B, C, H, W) in single precision, one a level, padded with zeros."""
        samples = [self.levels(photo, view) for photo, view in zip(photos, views, strict=True)]
        return [_padded(level).to(device).float() for level in zip(*samples, strict=True)]


def _is_full(error: BaseException) -> bool:
    """Whether the disk is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


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
