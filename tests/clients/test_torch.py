"""What a run stored, made again by other code: NumPy for the noise, PyTorch for the network, the paper's equations for process and
sampler. One sample that agrees to 1e-10 proves noise, scheduler, network, checkpoint and sampler at once."""
import h5py
import numpy as np
import pytest
import torch
from lab import Lab
from mlp_torch import Mlp
from philox import Noise, key_of, philox

torch.set_num_threads(1)

MANIFEST = """\
name      = "ode"
seeds     = [5]
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 24, depth = 2, time_features = 16 }
objective = "denoising-score-matching"
train     = { steps = 60, batch = 64, lr = 5e-3, warmup = 7, decay = 0.5, clip = 0.5, log_every = 10, evaluate_every = 20, checkpoint_every = 25 }
sampler   = { plugin = "pf-ode", solver = "euler", steps = 3 }
sample    = { count = 50, ema = 0.9 }
metrics   = ["moments"]
run       = { chunk = 16, precision = "float64" }
"""


def beta(t):
    return 0.1 + t * (20 - 0.1)


def marginal(t):
    """alpha(t), sigma(t) of the VP SDE: Song et al. 2021, equation 29."""
    log_alpha = -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1
    return np.exp(log_alpha), np.sqrt(1 - np.exp(2 * log_alpha))


def pf_ode_euler(network, x, steps, t_min=1e-3):
    """dx/dt = f x - g^2 score / 2 (Song et al. 2021, equation 13), where f = -beta/2, g^2 = beta, score = -eps/sigma."""
    times = np.linspace(1, t_min, steps + 1)
    for t, s in zip(times, times[1:]):
        eps = network(x, torch.full((len(x),), 999 * t, dtype=x.dtype))
        x = x + (s - t) * (-0.5 * beta(t) * x + 0.5 * beta(t) * eps / marginal(t)[1])
    return x


def load(network, file, group):
    with h5py.File(file) as f:
        network.load_state_dict({name: torch.from_numpy(value[()]) for name, value in f[group].items()})
    return network.eval()


def stored(lab):
    with h5py.File(lab.h5()) as f:
        return f["samples/x"][()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("ode"), MANIFEST)
    lab.run()
    return lab


def test_philox_gives_the_published_words():
    """The known answers of Random123 (kat_vectors)."""
    for counter, key, words in [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ]:
        assert tuple(int(w) for w in philox(counter, key)) == words


def test_three_lines_load_a_checkpoint(trained):
    network = Mlp(2, width=24, depth=2, time_features=16).double()
    with h5py.File(trained.stages()["train"] / "checkpoint.h5") as f:
        network.load_state_dict({k: torch.from_numpy(v[()]) for k, v in f["parameters"].items()})
    with h5py.File(trained.stages()["train"] / "checkpoint.h5") as f:
        assert list(f["parameters"]) and set(f["parameters"]) == set(network.state_dict()) == set(f["ema/0.9"]) == set(f["optimizer/exp_avg"])


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("ema", [0.9, 0])
def test_samples_are_those_of_numpy_and_pytorch(trained, tmp_path, steps, ema):
    lab = trained.copy(tmp_path / "lab")
    lab.run("-s", f"sampler.steps={steps}", "-s", f"sample.ema={ema}")
    network = load(Mlp(2, width=24, depth=2, time_features=16).double(), lab.stages()["train"] / "checkpoint.h5", f"ema/{ema}" if ema else "parameters")
    with torch.no_grad():
        mine = pf_ode_euler(network, torch.from_numpy(Noise(5, "sample/initial").normal(50, 2)), steps).numpy()
    theirs = stored(lab)
    assert theirs.dtype == np.float64 and theirs.shape == (50, 2)
    assert np.abs(mine - theirs).max() < 1e-10
    with h5py.File(lab.h5()) as f:
        assert (f["samples/nfe"][()] == steps).all()


@pytest.mark.parametrize("activation", ["gelu", "relu", "softplus", "tanh"])
def test_each_activation(tmp_path, activation):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run("-s", f"network.activation={activation}", "-s", "network.depth=4", "-s", "train.steps=10", "-s", "sample.count=20")
    network = load(Mlp(2, width=24, depth=4, time_features=16, activation=activation).double(), lab.stages()["train"] / "checkpoint.h5", "ema/0.9")
    with torch.no_grad():
        mine = pf_ode_euler(network, torch.from_numpy(Noise(5, "sample/initial").normal(20, 2)), 3).numpy()
    assert np.abs(mine - stored(lab)).max() < 1e-10


