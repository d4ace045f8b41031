"""Schedulers of diffusers, run live beside our samplers: one start, one model (the exact noise of Gaussian data, in float64), one grid, one
noise (ours, written again in philox.py), compared at every step of our trace.

What differs on purpose, and is set aside here:

- Their betas and noise levels are float32; the test puts the float64 ones in their place, made from Ho et al.'s formula.
- Their multistep solvers compute in float32 whatever they are given, hence the tolerance of those.
- The grid is `trailing`, from level T down: 20 steps of 50 levels. `leading` begins below T, at both, with a start that is drawn at T.
- With the large variance DDPM adds noise in its last step where that is longer than a level; ours never does, as algorithm 2 of Ho et al.
- Lower orders near the end: theirs lower the order of the last steps of short grids and of UniPC; ours that of the step to 0 alone.
- DPM-Solver++(3M): they have half of the quadratic term, which makes it of order 2; see the component.
- DEIS: theirs is polynomial in log(rho), ours (rho-AB) in rho; they agree at order 1.
  Theirs ends at the first level, not at 0.
- Score SDE, VP: their times end at t_min, yet each step is 1/n long, so that the last one leaves the process; ours are (1 - t_min)/n, unless
  `dt` says 1/n.
- Score SDE, VE: the last step to 0 adds noise that their pipeline takes off again; ours adds none. The model is told the level of the step,
  as ours is; their pipeline tells it a sigma above, whose t ends at 1e-5 instead of 0.
"""
import math
import sys

import h5py
import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (tests/requirements.txt names it)")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from diffusers.schedulers.deprecated.scheduling_sde_vp import ScoreSdeVpScheduler  # the folder names it only beside transformers
from walks import ROWS, SEED, agree, draws, trace

MEAN, STD = torch.tensor([0.7, -1.2, 0.0], dtype=torch.float64), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
T, STEPS = 1000, 20
SINGLE = 1e-5  # float32, relative
MANIFEST = f"""\
name      = "peers"
seeds     = [{SEED}]
dataset   = {{ plugin = "gaussian", dim = 3, mean = [0.7, -1.2, 0.0], std = [0.5, 1.0, 2.0] }}
scheduler = "ddpm-linear"
network   = "exact-gaussian"
sampler   = {{ plugin = "ddim", steps = {STEPS} }}
sample    = {{ count = {ROWS}, trace = {ROWS} }}
metrics   = ["moments"]
run       = {{ chunk = {ROWS}, precision = "float64" }}
"""
BETA = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
ABAR = torch.cumprod(1 - BETA, 0)


def ours(folder, *settings):
    return trace(folder, MANIFEST, *settings)


def eps_of(x, alpha, sigma):
    """E[eps | alpha x_0 + sigma eps = x]"""
    return sigma * (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)


def x0_of(x, sigma):
    """E[x_0 | x_0 + sigma eps = x]"""
    return MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)


