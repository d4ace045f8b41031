"""Our walk beside a peer's: the trace of a run, its noise written again, and how far two paths are apart."""
import h5py
import torch
from lab import Lab
from philox import Noise

SEED, ROWS = 3, 16


def trace(folder, manifest, *settings):
    """(t, x) after every step, the start first."""
    lab = Lab(folder, manifest)
    lab.run(*[word for s in settings for word in ("-s", s)])
    with h5py.File(lab.h5()) as f:
        trace = f["arrays/trace"]
        return trace["t"][:, 0], torch.from_numpy(trace["x"][()])


def draws(slot=None):
    """What a step in that slot has drawn; without one, what a sampler has."""
    noise = Noise(SEED, "sample")
    noise = noise.stream(slot) if slot else noise
    while True:
        yield torch.from_numpy(noise.normal(ROWS, 3))


def agree(ours, theirs, tolerance, steps=None):
    steps = len(ours) if steps is None else steps
    assert len(theirs) == len(ours) and steps > 1
    for k in range(steps):
        off = ((ours[k] - theirs[k]).abs() / ours[k].abs().clamp_min(1)).max().item()
        assert off <= tolerance, f"step {k}: off by {off}"
