"""What a plugin can do wrong: each failure has its own message (what, where, what to do) and exit code, and ends nothing but its stage."""
import json
import pathlib
import re
import shutil

import pytest
from tiny import bare

UNAVAILABLE, FAILED, USAGE = 4, 1, 2
VERSION = pathlib.Path(__file__).resolve().parents[2] / "core/include/scorelab/version.h"
API = re.search(r"SCORELAB_API_VERSION (\d+)", VERSION.read_text())[1]

# name -> words that its message must have
UNLOADABLE = {
    "not-elf": ["is not an ELF file", "a plugin is a shared library"],
    "empty": ["is not an ELF file"],
    "truncated": ["is truncated", "the file ends at 9000", "build or copy it again"],
    "no-stamp": ["it has no stamp", "SCORELAB_PLUGIN"],
    "nameless": ["a stamp without kind or name", "build it again"],
    "other-api": ["was built for plugin API 99", f"this scorelab has {API}", "cmake --build"],
    "other-torch": ["was built for LibTorch 2.10.1", "this scorelab uses 2.11.0", "cmake --build"],
    "other-cxx-abi": ["was built for C++ ABI 1/1002", "cmake --build"],
    "other-sdk": ["other headers of the SDK", "cmake --build"],
    "no-create": ["will not load", "undefined symbol: scorelab_create"],
    "undefined-symbol": ["will not load", "undefined symbol: nobody_defines_this"],
    "missing-library": ["will not load", "libgone.so: cannot open shared object file"],
    "throws-in-constructor": ["throws when it is made", "the moon is not full; wait for it"],
    "crashes-in-constructor": ["crashes when it is loaded or made"],
    "unknown-key": ["the capability \"levels\" depends on the parameter \"solvr\", which is not declared"],
}
SKIPPED = ("not-elf", "empty", "truncated", "no-stamp", "nameless", "other-api", "other-sdk", "other-torch", "other-cxx-abi")


@pytest.mark.parametrize("name", UNLOADABLE)
@pytest.mark.parametrize("verb", ["check", "run"])
def test_unloadable(name, verb, run, plugins, tmp_path):
    r = run(bare(name), plugins / name, check_only=verb == "check")
    assert r.code == UNAVAILABLE
    assert f"`{name}` cannot be used" in r.err
    assert "tiny.toml:6:22" in r.err and "^^^" in r.err  # the manifest's line
    assert f"file: {plugins / name / name}.so" in r.err
    for words in UNLOADABLE[name]:
        assert words in r.err
    assert "1 error; nothing was started" in r.err
    assert not (tmp_path / "results").exists()


def test_each_failure_has_its_own_message(run, plugins):
    seen = {}
    for name in set(UNLOADABLE) - {"empty"}:
        text = re.search(r"\^+ (.*)", run(bare(name), plugins / name, check_only=True).err).group(1)
        assert text not in seen.values(), name
        seen[name] = text


def test_check_refuses(run, plugins):
    r = run(bare("throws-in-check"), plugins / "throws-in-check")
    assert r.code == USAGE
    assert "the parameters of step `throws-in-check` do not go together" in r.err
    assert "`low` is not below `high`; raise `high`" in r.err and "tiny.toml:6:22" in r.err
    good = run(bare("throws-in-check", high=3.0), plugins / "throws-in-check")
    assert good.code == 0, good.err


def test_check_crashes(run, plugins):
    r = run(bare("crashes-in-check"), plugins / "crashes-in-check")
    assert r.code == UNAVAILABLE
    assert "crashed while its parameters were checked" in r.err
    assert "crashes-in-check" in r.err.splitlines()[0] and "tiny.toml:6:22" in r.err


def test_check_crashes_and_the_front_end_lives(run, plugins):
    r = run(bare("crashes-in-check"), plugins / "crashes-in-check")
    assert r.code == UNAVAILABLE and "crashed while its parameters were checked" in r.err and "nothing was started" in r.err


IN_A_STEP = {
    "throws-in-step": ["step `throws-in-step`", "the road is closed; take another"],
    "throws-a-number": ["step `throws-a-number`", "threw something that is no std::exception"],
    "segfaults": ["step `segfaults` crashed (SIGSEGV)", "what was reported and checkpointed is kept"],
    "aborts": ["step `aborts` crashed (SIGABRT)"],
    "exits": ["ended too early (exit code 3)", "what was reported and checkpointed is kept"],
    "exits-well": ["ended too early (exit code 0)", "what was reported and checkpointed is kept"],
    "overflows-stack": ["step `overflows-stack` crashed (SIGSEGV)"],
    "wrong-shape": ["step `wrong-shape`", "returned shape [4, 1]", "for x of shape [4, 2]", "a step keeps shape and dtype"],
    "wrong-dtype": ["step `wrong-dtype`", "of Half", "of Double", "a step keeps shape and dtype"],
    "default-generator": ["drew from LibTorch's default generator", "every draw belongs to the Noise"],
    # Contract 11: which step, which t, which tensor. Three steps go 1 -> 0.5005 -> 0.001 -> 0; the second is the bad one.
    "nan-step": ["step `nan-step`", "not finite", "x after step 2", "from t = 0.5005 to t = 0.001", "samples 0 to 3"],
}