def exactly(scheduler):
    """Their scheduler with the float64 betas and the noise levels that they make."""
    scheduler.betas, scheduler.alphas, scheduler.alphas_cumprod = BETA, 1 - BETA, ABAR
    scheduler.set_timesteps(STEPS)
    assert scheduler.timesteps.tolist() == list(range(T - 1, 0, -T // STEPS))
    if hasattr(scheduler, "sigmas") and len(scheduler.sigmas) == STEPS + 1:
        a = ABAR[scheduler.timesteps]
        levels = torch.cat([((1 - a) / a).sqrt(), scheduler.sigmas[-1:].double()])
        torch.testing.assert_close(scheduler.sigmas.double(), levels, rtol=1e-4, atol=0)
        scheduler.sigmas = levels
    return scheduler


def walked(scheduler, x, **each):
    """Their path from x; each: further arguments of step, as functions of nothing."""
    path = [x]
    for t in scheduler.timesteps:
        a = ABAR[t]
        x = scheduler.step(eps_of(x, a.sqrt(), (1 - a).sqrt()), t, x, **{k: f() for k, f in each.items()}).prev_sample.double()
        path.append(x)
    return path


TRAILING = {"num_train_timesteps": T, "beta_schedule": "linear", "timestep_spacing": "trailing"}


def test_the_grids_are_the_same(tmp_path):
    for spacing in ("trailing", "leading"):
        t, _ = ours(tmp_path / spacing, f"sampler.spacing={spacing}")
        theirs = diffusers.DDIMScheduler(**{**TRAILING, "timestep_spacing": spacing})
        theirs.set_timesteps(STEPS)
        np.testing.assert_allclose(t[:-1] * T - 1, theirs.timesteps.numpy(), rtol=0, atol=1e-9)
        assert t[-1] == 0


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(tmp_path, eta):
    _, x = ours(tmp_path / "lab", f"sampler.eta={eta}")
    z = draws("predictor")
    scheduler = exactly(diffusers.DDIMScheduler(**TRAILING, clip_sample=False, set_alpha_to_one=True))
    agree(x, walked(scheduler, x[0], eta=lambda: eta, variance_noise=lambda: next(z) if eta > 0 else None), 1e-10)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm(tmp_path, monkeypatch, variance):
    """Their noise is drawn inside of the step: ours is put in its place."""
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "ancestral", variance = "{variance}", steps = {STEPS} }}')
    z = draws("predictor")
    module = __import__("diffusers.schedulers.scheduling_ddpm", fromlist=["x"])
    monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: next(z))
    scheduler = exactly(diffusers.DDPMScheduler(**TRAILING, clip_sample=False, variance_type=f"fixed_{variance}"))
    agree(x, walked(scheduler, x[0]), 1e-9, STEPS + 1 if variance == "small" else STEPS)  # they clamp the last variance at 1e-20


@pytest.mark.parametrize("chunk", [ROWS, 5])
def test_ddpm_with_the_noise_that_they_drew(tmp_path, monkeypatch, chunk):
    """The other way round: their walk with noise of their own, recorded and replayed through ours."""
    module = __import__("diffusers.schedulers.scheduling_ddpm", fromlist=["x"])
    drawn, generator = [], torch.Generator().manual_seed(11)

    def randn(shape, **_):
        drawn.append(torch.randn(shape, generator=generator, dtype=torch.float64))
        return drawn[-1]

    monkeypatch.setattr(module, "randn_tensor", randn)
    scheduler = exactly(diffusers.DDPMScheduler(**TRAILING, clip_sample=False, variance_type="fixed_small"))
    path = walked(scheduler, randn((ROWS, 3)))
    with h5py.File(tmp_path / "theirs.h5", "w") as f:
        f["noise"] = torch.stack(drawn).numpy()
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "ancestral", variance = "small", steps = {STEPS} }}', f'sample.noise="{tmp_path / "theirs.h5"}"',
                f"sample.trace={chunk}", f"run.chunk={chunk}")
    agree(x, [now[:chunk] for now in path], 1e-9)
    with h5py.File(tmp_path / "lab/results/peers/run.h5") as f:
        np.testing.assert_allclose(f["samples/x"][()], path[-1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name, beta_start, beta_end, theirs", [
    ("ddpm-linear", 1e-4, 0.02, "linear"), ("scaled-linear", 0.00085, 0.012, "scaled_linear"), ("ddpm-cosine", None, None, "squaredcos_cap_v2"),
    ("ddpm-sigmoid", 1e-4, 0.02, "sigmoid")])
def test_betas(tmp_path, name, beta_start, beta_end, theirs):
    """One DDIM step from level T to 0 says abar_T; twenty say it of every stop. Their betas are float32."""
    betas = {} if beta_start is None else {"beta_start": beta_start, "beta_end": beta_end}
    abar = torch.cumprod(1 - diffusers.DDPMScheduler(num_train_timesteps=T, beta_schedule=theirs, **betas).betas.double(), 0)
    scheduler = diffusers.DDIMScheduler(**TRAILING, clip_sample=False)
    scheduler.alphas_cumprod = abar
    scheduler.set_timesteps(STEPS)
    _, x = ours(tmp_path / "lab", f"scheduler={name}")
    path = [x[0]]
    for t in scheduler.timesteps:
        path.append(scheduler.step(eps_of(path[-1], abar[t].sqrt(), (1 - abar[t]).sqrt()), t, path[-1]).prev_sample)
    agree(x, path, 1e-4)


