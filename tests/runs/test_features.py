"""Kept features: what the network says, computed once, shared, and never read half-written."""

import json
import multiprocessing

import numpy as np
import pytest
import torch
from torch import nn

from cropnb.errors import CheckpointError, OutOfTime, WriteError
from cropnb.runs import features
from cropnb.runs.features import BEGUN_FILE, INDEX_FILE, MAPS_FILE, FeatureCache, cache_key

PHOTOS, VIEWS = 5, 2


def maps(index, view):
    """Two levels whose sizes differ from photo to photo."""
    first = torch.full((2, 3 + index, 4), 10.0 * index + view)
    return [first, first.mean((1, 2), keepdim=True) + 0.5]


def refuse(index, view):
    raise AssertionError("computed although it was kept")


@pytest.mark.parametrize("on_disk", [False, True])
def test_every_view_comes_back_in_its_place(tmp_path, on_disk):
    cache = FeatureCache(maps, PHOTOS, VIEWS, tmp_path if on_disk else None, progress=False)
    for index in range(PHOTOS):
        for view in range(VIEWS):
            first, second = cache.levels(index, view)
            assert first.dtype == second.dtype == torch.half
            assert torch.equal(first.float(), maps(index, view)[0])
            assert torch.equal(second.float(), maps(index, view)[1])


def test_a_batch_is_padded_with_zeros_to_its_largest_map():
    cache = FeatureCache(maps, PHOTOS, VIEWS, progress=False)
    first, second = cache([4, 1], [0, 1])
    assert first.shape == (2, 2, 7, 4)
    assert second.shape == (2, 2, 1, 1)
    assert first.dtype == torch.float32
    assert torch.equal(first[1, :, :4], maps(1, 1)[0])
    assert not first[1, :, 4:].any()


@pytest.mark.parametrize("on_disk", [False, True])
def test_bytes_are_kept_as_bytes(tmp_path, on_disk):
    def photo(index, view):
        return [torch.arange(12, dtype=torch.uint8).view(3, 2, 2) + 240 * view + index]

    folder = tmp_path if on_disk else None
    cache = FeatureCache(photo, PHOTOS, VIEWS, folder, progress=False, dtype=torch.uint8)
    assert torch.equal(cache.levels(3, 1)[0], photo(3, 1)[0])
    assert cache.levels(3, 1)[0].dtype == torch.uint8
    assert torch.equal(cache([2, 0], [1, 0])[0][0], photo(2, 1)[0].float())


def test_a_full_disk_names_the_file_and_leaves_nothing_behind(tmp_path):
    (tmp_path / MAPS_FILE).symlink_to("/dev/full")
    with pytest.raises(WriteError, match=rf"{MAPS_FILE} can't be written \(No space left"):
        FeatureCache(maps, PHOTOS, VIEWS, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []
    assert len(FeatureCache(maps, PHOTOS, VIEWS, tmp_path, progress=False)) == PHOTOS


def test_a_kept_cache_is_read_and_not_computed_again(tmp_path):
    FeatureCache(maps, PHOTOS, VIEWS, tmp_path, progress=False)
    again = FeatureCache(refuse, PHOTOS, VIEWS, tmp_path, progress=False)
    assert torch.equal(again.levels(3, 1)[0].float(), maps(3, 1)[0])
    assert isinstance(again._values, np.memmap)  # pages that processes share


def dies(index, view):
    """Interrupted between the views of the third photo."""
    if (index, view) == (2, 1):
        raise KeyboardInterrupt
    return maps(index, view)


def only_the_rest(index, view):
    assert index >= 2, "computed again"
    return maps(index, view)


def whole(cache):
    return all(
        torch.equal(level.float(), expected)
        for index in range(PHOTOS)
        for view in range(VIEWS)
        for level, expected in zip(cache.levels(index, view), maps(index, view), strict=True)
    )


def test_a_cache_that_was_interrupted_goes_on_from_its_last_whole_photo(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(dies, PHOTOS, VIEWS, tmp_path, progress=False)
    with (tmp_path / MAPS_FILE).open("ab") as stream:
        stream.write(b"a kill after that")
    assert whole(FeatureCache(only_the_rest, PHOTOS, VIEWS, tmp_path, progress=False))
    assert {path.name for path in tmp_path.glob("*.*")} == {MAPS_FILE, INDEX_FILE}


@pytest.mark.parametrize("harm", ["nothing that says how far", "shorter", "torn"])
def test_a_cache_that_was_killed_is_computed_anew(tmp_path, harm):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(dies, PHOTOS, VIEWS, tmp_path, progress=False)
    if harm == "shorter":
        (tmp_path / MAPS_FILE).write_bytes((tmp_path / MAPS_FILE).read_bytes()[:-2])
    elif harm == "torn":
        (tmp_path / BEGUN_FILE).write_text('{"photos": ')
    else:
        (tmp_path / BEGUN_FILE).unlink()
    assert whole(FeatureCache(maps, PHOTOS, VIEWS, tmp_path, progress=False))


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_deadline_is_looked_at_between_photos(tmp_path, on_disk, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(features.time, "monotonic", lambda: next(seconds))
    folder = tmp_path if on_disk else None
    with pytest.raises(OutOfTime, match=rf"the features of 2 of {PHOTOS} photos are computed"):
        FeatureCache(maps, PHOTOS, VIEWS, folder, progress=False, deadline=1.5)
    rest = only_the_rest if on_disk else maps
    assert whole(FeatureCache(rest, PHOTOS, VIEWS, folder, progress=False, deadline=99))


@pytest.mark.parametrize("harm", ["index", "shorter", "other"])
def test_a_damaged_cache_is_named(tmp_path, harm):
    FeatureCache(maps, PHOTOS, VIEWS, tmp_path, progress=False)
    if harm == "index":
        (tmp_path / INDEX_FILE).write_text('{"photos": ')
    elif harm == "shorter":
        (tmp_path / MAPS_FILE).write_bytes((tmp_path / MAPS_FILE).read_bytes()[:-2])
    photos = PHOTOS + 1 if harm == "other" else PHOTOS
    with pytest.raises(CheckpointError, match="damaged; remove that folder"):
        FeatureCache(refuse, photos, VIEWS, tmp_path, progress=False)


def _compute(folder, queue):
    def slow(index, view):
        queue.put(index)
        return maps(index, view)

    cache = FeatureCache(slow, PHOTOS, VIEWS, folder, progress=False)
    queue.put(float(cache.levels(4, 1)[0][0, 0, 0]))


def test_two_processes_compute_a_cache_once(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    both = [context.Process(target=_compute, args=(tmp_path, queue)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    values = [queue.get(timeout=5) for _ in range(PHOTOS * VIEWS + 2)]
    assert queue.empty()
    assert values.count(41.0) == 2
    assert json.loads((tmp_path / INDEX_FILE).read_text())["photos"] == PHOTOS


def test_the_key_changes_with_all_that_changes_a_value():
    torch.manual_seed(0)
    network, other = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
    keys = [
        cache_key(network, ["a", "b"], {"views": 1}, 256),
        cache_key(other, ["a", "b"], {"views": 1}, 256),
        cache_key(network, ["b", "a"], {"views": 1}, 256),
        cache_key(network, ["a", "b"], {"views": 2}, 256),
        cache_key(network, ["a", "b"], {"views": 1}, 288),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == cache_key(network, ("a", "b"), {"views": 1}, 256)
    with torch.no_grad():
        network.bias[:2] = network.bias[:2].flip(0)  # the same numbers in another order
    assert cache_key(network, ["a", "b"], {"views": 1}, 256) != keys[0]
