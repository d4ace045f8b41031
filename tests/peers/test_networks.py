"""Networks of diffusers, run live beside ours: a checkpoint that the peer wrote draws the peer's images, and a training step has its gradients.

What is set aside: diffusers computes the time embedding in float32 whatever the model's type; the test puts a float64 one in its place.
"""
import gzip
import math

import h5py
import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (tests/requirements.txt names it)")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from lab import Lab
from philox import Noise
from safetensors.torch import save_file

torch.set_num_threads(1)
T, STEPS, ROWS, SEED = 1000, 4, 6, 5
ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64), 0)
CASES = {
    # data set, (channels, side), our parameters, the peer's widths, blocks, and resolutions with attention (by level)
    "8x8": ("digits", (1, 8), "channels = 32, multipliers = [1, 2], blocks = 1, attention = [4]", (32, 64), 1, {1}),
    "32x32": ("cifar10", (3, 32), "channels = 32, multipliers = [1, 1, 2], blocks = 2, attention = [16]", (32, 32, 64), 2, {1}),
}
MANIFEST = """\
name      = "unet"
seeds     = [{seed}]
dataset   = {{ plugin = "{data}", range = [-1.0, 1.0] }}
scheduler = "ddpm-linear"
network   = {{ plugin = "ddpm-unet", {network} }}
objective = "ddpm"
train     = {{ weights = "w.safetensors", {train} }}
sampler   = {{ plugin = "ddim", steps = {steps}, spacing = "trailing" }}
sample    = {{ count = {rows}, ema = 0 }}
run       = {{ chunk = {rows}, threads = 1, precision = "float64" }}
"""


class Sinusoids(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.half = features // 2

    def forward(self, t):
        w = torch.exp(-math.log(10000) * torch.arange(self.half, dtype=torch.float64) / (self.half - 1))
        angle = t.double()[:, None] * w
        return torch.cat([angle.sin(), angle.cos()], 1)


def peer(case):
    _, (channels, side), _, widths, blocks, attends = CASES[case]
    down = ["AttnDownBlock2D" if level in attends else "DownBlock2D" for level in range(len(widths))]
    up = ["AttnUpBlock2D" if level in attends else "UpBlock2D" for level in reversed(range(len(widths)))]
    torch.manual_seed(2)
    model = diffusers.UNet2DModel(
        sample_size=side, in_channels=channels, out_channels=channels, layers_per_block=blocks, block_out_channels=widths, down_block_types=down, up_block_types=up, norm_eps=1e-6,
        downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, attention_head_dim=None, norm_num_groups=32).double()
    model.time_proj = Sinusoids(widths[0])
    with torch.no_grad():
        for p in model.parameters():  # nothing stays 0 or 1
            p.add_(0.02 * torch.randn(p.shape, dtype=p.dtype))
    return model.eval()


def write_data(folder, case):
    """Random images where the data set is looked for; their values in [-1, 1]."""
    rng = np.random.default_rng(4)
    if case == "8x8":
        images = rng.integers(0, 17, (50, 64))
        (folder / "digits").mkdir(parents=True)
        with gzip.open(folder / "digits/digits.csv.gz", "wt") as f:
            f.writelines(",".join(map(str, [*row, 3])) + "\n" for row in images)
        return torch.from_numpy(images.reshape(50, 1, 8, 8) / 16 * 2 - 1)
    images = rng.integers(0, 256, (50, 3072), dtype=np.uint8)
    (folder / "cifar10").mkdir(parents=True)
    (folder / "cifar10/data_batch_1.bin").write_bytes(b"".join(b"\1" + row.tobytes() for row in images))
    return torch.from_numpy((images.astype(np.float32) / np.float32(255) * 2 - 1).astype(np.float64).reshape(50, 3, 32, 32))  # bytes become float32


@pytest.fixture(params=CASES)
def made(request, tmp_path, monkeypatch):
    def run(train, names=lambda name: name):
        data, _, network, *_ = CASES[request.param]
        model = peer(request.param)
        monkeypatch.setenv("SCORELAB_DATA", str(tmp_path / "data"))
        images = write_data(tmp_path / "data", request.param)
        lab = Lab(tmp_path / "lab", MANIFEST.format(seed=SEED, data=data, network=network, train=train, steps=STEPS, rows=ROWS))
        save_file({names(name): value for name, value in model.state_dict().items()}, str(lab.folder / "w.safetensors"))
        lab.run()
        return lab, model, images
    return run


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # in files from before 2023


def old_names(name):
    for now, then in OLD.items():
        name = name.replace(now, then)
    return name


@pytest.mark.parametrize("names", ["present", "old"])
def test_a_checkpoint_of_diffusers_draws_its_images(made, names):
    renamed = ", ".join(f'"{then}={now}"' for now, then in OLD.items())
    lab, model, images = made("steps = 0") if names == "present" else made(f"steps = 0, weights_map = [{renamed}]", old_names)
    x = torch.from_numpy(Noise(SEED, "sample/initial").normal(ROWS, *images.shape[1:]))
    levels = list(range(T - 1, -1, -T // STEPS))  # diffusers counts them from 0
    with torch.no_grad():
        for t, s in zip(levels, levels[1:] + [-1]):  # Song et al. 2021, equation 12 with eta = 0
            a, b = ABAR[t], ABAR[s] if s >= 0 else torch.tensor(1.0, dtype=torch.float64)
            eps = model(x, torch.full((ROWS,), t)).sample
            x = b.sqrt() * (x - (1 - a).sqrt() * eps) / a.sqrt() + (1 - b).sqrt() * eps
    with h5py.File(lab.h5()) as f:
        ours = f["samples/x"][()]
    expected = ((x + 1) / 2).numpy()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10 * max(1, np.abs(expected).max()))


def test_a_step_of_training_has_its_gradients(made):
    """Adam's first moment after one step is a tenth of the gradient."""
    rows = 8
    lab, model, images = made(f"steps = 1, batch = {rows}")
    noise = Noise(SEED, "train#1")
    index = np.floor(noise.stream("index").uniform(rows, 1)[:, 0] * len(images)).astype(int)
    level = np.minimum(T, 1 + np.floor(noise.stream("times").uniform(rows, 1)[:, 0] * T)).astype(int)
    eps = torch.from_numpy(noise.stream("eps").normal(rows, *images.shape[1:]))
    a = ABAR[level - 1][:, None, None, None]
    x = a.sqrt() * images[index] + (1 - a).sqrt() * eps
    error = model(x, torch.from_numpy(level - 1)).sample - eps
    with h5py.File(lab.stages()["train"] / "checkpoint.h5") as f:
        moments = {name: torch.from_numpy(value[()]) for name, value in f["optimizer/exp_avg"].items()}
    error.square().flatten(1).mean(1).mean().backward()
    assert moments.keys() == dict(model.named_parameters()).keys()
    for name, p in model.named_parameters():
        assert (10 * moments[name] - p.grad).abs().max() < 1e-10 * max(1, p.grad.abs().max()), name