@pytest.mark.parametrize("sde", [False, True])
def test_dpm_solver_pp_2m(tmp_path, sde):
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "dpm-solver-pp", sde = {str(sde).lower()}, steps = {STEPS} }}')
    z = draws("predictor")
    scheduler = exactly(diffusers.DPMSolverMultistepScheduler(**TRAILING, algorithm_type="sde-dpmsolver++" if sde else "dpmsolver++", solver_order=2,
                                                              solver_type="midpoint", final_sigmas_type="zero"))
    agree(x, walked(scheduler, x[0], variance_noise=lambda: next(z) if sde else None), SINGLE)


def test_dpm_solver_pp_3m_has_the_quadratic_term_whole(tmp_path):
    """The first two steps are of lower order and agree; in the third, theirs lacks half of the integral of x0's second derivative."""
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "dpm-solver-pp", order = 3, steps = {STEPS} }}')
    scheduler = exactly(diffusers.DPMSolverMultistepScheduler(**TRAILING, algorithm_type="dpmsolver++", solver_order=3, final_sigmas_type="zero"))
    path = walked(scheduler, x[0])
    agree(x, path, SINGLE, 3)
    lam = lambda k: 0.5 * math.log(ABAR[T - 1 - 50 * k] / (1 - ABAR[T - 1 - 50 * k]))
    x0 = [x0_of(x[k] / math.sqrt(a), math.sqrt((1 - a) / a)) for k, a in enumerate(ABAR[[T - 1, T - 51, T - 101]].tolist())]
    second = ((x0[2] - x0[1]) / (lam(2) - lam(1)) - (x0[1] - x0[0]) / (lam(1) - lam(0))) / (lam(2) - lam(0))
    h = lam(3) - lam(2)
    half = ABAR[T - 151].sqrt() * (math.expm1(-h) + h - h**2 / 2) * second
    torch.testing.assert_close(path[3] - x[3], half, rtol=1e-2, atol=2e-6)


@pytest.mark.parametrize("order, corrector", [(1, True), (2, True), (2, False), (3, True), (3, False)])
def test_unipc(tmp_path, order, corrector):
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "unipc", order = {order}, corrector = {str(corrector).lower()}, steps = {STEPS} }}')
    scheduler = exactly(diffusers.UniPCMultistepScheduler(**TRAILING, solver_order=order, solver_type="bh2", predict_x0=True, final_sigmas_type="zero",
                                                          disable_corrector=[] if corrector else list(range(STEPS))))
    agree(x, walked(scheduler, x[0]), SINGLE, STEPS + 1 if order < 3 else STEPS - 1)


def test_deis_of_first_order(tmp_path):
    _, x = ours(tmp_path / "lab", f'sampler={{ plugin = "deis", order = 1, steps = {STEPS} }}')
    scheduler = exactly(diffusers.DEISMultistepScheduler(**TRAILING, solver_order=1))
    agree(x, walked(scheduler, x[0]), SINGLE, STEPS)


EDM = 'scheduler="edm"'


def karras(lab, sampler, **more):
    words = {"plugin": f'"{sampler}"', "spacing": '"karras"', "steps": STEPS, **more}
    return ours(lab, EDM, "sampler={ " + ", ".join(f"{k} = {v}" for k, v in words.items()) + " }")


@pytest.mark.parametrize("peer, sampler, more", [
    ("EDMEulerScheduler", "ddim", {}), ("EDMEulerScheduler", "pf-ode", {"solver": '"euler"', "to": "0.0"}),
    ("EDMDPMSolverMultistepScheduler", "dpm-solver-pp", {})])
def test_edm(tmp_path, peer, sampler, more):
    """sigma from 80 to .002 with rho = 7, then 0. They are given what EDM's network would say before its preconditioning is undone."""
    t, x = karras(tmp_path / "lab", sampler, **more)
    scheduler = getattr(diffusers, peer)()
    scheduler.set_timesteps(STEPS)
    np.testing.assert_allclose(scheduler.sigmas.numpy(), t, rtol=1e-5, atol=1e-9)
    scheduler.sigmas = torch.from_numpy(t)
    path = [x[0]]
    for k, step in enumerate(scheduler.timesteps):
        sigma, data = t[k], scheduler.config.sigma_data
        skip, out = data**2 / (sigma**2 + data**2), sigma * data / math.sqrt(sigma**2 + data**2)
        F = (x0_of(path[-1], sigma) - skip * path[-1]) / out
        path.append(scheduler.step(F, step, path[-1]).prev_sample.double())
    agree(x, path, SINGLE)


