"""Weights between the layouts of other libraries and scorelab's, where names alone do not say it. Arrays are NumPy's."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["dit_from_diffusers", "dit_to_diffusers"]

Array = npt.NDArray[Any]

# diffusers' DiTTransformer2DModel -> the code of Peebles & Xie 2023, which `dit` follows; of one block, and of the others.
_BLOCK = {"norm1.linear": "adaLN_modulation.1", "attn1.to_out.0": "attn.proj", "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2"}
_EMBEDDER = {"timestep_embedder.linear_1": "t_embedder.mlp.0", "timestep_embedder.linear_2": "t_embedder.mlp.2", "class_embedder.embedding_table": "y_embedder.embedding_table"}
_OTHERS = {"pos_embed.proj": "x_embedder.proj", "proj_out_1": "final_layer.adaLN_modulation.1", "proj_out_2": "final_layer.linear"}


def dit_from_diffusers(tensors: Mapping[str, Array], grid: int) -> dict[str, Array]:
    """A state dict of diffusers' `DiTTransformer2DModel` as scorelab's `dit` names it.

    `grid`: patches a side, the image's side over the patch's; the embeddings of positions are computed, as files of diffusers lack them. Each
    block there has its own embeddings of time and class, which must be equal, as they are in the published files. diffusers' class computes
    the sines of times with other frequencies than the paper's code, which `dit` follows: weights of a published DiT were trained with the
    paper's. Raises ValueError where a tensor is missing, one is not of that layout, or blocks embed differently.
    """
    if grid < 1:
        raise ValueError(f"{grid} patches a side: there is one at least")
    left = dict(tensors)
    depth = len({m[1] for name in left if (m := re.match(r"transformer_blocks\.(\d+)\.", name))})
    if depth == 0:
        raise ValueError("no tensor is of a transformer's block (transformer_blocks.0.…): this is not the layout of diffusers' DiTTransformer2DModel")

    take = functools.partial(_take, left, f"diffusers' DiTTransformer2DModel of {depth} blocks")
    out = {f"{ours}.{kind}": take(f"{theirs}.{kind}") for theirs, ours in _OTHERS.items() for kind in ("weight", "bias")}
    for k in range(depth):
        block = f"transformer_blocks.{k}"
        for kind in ("weight", "bias"):
            out |= {f"blocks.{k}.{ours}.{kind}": take(f"{block}.{theirs}.{kind}") for theirs, ours in _BLOCK.items()}
            out[f"blocks.{k}.attn.qkv.{kind}"] = np.concatenate([take(f"{block}.attn1.to_{x}.{kind}") for x in "qkv"])
        embedder = {f"{ours}.{kind}": take(f"{block}.norm1.emb.{theirs}.{kind}") for theirs, ours in _EMBEDDER.items() for kind in _kinds(theirs)}
        if k == 0:
            out |= embedder
        elif different := [name for name, value in embedder.items() if not np.array_equal(value, out[name])]:
            raise ValueError(f"block {k} embeds times or classes otherwise than block 0 (`{different[0]}`): DiT embeds them once for all blocks, so that this model cannot be a `dit`")
    left.pop("pos_embed.pos_embed", None)  # versions of diffusers that keep it
    if left:
        raise ValueError(f"`{min(left)}` is not of diffusers' DiTTransformer2DModel, or not of one with classes; {len(left)} such tensors are left")
    weight = out["x_embedder.proj.weight"]
    out["pos_embed"] = _positions(weight.shape[0], grid).astype(weight.dtype)
    return out


def dit_to_diffusers(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The other way: what `load_state_dict(strict=True)` of a `DiTTransformer2DModel` takes. Raises ValueError where a tensor is missing or unknown."""
    left = dict(tensors)
    depth = len({m[1] for name in left if (m := re.match(r"blocks\.(\d+)\.", name))})
    if depth == 0:
        raise ValueError("no tensor is of a block (blocks.0.…): these are not the weights of scorelab's `dit`")

    take = functools.partial(_take, left, f"a `dit` of {depth} blocks")
    take("pos_embed")
    out = {f"{theirs}.{kind}": take(f"{ours}.{kind}") for theirs, ours in _OTHERS.items() for kind in ("weight", "bias")}
    embedder = {f"{theirs}.{kind}": take(f"{ours}.{kind}") for theirs, ours in _EMBEDDER.items() for kind in _kinds(theirs)}
    for k in range(depth):
        block = f"transformer_blocks.{k}"
        for kind in ("weight", "bias"):
            out |= {f"{block}.{theirs}.{kind}": take(f"blocks.{k}.{ours}.{kind}") for theirs, ours in _BLOCK.items()}
            for x, part in zip("qkv", np.split(take(f"blocks.{k}.attn.qkv.{kind}"), 3), strict=True):
                out[f"{block}.attn1.to_{x}.{kind}"] = part
        out |= {f"{block}.norm1.emb.{name}": value for name, value in embedder.items()}
    if left:
        raise ValueError(f"`{min(left)}` is not of scorelab's `dit`; {len(left)} such tensors are left")
    return out


def _take(left: dict[str, Array], owner: str, name: str) -> Array:
    if name not in left:
        raise ValueError(f"`{name}` is missing: {owner} has it")
    return left.pop(name)


def _kinds(module: str) -> tuple[str, ...]:
    return ("weight",) if module.endswith("embedding_table") else ("weight", "bias")


def _positions(width: int, grid: int) -> Array:
    """[1, grid^2, width]: sines and cosines of the column, then of the row; row by row of the image."""
    angle = np.arange(grid)[:, None] * 10000.0 ** (-np.arange(width // 4) / (width // 4))
    line = np.concatenate([np.sin(angle), np.cos(angle)], 1)
    return np.concatenate([np.tile(line, (grid, 1)), np.repeat(line, grid, 0)], 1)[None]
