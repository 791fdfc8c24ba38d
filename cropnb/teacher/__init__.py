"""The teacher of the taught photographs: labels for photos without any, from what is known of where
people look and how they score crops.
"""

from cropnb.teacher.teacher import Teacher, load, mos

__all__ = ["Teacher", "load", "mos"]
