"""The errors that cropnb raises on purpose. Each message says what was wrong and what to do about
it.
"""


class CropnbError(Exception):
    """The root of every error below: `except CropnbError` catches what cropnb refuses and nothing
    else.
    """


class ImageError(CropnbError, ValueError):
    """A photo that can't be read, or that can't be used as it is."""


class BoxError(CropnbError, ValueError):
    """Boxes of the wrong shape, inverted, empty, not finite, or outside of their image."""


class DatasetMissing(CropnbError, FileNotFoundError):
    """A dataset, or the photo of a sample, that isn't on this disk."""


class DownloadError(CropnbError, OSError):
    """A download that failed, or that `CROPNB_OFFLINE=1` forbids."""


class WriteError(CropnbError, OSError):
    """A file or folder that can't be written: a full disk, a folder that may not be written to, a
    file where a folder should be.
    """


class StorageError(DownloadError, WriteError):
    """What was fetched can't be written: a full disk, a folder that may not be written to."""


class ArchiveError(DownloadError):
    """An archive that is cut short or damaged, or that would write where it must not, or far more
    than it holds.
    """


class WeightsUnavailable(CropnbError, FileNotFoundError):
    """Trained weights that can't be had here. Never answered with a random start."""


class CheckpointError(CropnbError, ValueError):
    """A checkpoint that is damaged, or that belongs to another method or recipe."""


class TrainingError(CropnbError, ArithmeticError):
    """A run whose loss or gradient is no finite number any more."""


class LedgerError(CropnbError, ValueError):
    """A ledger file that can't be read, or a row that breaks the ledger's rules."""


class MetricError(CropnbError, ValueError):
    """Scores or values that a metric can't be computed from: wrong shapes, NaN, more picks than
    candidates.
    """


class PatternError(CropnbError, ValueError):
    """A composition pattern whose partitions overlap, leave a gap, or are not there."""


class ExerciseError(CropnbError, KeyError):
    """An exercise that isn't there, or whose blanks don't fit its solution."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show it in quotes


class SaveError(CropnbError, OSError):
    """A crop that can't be written: a folder that isn't there, a full disk, a format that can't
    hold it.
    """


class PhotoWarning(UserWarning):
    """Something of a photo that its crop couldn't keep, named."""


class PlanError(CropnbError, ValueError):
    """A plan that can't be read, or an entry of it that names what isn't there."""


class OutOfTime(CropnbError, TimeoutError):
    """A run that its deadline cut short; it was saved, and goes on where it stopped."""