# Training itself.

def batch_of(noise, rows):
    """One batch of step n: a mode and a normal from the data's stream; t from `times`; eps from `eps`."""
    data = noise.stream("data")
    mode = np.minimum((data.uniform(rows, 1)[:, 0] * 4).astype(int), 3)
    angle, radius = 2 * np.pi * mode / 4, 1 / (2 * np.sin(np.pi / 4))
    x0 = radius * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * data.normal(rows, 2)
    t = 1e-3 + noise.stream("times").uniform(rows, 1)[:, 0] * (1 - 1e-3)
    eps = noise.stream("eps").normal(rows, 2)
    alpha, sigma = marginal(t)
    return torch.from_numpy(alpha[:, None] * x0 + sigma[:, None] * eps), torch.from_numpy(999 * t), torch.from_numpy(eps)


def loss_of(network, noise, rows):
    x, time, eps = batch_of(noise, rows)
    return (0.5 * (network(x, time) - eps).square().sum(1)).mean()


def test_training_is_that_of_pytorch(trained):
    """Sixty steps of Adam with warm-up, decay, clipping and an average, from the same draws: weights, average, moments, every logged
    loss, norm and learning rate, and the losses on fixed draws."""
    network = Mlp(2, width=24, depth=2, time_features=16).double()
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.zero_()
            if p.dim() == 2:  # uniform in +-1/sqrt(fan in)
                p.copy_(torch.from_numpy((2 * Noise(5, "initialise/" + name).uniform(1, p.numel()).reshape(p.shape) - 1) / np.sqrt(p.shape[1])))
    average = {k: v.clone() for k, v in network.state_dict().items()}
    adam = torch.optim.Adam(network.parameters(), lr=1, betas=(0.9, 0.999), eps=1e-8)
    logged, evaluated = [], []
    for n in range(1, 61):
        adam.zero_grad()
        loss = loss_of(network, Noise(5, f"train#{n}"), 64)
        loss.backward()
        norm = torch.sqrt(sum(p.grad.square().sum() for p in network.parameters()))
        for p in network.parameters():
            p.grad *= min(1, 0.5 / norm)
        lr = 5e-3 * min(1, n / 7) * (1 if 60 - n >= 30 else (60 - n + 1) / 31)
        adam.param_groups[0]["lr"] = lr
        adam.step()
        decay = min(0.9, (1 + n) / (10 + n))
        average = {k: decay * average[k] + (1 - decay) * v for k, v in network.state_dict().items()}
        logged.append((loss.item(), norm.item(), lr))
        if n % 20 == 0:
            with torch.no_grad():
                raw = loss_of(network, Noise(5, "evaluate"), 256).item()
                other = Mlp(2, width=24, depth=2, time_features=16).double()
                other.load_state_dict(average)
                evaluated.append((n, raw, loss_of(other, Noise(5, "evaluate"), 256).item()))
    with h5py.File(trained.stages()["train"] / "checkpoint.h5") as f:
        for name, p in network.named_parameters():
            np.testing.assert_allclose(f["parameters"][name][()], p.detach().numpy(), rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(f["ema/0.9"][name][()], average[name].numpy(), rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(f["optimizer/exp_avg"][name][()], adam.state[p]["exp_avg"].numpy(), rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(f["optimizer/exp_avg_sq"][name][()], adam.state[p]["exp_avg_sq"].numpy(), rtol=0, atol=1e-9, err_msg=name)
    with h5py.File(trained.h5()) as f:
        train, evaluate = f["metrics/train"], f["metrics/evaluate"]
        tens = np.array(logged).reshape(6, 10, 3)
        assert list(train["step"]) == [10, 20, 30, 40, 50, 60] and list(evaluate["step"]) == [20, 40, 60]
        np.testing.assert_allclose(train["loss"][()], tens[:, :, 0].mean(1), rtol=1e-9)
        np.testing.assert_allclose(train["grad_norm"][()], tens[:, :, 1].mean(1), rtol=1e-9)
        np.testing.assert_allclose(train["lr"][()], tens[:, -1, 2], rtol=1e-12)
        np.testing.assert_allclose(evaluate["loss"][()], [e[1] for e in evaluated], rtol=1e-9)
        np.testing.assert_allclose(evaluate["loss_ema_0.9"][()], [e[2] for e in evaluated], rtol=1e-9)
    assert key_of(5, "sample") != key_of(6, "sample")
