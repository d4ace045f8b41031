"""Networks of diffusers, run live beside ours: a checkpoint that the peer wrote draws the peer's images, and a training step has its gradients.

What is set aside: diffusers computes the embeddings of times and positions in float32 whatever the model's type, and DiT's times with other frequencies than the paper's
code; the test puts those of the papers' code in their place, in float64.
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
from scorelab.layouts import dit_from_diffusers

torch.set_num_threads(1)
T, STEPS, ROWS, SEED = 1000, 4, 6, 5
ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64), 0)
CASES = {
    # data set, (channels, side), our network, the peer's widths, blocks, and resolutions with attention (by level)
    "ddpm 8x8": ("digits", (1, 8), 'plugin = "ddpm-unet", channels = 32, multipliers = [1, 2], blocks = 1, attention = [4]', (32, 64), 1, {1}),
    "ddpm 32x32": ("cifar10", (3, 32), 'plugin = "ddpm-unet", channels = 32, multipliers = [1, 1, 2], blocks = 2, attention = [16]', (32, 32, 64), 2, {1}),
    "adm 8x8": ("digits", (1, 8), 'plugin = "adm-unet", channels = 32, multipliers = [1, 2], blocks = 1, attention = [4], head_channels = 16', (32, 64), 1, {1}),
    "adm 32x32": ("cifar10", (3, 32), 'plugin = "adm-unet", channels = 32, multipliers = [1, 2], blocks = 2, attention = [16, 32], head_channels = 16, qkv = "by-head", resample = "conv"',
                  (32, 64), 2, {0, 1}),
    "dit 8x8": ("digits", (1, 8), 'plugin = "dit", patch = 2, width = 32, depth = 2, heads = 4, classes = 10', 2, 32, 4),
    "dit 32x32": ("cifar10", (3, 32), 'plugin = "dit", patch = 4, width = 24, depth = 3, heads = 2, classes = 10', 4, 24, 2),
}
CLASS, NO_CLASS = 3, 10  # of every item; samples have it too, or none
UNLABELLED = ["dit 32x32"]
MANIFEST = """\
name      = "unet"
seeds     = [{seed}]
dataset   = {{ plugin = "{data}", range = [-1.0, 1.0] }}
scheduler = "ddpm-linear"
network   = {{ {network} }}
objective = "ddpm"
train     = {{ weights = "w.safetensors", {train} }}
sampler   = {{ plugin = "ddim", steps = {steps}, spacing = "trailing" }}
sample    = {{ count = {rows}, ema = 0{labels} }}
run       = {{ chunk = {rows}, threads = 1, precision = "{precision}" }}
"""


class Sinusoids(torch.nn.Module):
    """Sines first and the lowest frequency 1/10000 (DDPM), or cosines first and half a step above it (ADM)."""

    def __init__(self, features, adm):
        super().__init__()
        self.half, self.adm = features // 2, adm

    def forward(self, t):
        w = torch.exp(-math.log(10000) * torch.arange(self.half, dtype=torch.float64) / (self.half if self.adm else self.half - 1))
        angle = t.double()[:, None] * w
        return torch.cat([angle.cos(), angle.sin()] if self.adm else [angle.sin(), angle.cos()], 1)


def dit(case):
    _, (channels, side), network, patch, width, heads = CASES[case]
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=heads, attention_head_dim=width // heads, in_channels=channels, out_channels=channels, num_layers=3 if "depth = 3" in network else 2,
        sample_size=side, patch_size=patch, num_embeds_ada_norm=10, norm_eps=1e-6, activation_fn="gelu-approximate").double()
    first = model.transformer_blocks[0].norm1.emb
    first.time_proj = Sinusoids(256, True)
    for block in model.transformer_blocks:  # the peer has a copy in each block
        block.norm1.emb = first
    place = torch.arange(side // patch, dtype=torch.float64)  # its own are of float32
    w = 10000 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    line = torch.cat([torch.sin(place[:, None] * w), torch.cos(place[:, None] * w)], 1)
    n = side // patch
    model.pos_embed.pos_embed = torch.cat([line.repeat(n, 1), line.repeat_interleave(n, 0)], 1)[None]
    return model


def answer(model, x, t, label):
    if isinstance(model, diffusers.DiTTransformer2DModel):
        return model(x, t, class_labels=torch.full((len(x),), label)).sample
    return model(x, t).sample


def unet(case):
    _, (channels, side), network, widths, blocks, attends = CASES[case]
    adm, by_block = "adm" in case, "adm" in case and "conv" not in network
    plain = "Resnet{}sampleBlock2D" if by_block else "{}Block2D"
    kinds = {way: {True: f"Attn{way}Block2D", False: plain.format(way)} for way in ("Down", "Up")}
    settings = dict(norm_eps=1e-6, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, attention_head_dim=None)
    if adm:
        settings = dict(norm_eps=1e-5, downsample_padding=1, flip_sin_to_cos=True, freq_shift=0, attention_head_dim=16, resnet_time_scale_shift="scale_shift", attn_norm_num_groups=32)
    if by_block:
        settings |= dict(downsample_type="resnet", upsample_type="resnet")
    model = diffusers.UNet2DModel(
        sample_size=side, in_channels=channels, out_channels=channels, layers_per_block=blocks, block_out_channels=widths,
        down_block_types=[kinds["Down"][level in attends] for level in range(len(widths))],
        up_block_types=[kinds["Up"][level in attends] for level in reversed(range(len(widths)))], norm_num_groups=32, **settings).double()
    model.time_proj = Sinusoids(widths[0], adm)
    return model


def peer(case):
    torch.manual_seed(2)
    model = dit(case) if "dit" in case else unet(case)
    with torch.no_grad():
        for p in model.parameters():  # nothing stays 0 or 1
            p.add_(0.02 * torch.randn(p.shape, dtype=p.dtype))
    return model.eval()


def ours(case, tensors):
    """A state dict of the peer under the names, and in the layout, that our network has: tensors of weights or of their gradients."""
    if "ddpm" in case:
        return dict(tensors)
    if "dit" in case:
        side, patch = CASES[case][1][1], CASES[case][3]
        return ours_of_dit(tensors, side // patch)
    _, _, network, widths, blocks, attends = CASES[case]
    out, left = {}, dict(tensors)

    def move(then, now):
        for kind in ("weight", "bias"):
            if f"{then}.{kind}" in left:
                out[f"{now}.{kind}"] = left.pop(f"{then}.{kind}")

    def resnet(then, now):
        for a, b in {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}.items():
            move(f"{then}.{a}", f"{now}.{b}")

    def attention(then, now):
        move(f"{then}.group_norm", f"{now}.norm")
        for kind in ("weight", "bias"):
            parts = [left.pop(f"{then}.to_{x}.{kind}") for x in "qkv"]
            if "by-head" in network:
                parts = [p for head in zip(*(p.split(16) for p in parts)) for p in head]
            out[f"{now}.qkv.{kind}"] = torch.cat(parts).reshape(-1, *parts[0].shape[1:], *([1] * (kind == "weight")))
        out[f"{now}.proj_out.weight"] = left.pop(f"{then}.to_out.0.weight")[:, :, None]
        out[f"{now}.proj_out.bias"] = left.pop(f"{then}.to_out.0.bias")

    move("time_embedding.linear_1", "time_embed.0"), move("time_embedding.linear_2", "time_embed.2")
    move("conv_in", "input_blocks.0.0"), move("conv_norm_out", "out.0"), move("conv_out", "out.2")
    levels, k = len(widths), 1
    for level in range(levels):
        for b in range(blocks):
            resnet(f"down_blocks.{level}.resnets.{b}", f"input_blocks.{k}.0")
            if level in attends:
                attention(f"down_blocks.{level}.attentions.{b}", f"input_blocks.{k}.1")
            k += 1
        if level + 1 < levels:
            resnet(f"down_blocks.{level}.downsamplers.0", f"input_blocks.{k}.0"), move(f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{k}.0.op")
            k += 1
    resnet("mid_block.resnets.0", "middle_block.0"), attention("mid_block.attentions.0", "middle_block.1"), resnet("mid_block.resnets.1", "middle_block.2")
    for up, level in enumerate(reversed(range(levels))):
        for b in range(blocks + 1):
            k = up * (blocks + 1) + b
            resnet(f"up_blocks.{up}.resnets.{b}", f"output_blocks.{k}.0")
            if level in attends:
                attention(f"up_blocks.{up}.attentions.{b}", f"output_blocks.{k}.1")
        last = f"output_blocks.{k}.{2 if level in attends else 1}"
        resnet(f"up_blocks.{up}.upsamplers.0", last), move(f"up_blocks.{up}.upsamplers.0.conv", f"{last}.conv")
    assert not left, left.keys()
    return out


def ours_of_dit(tensors, grid):
    found = dit_from_diffusers({name: value.numpy() for name, value in tensors.items()}, grid)
    return {name: torch.from_numpy(value) for name, value in found.items()}


def write_data(folder, case):
    """Random images where the data set is looked for; their values in [-1, 1]."""
    rng = np.random.default_rng(4)
    if "8x8" in case:
        images = rng.integers(0, 17, (50, 64))
        (folder / "digits").mkdir(parents=True)
        with gzip.open(folder / "digits/digits.csv.gz", "wt") as f:
            f.writelines(",".join(map(str, [*row, CLASS])) + "\n" for row in images)
        return torch.from_numpy(images.reshape(50, 1, 8, 8) / 16 * 2 - 1)
    images = rng.integers(0, 256, (50, 3072), dtype=np.uint8)
    (folder / "cifar10").mkdir(parents=True)
    (folder / "cifar10/data_batch_1.bin").write_bytes(b"".join(bytes([CLASS]) + row.tobytes() for row in images))
    return torch.from_numpy((images.astype(np.float32) / np.float32(255) * 2 - 1).astype(np.float64).reshape(50, 3, 32, 32))  # bytes become float32


@pytest.fixture(params=CASES)
def made(request, tmp_path, monkeypatch):
    def run(train, names=lambda name: name, precision="float64"):
        data, _, network, *_ = CASES[request.param]
        unlabelled = run.label == NO_CLASS and "steps = 0" in train
        if unlabelled:
            train += ", drop_condition = 0.1"
        model = peer(request.param)
        monkeypatch.setenv("SCORELAB_DATA", str(tmp_path / "data"))
        images = write_data(tmp_path / "data", request.param)
        lab = Lab(tmp_path / "lab", MANIFEST.format(seed=SEED, data=data, network=network, train=train, steps=STEPS, rows=ROWS, precision=precision,
                                                     labels=', condition = "none"' if unlabelled else ""))
        save_file({names(name): value.contiguous().clone() for name, value in ours(request.param, model.state_dict()).items()}, str(lab.folder / "w.safetensors"))
        lab.run()
        return lab, model, images
    run.case = request.param
    run.label = NO_CLASS if request.param in UNLABELLED else CLASS
    return run


OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # in files from before 2023


def old_names(name):
    for now, then in OLD.items():
        name = name.replace(now, then)
    return name


def drawn(model, images, label):
    """What the peer draws in float64 from our starts, in data units."""
    x = torch.from_numpy(Noise(SEED, "sample/initial").normal(ROWS, *images.shape[1:]))
    levels = list(range(T - 1, -1, -T // STEPS))  # diffusers counts them from 0
    with torch.no_grad():
        for t, s in zip(levels, levels[1:] + [-1]):  # Song et al. 2021, equation 12 with eta = 0
            a, b = ABAR[t], ABAR[s] if s >= 0 else torch.tensor(1.0, dtype=torch.float64)
            eps = answer(model, x, torch.full((ROWS,), t), label)
            x = b.sqrt() * (x - (1 - a).sqrt() * eps) / a.sqrt() + (1 - b).sqrt() * eps
    return ((x + 1) / 2).numpy()


def samples(lab):
    with h5py.File(lab.h5()) as f:
        return f["samples/x"][()]


@pytest.mark.parametrize("names", ["present", "old"])
def test_a_checkpoint_of_diffusers_draws_its_images(made, names):
    if names == "old" and "ddpm" not in made.case:
        pytest.skip("its names never changed")
    renamed = ", ".join(f'"{then}={now}"' for now, then in OLD.items())
    lab, model, images = made("steps = 0") if names == "present" else made(f"steps = 0, weights_map = [{renamed}]", old_names)
    expected = drawn(model, images, made.label)
    np.testing.assert_allclose(samples(lab), expected, rtol=0, atol=1e-10 * max(1, np.abs(expected).max()))


def test_in_float32_they_are_the_same_to_5_digits(made):
    lab, model, images = made("steps = 0", precision="float32")
    expected = drawn(model, images, made.label)
    np.testing.assert_allclose(samples(lab), expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


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
    error = answer(model, x, torch.from_numpy(level - 1), CLASS) - eps
    with h5py.File(lab.stages()["train"] / "checkpoint.h5") as f:
        moments = {name: torch.from_numpy(value[()]) for name, value in f["optimizer/exp_avg"].items()}
    error.square().flatten(1).mean(1).mean().backward()
    gradients = ours(made.case, {name: p.grad for name, p in model.named_parameters(remove_duplicate=False)})
    if "dit" in made.case:
        assert not moments.pop("pos_embed").any(), "it is fixed"
        del gradients["pos_embed"]
    assert moments.keys() == gradients.keys()
    for name, g in gradients.items():
        assert (10 * moments[name] - g).abs().max() < 1e-10 * max(1, g.abs().max()), name
