"""Data of one's own, from files of NumPy, HDF5 and text. Every item is the same, so that the distance of the samples' mean to the data's tells what was read."""

import gzip
import zipfile

import h5py
import numpy as np
import pytest
from lab import Lab

MANIFEST = """\
name      = "own"
dataset   = {{ {dataset} }}
scheduler = "vp"
network   = {{ plugin = "mlp", width = 8, depth = 1 }}
objective = "denoising-score-matching"
train     = {{ steps = 2, batch = 4 }}
sampler   = {{ plugin = "ddim", steps = 2 }}
sample    = {{ count = 64 }}
metrics   = ["frechet"]
"""
ITEM = np.arange(27).reshape(3, 3, 3)


def items(n=20, item=ITEM, dtype="f4"):
    return np.stack([item] * n).astype(dtype)


def reads(folder, dataset, item):
    """Runs with this data set, and compares what it read with `item`, [C, H, W] or [D]."""
    lab = Lab(folder, MANIFEST.format(dataset=dataset))
    lab.run()
    with h5py.File(lab.h5()) as f:
        x = f["samples/x"][()].astype("f8")
        assert x.shape[1:] == item.shape
        np.testing.assert_allclose(f["metrics/metrics/frechet.mean"][-1], ((x.mean(0) - item) ** 2).sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4", "u1"])
def test_numbers_of_every_kind(tmp_path, dtype):
    np.save(tmp_path / "x.npy", items(dtype=dtype))
    reads(tmp_path, 'plugin = "array", file = "x.npy"', ITEM)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives(tmp_path, save):
    save(tmp_path / "x.npz", other=np.zeros(3), x=items(item=ITEM[0, 0]), kinds=np.arange(20) % 4)
    reads(tmp_path, 'plugin = "array", file = "x.npz", array = "x", classes = 4, labels = "kinds"', ITEM[0, 0])


@pytest.mark.parametrize("axes, layout", [((0, 1, 2, 3), "NCHW"), ((0, 2, 3, 1), "auto")])
def test_images_of_bytes(tmp_path, axes, layout):
    np.save(tmp_path / "x.npy", np.ascontiguousarray(items(dtype="u1").transpose(axes)))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    reads(tmp_path, f'plugin = "image-array", file = "x.npy", classes = 2, labels_file = "y.npy", layout = "{layout}"', ITEM / 255)


@pytest.mark.parametrize("name", ["train/x", "/train/x"])
def test_hdf5(tmp_path, name):
    with h5py.File(tmp_path / "x.h5", "w") as f:
        f["train/x"] = items(item=ITEM[0, 0], dtype="i2")
        f["train/y"] = np.arange(20, dtype="u2") % 4
        f["other"] = np.zeros((2, 3))
    reads(tmp_path, f'plugin = "array", file = "x.h5", array = "{name}", classes = 4, labels = "train/y"', ITEM[0, 0])


def test_signed_bytes_of_hdf5(tmp_path):
    item = np.array([-3, 2, 100])
    with h5py.File(tmp_path / "x.hdf5", "w") as f:
        f.create_dataset("x", data=items(item=item, dtype="i1"), compression="gzip", shuffle=True)
    reads(tmp_path, 'plugin = "array", file = "x.hdf5"', item)


TABLES = {
    "commas.csv": "x,y,z\n" + "0,1.5,-2e3\n" * 20,
    "quoted.csv": '"x, in m","y",z\r\n' + " +0 , 1.5,-2000\r\n" * 20,
    "no-names.csv": "# one a line\n\n" + "0;1.5;-2000\n" * 20 + "\n",
    "tabs.tsv": "x\ty\tz\n" + "0\t1.5\t-2000\n" * 19 + "0\t1.5\t-2000",
    "blanks.csv": "  0   1.5 -2000\n" * 20,  # as numpy.savetxt pads
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    (tmp_path / name).write_text(TABLES[name])
    reads(tmp_path, f'plugin = "array", file = "{name}"', np.array([0, 1.5, -2000]))


def test_a_column_of_a_table_is_the_class(tmp_path):
    rows = "".join(f"1,{i % 3},-2.5\n" for i in range(20))
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(("a,kind,b\n" + rows).encode()))
    reads(tmp_path, 'plugin = "array", file = "x.csv.gz", classes = 3, labels = "kind"', np.array([1, -2.5]))


def test_limit_takes_items_from_all_of_them(tmp_path):
    x = np.arange(20.0).repeat(2).reshape(20, 2)
    np.save(tmp_path / "x.npy", x)
    lab = Lab(tmp_path, MANIFEST.format(dataset='plugin = "array", file = "x.npy", limit = 4'))
    lab.run()
    with h5py.File(lab.h5()) as f:
        mean = f["samples/x"][()].astype("f8").mean(0)
        np.testing.assert_allclose(f["metrics/metrics/frechet.mean"][-1], ((mean - np.mean([0, 5, 10, 15])) ** 2).sum(), rtol=1e-6)


def test_grey_images(tmp_path):
    np.save(tmp_path / "x.npy", items(item=ITEM[1], dtype="u1"))
    reads(tmp_path, 'plugin = "image-array", file = "x.npy", limit = 7', ITEM[1:2] / 255)


HEADERS = [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (20L, 3L), }",  # NumPy's, on Python 2
    "{'shape': (20, 3), 'fortran_order': False, 'descr': '<f4'}",
]


