"""Spectral residual, checked against OpenCV's."""

import numpy as np
import pytest
import torch

from cropnb.errors import ImageError
from cropnb.saliency import spectral_residual


def picture(seed: int = 0, height: int = 120, width: int = 200) -> np.ndarray:
    """Smooth stripes with one small disc that is unlike the rest: (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    stripes = (
        110 + 40 * np.sin(x / 9) + np.random.default_rng(seed).normal(scale=3, size=(height, width))
    )
    image = np.repeat(stripes[..., None], 3, axis=2)
    image[(x - 150) ** 2 + (y - 40) ** 2 < 90] = (250, 40, 30)
    return image.clip(0, 255).astype(np.uint8)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1) / 255


def opencv(image: np.ndarray) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    done, reference = cv2.saliency.StaticSaliencySpectralResidual_create().computeSaliency(
        image[..., ::-1].copy()
    )
    assert done
    return reference


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_equals_opencv_on_photographs(name):
    data = pytest.importorskip("skimage.data")
    image = getattr(data, name)()
    ours, reference = spectral_residual(as_tensor(image)).numpy(), opencv(image)
    # 8-bit rounding of a few of the 4 096 small pixels differs; everything after it is the same.
    assert np.abs(ours - reference).max() < 0.015
    assert np.abs(ours - reference).mean() < 0.001
    assert np.corrcoef(ours.ravel(), reference.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("seed", range(4))
def test_equals_opencv_on_drawn_pictures(seed):
    ours, reference = spectral_residual(as_tensor(picture(seed))).numpy(), opencv(picture(seed))
    assert np.corrcoef(ours.ravel(), reference.ravel())[0, 1] > 0.999


def test_the_odd_one_out_is_salient():
    salient = spectral_residual(as_tensor(picture()))
    y, x = divmod(int(salient.argmax()), salient.shape[1])
    assert abs(x - 150) < 15
    assert abs(y - 40) < 15
    near = salient[30:50, 140:160].mean()
    assert near > 2 * salient[100:, :100].mean()


def test_without_the_residual_it_would_be_another_map():
    # The plausible wrong version keeps the log amplitude instead of subtracting its mean: it shows
    # the photo again.
    image = as_tensor(picture())
    gray = image.mean(0)
    again = torch.fft.ifft2(torch.fft.fft2(gray)).abs()
    ours = spectral_residual(image)
    assert np.corrcoef(ours.flatten(), again.flatten())[0, 1] < 0.8
    assert np.corrcoef(again.flatten(), gray.flatten())[0, 1] > 0.99


def test_shape_range_and_batches():
    batch = torch.stack([as_tensor(picture(0)), as_tensor(picture(1))])
    both = spectral_residual(batch)
    assert both.shape == (2, 120, 200)
    assert both.dtype == torch.float32
    assert both.min() >= 0
    assert both.max() <= 1
    torch.testing.assert_close(both[1], spectral_residual(batch[1]))


def test_a_photo_without_contrast_has_no_salient_place():
    assert spectral_residual(torch.full((3, 40, 30), 0.4)).max() == 0
    assert spectral_residual(torch.zeros(3, 1, 1)).shape == (1, 1)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (torch.zeros(40, 30), "shape"),
        (torch.zeros(1, 40, 30), "shape"),
        (torch.zeros(3, 0, 30), "shape"),
        (torch.full((3, 4, 4), 255.0), "outside"),
        (torch.full((3, 4, 4), float("nan")), "outside"),
    ],
)
def test_bad_images_are_refused(image, reason):
    with pytest.raises(ImageError, match=reason):
        spectral_residual(image)
