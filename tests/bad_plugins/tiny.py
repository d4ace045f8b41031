"""The scorelab under test: $SCORELAB, else build/bin/scorelab; and how a tiny experiment's manifest writes a sampler."""
import os
import pathlib

REPO = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("SCORELAB", REPO / "build/bin/scorelab")).absolute()


def bare(name, steps=3, **more):
    extra = "".join(f", {k} = {v}" for k, v in more.items())
    return f'{{ plugin = "{name}", steps = {steps}{extra} }}'
