"""HDF5 files from strangers: recorded noise, and a run.h5 to reproduce. What does not belong there is refused, by name, before it is read."""
import h5py
import numpy as np
import pytest
from comparing import EXACT

NOISE = EXACT.replace("count = 16 }", 'count = 16, noise = "noise.h5" }')


def draws(file):
    file["noise"] = np.zeros((40, 16, 2), "f4")


def soft(file):
    draws(file)
    file["elsewhere"] = h5py.SoftLink("/noise")


def external_link(file):
    file["noise"] = h5py.ExternalLink("other.h5", "/noise")


def external_storage(file):
    file.create_dataset("noise", (40, 16, 2), "f4", external=[("/etc/hostname", 0, 40 * 16 * 2 * 4)])


def virtual(file):
    layout = h5py.VirtualLayout((40, 16, 2), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "noise", (40, 16, 2))
    file.create_virtual_dataset("noise", layout)


def circle(file):
    draws(file)
    file.create_group("a")["b"] = file["/"]


def huge(file):
    file.create_dataset("noise", (2**40, 16, 2), "f4", chunks=(1, 16, 2))


def deep(file):
    draws(file)
    group = file
    for _ in range(40):
        group = group.create_group("g")


def strings(file):
    file["noise"] = np.array([b"abc"] * 4)


def empty(file):
    file["noise"] = h5py.Empty("f4")


REFUSED = {soft: "link", external_link: "link", external_storage: "other files", virtual: "other files", circle: "one object", huge: "bytes, in a file of",
           deep: "nested", strings: "no numbers", empty: "no shape"}


def test_a_file_of_noise_is_read(lab):
    with h5py.File(lab.folder / "noise.h5", "w") as f:
        draws(f)
    lab.run(NOISE)


@pytest.mark.parametrize("make", REFUSED, ids=lambda f: f.__name__)
def test_what_leads_elsewhere_or_cannot_be_is_refused(lab, make):
    with h5py.File(lab.folder / "noise.h5", "w") as f:
        make(f)
    done = lab.run(NOISE, code=2)
    assert REFUSED[make] in done.stderr and "noise.h5" in done.stderr, done.stderr


def test_a_file_that_is_no_hdf5(lab):
    (lab.folder / "noise.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    assert "noise.h5" in lab.run(NOISE, code=2).stderr


ATTRIBUTES = {
    "a list where a number is expected": lambda f: f.attrs.__setitem__("seed", np.arange(64)),
    "a text where a number is expected": lambda f: f.attrs.__setitem__("seed", "seven"),
    "nothing": lambda f: f.attrs.__delitem__("seed"),
    "a text of fixed length": lambda f: f["config"].attrs.__setitem__("resolved", np.bytes_(b"x" * 100)),
    "another configuration": lambda f: f["config"].attrs.__setitem__("resolved", "[1, 2]"),
}


@pytest.mark.parametrize("what", ATTRIBUTES)
def test_reproduce_reads_only_what_has_the_right_shape(lab, what):
    lab.run(EXACT)
    file = lab.results / "cmp/run.h5"
    with h5py.File(file, "r+") as f:
        ATTRIBUTES[what](f)
    done = lab.call("reproduce", file)
    assert done.returncode == 1 and "run.h5" in done.stderr, (done.returncode, done.stderr)


def test_reproduce_says_that_a_file_was_changed(lab):
    lab.run(EXACT)
    file = lab.results / "cmp/run.h5"
    done = lab.call("reproduce", file)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    with h5py.File(file, "r+") as f:
        f["metrics/metrics/moments.mean"][0] += 1
    done = lab.call("reproduce", file)
    assert "changed since it was written" in done.stderr and "off by" in done.stdout, done.stdout + done.stderr
