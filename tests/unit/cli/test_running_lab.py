"""The live view's way to a lab: the control socket and the admin API."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from mizzen.cli.running_lab import RunningLab
from mizzen.cli.snapshot import read_lab
from mizzen.lab.modes import Mode
from mizzen.lab.protocol import LabStatus, ProcessStatus
from mizzen.lab.state import LabFile


def lab_at(admin_url="http://127.0.0.1:1", control="/nonexistent", ingress_url=""):
    return RunningLab(
        LabFile(
            name="shop",
            mode=Mode.LOOPBACK,
            folder="samples/shop",
            state="/nonexistent",
            control=control,
            admin_url=admin_url,
            ingress_url=ingress_url,
            launcher_pid=0,
        )
    )


@contextmanager
def serving(body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_only_what_can_be_opened_is_a_url():
    assert lab_at("http://localhost:15014").urls == {"console": "http://localhost:15014"}
    assert list(lab_at("http://a", ingress_url="http://b").urls) == ["page", "console"]
    assert (lab_at().name, lab_at().mode) == ("shop", "loopback")


def test_the_users_proxy_is_not_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(json.dumps({"revision": 3}).encode()) as url:
        assert lab_at(url).admin_get("/api/v1/status") == {"revision": 3}


def test_a_daemon_that_does_not_answer_or_is_none_is_an_os_error():
    with pytest.raises(OSError):
        lab_at().admin_get("/api/v1/status")
    with serving(b"<html>") as url, pytest.raises(OSError, match="is not a daemon"):
        lab_at(url).admin_get("/api/v1/status")


def test_the_labs_status_is_read_over_its_control_socket(tmp_path):
    status = LabStatus(
        name="shop",
        mode=Mode.LOOPBACK,
        folder="samples/shop",
        state="",
        ready=True,
        limits=("capture",),
        daemon=ProcessStatus(pid=2, restarts=0),
        daemon_log="",
        instances=(),
    )

    def answer():
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            lines.readline()
            connection.sendall(msgspec.json.encode(status) + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "lab.sock"))
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        seen = read_lab(lab_at(control=str(tmp_path / "lab.sock")).status())
        thread.join()
    assert (seen.folder, seen.limits, seen.daemon.pid) == ("samples/shop", ("capture",), 2)
