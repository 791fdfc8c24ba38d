"""What a chapter starts with: photographs, and the weights of a backbone."""

from PIL import Image

from cropnb.errors import ImageError, WeightsUnavailable

# The photographs that scikit-image carries inside its package, with the credits of its own README.
_PHOTOS: dict[str, str] = {
    "astronaut": "Eileen Collins, NASA, public domain",
    "coffee": "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0",
    "chelsea": "Stéfan van der Walt, CC0",
    "rocket": "SpaceX, public domain",
}


def sample_photos() -> dict[str, tuple[Image.Image, str]]:
    """Photographs that scikit-image carries, by name, each with its credit. Nothing is downloaded.

    Raises:
        ImageError: where scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise ImageError(
            "The sample photographs come with scikit-image: pip install scikit-image."
        ) from error
    return {
        name: (Image.fromarray(getattr(data, name)()), credit) for name, credit in _PHOTOS.items()
    }


def starting_weights() -> str:
    """Where a chapter's own training starts: `imagenet` where MobileNetV2 can have those weights.

    Where it can't, the chapter still runs: this prints so, with the reason, and answers `random`.
    """
    from cropnb import backbones

    try:
        backbones.build("mobilenet_v2", ("c5_4",))
    except WeightsUnavailable as missing:
        print(f"The backbone starts at random here, and learns little: {missing}")
        return "random"
    return "imagenet"
