"""How an agent is trained: `variants` are compared, and `method` trains and measures them."""

from cropnb.la2c.recipe.method import METHOD

__all__ = ["METHOD"]
