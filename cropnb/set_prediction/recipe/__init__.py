"""How the set predictor is trained: `variants` are compared, and `method` trains and measures them;
`epochs` is what each epoch reaches.
"""

from cropnb.set_prediction.recipe.method import METHOD
from cropnb.set_prediction.recipe.variants import MUS

__all__ = ["METHOD", "MUS"]
