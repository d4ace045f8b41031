"""`scorelab data get` against a server on loopback: verified, resumed, and clear where there is no network."""
import http.server
import os
import pathlib
import shutil
import threading

import pytest

REAL = next((p for p in map(pathlib.Path, os.environ.get("SCORELAB_DATA", "").split(":")) if (p / "mnist/train-images-idx3-ubyte.gz").exists()), None)
real = pytest.mark.skipif(REAL is None, reason="no mnist in SCORELAB_DATA to serve")
curl = pytest.mark.skipif(not shutil.which("curl"), reason="no curl")


class Files(http.server.BaseHTTPRequestHandler):
    """Serves a folder, and parts of files where they are asked for."""

    def do_GET(self):
        file = pathlib.Path(self.server.folder) / self.path.lstrip("/")
        if not file.is_file():
            return self.send_error(404)
        data, first = file.read_bytes(), 0
        if wanted := self.headers.get("Range"):
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            if first >= len(data):
                return self.send_error(416)
        self.server.asked.append((file.name, first))
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self.wfile.write(data[first:])

    def log_message(self, *_):
        pass


@pytest.fixture
def served(lab, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.folder, server.asked = lab.folder / "public", []
    (server.folder / "mnist").mkdir(parents=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SCORELAB_DATA_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SCORELAB_DATA", str(lab.folder / "data"))
    yield server
    server.shutdown()


@curl
@real
def test_a_set_is_fetched_verified_and_gone_on_with(lab, served):
    for file in (REAL / "mnist").glob("*.gz"):
        shutil.copy(file, served.folder / "mnist")
    name = "t10k-images-idx3-ubyte.gz"
    (lab.folder / "data/mnist").mkdir(parents=True)
    (lab.folder / f"data/mnist/{name}.part").write_bytes((REAL / "mnist" / name).read_bytes()[:1000000])  # as an interrupted transfer leaves it
    done = lab.call("data", "get", "mnist")
    assert done.returncode == 0 and (name, 1000000) in served.asked, (done.stderr, served.asked)
    for file in (REAL / "mnist").glob("*.gz"):
        assert (lab.folder / "data/mnist" / file.name).read_bytes() == file.read_bytes()
    served.asked.clear()
    assert lab.call("data", "get", "mnist").returncode == 0 and served.asked == []
    assert str(lab.folder / "data/mnist") in lab.call("data").stdout


@curl
def test_a_file_with_other_contents_is_not_taken(lab, served):
    (served.folder / "mnist/train-images-idx3-ubyte.gz").write_bytes(b"something else")
    done = lab.call("data", "get", "mnist")
    assert done.returncode == 1 and "SHA-256" in done.stderr and "removed" in done.stderr
    assert list((lab.folder / "data/mnist").iterdir()) == []


@curl
def test_without_a_network_it_says_what_to_do(lab, served):
    served.shutdown()
    served.server_close()
    done = lab.call("data", "get", "mnist")
    assert done.returncode == 1 and "Without a network, copy the file to" in done.stderr


def test_an_unknown_set_has_a_nearest_name(lab):
    done = lab.call("data", "get", "minst")
    assert done.returncode == 2 and "did you mean `mnist`" in done.stderr
