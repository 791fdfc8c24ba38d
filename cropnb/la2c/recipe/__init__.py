"""How an agent is trained: `variants` are compared, and `method` trains and measures them."""

from cropnb.la2c.recipe.method import GAMMA, METHOD
from cropnb.la2c.recipe.variants import MAIN

__all__ = ["GAMMA", "MAIN", "METHOD"]