def test_heun(tmp_path):
    """Karras's noise levels between those of DDPM's process; their Heun calls itself once for each evaluation."""
    sigma = ((1 - ABAR) / ABAR).sqrt()
    t, x = ours(tmp_path / "lab", f'scheduler={{ plugin = "edm", sigma_min = {sigma[0].item()!r}, sigma_max = {sigma[-1].item()!r} }}',
                f'sampler={{ plugin = "edm-heun", spacing = "karras", steps = {STEPS} }}')
    scheduler = diffusers.HeunDiscreteScheduler(num_train_timesteps=T, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", use_karras_sigmas=True,
                                                timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    assert len(scheduler.timesteps) == 2 * STEPS - 1
    levels = np.concatenate([t[:1], np.repeat(t[1:-1], 2), t[-1:]])
    np.testing.assert_allclose(scheduler.sigmas.numpy(), levels, rtol=2e-4, atol=1e-9)
    scheduler.sigmas = torch.from_numpy(levels)
    now, path = x[0], [x[0]]
    for k, step in enumerate(scheduler.timesteps):
        level = levels[k] if k % 2 == 0 else levels[k + 1]  # the second evaluation is where the step ends
        now = scheduler.step((now - x0_of(now, level)) / level, step, now).prev_sample.double()
        if k % 2 == 1 or k == len(scheduler.timesteps) - 1:
            path.append(now)
    agree(x, path, SINGLE)


def test_flow_matching(tmp_path):
    """Euler's steps of the velocity eps - x_0, from t = 1, where the predicted x_0 is the mean."""
    t, x = ours(tmp_path / "lab", 'scheduler="flow"', f'sampler={{ plugin = "pf-ode", solver = "euler", to = 0.0, steps = {STEPS} }}')
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=T)
    scheduler.set_timesteps(sigmas=t[:-1].tolist())
    scheduler.sigmas = torch.from_numpy(t)
    path = [x[0]]
    for k, step in enumerate(scheduler.timesteps):
        a, b, y = 1 - t[k], t[k], path[-1]
        x0 = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (y - a * MEAN)
        path.append(scheduler.step(eps_of(y, a, b) - x0, step, y).prev_sample.double())
    agree(x, path, SINGLE)


def drawn_for(scheduler, monkeypatch, *slots):
    """Their noise is drawn inside of a step: ours, of the slot that was named last, is put in its place."""
    z, named = {slot: draws(slot) for slot in slots}, list(slots[:1])
    monkeypatch.setattr(sys.modules[scheduler.__module__], "randn_tensor", lambda *_, **__: next(z[named[-1]]))
    return named.append


def test_score_sde_vp(tmp_path, monkeypatch, doubles):
    """Steps of 1/20 down to .05, so that both lengths are one."""
    t, x = ours(tmp_path / "lab", 'scheduler="vp"', f'sampler={{ plugin = "euler-maruyama", steps = {STEPS - 1}, to = {1 / STEPS} }}')
    scheduler = ScoreSdeVpScheduler()
    drawn_for(ScoreSdeVpScheduler, monkeypatch, "predictor")
    scheduler.set_timesteps(STEPS)
    path = [x[0]]
    for u in torch.from_numpy(t)[:-1]:
        alpha = torch.exp(-u * (0.05 + 4.975 * u))
        path.append(scheduler.step_pred(eps_of(path[-1], alpha, (1 - alpha**2).sqrt()), path[-1], u)[0])
    agree(x, path, 1e-10)


