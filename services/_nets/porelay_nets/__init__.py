"""The networks that the trainer trains and the sampler runs, and what travels between the two.

Importing this package, `card` or `geometry` imports no torch; `networks`, `fused` and `weights` do.
"""

__version__ = "0.1.0"
