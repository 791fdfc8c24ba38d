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


def free_photos() -> dict[str, tuple[Image.Image, str]]:
    """Every photograph of a subject that comes inside a package of `requirements.lock` with a
    licence that lets a book show it, by name, each with its credit: those of `sample_photos`, and
    one more of scikit-image and one of matplotlib. Textures, microscopy, stars and drawings are
    left out, and so are photographs of which the package states no licence.

    Raises:
        ImageError: where scikit-image is not installed.
    """
    from matplotlib.cbook import get_sample_data

    photos = sample_photos()
    from skimage import data

    with get_sample_data("grace_hopper.jpg") as stream:
        hopper = Image.open(stream).convert("RGB")
    return photos | {
        "camera": (Image.fromarray(data.camera()).convert("RGB"), "Lav Varshney, CC0"),
        "hopper": (hopper, "Grace Hopper, James S. Davis, US Navy, public domain"),
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
