"""The client side of the HTTP contract, written anew from its description in Python."""

import base64
import json
import time

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

WAIT_S = 60


class Client:
    """One caller; `subject` is user, application or developer, `session` the id of its session."""

    def __init__(self, vault, subject="application", session=None):
        self.vault, self.subject, self.session = vault, subject, session
        with open(vault.key_file, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)

    def jwt(self, **claims):
        now = int(time.time())
        body = {"sub": self.subject, "iss": "node-sdk", "aud": "secure-frame", "iat": now, "exp": now + 900}
        if self.session is not None:
            body["session_id"] = self.session
        body |= claims
        parts = [{"alg": "RS256"}, {name: value for name, value in body.items() if value is not None}]
        signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return self.vault.marks.jwt(f"{signed}.{base64url(signature)}")

    def call(self, path, body, headers=None, **more):
        """POSTs a JSON body; returns the `requests` answer."""
        sent = {"authorization": self.jwt(), "content-type": "application/json"} | (headers or {})
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return requests.post(self.vault.api_url + path, data=data, headers=sent, timeout=WAIT_S, **more)

    def data(self, path, body):
        answer = self.call(path, body)
        if answer.status_code != 200 or answer.json()["success"] is not True:
            raise AssertionError(f"{path}: {answer.status_code}")
        data = answer.json().get("data")
        key = (data or {}).get("headers", {}).get("x-amz-server-side-encryption-customer-key")
        if key:
            self.vault.marks.add("data key", base64.b64decode(key))
        return data

    def tokenize(self, value, metadata=None):
        """Returns the token."""
        ticket = self.data("/tokenize", {"metadata": metadata})
        answer = upload(ticket, value)
        if answer.status_code != 200:
            raise AssertionError(f"upload: {answer.status_code}")
        return ticket["tokenId"]

    def detokenize(self, token):
        """Returns the value."""
        answer = download(self.data("/detokenize", {"tokenId": token}))
        if answer.status_code != 200:
            raise AssertionError(f"download: {answer.status_code}")
        return answer.content

    def grant(self, token, **holder):
        return self.call("/grant/set", {"tokenId": token, "customDuration": "5m", **holder})


def upload(ticket, value):
    headers = {name: text for name, text in ticket["headers"].items() if name != "host"}
    headers["Content-Type"] = "text/plain"
    return requests.put(ticket["uploadUrl"], data=value, headers=headers, timeout=WAIT_S)


def download(ticket, **more):
    headers = {name: text for name, text in ticket["headers"].items() if name != "host"} | more
    return requests.get(ticket["downloadUrl"], headers=headers, timeout=WAIT_S)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
