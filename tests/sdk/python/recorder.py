"""Writes down every exchange of every client that talks through httpx, or through httpx2, its successor.

It sits below the clients, in the transports' classes, so that a test cannot forget it and a client cannot tell.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from types import ModuleType

from wire import Exchange


class Recorder:
    def __init__(self) -> None:
        self.requests = 0
        self.exchanges: list[Exchange] = []

    def install(self, monkeypatch) -> None:
        """Wraps the transports of every httpx there is, for as long as `monkeypatch` lives."""
        for httpx in installed():
            self.wrap(monkeypatch, httpx, httpx.HTTPTransport)
            self.wrap_async(monkeypatch, httpx, httpx.AsyncHTTPTransport)

    def wrap(self, monkeypatch, httpx: ModuleType, transport: type) -> None:
        send = transport.handle_request

        def handle_request(transport, request):
            self.requests += 1
            response = send(transport, request)
            response.stream = recorded(httpx, response.stream, self._begin(request, response))
            return response

        monkeypatch.setattr(transport, "handle_request", handle_request)

    def wrap_async(self, monkeypatch, httpx: ModuleType, transport: type) -> None:
        send = transport.handle_async_request

        async def handle_async_request(transport, request):
            self.requests += 1
            response = await send(transport, request)
            response.stream = recorded_async(httpx, response.stream, self._begin(request, response))
            return response

        monkeypatch.setattr(transport, "handle_async_request", handle_async_request)

    def _begin(self, request, response) -> Exchange:
        exchange = Exchange(
            method=request.method,
            url=str(request.url),
            status=response.status_code,
            headers=lower(response.headers),
            request_headers=lower(request.headers),
        )
        self.exchanges.append(exchange)
        return exchange


def installed() -> Iterator[ModuleType]:
    for name in ("httpx", "httpx2"):
        if importlib.util.find_spec(name):
            yield importlib.import_module(name)


def lower(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def recorded(httpx: ModuleType, stream, exchange: Exchange):
    """A stream of that httpx, which takes no other, that notes down what is read from it."""

    class RecordedStream(httpx.SyncByteStream):
        def __iter__(self):
            for piece in stream:
                exchange.body += piece
                yield piece
            exchange.ended = True

        def close(self) -> None:
            stream.close()

    return RecordedStream()


def recorded_async(httpx: ModuleType, stream, exchange: Exchange):
    class RecordedAsyncStream(httpx.AsyncByteStream):
        async def __aiter__(self):
            async for piece in stream:
                exchange.body += piece
                yield piece
            exchange.ended = True

        async def aclose(self) -> None:
            await stream.aclose()

    return RecordedAsyncStream()
