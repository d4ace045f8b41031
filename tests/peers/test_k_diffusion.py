"""Samplers of k-diffusion, run live beside ours: one start, one model (the exact noise of a Gaussian mixture), one grid (theirs), one noise
(ours, written again in philox.py), all in float64, compared at every step. They know no alpha: a process of ours is theirs in y = x/alpha
and sigma/alpha.

What differs on purpose:

- Churn: ours never adds noise beyond the process's own end, where a network was not trained; theirs goes up to 1.41 of it.
- DPM-Solver++(3M): their quadratic term is halved, which makes it of order 2; their second step is not 2M's.

Without a counterpart of ours: Euler's churn; the solvers by eps (dpm_2, dpm_fast, dpm_adaptive); the noise of 2S, of the singlestep SDE solver
and of 3M; the `heun` form of 2M SDE.
"""
import importlib
import importlib.util
import math
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
for needed in ("scipy", "tqdm"):
    pytest.importorskip(needed, reason=f"{needed} is not installed (tests/requirements.txt names it)")
from walks import ROWS, SEED, agree, draws, trace


def samplers():
    """Their file of samplers alone: the package's __init__ imports what trains on images, its utils torchvision. The solvers of ODEs and the
    Brownian trees that the file imports serve its likelihood and its own noise, of which nothing is used here."""
    package = importlib.util.find_spec("k_diffusion")
    if package is None:
        pytest.skip("k-diffusion is not installed (tests/requirements-bare.txt names it)", allow_module_level=True)
    stands_for = {name: types.ModuleType(name) for name in ("k_diffusion", "k_diffusion.utils", "torchdiffeq", "torchsde")}
    stands_for["k_diffusion"].__path__ = list(package.submodule_search_locations)
    stands_for["k_diffusion"].utils = stands_for["k_diffusion.utils"]
    stands_for["k_diffusion.utils"].append_dims = lambda a, dims: a.reshape(a.shape + (1,) * (dims - a.ndim))
    stands_for["torchdiffeq"].odeint = None
    sys.modules.update(stands_for)
    try:
        return importlib.import_module("k_diffusion.sampling")
    finally:
        for name in [*stands_for, "k_diffusion.sampling"]:
            sys.modules.pop(name, None)


K = samplers()
pytestmark = pytest.mark.usefixtures("doubles")
STEPS = 20
TOLERANCE = 1e-10
WEIGHTS, STDS = [0.5, 0.3, 0.2], [0.3, 0.6, 0.1]
MEANS = [[0.7, -1.2, 0.0], [-1.5, 0.4, 1.0], [0.2, 1.6, -0.8]]
MANIFEST = f"""\
name      = "peers"
seeds     = [{SEED}]
dataset   = {{ plugin = "gaussian-mixture", means = {MEANS}, weights = {WEIGHTS}, std = {STDS} }}
scheduler = "edm"
network   = "exact-gaussian-mixture"
sampler   = {{ plugin = "ddim", steps = {STEPS} }}
sample    = {{ count = {ROWS}, trace = {ROWS} }}
metrics   = ["moments"]
run       = {{ chunk = {ROWS}, precision = "float64" }}
"""


def x0_of(y, sigma):
    """E[x_0 | x_0 + sigma eps = y]; sigma: one, or one a row."""
    weights, means, variances = torch.tensor(WEIGHTS), torch.tensor(MEANS), torch.tensor(STDS) ** 2
    total = variances + torch.as_tensor(sigma).reshape(-1, 1) ** 2
    away = y.unsqueeze(1) - means
    share = torch.softmax(weights.log() - y.shape[1] / 2 * total.log() - away.square().sum(2) / (2 * total), 1)
    return (share.unsqueeze(2) * (means + (variances / total).unsqueeze(2) * away)).sum(1)


