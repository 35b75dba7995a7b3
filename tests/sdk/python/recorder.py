"""Writes down every exchange of every httpx2 client, which is what openai-python and LangChain talk through.

It sits below the clients, in the transports' class, so that a test cannot forget it and a client cannot tell.
"""

from __future__ import annotations

import httpx2
from wire import Exchange


class Recorder:
    def __init__(self) -> None:
        self.requests = 0
        self.exchanges: list[Exchange] = []

    def install(self, monkeypatch) -> None:
        """Wraps the two transports for as long as `monkeypatch` lives."""
        send = httpx2.HTTPTransport.handle_request
        send_async = httpx2.AsyncHTTPTransport.handle_async_request

        def handle_request(transport, request):
            self.requests += 1
            response = send(transport, request)
            response.stream = RecordedStream(response.stream, self._begin(request, response))
            return response

        async def handle_async_request(transport, request):
            self.requests += 1
            response = await send_async(transport, request)
            response.stream = RecordedAsyncStream(response.stream, self._begin(request, response))
            return response

        monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", handle_request)
        monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", handle_async_request)

    def _begin(self, request: httpx2.Request, response: httpx2.Response) -> Exchange:
        exchange = Exchange(
            method=request.method,
            url=str(request.url),
            status=response.status_code,
            headers=lower(response.headers),
            request_headers=lower(request.headers),
        )
        self.exchanges.append(exchange)
        return exchange


def lower(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class RecordedStream(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    def __iter__(self):
        for piece in self._stream:
            self._exchange.body += piece
            yield piece
        self._exchange.ended = True

    def close(self) -> None:
        self._stream.close()


class RecordedAsyncStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def __aiter__(self):
        async for piece in self._stream:
            self._exchange.body += piece
            yield piece
        self._exchange.ended = True

    async def aclose(self) -> None:
        await self._stream.aclose()
