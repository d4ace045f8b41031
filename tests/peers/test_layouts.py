"""Weights that go to diffusers and come from it through `python -m scorelab`: with strict names, and not one bit moved."""
import pathlib
import subprocess
import sys

import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (tests/requirements.txt names it)")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from safetensors.torch import load_file, save_file

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "python"


def scorelab(*arguments):
    return subprocess.run([sys.executable, "-m", "scorelab", *map(str, arguments)], env={"PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=300)


def dit():
    """As in published files, where each block has a copy of one embedding of time and class."""
    model = own_embeddings()
    for block in model.transformer_blocks[1:]:
        block.norm1.emb.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    return model


def own_embeddings():
    return diffusers.DiTTransformer2DModel(num_attention_heads=2, attention_head_dim=12, in_channels=3, out_channels=6, num_layers=3, sample_size=20, patch_size=4, num_embeds_ada_norm=7)


@pytest.fixture
def files(tmp_path):
    """diffusers' file, ours, and theirs again."""
    torch.manual_seed(1)
    theirs, ours, again = (tmp_path / f"{name}.safetensors" for name in ("theirs", "ours", "again"))
    model = dit()
    save_file({name: value.clone() for name, value in model.state_dict().items()}, theirs)
    for arguments in (("from-diffusers", theirs, ours, "--grid", 5), ("to-diffusers", ours, again)):
        done = scorelab(*arguments)
        assert done.returncode == 0, done.stderr
    return model, theirs, ours, again


def test_there_and_back(files):
    model, _, ours, again = files
    made = load_file(ours)
    torch.testing.assert_close(made["pos_embed"], model.pos_embed.pos_embed, rtol=0, atol=1e-7)  # made anew: diffusers does not save it
    block = model.transformer_blocks[2].attn1
    assert torch.equal(made["blocks.2.attn.qkv.weight"], torch.cat([block.to_q.weight, block.to_k.weight, block.to_v.weight]))
    other = dit()
    other.load_state_dict(load_file(again), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_what_is_wrong_is_said(files, tmp_path):
    _, theirs, ours, _ = files
    cases = []
    tensors = load_file(theirs)
    lacking = {name: value for name, value in tensors.items() if name != "transformer_blocks.1.attn1.to_k.bias"}
    for name, content, words in (("lacking", lacking, "`transformer_blocks.1.attn1.to_k.bias` is missing"), ("own", own_embeddings().state_dict(), "block 1 embeds times or classes otherwise than block 0"),
                                 ("extra", tensors | {"more": torch.ones(1)}, "`more` is not of diffusers'"),
                                 ("half", {name: value.bfloat16() for name, value in tensors.items()}, "it must be a safetensors file of float16, float32 or float64"),
                                 ("other", {"conv_in.weight": torch.ones(1)}, "no tensor is of a transformer's block")):
        save_file(dict(content), tmp_path / f"{name}.safetensors")
        cases.append((("from-diffusers", tmp_path / f"{name}.safetensors", tmp_path / "out", "--grid", 5), words))
    (tmp_path / "text.safetensors").write_text("not one")
    cases += [(("from-diffusers", tmp_path / "text.safetensors", tmp_path / "out", "--grid", 5), "cannot be read"), (("from-diffusers", theirs, tmp_path / "out", "--grid", 0), "0 patches a side"),
              (("from-diffusers", tmp_path / "none", tmp_path / "out", "--grid", 5), "none"), (("to-diffusers", theirs, tmp_path / "out"), "no tensor is of a block"),
              (("to-diffusers", ours, theirs), "is there; remove it, or name another file"), (("to-diffusers", ours, tmp_path / "none/out"), "none/out")]
    for arguments, words in cases:
        done = scorelab(*arguments)
        assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, (arguments, done.stderr)
        assert not (tmp_path / "out").exists()
    np.testing.assert_equal({name: value.numpy() for name, value in load_file(theirs).items()}, {name: value.numpy() for name, value in tensors.items()})
