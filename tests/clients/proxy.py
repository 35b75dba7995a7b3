"""A proxy that writes down what every program asks of the gateways.

Each run has a path of its own, so that a request is never counted for another program's run.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from wire import Exchange

CHUNK = 65_536
PATIENCE_S = 120
# The connection's own headers, which are no part of what is passed on.
OF_CONNECTION = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass
class Route:
    """One run's way to a gateway, and every request for an answer that was made on it."""

    gateway: str
    exchanges: list[Exchange] = field(default_factory=list)


class Proxy:
    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def route(self, name: str, gateway: str) -> tuple[str, Route]:
        """A new way to the gateway at `gateway` (`HOST:PORT`): its base URL, and what will be asked on it."""
        route = self._routes[name] = Route(gateway)
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}/v1", route

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        routes = self._routes

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on(b"", record=False)

            def do_POST(self) -> None:
                self._pass_on(self._body(), record=True)

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding", "").lower() != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _pass_on(self, body: bytes, record: bool) -> None:
                _, name, path = self.path.split("/", 2)
                exchange = Exchange(self.command, f"/{path}", 0, {}, request_headers=lower(self.headers.items()))
                if record:
                    routes[name].exchanges.append(exchange)
                upstream = http.client.HTTPConnection(routes[name].gateway, timeout=PATIENCE_S)
                self.close_connection = True
                try:
                    upstream.request(self.command, f"/{path}", body or None, passed_on(self.headers.items()))
                    response = upstream.getresponse()
                    exchange.status, exchange.headers = response.status, lower(response.getheaders())
                    self.send_response(response.status)
                    for header in passed_on(response.getheaders()).items():
                        self.send_header(*header)
                    self.send_header("connection", "close")
                    self.end_headers()
                    while piece := response.read1(CHUNK):
                        exchange.body += piece
                        self.wfile.write(piece)
                    exchange.ended = True
                except OSError:
                    pass  # The program has hung up.
                finally:
                    upstream.close()

            def log_message(self, *_) -> None:
                pass

        return Handler


def passed_on(headers) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in OF_CONNECTION}


def lower(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}