@pytest.mark.parametrize("header", HEADERS)
def test_headers_that_others_write(tmp_path, header):
    text = (header.ljust(117) + "\n").encode()
    data = items(item=ITEM[0, 0]).tobytes()
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)
    reads(tmp_path, 'plugin = "array", file = "x.npy"', ITEM[0, 0])


def test_images_of_floats_by_their_last_axis(tmp_path):
    np.save(tmp_path / "x.npy", np.ascontiguousarray(items().transpose(0, 2, 3, 1)))
    reads(tmp_path, 'plugin = "array", file = "x.npy", layout = "NHWC"', ITEM)


def bad_files(folder):
    x = items(item=ITEM[0, 0])
    np.save(folder / "fortran.npy", np.asfortranarray(x))
    np.save(folder / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "big.npy", x.astype(">f4"))
    np.save(folder / "scalar.npy", np.float32(3))
    np.save(folder / "empty.npy", np.zeros((0, 3), "f4"))
    np.save(folder / "nan.npy", np.where(x == 1, np.nan, x))
    np.save(folder / "x.npy", x)
    np.savez(folder / "x.npz", x=x, y=np.full(20, 7), z=np.zeros(19, "i8"), w=np.zeros(20))
    whole = (folder / "x.npy").read_bytes()
    (folder / "short.npy").write_bytes(whole[:-1])
    (folder / "long.npy").write_bytes(whole + b"\0")
    (folder / "huge.npy").write_bytes(whole.replace(b"(20, 3), }" + b" " * 30, b"(4611686018427, 4611686018427), }".ljust(40)))
    begin = b"\x93NUMPY\x01\x00" + (60_000).to_bytes(2, "little")
    (folder / "long-header.npy").write_bytes(begin + b"{".ljust(60_000))
    (folder / "axes.npy").write_bytes(begin + (b"{'shape': (" + b"1," * 65 + b")}").ljust(60_000))
    (folder / "new.npy").write_bytes(whole[:6] + b"\x09" + whole[7:])
    (folder / "packed.npy").write_bytes(gzip.compress(whole))
    (folder / "head.npy").write_bytes(whole[:40])
    (folder / "text.npy").write_text("1 2 3\n")
    archive = (folder / "x.npz").read_bytes()
    (folder / "cut.npz").write_bytes(archive[: len(archive) // 2])
    at = archive.index(x.tobytes())
    (folder / "flipped.npz").write_bytes(archive[:at] + b"\x55" + archive[at + 1 :])
    with h5py.File(folder / "x.h5", "w") as f:
        f["x"], f["y"], f["names"] = x, np.full(20, 0.5), ["a"] * 20
    with h5py.File(folder / "linked.h5", "w") as f:
        f["x"] = h5py.ExternalLink("x.h5", "x")
    (folder / "cut.h5").write_bytes((folder / "x.h5").read_bytes()[:1000])
    (folder / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (folder / "words.csv").write_text("a,b\n1,2\n3,four\n")
    (folder / "hole.csv").write_text("1,2\n3,\n")
    (folder / "head.csv").write_text("a,b\n")
    (folder / "none.csv").write_text("")
    (folder / "half.csv").write_text("a,labels\n1,0\n1,0.5\n")
    (folder / "inf.csv").write_text("1\ninf\n")
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", whole[:128].replace(b"(20, 3)", b"(99, 9)") + bytes(10_000_000))


BAD = {
    'file = "fortran.npy"': "ascontiguousarray",
    'file = "object.npy"': "its values are |O",
    'file = "big.npy"': "its values are >f4",
    'file = "scalar.npy"': "holds no items",
    'file = "empty.npy"': "holds no items",
    'file = "nan.npy"': "item 0 (from 0) has a value that is no finite number",
    'file = "short.npy"': "239 bytes of values are there",
    'file = "long.npy"': "241 bytes of values are there",
    'file = "long-header.npy"': "not that of one array",
    'file = "axes.npy"': "not that of one array",
    'file = "new.npy"': "version 9",
    'file = "packed.npy"': "unpack it first",
    'file = "head.npy"': "is not there",
    'file = "huge.npy"': "240 bytes of values are there",
    'file = "text.npy"': "does not begin with",
    'file = "x.npy", array = "x"': "no archive",
    'file = "x.npz"': "say which",
    'file = "x.npz", array = "q"': "it holds x, y, z, w",
    'file = "x.npz", array = "x", classes = 3, labels = "y"': "expected 0 to 2",
    'file = "x.npz", array = "x", classes = 3, labels = "z"': "expected 20 whole numbers",
    'file = "x.npz", array = "x", classes = 3, labels = "w"': "expected 20 whole numbers",
    'file = "cut.npz", array = "x"': "cannot be opened as an archive",
    'file = "flipped.npz", array = "x"': "damaged",
    'file = "bomb.npz"': "does not hold the array that its header describes",
    'file = "none.npy"': "none.npy",
    'file = "x.h5"': "say which",
    'file = "x.h5", array = "q"': "it holds names, x, y",
    'file = "x.h5", array = "names"': "holds no numbers",
    'file = "x.h5", array = "x", classes = 3, labels = "y"': "expected 20 whole numbers",
    'file = "linked.h5", array = "x"': "a link out of its place",
    'file = "cut.h5", array = "x"': "cut.h5",
    'file = "ragged.csv"': "line 3: 1 columns, and 2 in the lines before",
    'file = "words.csv"': "line 3: `four` in column 2 (b) is no number",
    'file = "hole.csv"': "line 2: `` in column 2 is no number",
    'file = "head.csv"': "holds no items",
    'file = "none.csv"': "holds no items",
    'file = "words.csv", classes = 2': "line 3",
    'file = "half.csv", classes = 2': "expected 2 whole numbers",
    'file = "half.csv", classes = 2, labels = "c"': "it has a, labels",
    'file = "inf.csv"': "item 1 (from 0)",
}


def test_files_that_cannot_be_read(tmp_path):
    lab = Lab(tmp_path, MANIFEST.format(dataset='plugin = "array", file = "x.npy"'))
    bad_files(tmp_path)
    for dataset, says in BAD.items():
        (tmp_path / "m.toml").write_text(MANIFEST.format(dataset=f'plugin = "array", {dataset}'))
        done = lab.run(code=2)
        assert says in done.stderr, f"{dataset}\n{done.stderr}"
        assert "internal" not in done.stderr and "std::" not in done.stderr


def test_numbers_are_no_images_of_bytes(tmp_path):
    np.save(tmp_path / "x.npy", items())
    lab = Lab(tmp_path, MANIFEST.format(dataset='plugin = "image-array", file = "x.npy"'))
    assert "images of bytes are uint8" in lab.run(code=2).stderr
