"""The experiments that this repository ships: each states its question, its claims and a figure, and the short ones end here with every
claim passed. SCORELAB_SLOW=1 runs all of them."""
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tomllib

import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB") or ROOT / "build/bin/scorelab").resolve()
ALL = {str(f.relative_to(ROOT / "experiments")): tomllib.loads(f.read_text()) for f in sorted(ROOT.glob("experiments/*/**/*.toml"))}
FULL_SCALE = {n for n in ALL if n.startswith("full-scale/")}  # the papers' own networks, data and numbers of steps: days on a GPU
TRAINED_IN_CI = {"papers/edm-2022/preconditioning.toml"}
LONG = {  # more than a minute on two cores
    "exact/samplers.toml",
    "papers/ddim-2021/table1.toml",
    "papers/ddpm-2020/table4.toml",
    "papers/score-sde-2021/table1.toml",
    "papers/score-sde-2021/table1-1000.toml",
}


def trains(manifest):
    return "objective" in manifest or any("objective" in v for v in manifest.get("variants", {}).values()) or "models" in manifest


def runs_here(name):
    return (os.environ.get("SCORELAB_SLOW") == "1" and name not in FULL_SCALE) or name in TRAINED_IN_CI or not (trains(ALL[name]) or name in LONG)


def scorelab(*arguments, results=None):
    results = ["--results", results] if results else []
    return subprocess.run([PROGRAM, *arguments, *results], cwd=ROOT, capture_output=True, text=True, timeout=1800, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module", autouse=True)
def stand_ins(tmp_path_factory):
    """A few images of noise for each set that need not be here, behind those that are: manifests are checked, and trained for a few steps, without them."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        records = rng.integers(0, 256, (40, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(40) % 10
        (folder / "cifar10").mkdir(exist_ok=True)
        (folder / "cifar10" / name).write_bytes(records.tobytes())
    for name in ("mnist", "fashion-mnist"):
        (folder / name).mkdir()
        for split in ("train", "t10k"):
            images = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)
            (folder / name / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, *images.shape) + images.tobytes())
            (folder / name / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 40) + bytes(i % 10 for i in range(40)))
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / "one.png")
    for i in range(1000):
        (folder / "imagenet64" / f"{i:03}").mkdir(parents=True)
        (folder / "imagenet64" / f"{i:03}" / "0.png").symlink_to(folder / "one.png")
    there = os.environ.get("SCORELAB_DATA", "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCORELAB_DATA", f"{there}:{folder}")
        yield


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("name", ALL)
def test_it_is_whole(name):
    """It checks, asks a question, claims something and draws something; a paper's folder cites the paper."""
    done = scorelab("check", f"experiments/{name}")
    assert done.returncode == 0, done.stderr
    manifest = ALL[name]
    assert "?" in manifest["question"] and manifest["claims"] and manifest["figures"]
    if name.startswith(("papers/", "full-scale/")):
        comments = [line for line in (ROOT / "experiments" / name).read_text().splitlines() if line.startswith("#")]
        year = re.search(r"-(20\d\d)\b", name)[1]
        assert any(year in line for line in comments), f"its comments cite no paper of {year}"
        for paper in manifest.get("paper", {}).values():
            assert year in paper["cite"]


def test_names_are_those_of_files():
    for name, manifest in ALL.items():
        file = pathlib.Path(name)
        assert manifest["name"] == (f"{file.parent.name}-{file.stem}" if name.startswith("papers/") else file.stem)


@pytest.mark.parametrize("name", [n for n in ALL if runs_here(n)])
def test_every_claim_passes(name, results):
    done = scorelab("run", f"experiments/{name}", "-q", "-j2", results=results)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    verdicts = json.loads(scorelab("compare", ALL[name]["name"], "--json", results=results).stdout)["claims"]
    assert {v["outcome"] for v in verdicts} == {"pass"}


# One network of each: the others differ from it in their losses, or are as large.
WIDTHS = {"ddpm-2020": "simple", "edm-2022": "ddpmpp, steps=18", "improved-ddpm-2021": "cosine-hybrid", "ncsnv2-2020": "plain, method=ncsnv2", "score-sde-2021": "ncsnpp"}


@pytest.mark.parametrize("paper, cell", WIDTHS.items())
def test_ten_steps_at_full_width(paper, cell, tmp_path):
    """ADM's 296 million parameters take 6 GB with Adam's moments: tests/plugins counts them; DDIM's network is DDPM's."""
    done = scorelab("run", f"experiments/full-scale/{paper}-cifar10.toml", "--until", "train", "--only", cell, "-s", "train.steps=10", "-s", "train.batch=1", "-s", "run.threads=1", "-q",
                    results=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    shutil.rmtree(tmp_path)  # hundreds of megabytes a network


def test_the_full_scale_manifests_are_planned():
    plan = scorelab("plan", "experiments/full-scale/adm-2021-imagenet64.toml")
    assert "295,904,454 parameters" in plan.stdout, plan.stderr
    plan = scorelab("plan", "experiments/full-scale/ddim-2021-cifar10.toml")
    assert "25 cells" in plan.stdout and "35,746,307 parameters" in plan.stdout, plan.stderr


def test_an_index_of_what_ran(results):
    ran = [ALL[n]["name"] for n in ALL if runs_here(n) and (results / ALL[n]["name"] / "experiment.json").exists()]
    done = scorelab("report", *ran, results=results)
    assert done.returncode == 0 and "figure " not in done.stderr, done.stderr
    lines = (results / "index.md").read_text().splitlines()[2:]
    assert len(lines) == sum(len(m["claims"]) for m in ALL.values() if m["name"] in ran)
    assert all(line.split(" | ")[2] == "pass" for line in lines)
