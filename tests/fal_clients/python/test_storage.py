"""Uploads, as fal's Python client makes them."""

import httpx
import pytest


@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
def test_an_upload_can_be_read_back(client, base, repository):
    url = client.upload(b"\x00\xffbytes", "application/x-test", file_name="a b.bin", repository=repository)
    assert url.startswith(base)
    answer = httpx.get(url)
    assert answer.content == b"\x00\xffbytes"
    assert answer.headers["content-type"] == "application/x-test"


def test_the_fallback_repository_is_used_when_the_first_fails(client, base, monkeypatch):
    import fal_client.client as constants

    monkeypatch.setattr(constants, "CDN_URL", base + "/nowhere")
    url = client.upload(b"fallback", "text/plain", repository="fal_v3", fallback_repository=["fal"])
    assert httpx.get(url).content == b"fallback"


def test_a_big_file_goes_up_in_parts(client, base, tmp_path, monkeypatch):
    import fal_client.client as constants

    monkeypatch.setattr(constants, "MULTIPART_THRESHOLD", 1 << 20, raising=False)
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(range(256)) * (11 << 12))
    url = client.upload_file(path)
    assert httpx.get(url).content == path.read_bytes()
    requests = httpx.get(f"{base}/_emulator/requests").json()
    assert any("/multipart/" in request["path"] for request in requests)


async def test_the_async_client_uploads_too(async_client):
    url = await async_client.upload(b"async", "text/plain")
    assert httpx.get(url).content == b"async"
