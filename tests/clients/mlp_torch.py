"""plugins/networks/mlp as a PyTorch module, with the same state-dict names."""
import math

import torch
from torch import nn


def time_embedding(time, features, max_period=10000):
    """Sines, then cosines, of time * w; w geometric from 1 to 1/max_period (Ho et al. 2020)."""
    w = torch.logspace(0, -math.log10(max_period), features // 2, dtype=torch.float64).to(time)
    angle = torch.outer(time, w)
    return torch.cat([torch.sin(angle), torch.cos(angle)], 1)


class Mlp(nn.Module):
    """A multilayer perceptron on the flattened sample; the time embedding is added in every hidden layer."""

    def __init__(self, dim, width=128, depth=3, time_features=64, activation="silu"):
        super().__init__()
        self.time = nn.Linear(time_features, width)
        self.layers = nn.ModuleList(nn.Linear(width if i else dim, width) for i in range(depth))
        self.out = nn.Linear(width, dim)
        self.features, self.activation = time_features, getattr(nn.functional, activation)

    def forward(self, x, time):
        embedded = self.time(time_embedding(time, self.features))
        h = x.flatten(1)
        for layer in self.layers:
            h = self.activation(layer(h) + embedded)
        return self.out(h).view_as(x)
