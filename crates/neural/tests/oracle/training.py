"""Numbers of PyTorch for crates/neural/tests/training.rs: the loss, the optimisers and the U-Net.

    python training.py > training.json        (torch 2.15)

Values come from the generator of layers.py, so nothing large is stored.
"""

import json
import sys

import torch
import torch.nn.functional as F
from torch import nn

from layers_common import digest, values

torch.set_num_threads(1)


def loss(logits, labels, cross_entropy, dice, smooth):
    k = logits.shape[1]
    p = torch.softmax(logits, 1)
    t = F.one_hot(labels, k).movedim(-1, 1).to(p)
    axes = (2, 3, 4)
    both, sums = (p * t).sum(axes), p.sum(axes) + t.sum(axes)
    soft = (2 * both[:, 1:] + smooth) / (sums[:, 1:] + smooth)
    return cross_entropy * F.cross_entropy(logits, labels) + dice * (1 - soft.mean())


losses = []
for n, k, d, h, w, ce, di, smooth, step in [
    (1, 2, 3, 4, 5, 1.0, 1.0, 1.0, 3),
    (2, 3, 7, 9, 11, 1.0, 1.0, 1.0, 5),
    (2, 4, 5, 16, 70, 0.5, 2.0, 1e-5, 7),
    (1, 5, 4, 4, 4, 1.0, 0.0, 1.0, 3),
    (3, 3, 4, 5, 6, 0.0, 1.0, 0.1, 11),
]:
    logits = (values((n, k, d, h, w), 1).double() * 4).requires_grad_(True)
    # The last class is absent from the last item.
    labels = (torch.arange(n * d * h * w) // step % k).reshape(n, d, h, w)
    labels[-1][labels[-1] == k - 1] = 0
    value = loss(logits, labels, ce, di, smooth)
    value.backward()
    losses.append(
        {
            "shape": [n, k, d, h, w],
            "cross_entropy": ce,
            "dice": di,
            "smooth": smooth,
            "step": step,
            "value": value.item(),
            "gradient": digest(logits.grad),
        }
    )

optimizers = []
for name, make in [
    ("adam_w", lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)),
    ("nesterov", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)),
]:
    w = values((4, 5), 1).double().requires_grad_(True)
    b = values((4,), 2).double().requires_grad_(True)
    x, target = values((7, 5), 3).double(), values((7, 4), 4).double()
    o = make([w, b])
    norms = []
    for _ in range(12):
        o.zero_grad()
        (10 * ((x @ w.T + b - target) ** 2).mean()).backward()
        norms.append(float(nn.utils.clip_grad_norm_([w, b], 5.0)))
        o.step()
    optimizers.append({"name": name, "norms": norms, "weight": digest(w), "bias": digest(b)})


class Block(nn.Module):
    def __init__(self, i, o, stride, slope):
        super().__init__()
        self.conv = nn.Conv3d(i, o, 3, stride, 1, bias=False)
        self.norm = nn.InstanceNorm3d(o, eps=1e-5, affine=True)
        self.slope = slope

    def forward(self, x):
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class UNet(nn.Module):
    def __init__(self, inputs, classes, channels, convolutions, down, up, slope):
        super().__init__()
        self.down, self.how = down, up

        def stage(first, width, stride):
            blocks = [Block(first, width, stride, slope)]
            blocks += [Block(width, width, 1, slope) for _ in range(convolutions - 1)]
            return nn.Sequential(*blocks)

        ends = [inputs, *channels]
        self.encoder = nn.ModuleList(
            stage(ends[i], ends[i + 1], 2 if i > 0 and down == "strided" else 1) for i in range(len(channels))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(channels[i + 1], channels[i], 2, 2)
            if up == "transposed"
            else nn.Conv3d(channels[i + 1], channels[i], 1)
            for i in range(len(channels) - 1)
        )
        self.decoder = nn.ModuleList(stage(2 * channels[i], channels[i], 1) for i in range(len(channels) - 1))
        self.head = nn.Conv3d(channels[0], classes, 1)

    def forward(self, x):
        skips = []
        for level, stage in enumerate(self.encoder):
            if level > 0 and self.down == "max_pool":
                x = F.max_pool3d(x, 2)
            x = stage(x)
            skips.append(x)
        skips.pop()
        for level in reversed(range(len(self.up))):
            x = self.up[level](x)
            if self.how == "trilinear":
                x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
            x = self.decoder[level](torch.cat([x, skips[level]], 1))
        return self.head(x)


networks = []
for down, up, channels, convolutions, size in [
    ("strided", "transposed", [4, 6, 8], 2, (8, 12, 16)),
    ("max_pool", "trilinear", [3, 5], 1, (6, 4, 10)),
    ("strided", "trilinear", [4], 2, (5, 6, 7)),
]:
    net = UNet(2, 3, channels, convolutions, down, up, 0.1).double()
    # Every parameter from the generator, numbered by name.
    shapes = {}
    with torch.no_grad():
        for i, (name, p) in enumerate(sorted(net.named_parameters())):
            p.copy_(values(tuple(p.shape), 20 + i).double())
            shapes[name] = list(p.shape)
    x = values((2, 2, *size), 1).double()
    y = net(x)
    (y * values(tuple(y.shape), 9).double()).sum().backward()
    networks.append(
        {
            "down": down,
            "up": up,
            "channels": channels,
            "convolutions": convolutions,
            "size": list(size),
            "slope": 0.1,
            "parameters": shapes,
            "y": digest(y),
            "gradients": {name: digest(p.grad) for name, p in net.named_parameters()},
        }
    )

json.dump(
    {"torch": torch.__version__, "losses": losses, "optimizers": optimizers, "networks": networks},
    sys.stdout,
    separators=(",", ":"),
)
print()
