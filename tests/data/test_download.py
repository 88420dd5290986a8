"""Downloading: the right file whole, or nothing."""

import hashlib
import http.server
import subprocess
import sys
import threading

import pytest
from states import HANGS

from fraud_utils.data import DataError, download


class Server(http.server.BaseHTTPRequestHandler):
    """Gives a file whole, cut short, changed, or not at all."""

    content = b"Time,Amount\n" + b"1,2\n" * 50_000

    def do_GET(self):
        kind = self.path.strip("/").removesuffix(".csv")
        if kind == "fails":
            self.send_error(503)
            return
        body = self.content[:-1] + b"!" if kind == "corrupts" else self.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if kind == "truncates" else body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_download_is_whole_and_right_or_leaves_nothing(address, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sha256 = hashlib.sha256(Server.content).hexdigest()
    path = tmp_path / "data" / "table.csv"
    for kind, part in (("fails", "503"), ("truncates", "could not download"), ("corrupts", "SHA-256 differs")):
        with pytest.raises(DataError, match=part):
            download(f"{address}/{kind}.csv", path, sha256)
        assert not list(path.parent.glob("*"))
    assert download(f"{address}/whole.csv", path, sha256) == path
    assert path.read_bytes() == Server.content


def test_make_data_says_what_went_wrong_and_exits_with_1(address, tmp_path):
    command = [
        sys.executable,
        "-m",
        "fraud_utils.data",
        "--url",
        f"{address}/fails.csv",
        "--path",
        str(tmp_path / "x.csv"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={"no_proxy": "127.0.0.1"}, timeout=HANGS)
    assert done.returncode == 1
    assert done.stderr.startswith("make data: could not download")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