@pytest.mark.parametrize("name", IN_A_STEP)
def test_fails_in_a_step(name, run, scorelab, plugins):
    r = run(bare(name), plugins / name)
    assert r.code == FAILED
    assert "error: sample s0 failed" in r.err
    for words in IN_A_STEP[name]:
        assert words in r.err
    runs = json.loads(scorelab("ls", "--results", "results", "--json").out)["runs"]
    assert [x["state"] for x in runs] == ["failed"]
    again = run(bare(name), plugins / name)  # nothing of the failed stage stands in the way, nor counts as done
    assert again.code == FAILED and "0 done, 1 to do" in again.err


def test_paths_of_a_tainted_run_are_removed(run, plugins, scorelab, tmp_path):
    r = run(bare("default-generator"), plugins / "default-generator", arguments=("-s", "sample.trace=2"))
    assert r.code == FAILED and "drew from LibTorch's default generator" in r.err
    stages = [folder for folder in (tmp_path / "results/.stages").iterdir() if (folder / "failure.json").exists()]
    assert len(stages) == 1 and not (stages[0] / "trace.h5").exists() and not (stages[0] / "samples").exists()


@pytest.mark.parametrize("name", ["throws-in-step", "segfaults"])
def test_failure_names_file_and_line(name, run, plugins):
    r = run(bare(name), plugins / name)
    assert f"{plugins / name / name}.so" in r.err and "tiny.toml:6" in r.err


@pytest.mark.parametrize("name", ["throws-in-step", "wrong-shape"])
def test_failure_in_a_slot_names_the_slots_plugin(name, run, plugins):
    r = run(f'{{ plugin = "predictor-corrector", steps = 3, corrector = "{name}" }}', plugins / name)
    assert r.code == FAILED and f"step `{name}`" in r.err


def test_crash_in_a_slot(run, plugins):
    r = run('{ plugin = "predictor-corrector", steps = 3, corrector = "segfaults" }', plugins / "segfaults")
    assert r.code == FAILED and "crashed (SIGSEGV)" in r.err


OWNERS = [("space", method) for method in ("encode", "decode", "affine")]
OWNERS += [("dataset", method) for method in ("get", "shape", "exact", "to_model")]
OWNERS += [("network", method) for method in ("parameters", "initialise", "constrain", "conditions")]
OWNERS += [("scheduler", "at")]


@pytest.mark.parametrize("kind, method", OWNERS)
def test_an_error_names_the_part_whose_code_failed(kind, method, scorelab, plugins, tmp_path):
    """Not the objective, the sampler, the start or the metric that was at work."""
    parts = {"dataset": '"gaussian-mixture"', "scheduler": '"vp"', "network": '{ plugin = "mlp", width = 8, depth = 1 }'}
    parts[kind] = f'{{ plugin = "throwing-{kind}", in = "{method}" }}'
    lines = "".join(f"{name} = {value}\n" for name, value in parts.items())
    folder = plugins / f"throwing-{kind}"
    (tmp_path / "m.toml").write_text(
        f'name = "owner"\nplugins = ["{folder}"]\nobjective = "denoising-score-matching"\ntrain = {{ steps = 3, batch = 4 }}\n'
        f'sampler = "ddim"\nsample = {{ count = 4 }}\nmetrics = ["moments"]\nrun = {{ chunk = 4 }}\n{lines}'
    )
    r = scorelab("run", "m.toml", "--results", "results")
    assert r.code in (FAILED, USAGE)
    assert f"{kind} `throwing-{kind}`" in r.err and f" in {method}" in r.err
    for other in ("denoising-score-matching", "ddim", "prior", "moments"):
        assert f"`{other}`: " not in r.err and f"`{other}` cannot" not in r.err


def test_network_makes_nan(run, plugins):
    r = run(bare("euler-maruyama"), plugins / "nan-network", network="nan-network")
    assert r.code == FAILED
    assert "hold values that are not finite: its output in step" in r.err


def test_network_makes_nan_at_t(run, plugins):
    r = run(bare("euler-maruyama"), plugins / "nan-network", network="nan-network")
    assert "network `nan-network`" in r.err and re.search(r"t = 0\.667|t = 0\.66", r.err) and "euler-maruyama" not in r.err


