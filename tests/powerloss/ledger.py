"""What the vault has promised so far, and whether it still keeps it."""

import glob
import json
import os
import queue
import random
import threading

from vault import Client, in_threads

SIZES = [0, 10, 10, 10, 70_000, 70_000, 1_200_000]
CHECKERS = 6


class Broken(Exception):
    """A promise the vault did not keep."""


class Promise:
    """One acknowledged token. `upload` is "none", "begun" (no answer came) or "acknowledged"."""

    def __init__(self, number):
        self.number = number
        self.upload = "none"

    def value(self):
        """Made anew whenever needed, so that thousands need no memory."""
        rng = random.Random(self.number)
        return rng.randbytes(rng.choice(SIZES))


class Ledger:
    """Acknowledged tokens and released detokenizes of one vault."""

    def __init__(self):
        self.mutex = threading.Lock()
        self.promises = {}
        self.fresh = set()
        self.releases = set()
        self.numbers = 0

    def new_promise(self):
        with self.mutex:
            self.numbers += 1
            return Promise(self.numbers)

    def acknowledged(self, token, promise):
        with self.mutex:
            self.promises[token] = promise
            self.fresh.add(token)

    def released(self, answer):
        with self.mutex:
            self.releases.add(answer.request_id)

    def any_token(self, rng):
        with self.mutex:
            return rng.choice(list(self.fresh)) if self.fresh else None

    def check(self, server, signer, data_directory, sample=None):
        """All tokens since the last check and `sample` older ones (None: all), then the audit log."""
        old = sorted(set(self.promises) - self.fresh)
        if sample is not None and len(old) > sample:
            old = random.Random(len(self.promises)).sample(old, sample)
        work = queue.SimpleQueue()
        for token in [*sorted(self.fresh), *old]:
            work.put(token)

        def checker(_):
            client = Client(server.addresses["api"], signer)
            try:
                while True:
                    token = work.get_nowait()
                    self._check_token(client, token, self.promises[token])
            except queue.Empty:
                pass
            finally:
                client.close()

        in_threads(CHECKERS, checker)
        self.fresh.clear()
        self._check_audit(data_directory)

    def _check_token(self, client, token, promise):
        what = f"token {promise.number} (upload {promise.upload})"
        answer = client.grant(token)
        if answer.status != 200:
            raise Broken(f"{what} is lost: /grant/set answered {answer}")
        answer = client.has_grant(token)
        if answer.status != 200 or answer.data != {"valid": True}:
            raise Broken(f"{what}: /grant/verify answered {answer}")
        answer = client.detokenize(token)
        if answer.status != 200:
            raise Broken(f"{what}: /detokenize answered {answer}")
        self.released(answer)
        self.check_value(client.download(answer.data), promise, what)

    @staticmethod
    def check_value(answer, promise, what):
        """An acknowledged upload is there, an unacknowledged one absent or whole; it stays as first seen."""
        if answer.status == 404 and promise.upload != "acknowledged":
            promise.upload = "none"
            return
        if answer.status != 200:
            raise Broken(f"{what}: GET answered {answer}")
        value = promise.value()
        if promise.upload == "none" or answer.body != value:
            raise Broken(f"{what}: GET gave {len(answer.body)} bytes that are not the {len(value)} sent")
        promise.upload = "acknowledged"

    def _check_audit(self, data_directory):
        """Every release that was answered has its entry; every line is whole."""
        entries = set()
        for path in sorted(glob.glob(os.path.join(data_directory, "audit", "*.jsonl"))):
            with open(path, "rb") as file:
                lines = file.read().split(b"\n")
            # What a power cut tore off the end was cut off at the start, so only "" may follow.
            for number, line in enumerate(lines[:-1], 1):
                try:
                    entries.add(json.loads(line).get("request"))
                except ValueError:
                    raise Broken(f"{os.path.basename(path)} line {number} is damaged: {line[:80]!r}") from None
        missing = self.releases - entries
        if missing:
            raise Broken(f"{len(missing)} releases without an audit entry, such as request {min(missing)}")
