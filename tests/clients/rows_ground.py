"""What the rows stand on: objects that exist, and what an answer is compared with.

Objects are made when a row first asks for them, so that one that cannot be made fails the rows that need it.
"""

import functools
import hashlib
import os
import re
import secrets

from harness import equal, holds
from s3_wire import ALGORITHM, KEY, KEY_MD5, customer_key, sse_c

CODE = re.compile(r"<Code>([^<]*)</Code>")


class Ground:
    """The account that the rows speak as, and its objects."""

    def __init__(self, vault):
        self.vault, self.s3, self.strict = vault, vault.keyed, vault.strict
        self.value = os.urandom(100_000)
        self.key, self.other = customer_key(vault), customer_key(vault)
        self.right, self.wrong = sse_c(self.key), sse_c(self.other)

    @functools.cached_property
    def name(self):
        """An object of `value` under `key`."""
        return self.stored(self.value, self.right)

    @functools.cached_property
    def plain(self):
        """An object of `value` under a key that the vault keeps."""
        return self.stored(self.value, {})

    @functools.cached_property
    def empty(self):
        """An object of no bytes under `key`."""
        return self.stored(b"", self.right)

    @functools.cached_property
    def etag(self):
        return self.get().headers["etag"]

    def stored(self, value, headers):
        name = new()
        answers(self.s3.call("PUT", name, headers, value), 200)
        return name

    def get(self, headers=None, method="GET", name=None, **more):
        """Signed by header, with the right key unless told otherwise."""
        return self.s3.call(method, name or self.name, self.right if headers is None else headers, **more)

    def put(self, headers=None, body=b"value", **more):
        return self.s3.call("PUT", new(), self.right if headers is None else headers, body, **more)


def new():
    """A name that nobody used."""
    return secrets.token_hex(16)


def code(answer):
    found = CODE.search(answer.text)
    return found.group(1) if found else ""


def answers(answer, status, expected=""):
    """The status and, of an error, the code; the answer is handed back."""
    equal((answer.status_code, code(answer) if answer.status_code >= 400 else ""), (status, expected))
    return answer


def gives(answer, value, status=200):
    """The status and the bytes."""
    answers(answer, status)
    equal(answer.content, value, "value")
    return answer


def empty(answer, status):
    """An answer to HEAD."""
    equal((answer.status_code, answer.content), (status, b""))
    return answer


def echoes(answer, headers):
    """The answer names algorithm and digest of the key, and never the key."""
    for name in (ALGORITHM, KEY_MD5):
        equal(answer.headers.get(name), headers[name], name)
    holds(KEY not in answer.headers, "the customer key is echoed")
    return answer


def not_md5(answer, value):
    """An ETag that says nothing about the value."""
    holds(answer.headers["etag"], "there is no ETag")
    holds(hashlib.md5(value).hexdigest() not in answer.headers["etag"], "the ETag is the value's MD5")


def not_signed(answer, *names):
    answers(answer, 403, "AccessDenied")
    equal(re.findall("<HeadersNotSigned>([^<]*)<", answer.text), [", ".join(names)], "HeadersNotSigned")


def element(answer, name):
    """The text of the first element of that name."""
    found = re.search(f"<{name}>([^<]*)</{name}>", answer.text)
    holds(found, f"{name} is missing")
    return found.group(1).replace("&quot;", '"')
