"""Weights from a safetensors file that another program wrote: as they are, and as a training's start."""
import json
import struct
import subprocess

import h5py
import numpy as np
import pytest
import torch
from lab import Lab, program
from mlp_torch import Mlp
from philox import Noise
from safetensors.torch import load_file, save_file
from test_torch import pf_ode_euler

MANIFEST = """\
name      = "given"
dataset   = { plugin = "gaussian-mixture", modes = 4 }
scheduler = "vp"
network   = { plugin = "mlp", width = 24, depth = 2, time_features = 16 }
objective = "denoising-score-matching"
train     = { steps = 0, weights = "w.safetensors" }
sampler   = { plugin = "pf-ode", solver = "euler", steps = 3 }
sample    = { count = 20, ema = 0.9 }
run       = { precision = "float64" }
"""


def network(seed=3, dtype=torch.float64):
    torch.manual_seed(seed)
    return Mlp(2, 24, 2, 16).to(dtype)


def lab_with(folder, state, manifest=MANIFEST):
    lab = Lab(folder, manifest)
    save_file(state, str(lab.folder / "w.safetensors"))
    return lab


def stored(lab, group):
    with h5py.File(lab.results / lab.stages()["train"].relative_to(lab.results) / "checkpoint.h5") as f:
        return {name: value[()] for name, value in f[group].items()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_are_used_as_they_are(tmp_path, dtype):
    state = network(dtype=dtype).state_dict()
    lab = lab_with(tmp_path / "lab", state)
    lab.run()
    for group in ("parameters", "ema/0.9"):
        ours = stored(lab, group)
        assert ours.keys() == state.keys()
        for name, value in state.items():
            np.testing.assert_array_equal(ours[name], value.double().numpy(), err_msg=f"{group} {name}")


def test_samples_are_those_of_the_module(tmp_path):
    module = network()
    lab = lab_with(tmp_path / "lab", module.state_dict())
    lab.run()
    with torch.no_grad():
        mine = pf_ode_euler(module, torch.from_numpy(Noise(0, "sample/initial").normal(20, 2)), 3).numpy()
    with h5py.File(lab.h5()) as f:
        np.testing.assert_allclose(f["samples/x"][()], mine, rtol=0, atol=1e-10)


def test_training_starts_from_them(tmp_path):
    state = network().state_dict()
    given, fresh = MANIFEST.replace("steps = 0", "steps = 1, lr = 1e-3, log_every = 1"), MANIFEST.replace('steps = 0, weights = "w.safetensors"', "steps = 1, lr = 1e-3, log_every = 1")
    a, b = lab_with(tmp_path / "a", state, given), Lab(tmp_path / "b", fresh)
    a.run(), b.run()
    ours, first = stored(a, "parameters"), stored(b, "parameters")
    for name, value in state.items():  # Adam's first step is at most lr
        assert np.abs(ours[name] - value.numpy()).max() <= 1.0001e-3
    assert any(np.abs(first[name] - state[name].numpy()).max() > 0.1 for name in state)


def test_their_content_is_part_of_the_key(tmp_path):
    lab = lab_with(tmp_path / "lab", network(3).state_dict())
    lab.run()
    first = lab.stages()["train"]
    save_file(network(4).state_dict(), str(lab.folder / "w.safetensors"))
    lab.run()
    assert lab.stages()["train"] != first


def test_a_map_of_names(tmp_path):
    state = {("model." + name).replace("layers.", "blocks."): value for name, value in network().state_dict().items()}
    lab = lab_with(tmp_path / "lab", state, MANIFEST.replace('"w.safetensors"', '"w.safetensors", weights_map = ["model.=", "blocks.=layers."]'))
    lab.run()
    ours = stored(lab, "parameters")
    for name, value in network().state_dict().items():
        np.testing.assert_array_equal(ours[name], value.numpy())


def refused(lab, *words):
    told = lab.run(code=1).stderr
    for word in ("w.safetensors", *words):
        assert word in told, told


def test_names_and_shapes_must_fit(tmp_path):
    state = network().state_dict()
    lab = lab_with(tmp_path / "a", {("time." + n if n.startswith("out") else n): v for n, v in state.items()})
    refused(lab, "of its 8 parameters 2 are missing, out.weight, out.bias", "time.out.weight")
    wrong = dict(state, **{"out.bias": torch.zeros(3, dtype=torch.float64)})
    refused(lab_with(tmp_path / "b", wrong), "out.bias", "[3]", "[2]")


def hostile():
    def file(header, data=b"", length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return {
        "empty": (b"", "shorter than the 8 bytes"),
        "long header": (file({}, length=2**63), "its header is said to have 9223372036854775808 bytes"),
        "no JSON": (file(b"\x80\x02pickle"), "no JSON object"),
        "deep": (file(b"[" * 200 + b"]" * 200), "nested"),
        "outside": (file({"a": dict(one, data_offsets=[0, 80])}, bytes(8)), "lies outside of the file"),
        "backwards": (file({"a": dict(one, data_offsets=[8, 0])}, bytes(8)), "lies outside of the file"),
        "shape": (file({"a": dict(one, shape=[3])}, bytes(8)), "another size"),
        "small shape": (file({"a": dict(one, shape=[1])}, bytes(8)), "another size"),
        "overflow": (file({"a": dict(one, shape=[2**33, 2**33, 2**33])}, bytes(8)), "another size"),
        "negative": (file({"a": dict(one, shape=[-2])}, bytes(8)), "another size"),
        "overlap": (file({"a": one, "b": dict(one, data_offsets=[4, 12])}, bytes(12)), "overlaps another"),
        "gap": (file({"a": one, "b": dict(one, data_offsets=[12, 20])}, bytes(20)), "leaves a gap"),
        "tail": (file({"a": one}, bytes(100)), "92 bytes follow"),
        "no offsets": (file({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)), "another shape than expected"),
        "type": (file({"a": dict(one, dtype="C64")}, bytes(8)), "unknown type C64"),
    }


@pytest.mark.parametrize("how", hostile())
def test_a_hostile_file_is_refused(tmp_path, how):
    content, why = hostile()[how]
    lab = Lab(tmp_path / "lab", MANIFEST)
    (lab.folder / "w.safetensors").write_bytes(content)
    refused(lab, why)


@pytest.mark.parametrize("train, words", [
    ("{ steps = 0 }", ["`steps` is 0, and nothing says which weights to use", "set `weights` or `from`"]),
    ('{ weights_map = ["a=b"] }', ["`weights_map` renames tensors of no file"]),
    ('{ weights = "w.safetensors", weights_map = ["a"] }', ['has the entry "a"', "expected OLD=NEW"]),
    ('{ weights = "v.safetensors" }', ["v.safetensors"]),
])
def test_mistakes_of_the_manifest(tmp_path, train, words):
    lab = lab_with(tmp_path / "lab", network().state_dict(), MANIFEST.replace('{ steps = 0, weights = "w.safetensors" }', train))
    told = lab.run(code=2).stderr
    for word in words:
        assert word in told, told


def test_export_gives_what_a_module_loads(tmp_path):
    """There and back: the file's metadata say where it is from."""
    from safetensors import safe_open
    lab = Lab(tmp_path / "lab", MANIFEST.replace('steps = 0, weights = "w.safetensors"', "steps = 20"))
    lab.run()
    done = subprocess.run([str(program()), "export", "given", "--weights", "out"], cwd=lab.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "out/given.safetensors\n", done
    module = network(9)
    module.load_state_dict(load_file(str(lab.folder / "out/given.safetensors")), strict=True)
    for name, value in stored(lab, "ema/0.9").items():
        np.testing.assert_array_equal(module.state_dict()[name].numpy(), value)
    with safe_open(str(lab.folder / "out/given.safetensors"), "pt") as f:
        about = f.metadata()
    assert about["weights"] == "ema/0.9" and about["step"] == "20" and about["format"] == "pt"
    assert json.loads(about["config"])["network"]["params"]["width"] == 24
    again = Lab(tmp_path / "again", MANIFEST.replace("w.safetensors", str(lab.folder / "out/given.safetensors")))
    again.run()
    for name, value in stored(again, "parameters").items():
        np.testing.assert_array_equal(module.state_dict()[name].numpy(), value)


def test_export_without_a_training(tmp_path):
    lab = Lab(tmp_path / "lab", 'name = "exact"\ndataset = "gaussian-mixture"\nscheduler = "vp"\nnetwork = "exact-gaussian-mixture"\nsampler = { plugin = "pf-ode", steps = 2 }\nsample = { count = 4 }\n')
    lab.run()
    done = subprocess.run([str(program()), "export", "exact", "--weights", "out"], cwd=lab.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 5 and "`exact` trains nothing" in done.stderr, done


def export(lab, folder="out"):
    return subprocess.run([str(program()), "export", lab.name, "--weights", folder], cwd=lab.folder, capture_output=True, text=True, timeout=120)


TRAINED = MANIFEST.replace('steps = 0, weights = "w.safetensors"', "steps = 20")


def test_export_writes_each_average_that_runs_sample_with(tmp_path):
    lab = Lab(tmp_path / "lab", TRAINED + '[sweep.ema]\nkey = "sample.ema"\nvalues = [0.0, 0.9]\n')
    lab.run()
    done = export(lab)
    files = done.stdout.split()
    assert done.returncode == 0 and len(files) == 2, done
    raw, average = (load_file(str(lab.folder / f)) for f in files)
    assert any((raw[name] != average[name]).any() for name in raw)


def test_export_of_a_training_without_a_sampler(tmp_path):
    text = "".join(line for line in TRAINED.splitlines(True) if not line.startswith(("sampler", "sample ")))
    lab = Lab(tmp_path / "lab", text)
    lab.run()
    done = export(lab)
    assert done.returncode == 0, done
    for name, value in load_file(str(lab.folder / done.stdout.strip())).items():
        np.testing.assert_array_equal(value.numpy(), stored(lab, "parameters")[name])


def test_export_never_writes_weights_of_another_step(tmp_path):
    lab = Lab(tmp_path / "lab", TRAINED.replace("steps = 20", "steps = 20, checkpoint_every = 10"))
    lab.run()
    file = lab.results / lab.stages()["train"].relative_to(lab.results) / "checkpoint.h5"
    with h5py.File(file) as f:
        at = f["ema/0.9/out.bias"].id.get_offset()
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    done = export(lab)
    assert done.returncode == 1 and "its weights are not whole" in done.stderr and not list((lab.folder / "out").iterdir()), done


def test_a_missing_file_is_one_mistake(tmp_path):
    lab = Lab(tmp_path / "lab", MANIFEST.replace('"w.safetensors"', '"none.safetensors", weights_map = ["a=b"]'))
    told = lab.run(code=2).stderr
    assert "`weights` names a file that is not there" in told and "1 error;" in told, told
