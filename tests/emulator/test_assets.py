"""The asset API and its signed urls."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

import httpx
import pytest

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def api(server):
    return f"{server.nvcf_url}/assets"


@pytest.fixture
def made(client, api):
    return client.post(api, json={"contentType": "image/png", "description": "a tree"}).json()


HEADERS = {"content-type": "image/png", "x-amz-meta-nvcf-asset-description": "a tree"}


@pytest.fixture
def put(bare):
    """Put bytes at a signed url."""

    def run(url, content=b"bytes", headers=None):
        return bare.put(url, content=content, headers=headers)

    return run


def test_a_whole_life(server, client, api, made, put):
    asset = made["assetId"]
    assert UUID.fullmatch(asset)
    assert made["contentType"] == "image/png"
    assert made["description"] == "a tree"
    assert urlsplit(made["uploadUrl"]).netloc == urlsplit(api).netloc
    assert urlsplit(made["uploadUrl"]).path != urlsplit(api).path
    assert server.assets[asset].state == "created"
    assert put(made["uploadUrl"], b"bytes", HEADERS).status_code == 200
    known = server.assets[asset]
    assert (known.state, known.length) == ("stored", 5)
    assert known.sha256 == hashlib.sha256(b"bytes").hexdigest()
    shown = {"assetId": asset, "contentType": "image/png", "description": "a tree"}
    assert client.get(api).json() == {"assets": [shown]}
    assert client.get(f"{api}/{asset}").json() == {"asset": shown}
    deleted = client.delete(f"{api}/{asset}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.delete(f"{api}/{asset}").status_code == 404
    assert client.get(f"{api}/{asset}").status_code == 404
    assert client.get(api).json() == {"assets": []}
    assert server.assets[asset].state == "deleted"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contentType": "image/png"},
        {"description": "a"},
        {"contentType": "", "description": "a"},
        {"contentType": "image/png", "description": ""},
        {"contentType": 1, "description": "a"},
        {"contentType": "image/png", "description": None},
        {"contentType": "image/png", "description": "a", "other": 1},
    ],
)
def test_creating_needs_both_fields(client, api, body):
    assert client.post(api, json=body).status_code == 400


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"content-type": "image/jpeg"}, 403, "SignatureDoesNotMatch"),
        ({"content-type": None}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-meta-nvcf-asset-description": "a bush"}, 403, "SignatureDoesNotMatch"),
        ({"x-amz-meta-nvcf-asset-description": None}, 403, "SignatureDoesNotMatch"),
        ({"Authorization": "Bearer nvapi-x"}, 400, "InvalidArgument"),
    ],
)
def test_a_put_checks_its_headers(server, made, put, changed, status, code):
    headers = {key: value for key, value in {**HEADERS, **changed}.items() if value is not None}
    response = put(made["uploadUrl"], b"bytes", headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/xml"
    assert f"<Code>{code}</Code>" in response.text
    assert server.assets[made["assetId"]].state == "created"


def test_a_put_needs_its_signature(made, put):
    bare = made["uploadUrl"].partition("?")[0]
    assert put(bare, b"bytes", HEADERS).status_code == 403
    changed = re.sub("X-Amz-Signature=.", "X-Amz-Signature=x", made["uploadUrl"])
    assert put(changed, b"bytes", HEADERS).status_code == 403
    elsewhere = made["uploadUrl"].replace(made["assetId"], "other")
    assert put(elsewhere, b"bytes", HEADERS).status_code == 403


def test_a_put_takes_no_chunks(server, made, put):
    response = put(made["uploadUrl"], iter([b"by", b"tes"]), HEADERS)
    assert response.status_code == 501
    assert "Transfer-Encoding" in response.text
    assert server.assets[made["assetId"]].state == "created"


def test_a_put_needs_a_length(server, client, made):
    url = urlsplit(made["uploadUrl"])
    lines = [f"PUT {url.path}?{url.query} HTTP/1.1", f"host: {url.netloc}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    import socket

    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 411")


def test_a_url_ends_with_its_asset(server, made, put):
    server.expire_assets()
    assert server.assets[made["assetId"]].state == "expired"
    response = put(made["uploadUrl"], b"bytes", HEADERS)
    assert response.status_code == 403
    assert "expired" in response.text


def test_one_of_them_may_expire(server, client, api, made):
    other = client.post(api, json={"contentType": "image/png", "description": "b"}).json()
    server.expire_assets(made["assetId"])
    listed = [asset["assetId"] for asset in client.get(api).json()["assets"]]
    assert listed == [other["assetId"]]


def test_assets_belong_to_an_account(server, client, api, made):
    server.add_key("nvapi-another")
    headers = {"authorization": "Bearer nvapi-another"}
    url = f"{api}/{made['assetId']}"
    assert client.get(api, headers=headers).json() == {"assets": []}
    assert client.get(url, headers=headers).status_code == 404
    assert client.delete(url, headers=headers).status_code == 404
    assert client.get(url).status_code == 200


def test_every_call_needs_the_key(api, made, bare):
    for method, url in [("POST", api), ("GET", api), ("GET", f"{api}/1"), ("DELETE", f"{api}/1")]:
        response = bare.request(method, url)
        assert response.status_code == 401, (method, url)


def test_puts_are_noted_without_their_bytes(server, made, put):
    put(made["uploadUrl"], b"x" * 3_000_000, HEADERS)
    noted = server.requests[-1]
    assert (noted.method, noted.place, noted.length) == ("PUT", "put", 3_000_000)
    assert noted.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert noted.raw == b""
    assert noted.headers["content-type"] == "image/png"
    assert "X-Amz-Signature=" in noted.query


def test_large_files_are_decoded_too(server, made, put, client, api, files):
    body = {"contentType": "video/mp4", "description": "b"}
    video = client.post(api, json=body).json()
    headers = {"content-type": "video/mp4", "x-amz-meta-nvcf-asset-description": "b"}
    put(video["uploadUrl"], files.mp4(padding=5_000_000), headers)
    assert server.assets[video["assetId"]].media.seconds == 2.5


def test_hashing_may_be_left_out():
    from nvcf_emulator import Emulator

    with Emulator(hash_uploads=False) as server:
        key = {"authorization": f"Bearer {server.api_key}"}
        body = {"contentType": "image/png", "description": "a tree"}
        made = httpx.post(f"{server.nvcf_url}/assets", json=body, headers=key).json()
        assert httpx.put(made["uploadUrl"], content=b"x", headers=HEADERS).status_code == 200
        assert server.assets[made["assetId"]].sha256 == ""
        assert server.assets[made["assetId"]].length == 1


def test_a_put_in_many_pieces_keeps_no_more_than_it_must(server, made, put):
    def pieces():
        for _ in range(64):
            yield bytes(1024 * 1024)

    headers = {**HEADERS, "content-length": str(64 * 1024 * 1024)}
    assert put(made["uploadUrl"], pieces(), headers).status_code == 200
    assert server.assets[made["assetId"]].length == 64 * 1024 * 1024


def test_an_asset_deleted_while_its_bytes_come_stays_deleted(server, client, api, made, put):
    large = 32 * 1024 * 1024

    def pieces():
        yield bytes(large)  # More than the sockets hold: when it is sent, the put is being read.
        assert client.delete(f"{api}/{made['assetId']}").status_code == 204
        yield b"x"

    headers = {**HEADERS, "content-length": str(large + 1)}
    assert put(made["uploadUrl"], pieces(), headers).status_code == 200
    assert server.assets[made["assetId"]].state == "deleted"
