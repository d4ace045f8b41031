"""Reads what scorelab recorded: metrics, samples and comparisons as xarray, weights as PyTorch tensors."""

from __future__ import annotations

import json
import os
import pathlib
import warnings
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import xarray

if TYPE_CHECKING:
    import torch

__all__ = ["open", "state_dict"]

Path = str | os.PathLike[str]


def open(folder: Path) -> xarray.DataTree:  # noqa: A001: as xarray's and h5py's
    """An experiment's folder, `results/NAME`, as a tree.

    `runs/RUN/..` holds the groups of each run.h5: `metrics/train`, `samples` and so on. RUN is the run's folder in the experiment's, with
    `-` for `/`. Its attributes are `folder`, `seed`, `train_seed`, `state`, the labels on the axes as `at`, and every setting by its dotted name as
    `config`. `comparison/METRIC` holds `values` (cell, unit), `mean`, `low` and `high` (cell), and `comparison/cells` which cell is which,
    once `scorelab report` has written them.

    Arrays are read when they are used. Raises FileNotFoundError where there is no experiment.
    """
    folder = pathlib.Path(folder)
    experiment = _experiment(folder)
    nodes: dict[str, xarray.Dataset] = {"/": xarray.Dataset(attrs={name: experiment[name] for name in ("name", "question", "manifest")})}
    for replicate in experiment["replicates"]:
        file = folder / replicate["folder"] / "run.h5"
        if not file.exists():
            continue
        where = "runs/" + (replicate["folder"] or replicate["name"]).replace("/", "-")
        try:
            groups, about = _groups(file), _about(file, dict(experiment["cells"][replicate["cell"]]["at"]))
        except (OSError, KeyError) as e:
            warnings.warn(f"left out: {file} cannot be read: {e}; `scorelab show {experiment['name']}` writes it again", stacklevel=2)
            continue
        for path, data in groups.items():
            if not path.startswith(("/config", "/provenance", "/status")):
                nodes[where + path.rstrip("/")] = data
        nodes[where] = xarray.Dataset(attrs=about)
    comparison = folder / "comparison.h5"
    if comparison.exists():
        for path, data in _groups(comparison).items():
            nodes[f"comparison{path.rstrip('/')}"] = data
    return xarray.DataTree.from_dict(nodes, name=experiment["name"])


def state_dict(run: Path, ema: float | None = None, partial: bool = False) -> dict[str, torch.Tensor]:
    """The weights of a run, for `load_state_dict(strict=True)`.

    `run`: its run.h5, or the folder of it. `ema`: the rate of an average that was kept; 0: the weights of the last step; None: those that
    the run samples with. `partial`: also those of a training that has not ended. Raises FileNotFoundError where there is no such run or
    no checkpoint, KeyError where the average was not kept, and ValueError where the run trains nothing or its training has not ended.
    """
    import torch

    file = pathlib.Path(run)
    if file.is_dir():
        file = file / "run.h5"
    if not file.exists():
        raise FileNotFoundError(f"{file} is not there; give one run's folder, as the attribute `folder` of scorelab.open's runs names it")
    with h5py.File(file) as f:
        if "checkpoint" not in f.attrs:
            raise ValueError(f"{file} is of a run that trains nothing, or was written by an earlier version: scorelab show writes it again")
        checkpoint, group, step = (file.parent / f.attrs["checkpoint"]).resolve(), f.attrs["weights"], int(f.attrs["checkpoint_step"])
    if not checkpoint.exists():
        raise FileNotFoundError(f"{checkpoint} is not there: a copy of an experiment takes .stages beside it for its weights")
    with h5py.File(checkpoint) as f:
        if not partial and int(f.attrs["step"]) != step:
            raise ValueError(f"{checkpoint} is of step {int(f.attrs['step'])} of {step}: its training has not ended; partial=True gives it")
        kept = {float(rate): f"ema/{rate}" for rate in f.get("ema", {})}
        if ema == 0:
            group = "parameters"
        elif ema is not None:
            if ema not in kept:
                raise KeyError(f"{checkpoint} holds no average with rate {ema}; it holds {', '.join(map(str, kept)) or 'none'}")
            group = kept[ema]
        return {name: torch.from_numpy(np.asarray(value[()])) for name, value in f[group].items()}


def _experiment(folder: pathlib.Path) -> dict[str, Any]:
    file = folder / "experiment.json"
    if not file.exists():
        raise FileNotFoundError(f"{folder} is no experiment's folder: there is no experiment.json; give results/NAME")
    return json.loads(file.read_text())


def _groups(file: pathlib.Path) -> dict[str, xarray.Dataset]:
    tree = xarray.open_datatree(file, engine="h5netcdf", phony_dims="sort")
    groups = {path: tree[path].to_dataset(inherit=True) for path in tree.groups}
    if "/pictures" in groups:  # HDF5 names no dimensions of an image
        dims = groups["/pictures"]["grid"].dims
        groups["/pictures"] = groups["/pictures"].rename_dims(dict(zip(dims, ("grid_height", "grid_width", "grid_channel"), strict=True)))
    return groups


def _about(file: pathlib.Path, at: dict[str, str]) -> dict[str, Any]:
    with h5py.File(file) as f:
        config = {name: value.item() if isinstance(value, np.generic) else value for name, value in f["config/flat"].attrs.items()}
        numbers = {name: int(f.attrs[name]) for name in ("seed", "train_seed")}
        return {"folder": str(file.parent), "at": at, **numbers, "state": str(f["status"].attrs["state"]), "config": config}
