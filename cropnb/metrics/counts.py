"""What may count something: whole numbers, and no others."""

import operator


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 1; True and 1.0 are none."""
    if isinstance(value, bool):
        return False
    try:
        return operator.index(value) >= 1
    except TypeError:
        return False
