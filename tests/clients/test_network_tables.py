"""What `list` and `plan` say of networks, and runs that end after their trainings."""
import json
import subprocess

import pytest
from lab import Lab, program

MANIFEST = """\
name      = "weighed"
dataset   = { plugin = "disks", side = 8 }
scheduler = "ddpm-linear"
network   = { plugin = "ddpm-unet", channels = 8, multipliers = [1], blocks = 1, groups = 4, attention = [] }
objective = "ddpm"
train     = { steps = 1, batch = 2 }
sampler   = { plugin = "ddim", steps = 2 }
sample    = { count = 2 }
metrics   = ["moments", "frechet"]
[variants]
a = {}
[claims.near]
says   = "it is near"
holds  = "frechet < 1e9"
decide = "value"
"""


def scorelab(*arguments, code=0, cwd=None):
    done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, cwd=cwd)
    assert done.returncode == code, done.stderr
    return done


def test_the_layers_of_a_preset():
    lines = scorelab("list", "network/ddpm-unet", "--preset", "cifar10").stdout.splitlines()
    assert lines[0] == "network ddpm-unet, preset cifar10, for samples [3, 32, 32]"
    assert "  conv_in " in lines[2] and "weight [128, 3, 3, 3], bias [128]" in lines[2] and lines[2].endswith(" 3,584")
    assert lines[-1].startswith("  35,746,307 parameters, ")
    rows = [int(line.split()[-1].replace(",", "")) for line in lines[2:-1]]
    assert sum(rows) == 35_746_307


def test_a_network_without_weights_of_its_own_has_no_layers():
    assert scorelab("list", "efficientnet-lite0", "--shape", "3,32,32").stdout.splitlines()[-1].startswith("  0 parameters")


@pytest.mark.parametrize("arguments, says", [
    (["network/ddpm-unet", "--preset", "cifar"], "has no preset `cifar`; presets: cifar10, lsun256"),
    (["network/ddpm-unet", "--shape", "3,30,30"], "`multipliers` halves the images 3 times"),
    (["network", "--preset", "cifar10"], "show the layers of one network"),
    (["sampler/ddim", "--shape", "2"], "show the layers of one network"),
    (["inception-v3", "--shape", "3,32,32"], "needs `weights`, which a manifest gives"),
    (["ddpm-unet", "--preset", "cifar10", "--json"], "--json"),
])
def test_what_has_no_layers(arguments, says):
    assert says in scorelab("list", *arguments, code=2).stderr


def by_hand():
    """Multiply-adds of the manifest's network: a convolution has as many as its weights have numbers, times its pixels."""
    c, time, pixels = 8, 32, 64
    block = lambda inner: 9 * inner * c * pixels + 9 * c * c * pixels + time * c + (inner != c) * inner * c * pixels
    attention = 4 * c * c * pixels + 2 * pixels * pixels * c
    return 2 * 9 * c * pixels + c * time + time * time + block(c) + 2 * block(c) + attention + 2 * block(2 * c)


def test_what_a_plan_says(tmp_path):
    lab = Lab(tmp_path, MANIFEST)
    (network,) = json.loads(scorelab("plan", "m.toml", "--json", cwd=tmp_path).stdout)["networks"]
    assert network["name"] == "ddpm-unet" and network["multiply_adds"] == by_hand()
    assert "network ddpm-unet: " in scorelab("plan", "m.toml", cwd=tmp_path).stdout


@pytest.mark.parametrize("until, kinds", [("train", {"train"}), ("sample", {"train", "sample"})])
def test_a_run_may_end_earlier(tmp_path, until, kinds):
    lab = Lab(tmp_path, MANIFEST)
    assert f"done up to `{until}`" in scorelab("run", "m.toml", "--until", until, cwd=tmp_path).stdout
    stages = json.loads(scorelab("plan", "m.toml", "--json", cwd=tmp_path).stdout)["stages"]
    assert {s["kind"] for s in stages if s["done"]} == kinds
    scorelab("run", "m.toml", cwd=tmp_path)
    assert all(s["done"] for s in json.loads(scorelab("plan", "m.toml", "--json", cwd=tmp_path).stdout)["stages"])
