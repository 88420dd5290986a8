"""Random numbers: a seed has a stream for the plan, one for each chunk, and one for the cards stolen on each day."""

import numpy as np


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Generator of one of a seed's streams; PCG64 by name, since the same seed must give the same bytes."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)))