class Process:
    """One of ours, the spacing of its grid, and their grid; alpha at our times."""

    def __init__(self, name, spacing, grid, alpha):
        self.name, self.spacing, self.grid, self.alpha = name, spacing, grid, alpha

    def ours(self, folder, **sampler):
        """(t, y)"""
        words = {"steps": STEPS, "spacing": self.spacing, **sampler}
        table = ", ".join(f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in words.items())
        t, x = trace(folder, MANIFEST, f"scheduler={self.name}", f"sampler={{ {table} }}")
        return t, x / torch.from_numpy(self.alpha(t)).reshape(-1, 1, 1)


EDM = Process("edm", "karras", lambda: K.get_sigmas_karras(STEPS, 0.002, 80), np.ones_like)
VP = Process("vp", "uniform", lambda: K.get_sigmas_vp(STEPS), lambda t: np.exp(-t * (0.05 + 4.975 * t)))
processes = pytest.mark.parametrize("process", [EDM, VP], ids=["edm", "vp"])


def walked(name, y, sigmas, model=x0_of, **more):
    path = []
    path.append(getattr(K, name)(model, y, sigmas, disable=True, callback=lambda info: path.append(info["x"]), **more))
    return path


def fed():
    z = draws("predictor")
    return lambda sigma, sigma_next: next(z)


SILENT = {"eta": 0.0, "noise_sampler": lambda sigma, sigma_next: 0.0}


def test_the_grids_are_the_same(tmp_path):
    log_snr = Process("edm", "log-snr", lambda: K.get_sigmas_exponential(STEPS, 0.002, 80), np.ones_like)
    rho = Process("edm", "karras", lambda: K.get_sigmas_karras(STEPS, 0.002, 80, rho=3.0), np.ones_like)
    for k, (process, more) in enumerate([(EDM, {}), (rho, {"rho": 3.0}), (log_snr, {})]):
        t, _ = process.ours(tmp_path / str(k), plugin="ddim", **more)
        np.testing.assert_allclose(t, process.grid().numpy(), rtol=1e-13, atol=0)
    t, _ = VP.ours(tmp_path / "vp", plugin="ddim")
    np.testing.assert_allclose(np.sqrt(np.expm1(t * (0.1 + 9.95 * t))), VP.grid().numpy(), rtol=1e-11, atol=0)


@processes
@pytest.mark.parametrize("peer, theirs, sampler", [
    ("sample_euler", {}, {"plugin": "ddim"}),
    ("sample_heun", {}, {"plugin": "edm-heun"}),
    ("sample_lms", {"order": 4}, {"plugin": "deis", "order": 4}),
    ("sample_lms", {"order": 2}, {"plugin": "deis", "order": 2}),
    ("sample_dpmpp_2m", {}, {"plugin": "dpm-solver-pp"}),
    ("sample_dpmpp_2m_sde", SILENT, {"plugin": "dpm-solver-pp"}),
    ("sample_dpmpp_2s_ancestral", SILENT, {"plugin": "dpm-solver-pp", "method": "singlestep"}),
    ("sample_dpmpp_sde", SILENT, {"plugin": "dpm-solver-pp", "method": "singlestep"})])
def test_ode(tmp_path, process, peer, theirs, sampler):
    _, y = process.ours(tmp_path / "lab", **sampler)
    agree(y, walked(peer, y[0], process.grid(), **theirs), TOLERANCE)


@pytest.mark.parametrize("peer, solver", [("sample_euler", "euler"), ("sample_heun", "heun")])
def test_the_ode_in_sigma_is_edms(tmp_path, peer, solver):
    _, y = EDM.ours(tmp_path / "lab", plugin="pf-ode", solver=solver, to=0.0)
    agree(y, walked(peer, y[0], EDM.grid()), TOLERANCE)


@processes
@pytest.mark.parametrize("eta, sampler", [(1.0, {"plugin": "ancestral", "variance": "small"}), (0.4, {"plugin": "ddim", "eta": 0.4})])
def test_euler_ancestral(tmp_path, process, eta, sampler):
    _, y = process.ours(tmp_path / "lab", **sampler)
    agree(y, walked("sample_euler_ancestral", y[0], process.grid(), eta=eta, noise_sampler=fed()), TOLERANCE)


