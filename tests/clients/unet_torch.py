"""plugins/networks/unet as a PyTorch module, with the same state-dict names (no dropout in sampling)."""
import torch
from mlp_torch import time_embedding
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inside, outside, time, groups):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(min(groups, inside), inside), nn.GroupNorm(min(groups, outside), outside)
        self.conv1, self.conv2 = nn.Conv2d(inside, outside, 3, padding=1), nn.Conv2d(outside, outside, 3, padding=1)
        self.time = nn.Linear(time, outside)
        if inside != outside:
            self.skip = nn.Conv2d(inside, outside, 1)

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + (self.skip(x) if hasattr(self, "skip") else x)


class Attention(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(min(groups, channels), channels), nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        q, k, v = (part.flatten(2).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, 1))
        weights = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, -1)  # Vaswani et al. 2017, equation 1
        return x + self.out((weights @ v).transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    def __init__(self, image=1, side=8, channels=32, multipliers=(1, 2), blocks=1, groups=8, attention=()):
        super().__init__()
        self.channels, emb = channels, 4 * channels
        self.time = nn.ModuleList([nn.Linear(channels, emb), nn.Linear(emb, emb)])
        self.add_module("in", nn.Conv2d(image, channels, 3, padding=1))  # a word of Python
        self.blocks, self.attentions, self.down, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.plan, widths, width, levels = [], [channels], channels, len(multipliers)

        def block(inside, outside, attends):
            self.plan.append(("block", len(self.blocks), len(self.attentions) if attends else None))
            self.blocks.append(Block(inside, outside, emb, groups))
            if attends:
                self.attentions.append(Attention(outside, groups))

        attends = [side // 2**level in attention for level in range(levels)]
        for level, factor in enumerate(multipliers):
            for _ in range(blocks):
                block(width, channels * factor, attends[level])
                width = channels * factor
                widths.append(width)
                self.plan.append(("push",))
            if level + 1 < levels:
                self.plan.append(("down", len(self.down)))
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                widths.append(width)
                self.plan.append(("push",))
        block(width, width, attends[-1])
        ups = {}
        for level in reversed(range(levels)):
            for _ in range(blocks + 1):
                self.plan.append(("join",))
                block(width + widths.pop(), channels * multipliers[level], attends[level])
                width = channels * multipliers[level]
            if level:
                self.plan.append(("up", level - 1))
                ups[level - 1] = nn.Conv2d(width, width, 3, padding=1)
        self.up.extend(ups[i] for i in range(levels - 1))
        self.norm, self.out = nn.GroupNorm(min(groups, width), width), nn.Conv2d(width, image, 3, padding=1)

    def forward(self, x, time):
        t = F.silu(self.time[1](F.silu(self.time[0](time_embedding(time, self.channels)))))
        h = self.get_submodule("in")(x)
        kept = [h]
        for what, *where in self.plan:
            if what == "block":
                h = self.blocks[where[0]](h, t)
                if where[1] is not None:
                    h = self.attentions[where[1]](h)
            elif what == "push":
                kept.append(h)
            elif what == "down":
                h = self.down[where[0]](h)
            elif what == "join":
                h = torch.cat([h, kept.pop()], 1)
            else:
                h = self.up[where[0]](F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.out(F.silu(self.norm(h)))
