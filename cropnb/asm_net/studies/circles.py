"""The old place of `cropnb.asm_net.pooling.circles`, by which the chapter and `paper.toml` go."""

from cropnb.asm_net.pooling.circles import circle_pool, inscribed

__all__ = ["circle_pool", "inscribed"]