@processes
def test_dpm_solver_pp_2m_sde(tmp_path, process):
    _, y = process.ours(tmp_path / "lab", plugin="dpm-solver-pp", sde=True)
    agree(y, walked("sample_dpmpp_2m_sde", y[0], process.grid(), noise_sampler=fed()), TOLERANCE)


def churned(monkeypatch, y, sigmas, z, **more):
    """Their Heun draws by itself, at every step and before it moves: ours draws where it churns."""
    path, low, high = [], more.get("s_tmin", 0), more.get("s_tmax", math.inf)

    def randn_like(now):
        sigma = sigmas[len(path)]
        path.append(now)
        return next(z) if low <= sigma <= high else torch.zeros_like(now)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn_like", randn_like)
        path.append(K.sample_heun(x0_of, y, sigmas, disable=True, **more))
    return path


@processes
@pytest.mark.parametrize("churn", [4.0, 40.0], ids=["S_churn/n", "sqrt2-1"])
def test_heun_with_churn(tmp_path, monkeypatch, process, churn):
    _, y = process.ours(tmp_path / "lab", plugin="edm-heun", S_churn=churn, S_min=0.05, S_max=50.0, S_noise=1.003)
    agree(y, churned(monkeypatch, y[0], process.grid(), draws(), s_churn=churn, s_tmin=0.05, s_tmax=50.0, s_noise=1.003), TOLERANCE)


def test_churn_ends_where_the_process_does(tmp_path, monkeypatch):
    """Ours is a step of theirs whose churn goes up to the end: none at the first, sigma_max/sigma - 1 at the second, all of it after."""
    _, y = EDM.ours(tmp_path / "lab", plugin="edm-heun", S_churn=40.0)
    sigmas, full = EDM.grid(), math.sqrt(2) - 1
    share = [min(full, (sigmas[0] / sigma - 1).item()) for sigma in sigmas[:-1]]
    assert share[0] == 0 and 0 < share[1] < full and share[3:] == [full] * (STEPS - 3)
    z, path = draws(), [y[0]]
    for k, gamma in enumerate(share):
        path.append(churned(monkeypatch, path[-1], sigmas[k:k + 2], z, s_churn=gamma)[-1])
    agree(y, path, TOLERANCE)
    beyond = churned(monkeypatch, y[0], sigmas, draws(), s_churn=40.0)
    assert (beyond[1] - y[1]).abs().max() > 1, "theirs goes up to 113"


def test_dpm_solver_pp_3m_has_the_quadratic_term_whole(tmp_path):
    """They are told x0 on our path, so that theirs is off by what their steps have otherwise and by nothing else. Their second step has
    phi_2 = (exp(-h) - 1)/h + 1 of the slope of x0, its integral; ours has (1 - exp(-h))/2, as 2M. From the third step on, theirs lacks
    half of the integral of x0's second derivative."""
    _, y = EDM.ours(tmp_path / "lab", plugin="dpm-solver-pp", order=3)
    sigmas = EDM.grid()
    x0 = [x0_of(now, sigma) for now, sigma in zip(y, sigmas[:-1])]
    said = iter(x0)
    path = walked("sample_dpmpp_3m_sde", y[0], sigmas, model=lambda now, sigma: next(said), **SILENT)
    h = torch.log(sigmas[:-1] / sigmas[1:]).tolist()
    off, expected = torch.zeros_like(y[0]), [y[0]]
    for k in range(STEPS - 1):
        phi_2, more = math.expm1(-h[k]) / h[k] + 1, 0
        slope = [(x0[i] - x0[i - 1]) / h[i - 1] for i in range(1, k + 1)]
        if k == 1:
            more = (phi_2 + math.expm1(-h[k]) / 2) * h[k] * slope[0]
        if k > 1:
            more = (phi_2 / h[k] - 0.5) * h[k] ** 2 * (slope[-1] - slope[-2]) / (h[k - 1] + h[k - 2])
        off = math.exp(-h[k]) * off + more
        expected.append(y[k + 1] + off)
    assert [k for k in range(STEPS) if (path[k] - y[k]).abs().max() < 1e-6] == [0, 1], "they agree as long as no slope is known"
    agree([*expected, y[-1]], path, TOLERANCE)
