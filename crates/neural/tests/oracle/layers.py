"""Numbers of PyTorch for crates/neural/tests/layers.rs: every 3D layer, forward and backward, on a grid of shapes.

    python layers.py > layers.json        (torch 2.15)

Inputs are not stored. `values(shape, seed)` makes them on both sides: a 32-bit linear congruential generator
(Numerical Recipes: 1664525, 1013904223), started at seed * 2654435761 + 12345, whose upper 24 bits become [-1, 1).
The loss is the sum of result * values(result's shape, 9), so every gradient is tested with a weight of its own.
Of each tensor are kept: shape, sum, sum of magnitudes, and up to 32 values at (k * 2654435761) mod length.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
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


def case(op, x_shape, parameters, f, seed=1, scale=1.0, shift=0.0, steps=None, single=False, **extra):
    """`parameters`: name to shape, seeds 2, 3, ... in that order."""
    x = values(x_shape, seed)
    if steps is not None:
        x = (x * steps).round() / steps
    x = x * scale + shift
    x = x if single else x.double()
    x.requires_grad_(True)
    p = {}
    for i, (name, shape) in enumerate(parameters.items()):
        t = values(shape, 2 + i)
        p[name] = (t if single else t.double()).requires_grad_(True)
    y = f(x, **p)
    weigh = values(tuple(y.shape), 9)
    (y * (weigh if single else weigh.double())).sum().backward()
    return {
        "op": op,
        "x": list(x_shape),
        "seed": seed,
        "scale": scale,
        "shift": shift,
        "steps": steps,
        "parameters": {k: list(s) for k, s in parameters.items()},
        **extra,
        "y": digest(y),
        "gradients": {"x": digest(x.grad), **{k: digest(t.grad) for k, t in p.items()}},
    }


cases = []

# x, outputs, kernel, stride, padding, dilation, groups
for x, o, k, s, p, d, g in [
    ((1, 3, 5, 6, 7), 4, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((2, 5, 9, 8, 17), 5, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((1, 33, 6, 7, 20), 9, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((1, 7, 12, 13, 14), 6, (3, 3, 3), (1, 1, 1), (4, 4, 4), (4, 4, 4), 1),
    ((1, 4, 12, 11, 20), 7, (3, 3, 3), (1, 1, 1), (16, 16, 16), (16, 16, 16), 1),
    ((2, 4, 12, 13, 18), 7, (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), 1),
    ((1, 4, 12, 13, 15), 7, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    ((1, 4, 12, 13, 16), 7, (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), 1),
    ((1, 4, 10, 13, 16), 3, (5, 1, 3), (2, 1, 3), (2, 0, 1), (1, 1, 1), 1),
    ((1, 3, 9, 14, 11), 4, (3, 2, 3), (1, 2, 1), (2, 1, 3), (2, 1, 3), 1),
    ((2, 8, 6, 5, 9), 12, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 4),
    ((1, 6, 6, 5, 9), 6, (3, 3, 3), (2, 1, 2), (1, 1, 1), (1, 1, 1), 6),
    ((1, 4, 9, 10, 11), 5, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((1, 2, 12, 11, 10), 3, (7, 7, 7), (2, 2, 2), (3, 3, 3), (1, 1, 1), 1),
]:
    f = lambda x, weight, bias: F.conv3d(x, weight, bias, s, p, d, g)
    shapes = {"weight": (o, x[1] // g, *k), "bias": (o,)}
    cases.append(case("conv3d", x, shapes, f, stride=s, padding=p, dilation=d, groups=g))

for x, o, k, s, p, d, g in [
    ((1, 6, 4, 5, 6), 5, (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), 1),
    ((2, 6, 4, 5, 6), 4, (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), 1),
    ((1, 6, 4, 5, 6), 4, (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1), 2),
    ((1, 3, 5, 4, 6), 4, (3, 3, 4), (1, 3, 2), (2, 0, 1), (2, 1, 1), 1),
    ((1, 4, 5, 4, 6), 4, (4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1), 4),
]:
    f = lambda x, weight, bias: F.conv_transpose3d(x, weight, bias, s, p, 0, g, d)
    shapes = {"weight": (x[1], o // g, *k), "bias": (o,)}
    cases.append(case("conv_transpose3d", x, shapes, f, stride=s, padding=p, dilation=d, groups=g))

for x, k, s, p in [
    ((2, 3, 8, 6, 10), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((1, 3, 9, 7, 11), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
    ((1, 2, 9, 7, 11), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    ((1, 2, 9, 7, 11), (3, 2, 5), (1, 2, 3), (1, 0, 2)),
    ((1, 2, 6, 7, 8), (1, 2, 2), (1, 2, 2), (0, 1, 1)),
    ((1, 2, 7, 8, 9), (2, 2, 2), (3, 3, 3), (1, 1, 1)),
    ((1, 2, 5, 6, 7), (5, 6, 7), (1, 1, 1), (0, 0, 0)),
]:
    for steps in (None, 2):
        f = lambda x: F.max_pool3d(x, k, s, p)
        cases.append(case("max_pool3d", x, {}, f, steps=steps, kernel=k, stride=s, padding=p))
    for include in (True, False):
        f = lambda x: F.avg_pool3d(x, k, s, p, False, include)
        cases.append(case("avg_pool3d", x, {}, f, kernel=k, stride=s, padding=p, include=include))

for mode, corners in [("nearest", None), ("trilinear", False), ("trilinear", True)]:
    for x, size in [
        ((2, 3, 4, 5, 6), (8, 10, 12)),
        ((1, 2, 8, 10, 12), (4, 5, 6)),
        ((1, 2, 5, 7, 9), (8, 4, 13)),
        ((1, 2, 5, 7, 9), (1, 1, 1)),
        ((1, 2, 1, 1, 1), (3, 2, 4)),
        ((1, 1, 3, 6, 7), (3, 7, 6)),
    ]:
        f = lambda x: F.interpolate(x, size=size, mode=mode, align_corners=corners)
        cases.append(case("resize", x, {}, f, single=True, mode=mode, corners=corners, size=size, factor=None))
    for x, factor in [((1, 2, 4, 5, 6), (2.0, 2.0, 2.0)), ((1, 2, 5, 7, 9), (1.5, 0.7, 2.3)), ((1, 1, 9, 8, 7), (0.5, 1.0, 3.0))]:
        f = lambda x: F.interpolate(x, scale_factor=factor, mode=mode, align_corners=corners)
        cases.append(case("resize", x, {}, f, single=True, mode=mode, corners=corners, size=None, factor=factor))

for x in [(1, 4, 5, 6, 7), (2, 6, 3, 4, 5), (3, 4, 16, 16, 20), (1, 4, 1, 3, 5)]:
    affine = {"weight": (x[1],), "bias": (x[1],)}
    for scale, shift in [(1.0, 0.0), (3.0, 50.0)]:
        more = {"scale": scale, "shift": shift, "eps": 1e-5}
        f = lambda x, weight, bias: F.instance_norm(x, None, None, weight, bias, True, 0.1, 1e-5)
        cases.append(case("instance_norm", x, affine, f, slope=None, **more))
        g = lambda x, weight, bias: F.leaky_relu(f(x, weight, bias), 0.01)
        cases.append(case("instance_norm", x, affine, g, slope=0.01, **more))
        h = lambda x, weight, bias: F.group_norm(x, 2, weight, bias, 1e-5)
        cases.append(case("group_norm", x, affine, h, groups=2, slope=None, **more))
        running = {}

        def train(x, weight, bias):
            mean, var = torch.zeros(x.shape[1]).double(), torch.ones(x.shape[1]).double()
            y = F.batch_norm(x, mean, var, weight, bias, True, 0.1, 1e-5)
            running.update(mean=digest(mean), var=digest(var))
            return y

        trained = case("batch_norm", x, affine, train, train=True, slope=None, **more)
        cases.append({**trained, "running": running})
        mean, var = values((x[1],), 7).double(), values((x[1],), 8).double() ** 2 + 0.5
        f_eval = lambda x, weight, bias: F.leaky_relu(F.batch_norm(x, mean, var, weight, bias, False, 0.1, 1e-5), 0.2)
        cases.append(case("batch_norm", x, affine, f_eval, train=False, slope=0.2, **more))

for name, f in [
    ("elu", lambda x: F.elu(x, 1.0)),
    ("leaky_relu", lambda x: F.leaky_relu(x, 0.01)),
    ("gelu", F.gelu),
    ("relu", F.relu),
]:
    cases.append(case("activation", (2, 3, 4, 5, 9), {}, f, scale=4.0, name=name))

json.dump({"torch": torch.__version__, "cases": cases}, sys.stdout, separators=(",", ":"))
print()
