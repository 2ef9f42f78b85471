"""The HTTP contract by hand-made requests: round trips, and the refusals that clients rely on."""

import hashlib
import os
import re
import uuid

import requests

from client import WAIT_S, Client, download, upload
from harness import equal, holds

TOKEN = re.compile(r"^lunasec-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def refused(answer, status, name):
    """The envelope of every failure."""
    error = answer.json()["error"]
    equal((answer.status_code, error["name"]), (status, name))
    equal((error["errorName"], error["errorMessage"]), (error["name"], error["message"]))
    equal(error["requestId"], answer.headers["x-request-id"], "request id")
    equal(answer.json()["success"], False)
    equal(answer.headers["cache-control"], "no-store")


def unknown():
    return f"lunasec-{uuid.uuid4()}"


def test_a_marked_value_and_its_metadata_come_back(vault):
    value, note = vault.marks.text("value"), vault.marks.text("metadata")
    client = Client(vault)
    token = client.tokenize(value.encode(), {"dataType": "string", "customFields": {"note": note}})
    holds(TOKEN.match(token), "the token's shape")
    equal(client.detokenize(token), value.encode(), "value")
    found = client.data("/metadata/get", {"tokenId": token})["metadata"]
    equal(found, {"dataType": "string", "customFields": {"note": note}}, "metadata")


def test_values_of_every_size_come_back(vault):
    client = Client(vault)
    for size in (0, 1, 65_535, 65_536, 65_537, 5 * 1024 * 1024):
        value = os.urandom(size)
        equal(client.detokenize(client.tokenize(value)), value, f"value of {size} bytes")


def test_token_id_is_read_in_any_case(vault):
    client = Client(vault)
    token = client.tokenize(b"value")
    for key in ("tokenId", "tokenID", "tokenid"):
        equal(client.call("/detokenize", {key: token.upper().replace("LUNASEC", "lunasec")}).status_code, 200)


def test_success_has_the_envelope(vault):
    answer = Client(vault).call("/tokenize", {"metadata": None})
    equal(answer.status_code, 200)
    equal(set(answer.json()), {"success", "error", "data"})
    equal(answer.json()["error"], {})
    equal(set(answer.json()["data"]), {"tokenId", "uploadUrl", "headers"})
    equal(answer.headers["content-type"].split(";")[0], "application/json")
    equal(answer.headers["cache-control"], "no-store")
    vault.marks.add("data key", answer.json()["data"]["headers"]["x-amz-server-side-encryption-customer-key"])


def test_a_second_upload_is_refused(vault):
    client = Client(vault)
    ticket = client.data("/tokenize", {})
    equal(upload(ticket, b"first").status_code, 200)
    equal(upload(ticket, b"second").status_code, 412)
    equal(client.detokenize(ticket["tokenId"]), b"first", "value")


def test_upload_and_download_urls_are_not_interchangeable(vault):
    client = Client(vault)
    ticket = client.data("/tokenize", {})
    upload(ticket, b"value")
    equal(download({"downloadUrl": ticket["uploadUrl"], "headers": ticket["headers"]}).status_code, 403)
    down = client.data("/detokenize", {"tokenId": ticket["tokenId"]})
    equal(upload({"uploadUrl": down["downloadUrl"], "headers": down["headers"]}, b"other").status_code, 403)
    equal(client.detokenize(ticket["tokenId"]), b"value", "value")


def test_a_user_reads_with_a_grant_alone(vault):
    session = vault.marks.text("session id")
    application, user = Client(vault), Client(vault, "user", session)
    token = application.tokenize(b"value", {"kind": "note"})
    refused(user.call("/detokenize", {"tokenId": token}), 404, "NoSuchToken")
    refused(user.call("/metadata/get", {"tokenId": token}), 404, "NoSuchToken")
    equal(application.grant(token, sessionId=session).json(), {"success": True, "error": {}, "data": {}})
    equal(user.detokenize(token), b"value", "value")
    equal(user.data("/metadata/get", {"tokenId": token})["metadata"], {"kind": "note"})
    other = Client(vault, "user", vault.marks.text("session id"))
    refused(other.call("/detokenize", {"tokenId": token}), 404, "NoSuchToken")


def test_verify_tells_whether_there_is_a_grant(vault):
    client, session = Client(vault), vault.marks.text("session id")
    token = client.tokenize(b"value")
    ask = {"sessionId": session, "tokenId": token}
    equal(client.data("/grant/verify", ask), {"valid": False})
    client.grant(token, sessionId=session)
    equal(client.data("/grant/verify", ask), {"valid": True})
    equal(client.data("/grant/verify", {"sessionId": session, "tokenId": unknown()}), {"valid": False})
    equal(client.data("/grant/verify", {"self": True, "tokenId": token}), {"valid": True})


def test_durations_are_checked(vault):
    client = Client(vault)
    token = client.tokenize(b"value")
    for bad in ("soon", "15", "-1m", "2h", "1d", "0"):
        body = {"self": True, "tokenId": token, "customDuration": bad}
        refused(client.call("/grant/set", body), 400, "InvalidDuration")
    for good in ("", "15m", "0.5h", "1h", "1m30s"):
        body = {"self": True, "tokenId": token, "customDuration": good}
        equal(client.call("/grant/set", body).status_code, 200, good)
    refused(client.call("/grant/set", {"sessionId": "", "tokenId": token}), 400, "InvalidRequest")


def test_unknown_and_malformed_tokens(vault):
    client = Client(vault)
    for path in ("/detokenize", "/metadata/get", "/grant/set"):
        refused(client.call(path, {"tokenId": unknown(), "self": True}), 404, "NoSuchToken")
        refused(client.call(path, {"tokenId": "lunasec-1", "self": True}), 400, "InvalidRequest")


def test_unknown_and_not_granted_answer_alike(vault):
    user = Client(vault, "user", vault.marks.text("session id"))
    token = Client(vault).tokenize(b"value")
    answers = [user.call("/detokenize", {"tokenId": one}) for one in (token, unknown())]
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        body["error"].pop("requestId")
    equal(bodies[0], bodies[1], "body")
    equal(*(sorted(answer.headers) for answer in answers), "names of headers")


def test_bodies_that_are_not_json_objects_are_refused(vault):
    client = Client(vault)
    for body in ("", "{", "[]", "null", '"x"', '{"metadata":7}', b"\xff"):
        refused(client.call("/tokenize", body), 400, "InvalidRequest")


def test_a_body_over_the_limit_is_413(vault):
    refused(Client(vault).call("/tokenize", {"metadata": {"x": "y" * (129 * 1024)}}), 413, "TooLarge")


def test_bad_credentials_are_401_in_json(vault):
    client = Client(vault)
    good = client.jwt()
    head, body, signature = good.split(".")
    bad = ["x", f"{head}.{body}.", f"{head}.{body}.{signature[:-8]}AAAAAAA1", "Basic " + good,
           client.jwt(exp=1), client.jwt(exp=None), client.jwt(nbf=4_000_000_000), client.jwt(session_id=7),
           client.jwt(sub="root"), client.jwt(sub=None), Client(vault, "user").jwt()]
    for jwt in bad:
        refused(client.call("/tokenize", {}, {"authorization": jwt}), 401, "NotAuthenticated")
    bare = requests.post(vault.api_url + "/tokenize", data="{}", timeout=WAIT_S)
    refused(bare, 401, "NotAuthenticated")


def test_the_bearer_prefix_is_taken_and_the_cookie_too(vault):
    client = Client(vault)
    equal(client.call("/tokenize", {}, {"authorization": "Bearer " + client.jwt()}).status_code, 200)
    cookie = {"cookie": "access_token=" + client.jwt(), "content-type": "application/json"}
    answer = requests.post(vault.api_url + "/tokenize", data="{}", headers=cookie, timeout=WAIT_S)
    equal(answer.status_code, 200)
    browser = cookie | {"sec-fetch-site": "same-origin", "origin": vault.api_url}
    answer = requests.post(vault.api_url + "/tokenize", data="{}", headers=browser, timeout=WAIT_S)
    refused(answer, 401, "NotAuthenticated")


def test_wrong_subjects_are_403(vault):
    token = Client(vault).tokenize(b"value")
    user = Client(vault, "user", vault.marks.text("session id"))
    developer = Client(vault, "developer", vault.marks.text("session id"))
    for client in (user, developer):
        for path in ("/grant/set", "/grant/verify"):
            refused(client.call(path, {"tokenId": token, "sessionId": "s"}), 403, "NotAllowed")
    for client in (user, Client(vault)):
        body = {"tokenId": token, "metadata": {"a": 1}}
        refused(client.call("/metadata/set", body), 403, "NotAllowed")
    equal(developer.data("/metadata/set", {"tokenId": token, "metadata": {"a": 1}}), {})
    equal(developer.data("/metadata/get", {"tokenId": token})["metadata"], {"a": 1})


def test_the_session_hash_is_set_and_compared(vault):
    session = vault.marks.text("session id")
    user = Client(vault, "user", session)
    digest = hashlib.sha1(session.encode()).hexdigest()
    answer = user.call("/tokenize", {})
    equal(answer.headers["lunasec-session-hash"], digest)
    answer = user.call("/tokenize", {}, {"lunasec-session-hash": digest})
    equal((answer.status_code, "lunasec-session-hash" in answer.headers), (200, False))
    answer = user.call("/tokenize", {}, {"lunasec-session-hash": "0" * 40})
    refused(answer, 401, "SessionMismatch")


def test_unknown_routes_and_methods(vault):
    refused(requests.get(vault.api_url + "/nothing", timeout=WAIT_S), 404, "NoSuchRoute")
    answer = requests.get(vault.api_url + "/tokenize", timeout=WAIT_S)
    refused(answer, 405, "MethodNotAllowed")
    equal(answer.headers["allow"], "POST")


def test_doubled_slashes_are_served(vault):
    client = Client(vault)
    answer = client.call("//tokenize", {}, allow_redirects=False)
    equal(answer.status_code, 200)


def test_health_and_ready_answer_without_credentials(vault):
    for path in ("/health", "/ready"):
        answer = requests.get(vault.api_url + path, timeout=WAIT_S)
        equal((answer.status_code, answer.json()["success"]), (200, True), path)
