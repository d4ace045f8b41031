"""Metrics of images that need a classifier, against their formulas from the same weights in PyTorch."""

import h5py
import numpy as np
import pytest
import torch
from lab import Lab
from mlp_torch import Mlp, time_embedding

MANIFEST = """\
name      = "judged"
dataset   = { plugin = "gaussian-mixture", modes = 4, separation = 2.0 }
scheduler = "vp"
network   = "exact-gaussian-mixture"
sampler   = { plugin = "ddim", steps = 40 }
sample    = { count = 120 }
run       = { precision = "float64" }
[metrics]
is = { plugin = "inception-score", classifier = "classifier", splits = 3 }
[models.classifier]
network   = { plugin = "mlp-classifier", width = 24, depth = 2, time_features = 16 }
objective = { plugin = "cross-entropy", noise = false }
train     = { steps = 400, batch = 64, lr = 1e-2 }
"""


def probabilities(lab, x):
    """By the classifier's weights."""
    (model,) = [s for s in lab.experiment()["replicates"][0]["stages"] if s["kind"] == "model"]
    with h5py.File(lab.results / ".stages" / model["key"][:24] / "checkpoint.h5") as f:
        group = f"ema/{next(iter(f['ema']))}" if len(f.get("ema", {})) else "parameters"
        state = {name: torch.from_numpy(value[()]) for name, value in f[group].items()}
    module = Mlp(2, 24, 2, 16).double()
    module.out = torch.nn.Linear(24, 4).double()
    module.load_state_dict(state, strict=True)
    x = torch.from_numpy(x)
    times = torch.full((len(x),), 999 * 1e-3, dtype=torch.float64)  # as VP's networks are told t_min
    h = x
    for layer in module.layers:
        h = torch.nn.functional.silu(layer(h) + module.time(time_embedding(times, 16)))
    return torch.softmax(module.out(h), 1).detach().numpy()


def test_inception_score(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST)
    lab.run()
    with h5py.File(lab.h5()) as f:
        p, got = probabilities(lab, f["samples/x"][()]), f["metrics/metrics/is"][-1]
    scores = []
    for part in np.split(p, 3):
        marginal = part.mean(0)
        scores.append(np.exp((part * np.log(part / marginal)).sum(1).mean()))
    assert got == pytest.approx(np.mean(scores), rel=1e-10)
    assert 2 < got < 4
    assert lab.run("-s", "metrics.is.splits=200", "-s", "name=many", code=1).stderr.count("120 samples for 200 splits")