def test_score_sde_vp_by_its_own_steps(tmp_path, monkeypatch, doubles):
    """`dt` = 1/n: all of their walk on their own times, the last step from t_min with it; its mean is the result, as in their samplers."""
    t, x = ours(tmp_path / "lab", 'scheduler="vp"', f'sampler={{ plugin = "euler-maruyama", steps = {STEPS}, dt = {1 / STEPS} }}')
    scheduler = ScoreSdeVpScheduler()
    drawn_for(ScoreSdeVpScheduler, monkeypatch, "predictor")
    scheduler.set_timesteps(STEPS)
    np.testing.assert_allclose(t[:-1], scheduler.timesteps.numpy(), rtol=1e-12)
    path = [x[0]]
    for u in scheduler.timesteps:
        alpha = torch.exp(-u * (0.05 + 4.975 * u))
        now, mean = scheduler.step_pred(eps_of(path[-1], alpha, (1 - alpha**2).sqrt()), path[-1], u)
        path.append(now)
    agree(x, [*path[:-1], mean], 1e-10)


def test_score_sde_vp_steps_as_long_as_the_process_has_room(tmp_path, monkeypatch, doubles):
    t, x = ours(tmp_path / "lab", 'scheduler="vp"', f'sampler={{ plugin = "euler-maruyama", steps = {STEPS} }}')
    scheduler = ScoreSdeVpScheduler()
    drawn_for(ScoreSdeVpScheduler, monkeypatch, "predictor")
    scheduler.set_timesteps(STEPS)
    assert scheduler.timesteps[-1].item() == pytest.approx(t[-1]) == 1e-3 and t[-1] - 1 / STEPS < 0
    np.testing.assert_allclose(np.diff(t), -(1 - 1e-3) / STEPS, rtol=1e-12)
    alpha = torch.exp(torch.tensor(-5.025))
    eps = eps_of(x[0], alpha, (1 - alpha**2).sqrt())
    first, _ = scheduler.step_pred(eps, x[0], torch.tensor(1.0))
    slope, z = 20 * (x[0] / 2 - eps / (1 - alpha**2).sqrt()), next(draws("predictor"))
    longer = slope * 1e-3 / STEPS + math.sqrt(20 / STEPS) * (1 - math.sqrt(1 - 1e-3)) * z
    torch.testing.assert_close(first - x[1], longer, rtol=0, atol=1e-12)


@pytest.mark.parametrize("corrector", ["none", "langevin"])
def test_score_sde_ve(tmp_path, monkeypatch, doubles, corrector):
    """Their levels are NCSN's ladder. The norms of their corrector are means over the batch: sample.group."""
    words = 'plugin = "predictor-corrector", predictor = "reverse-diffusion", order = "correct-first", denoise = false, to = 0.0'
    corrects = '"none"' if corrector == "none" else '{ plugin = "langevin", snr = 0.15, alpha = "one" }'
    t, x = ours(tmp_path / "lab", f'scheduler={{ plugin = "ncsn-ladder", L = {STEPS}, sigma_min = 0.01, sigma_max = 50.0 }}', f"sample.group={ROWS}",
                f"sampler={{ {words}, corrector = {corrects}, steps = {STEPS} }}")
    scheduler = diffusers.ScoreSdeVeScheduler(num_train_timesteps=STEPS, snr=0.15, sigma_min=0.01, sigma_max=50.0)
    draw = drawn_for(diffusers.ScoreSdeVeScheduler, monkeypatch, "predictor", "corrector")
    scheduler.set_timesteps(STEPS)
    scheduler.set_sigmas(STEPS)
    now, path = x[0], [x[0]]
    for k, u in enumerate(scheduler.timesteps):
        sigma = 0.01 * 5000 ** (1 - k / (STEPS - 1))
        score = lambda y: -eps_of(y, 1, sigma) / sigma
        if corrector != "none":
            draw("corrector")
            now = scheduler.step_correct(score(now), now).prev_sample
        draw("predictor")
        said = scheduler.step_pred(score(now), u, now)
        now = said.prev_sample
        path.append(now)
    agree(x, [*path[:-1], said.prev_sample_mean], 1e-10)
    z = draws("predictor")
    last = [next(z) for _ in range(STEPS)][-1]
    torch.testing.assert_close(path[-1] - x[-1], 0.01 * last, rtol=0, atol=1e-12)
