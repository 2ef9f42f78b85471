"""Runs the real binary and speaks its HTTP contract. Knows nothing of power cuts."""

import base64
import http.client
import json
import os
import subprocess
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

READY_WAIT_S = 20
REQUEST_WAIT_S = 20
JWT_LIFE_S = 900


class DidNotStart(Exception):
    """The server ended, or was not ready in time."""


def clean_environment(**more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **more}


def init(binary, directory, log):
    """Makes a vault; returns the exit code."""
    with open(log, "ab") as out:
        return subprocess.run([binary, "init", directory], env=clean_environment(), stdin=subprocess.DEVNULL,
                              stdout=out, stderr=out, check=False, timeout=60).returncode


class Server:
    """One run of `strongroom serve`. Always ended by `kill`."""

    def __init__(self, binary, directory, scratch):
        self.log = os.path.join(scratch, "serve.log")
        self.ready_file = os.path.join(scratch, "ready.json")
        self.directory = directory
        if os.path.exists(self.ready_file):
            os.unlink(self.ready_file)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [binary, "serve", "--config", os.path.join(directory, "strongroom.toml"),
                 "--ready-file", self.ready_file],
                env=clean_environment(STRONGROOM__API__LISTEN="127.0.0.1:0",
                                      STRONGROOM__S3__LISTEN="127.0.0.1:0"),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_WAIT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise DidNotStart(f"exit code {self.process.returncode}: {self.last_words()}")
            try:
                with open(self.ready_file, encoding="utf-8") as file:
                    self.addresses = json.load(file)
                return self
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.005)
        raise DidNotStart(f"not ready after {READY_WAIT_S} s: {self.last_words()}")

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-1500:].strip()

    def kill(self):
        """SIGKILL, and gone on return."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Signer:
    """The application's JWTs (RS256), one per quarter of an hour."""

    def __init__(self, key_path):
        with open(key_path, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)
        self.made_at, self.jwt = 0, None

    def token(self):
        now = int(time.time())
        if now - self.made_at > JWT_LIFE_S // 2:
            parts = [{"alg": "RS256", "typ": "JWT"},
                     {"sub": "application", "iat": now, "exp": now + JWT_LIFE_S}]
            body = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
            signature = self.key.sign(body, padding.PKCS1v15(), hashes.SHA256())
            self.jwt = (body + b"." + _base64url(signature)).decode()
            self.made_at = now
        return self.jwt


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Answer:
    """Status, headers and body of one HTTP answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.request_id = self.headers.get("x-request-id")
        self.body = response.read()

    @property
    def data(self):
        return json.loads(self.body)["data"]

    def __str__(self):
        return f"{self.status} {self.body[:200]!r}"


class Client:
    """One caller with its own connections; not for sharing between threads."""

    def __init__(self, api, signer):
        self.api = api
        self.signer = signer
        self.connections = {}

    def request(self, method, authority, target, body, headers):
        connection = self.connections.get(authority)
        if connection is None:
            connection = http.client.HTTPConnection(authority, timeout=REQUEST_WAIT_S)
            self.connections[authority] = connection
        try:
            connection.request(method, target, body, headers)
            return Answer(connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def call(self, path, body):
        headers = {"authorization": self.signer.token(), "content-type": "application/json"}
        return self.request("POST", self.api, path, json.dumps(body), headers)

    def _follow(self, method, url, headers, body=None):
        parts = urllib.parse.urlsplit(url)
        sent = {name: value for name, value in headers.items() if name.lower() != "host"}
        return self.request(method, parts.netloc, f"{parts.path}?{parts.query}", body, sent)

    def tokenize(self):
        return self.call("/tokenize", {"metadata": None})

    def upload(self, ticket, value):
        return self._follow("PUT", ticket["uploadUrl"], ticket["headers"], value)

    def grant(self, token):
        return self.call("/grant/set", {"self": True, "tokenId": token, "customDuration": "5m"})

    def has_grant(self, token):
        return self.call("/grant/verify", {"self": True, "tokenId": token})

    def detokenize(self, token):
        return self.call("/detokenize", {"tokenId": token})

    def download(self, ticket):
        return self._follow("GET", ticket["downloadUrl"], ticket["headers"])

    def close(self):
        for connection in self.connections.values():
            connection.close()


def in_threads(count, work):
    """Runs `work(n)` in `count` threads and waits for all; the first exception is raised again."""
    faults = []

    def guarded(number):
        try:
            work(number)
        except BaseException as fault:  # handed on below
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
