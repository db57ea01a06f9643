"""The generator and the digest that layers.py and training.py share."""

import numpy as np
import torch

SAMPLES = 32


def values(shape, seed):
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        a = np.cumprod(np.full(n, 1664525, np.uint32), dtype=np.uint32)
        powers = np.concatenate([np.ones(1, np.uint32), a[:-1]])
        start = np.uint32((seed * 2654435761 + 12345) % 2**32)
        states = a * start + np.uint32(1013904223) * np.cumsum(powers, dtype=np.uint32)
    numbers = (states >> 8).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy(numbers.reshape(shape))


def digest(t):
    flat = t.detach().double().reshape(-1)
    n = flat.numel()
    at = [k * 2654435761 % n for k in range(min(SAMPLES, n))]
    number = lambda v: float(f"{v:.7g}")
    return {
        "shape": list(t.shape),
        "sum": number(flat.sum().item()),
        "magnitude": number(flat.abs().sum().item()),
        "values": [number(v) for v in flat[at].tolist()],
    }
