"""The way to fal through a proxy as companies have it: Debian's tinyproxy, with a login, and an authority of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error

import pytest

from conftest import ask, free_port, wait_for

GATEWAY = os.environ["GATEWAY_BINARY"]
LOGIN = ("somebody", "pa55word")


@pytest.fixture
def authority(tmp_path):
    """A private authority, and a certificate of it for `localhost`."""

    def certify(name, *options):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem", *options),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )

    certify("authority", "-addext", "keyUsage=critical,keyCertSign")
    signed = ("-CA", tmp_path / "authority.pem", "-CAkey", tmp_path / "authority.key")
    certify("fal", *signed, "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE")
    return tmp_path


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def open_tls(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Opens TLS for whoever comes, and carries what is inside to a port and back."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        try:
            inside = context.wrap_socket(peer, server_side=True)
        except OSError:
            peer.close()
            continue
        server = socket.create_connection(("127.0.0.1", port))
        for pair in [(inside, server), (server, inside)]:
            threading.Thread(target=carry, args=pair, daemon=True).start()


@pytest.fixture
def fal(start, authority):
    """An emulated fal behind TLS."""
    port = free_port()
    emulator = start(GATEWAY, "emulator", "--listen", f"127.0.0.1:{port}", cwd=authority, stdout=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{port}/_emulator", emulator)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "fal.pem", authority / "fal.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=open_tls, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]


@pytest.fixture
def proxy(start, fal, tmp_path):
    """Debian's tinyproxy, which lets nobody through but to fal."""
    port = free_port()
    (tmp_path / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nConnectPort {fal}\n"
        f'BasicAuth {LOGIN[0]} {LOGIN[1]}\nLogFile "{tmp_path}/tinyproxy.log"\nLogLevel Connect\n'
    )
    process = start(shutil.which("tinyproxy"), "-d", "-c", tmp_path / "tinyproxy.conf", stdout=subprocess.DEVNULL)
    for _ in range(600):
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return port
        except OSError:
            time.sleep(0.05)
    pytest.fail("tinyproxy does not listen")


@pytest.fixture
def gateway(start, authority, fal, proxy):
    """Starts a gateway that goes to fal through the proxy with this login."""

    def started(login: str, trusts: bool = True) -> tuple[str, subprocess.Popen]:
        port = free_port()
        env = {
            "FAL_KEY": "id:secret",
            "FAL_GATEWAY__FAL__URL": f"https://localhost:{fal}",
            "FAL_GATEWAY__FAL__PROXY": f"http://{login}127.0.0.1:{proxy}",
            "FAL_GATEWAY__ADMIN__ENABLED": "false",
            "FAL_GATEWAY__SERVER__DRAIN_TIMEOUT": "1s",
        }
        if trusts:
            env["FAL_GATEWAY__FAL__CA_FILE"] = str(authority / "authority.pem")
        log = (authority / "gateway.log").open("w")
        process = start(GATEWAY, "serve", "--listen", f"127.0.0.1:{port}", env=env, cwd=authority, stdout=log, stderr=log)
        wait_for(f"http://127.0.0.1:{port}/livez", process)
        return f"http://127.0.0.1:{port}", process

    return started


def test_fal_is_reached_through_a_proxy_with_a_login(gateway, fal, tmp_path):
    url, _ = gateway(f"{LOGIN[0]}:{LOGIN[1]}@")
    with ask(url, "echo through the proxy") as answer:
        said = answer.read().decode()
    assert said.endswith("data: [DONE]\n\n")
    pieces = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: {")]
    text = "".join(choice["delta"].get("content") or "" for piece in pieces for choice in piece["choices"])
    assert "through the proxy" in text
    assert f"CONNECT localhost:{fal} " in (tmp_path / "tinyproxy.log").read_text()


@pytest.mark.parametrize(
    ("login", "trusts"),
    [("", True), (f"{LOGIN[0]}:wrong@", True), (f"{LOGIN[0]}:{LOGIN[1]}@", False)],
    ids=["no login", "wrong login", "unknown authority"],
)
def test_whoever_is_not_let_through_is_told_that_fal_is_not_reached(gateway, login, trusts, tmp_path):
    url, process = gateway(login, trusts)
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(url, "hello")
    error = json.load(caught.value)["error"]
    assert (caught.value.code, error["code"]) == (502, "upstream_unreachable")
    # An orderly end waits for every line of the log.
    process.terminate()
    process.wait(timeout=60)
    log = (tmp_path / "gateway.log").read_text()
    assert ("fal.proxy" if trusts else "certificate") in log, log
    for secret in ["pa55word", "wrong@", "id:secret"]:
        assert secret not in log
