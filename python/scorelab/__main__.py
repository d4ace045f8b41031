"""What scorelab recorded, for other programs; weights from their layouts and to them. `python -m scorelab --help` tells the verbs."""

from __future__ import annotations

import argparse
import calendar
import json
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


def tensorboard(folder: pathlib.Path, events: pathlib.Path) -> int:
    """Writes a folder of events a run; returns how many runs there were."""
    from tensorboardX import SummaryWriter

    runs = sorted(folder.rglob("run.h5"))
    targets = [events / file.parent.relative_to(folder.parent) for file in runs]
    for out in targets:
        if out.exists() and any(out.iterdir()):
            raise FileExistsError(f"{out} is there and not empty: TensorBoard would draw its events beside these; remove it, or name another folder")
    for file, out in zip(runs, targets, strict=True):
        try:
            f = h5py.File(file)
        except OSError as e:
            raise OSError(f"{file} cannot be read: {e}") from e
        with f, SummaryWriter(str(out)) as writer:
            _write(writer, f)
        print(out)
    return len(runs)


def _write(writer: SummaryWriter, f: h5py.File) -> None:
    config = json.loads(f["config"].attrs["resolved"])
    writer.add_text("config", f"```\n{json.dumps(config, indent=1)}\n```")
    begin = calendar.timegm(time.strptime(f["provenance"].attrs["launched"], "%Y-%m-%dT%H:%M:%SZ"))
    for stream, group in f["metrics"].items():
        step, wall = group["step"][()], group["wall"][()]
        for column, values in group.items():
            if column in ("step", "wall"):
                continue
            unmeasured = values.attrs["goal"] == "none"  # NaN: such as the rate at the first step; of a loss it is news
            for at, value, seconds in zip(step, values[()], wall, strict=True):
                if not (unmeasured and np.isnan(value)):
                    writer.add_scalar(f"{stream}/{column}", value, int(at), walltime=begin + float(seconds))
    if "pictures" in f:
        writer.add_image("samples", np.asarray(f["pictures/grid"]), dataformats="HWC")


def convert(verb: str, source: pathlib.Path, target: pathlib.Path, grid: int) -> None:
    """Weights of a DiT, from a safetensors file into another that must not be there."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    from .layouts import dit_from_diffusers, dit_to_diffusers

    if target.exists():
        raise FileExistsError(f"{target} is there; remove it, or name another file")
    try:
        tensors = load_file(source)
    except (SafetensorError, KeyError, TypeError) as e:  # the last two: of a type that NumPy has not
        raise ValueError(f"{source} cannot be read: {e}; it must be a safetensors file of float16, float32 or float64") from e
    out = dit_from_diffusers(tensors, grid) if verb == "from-diffusers" else dit_to_diffusers(tensors)
    part = target.with_name(target.name + ".part")  # a name that stands for a whole file, or for none
    try:
        save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, part, {"format": "pt"})  # which readers of PyTorch's look for
        part.rename(target)
    except SafetensorError as e:
        raise OSError(f"{target} cannot be written: {e}") from e
    finally:
        part.unlink(missing_ok=True)
    print(f"{target}: {len(out)} tensors")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scorelab", description="What scorelab recorded, for other programs.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("tensorboard", help="metrics and pictures of every run as TensorBoard's event files")
    verb.add_argument("experiment", type=pathlib.Path, help="its folder, results/NAME")
    verb.add_argument("events", type=pathlib.Path, help="where to write; then: tensorboard --logdir EVENTS")
    verb = verbs.add_parser("from-diffusers", help="weights of diffusers' DiTTransformer2DModel as those of scorelab's dit")
    verb.add_argument("source", type=pathlib.Path, help="a safetensors file, such as transformer/diffusion_pytorch_model.safetensors")
    verb.add_argument("target", type=pathlib.Path, help="the safetensors file to write")
    verb.add_argument("--grid", type=int, required=True, help="patches a side: the side of image or latent over the patch's")
    verb = verbs.add_parser("to-diffusers", help="the other way")
    verb.add_argument("source", type=pathlib.Path, help="a safetensors file, as `scorelab export NAME --weights` writes it")
    verb.add_argument("target", type=pathlib.Path, help="the safetensors file to write")
    given = parser.parse_args()
    try:
        if given.verb != "tensorboard":
            convert(given.verb, given.source, given.target, getattr(given, "grid", 0))
        elif tensorboard(given.experiment, given.events) == 0:
            print(f"error: {given.experiment} holds no run.h5; give an experiment's folder, results/NAME", file=sys.stderr)
            return 5
    except ModuleNotFoundError as e:
        print(f"error: {e}; pip install {'tensorboardX' if given.verb == 'tensorboard' else 'safetensors'}", file=sys.stderr)
        return 4
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