def test_network_returns_another_shape(run, plugins):
    r = run(bare("euler-maruyama"), plugins / "wrong-shape-network", network="wrong-shape-network")
    assert r.code == FAILED
    assert "it returned shape [4, 1] for x of shape [4, 2]" in r.err


def test_network_returns_another_shape_and_is_named(run, plugins):
    r = run(bare("euler-maruyama"), plugins / "wrong-shape-network", network="wrong-shape-network")
    assert "network `wrong-shape-network`" in r.err and "euler-maruyama" not in r.err


def test_a_plugin_that_prints(run, plugins):
    r = run(bare("chatty"), plugins / "chatty")
    assert r.code == 0, r.err


def test_a_repaired_plugin_runs(run, scorelab, plugins):
    assert run(bare("segfaults"), plugins / "segfaults").code == FAILED
    r = run(bare("segfaults"), plugins / "repaired")
    assert r.code == 0, r.err
    assert [x["state"] for x in json.loads(scorelab("ls", "--results", "results", "--json").out)["runs"]] == ["done"]


@pytest.fixture
def all_bad(plugins, tmp_path):
    """One folder with every bad plugin, and a good one."""
    folder = tmp_path / "all"
    folder.mkdir()
    for name in [*UNLOADABLE, *IN_A_STEP, "throws-in-check", "crashes-in-check", "nan-network", "wrong-shape-network", "chatty", "good"]:
        shutil.copy(plugins / name / f"{name}.so", folder)
    return folder


def test_good_among_the_bad(run, all_bad):
    r = run(bare("good"), all_bad, fresh=True)
    assert r.code == 0, r.err
    assert "1 stages, 0 done, 1 to do" in r.err


def test_doctor_lists_what_was_skipped(scorelab, all_bad):
    r = scorelab("doctor", "--plugins", all_bad)
    assert r.code == 0
    for name in SKIPPED:
        line = [text for text in r.out.splitlines() if f"skipped {all_bad / name}.so" in text]
        assert len(line) == 1 and all(words in line[0] for words in UNLOADABLE[name]), name
    assert r.out.count("  skipped ") == len(SKIPPED)
    skipped = json.loads(scorelab("doctor", "--plugins", all_bad, "--json").out)["skipped"]
    assert {s["file"].split("/")[-1] for s in skipped} == {f"{n}.so" for n in SKIPPED}


def test_list_with_all(scorelab, all_bad):
    r = scorelab("list", "--plugins", all_bad, fresh=True)
    assert r.code == 0
    assert "halves x at each step" in r.out and "throws when it is made" in r.out and "not-elf" not in r.out
    plain = {p["name"]: p for p in json.loads(scorelab("list", "step", "--plugins", all_bad, "--json", fresh=True).out)["plugins"]}
    assert plain["good"]["error"] == "" and plain["good"]["schema"]
    assert "the moon is not full" in plain["throws-in-constructor"]["error"]
    assert "crashes when it is loaded or made" in plain["crashes-in-constructor"]["error"]
    assert "LibTorch 2.10.1" in plain["other-torch"]["error"]
    one = scorelab("list", "step/throws-in-constructor", "--plugins", all_bad)
    assert one.code == 0 and "cannot be used: throws when it is made" in one.out


def test_list_takes_one_folder_per_flag(scorelab, all_bad):
    r = scorelab("list", "--plugins", all_bad, "step/good")
    assert r.code == 0 and "step good 1.0.0" in r.out and "pf-ode" not in r.out


def test_a_stamp_with_odd_bytes_is_listed(scorelab, plugins):
    assert scorelab("list", "--plugins", plugins / "odd-bytes").code == 0
    assert scorelab("doctor", "--plugins", plugins / "odd-bytes").code == 0


def test_a_stamp_with_odd_bytes(scorelab, plugins, tmp_path):
    r = scorelab("list", "--plugins", plugins / "odd-bytes", "--json", internal=True, fresh=True)
    assert r.code == 0 and json.loads(r.out)
    assert (tmp_path / "cache/plugins.json").exists()


def test_unknown_name_says_what_was_skipped(run, plugins):
    r = run(bare("goood"), plugins / "good", plugins / "not-elf")
    assert r.code == USAGE
    assert "there is no sampler `goood`" in r.err and "did you mean `good`?" in r.err
    assert str(plugins / "good") in r.err and "skipped: not-elf.so is not an ELF file" in r.err


def test_wrong_kind(run, plugins):
    r = run('"exact-gaussian"', plugins / "good")
    assert r.code == USAGE and "`exact-gaussian` is a network" in r.err and "expected a sampler" in r.err
