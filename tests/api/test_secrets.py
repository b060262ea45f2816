"""An endpoint's secrets over HTTP: shown when asked for, rotated, and a private key never."""

from __future__ import annotations

import base64

from tests import ed25519
from tests.api.client import Api
from tests.receiver import Receiver

URL = "http://127.0.0.1:9/hook"
SECRET = "whsec_" + "A" * 32


async def rotate(api: Api, endpoint: str, status: int = 200, **fields: object) -> dict[str, object]:
    answer = await api.client.post(f"/v1/endpoints/{endpoint}/secret/rotate", json=fields)
    assert answer.status_code == status, answer.text
    shown: dict[str, object] = answer.json()
    return shown


async def test_a_rotation_shows_all_that_sign_newest_first(api: Api) -> None:
    made = await api.add_endpoint(URL, secret=SECRET)
    shown = await rotate(api, made["id"], overlap_s=3600)
    asked = (await api.client.post(f"/v1/endpoints/{made['id']}/secret")).json()
    assert shown == asked
    newest, oldest = asked["live"]
    assert newest == {
        "signature": "v1",
        "secret": asked["secret"],
        "public_key": None,
        "expires_at": None,
    }
    assert (oldest["secret"], oldest["expires_at"][-1]) == (SECRET, "Z")
    assert (await api.get(f"/v1/endpoints/{made['id']}")).keys() >= {"signature", "public_key"}


async def test_an_eleventh_secret_is_a_conflict(api: Api) -> None:
    made = await api.add_endpoint(URL)
    for _ in range(9):
        await rotate(api, made["id"])
    problem = await rotate(api, made["id"], status=409)
    assert "10 secrets are live" in str(problem["detail"])


async def test_a_private_key_is_never_shown_and_its_public_half_always(api: Api) -> None:
    async with Receiver([200]) as receiver:
        made = await api.add_endpoint(receiver.url, signature="v1a")
        assert (made["signature"], made["secret"]) == ("v1a", None)
        assert made["public_key"].startswith("whpk_")
        path = f"/v1/endpoints/{made['id']}"
        await api.client.post(f"{path}/probe")
        [request] = receiver.requests
    assert ed25519.verify_webhook(made["public_key"], dict(request.headers), request.body)
    stored = (await api.service.get_endpoint(made["id"])).secrets[0].value
    seed = base64.b64decode(stored.removeprefix("whsk_"))[:32]
    answers = [
        await api.client.get(path),
        await api.client.get("/v1/endpoints"),
        await api.client.patch(path, json={"name": "x"}),
        await api.client.post(f"{path}/secret"),
        await api.client.post(f"{path}/secret/rotate", json={}),
        await api.client.post(f"{path}/secret/rotate", json={"signature": "v1"}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "whsk_" not in answer.text
        assert base64.b64encode(seed).decode()[:40] not in answer.text
    assert [answer.json()["public_key"] for answer in answers if "public_key" in answer.json()][
        :2
    ] == [made["public_key"]] * 2
    live = answers[-1].json()["live"]
    assert [one["signature"] for one in live] == ["v1", "v1a", "v1a"]
    assert [one["secret"] is None for one in live] == [False, True, True]
    assert [one["public_key"] is None for one in live] == [True, False, False]
