"""Ordinary S3 work on the embedded store, and what of it must still be true after a cut.

Every worker has keys of its own, so that for each key one of few states is right: the last one that was
acknowledged, or what an operation without an answer may have made of it.
"""

import base64
import hashlib
import os
import random
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ledger import Broken
from vault import Client, in_threads

BUCKET = "cuts"
REGION = "us-east-1"
ACCESS_KEY_ID = "POWERCUTS"
SECRET = "a secret that opens nothing but this test"
CONFIG = f"""
[[s3.credential]]
name = "powercuts"
access_key_id = "{ACCESS_KEY_ID}"
secret_access_key_file = "powercuts.secret"
buckets = ["{BUCKET}"]
"""
KEYS_PER_WORKER = 4
SIZES = [0, 10, 900, 65_536, 65_537, 300_000]
PART = 5 << 20  # the least for all parts but the last
CHECKERS = 4
ABSENT = None


def configure(directory):
    """Adds the credential and its bucket to a new vault's configuration."""
    secret = os.path.join(directory, "powercuts.secret")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(SECRET)
    with open(os.path.join(directory, "strongroom.toml"), "a", encoding="utf-8") as file:
        file.write(CONFIG)


def customer_key(number):
    return hashlib.sha256(f"customer key {number}".encode()).digest()


class Body:
    """Bytes of a value and the customer key that it is under; made anew whenever needed."""

    def __init__(self, seed, sizes, key_number):
        self.seed, self.sizes, self.key_number = seed, sizes, key_number

    def parts(self):
        rng = random.Random(self.seed)
        return [rng.randbytes(16) * (size // 16) + rng.randbytes(size % 16) for size in self.sizes]

    def bytes(self):
        return b"".join(self.parts())

    def under(self, key_number):
        return Body(self.seed, self.sizes, key_number)

    @property
    def size(self):
        return sum(self.sizes)


class S3:
    """One signed caller; not for sharing between threads."""

    def __init__(self, authority):
        self.authority = authority
        self.client = Client(authority, None)
        self.signer = S3SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET), "s3", REGION)

    def call(self, method, key, body=b"", headers=(), **query):
        path = urllib.parse.quote(f"/{BUCKET}/{key}" if key is not None else f"/{BUCKET}")
        query = urllib.parse.urlencode(query)
        url = f"http://{self.authority}{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        self.signer.add_auth(request)
        target = path + (f"?{query}" if query else "")
        return self.client.request(method, self.authority, target, body, dict(request.headers.items()))

    def close(self):
        self.client.close()


def sse_c(key_number, prefix="x-amz-server-side-encryption-customer-"):
    key = customer_key(key_number)
    return {f"{prefix}algorithm": "AES256", f"{prefix}key": base64.b64encode(key).decode(),
            f"{prefix}key-md5": base64.b64encode(hashlib.md5(key).digest()).decode()}


class Upload:
    """An open multipart upload; `parts` are the acknowledged ones (number → ETag and body)."""

    def __init__(self, key, upload_id, body):
        self.key, self.upload_id, self.body, self.parts = key, upload_id, body, {}


class Objects:
    """What the store has promised about every key. States of a key are bodies, or ABSENT."""

    def __init__(self):
        self.mutex = threading.Lock()
        self.states = {}  # key → the states that may be found
        self.uploads = []
        self.aborted = []
        self.seeds = 0

    def new_body(self, rng, sizes=None):
        with self.mutex:
            self.seeds += 1
            return Body(self.seeds, sizes or [rng.choice(SIZES)], rng.randrange(3))

    def state(self, key):
        """The only state of a key before anything was cut off."""
        return self.states.get(key, [ABSENT])[0]

    def begin(self, key, new):
        self.states[key] = [*self.states.get(key, [ABSENT]), new]

    def acknowledged(self, key, new):
        self.states[key] = [new]

    # Work

    def step(self, s3, worker, rng):
        """One operation on one of the worker's keys; every answer must be what S3 says."""
        key = f"w{worker}/{rng.randrange(KEYS_PER_WORKER)}"
        kind = rng.choice(["put", "put", "put", "copy", "delete", "bulk", "multipart", "abort", "left open"])
        if kind == "put":
            self._put(s3, key, self.new_body(rng))
        elif kind == "delete":
            self.begin(key, ABSENT)
            expect(s3.call("DELETE", key), 204, "DELETE")
            self.acknowledged(key, ABSENT)
        elif kind == "bulk":
            numbers = rng.sample(range(KEYS_PER_WORKER), rng.randint(1, KEYS_PER_WORKER))
            self._delete_many(s3, [f"w{worker}/{number}" for number in numbers])
        elif kind == "copy":
            source = f"w{worker}/{rng.randrange(KEYS_PER_WORKER)}"
            if self.state(source) is not ABSENT:
                self._copy(s3, source, key, (self.state(source).key_number + 1) % 3)
        elif rng.random() < 0.3:  # dear: five megabytes and more
            upload = self._upload_parts(s3, key, rng)
            if kind == "multipart":
                self._complete(s3, upload)
            elif kind == "abort":
                self._abort(s3, upload)

    def _put(self, s3, key, body):
        self.begin(key, body)
        expect(s3.call("PUT", key, body.bytes(), sse_c(body.key_number)), 200, "PUT")
        self.acknowledged(key, body)

    def _delete_many(self, s3, keys):
        for key in keys:
            self.begin(key, ABSENT)
        listed = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        xml = f"<Delete>{listed}</Delete>".encode()
        digest = {"content-md5": base64.b64encode(hashlib.md5(xml).digest()).decode()}
        answer = expect(s3.call("POST", None, xml, digest, delete=""), 200, "bulk delete")
        if answer.body.count(b"<Deleted>") != len(keys):
            raise Broken(f"bulk delete of {len(keys)} answered {answer}")
        for key in keys:
            self.acknowledged(key, ABSENT)

    def _copy(self, s3, source, key, key_number):
        old = self.state(source)
        new = old.under(key_number)
        headers = {"x-amz-copy-source": urllib.parse.quote(f"/{BUCKET}/{source}"), **sse_c(key_number),
                   **sse_c(old.key_number, "x-amz-copy-source-server-side-encryption-customer-")}
        self.begin(key, new)
        answer = expect(s3.call("PUT", key, headers=headers), 200, "copy")
        if b"CopyObjectResult" not in answer.body:
            raise Broken(f"copy answered {answer}")
        self.acknowledged(key, new)

    def _upload_parts(self, s3, key, rng):
        body = self.new_body(rng, [PART, rng.choice([1, 70_000])])
        answer = expect(s3.call("POST", key, headers=sse_c(body.key_number), uploads=""), 200, "create upload")
        upload = Upload(key, tag(answer.body, "UploadId"), body)
        with self.mutex:
            self.uploads.append(upload)
        numbers = [2, 1] if rng.random() < 0.5 else [1, 2, 2]
        for number in numbers:
            self._part(s3, upload, number)
        return upload

    @staticmethod
    def _part(s3, upload, number):
        answer = s3.call("PUT", upload.key, upload.body.parts()[number - 1], sse_c(upload.body.key_number),
                         partNumber=number, uploadId=upload.upload_id)
        expect(answer, 200, "part")
        upload.parts[number] = answer.headers["etag"]

    def _complete(self, s3, upload):
        with self.mutex:
            self.uploads.remove(upload)
        self.begin(upload.key, upload.body)
        parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
                        for number, etag in sorted(upload.parts.items()))
        xml = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        expect(s3.call("POST", upload.key, xml, uploadId=upload.upload_id), 200, "complete")
        self.acknowledged(upload.key, upload.body)

    def _abort(self, s3, upload):
        with self.mutex:
            self.uploads.remove(upload)
        query = {"uploadId": upload.upload_id}
        expect(s3.call("DELETE", upload.key, **query), 204, "abort")
        expect(s3.call("GET", upload.key, **query), 404, "list parts after abort")
        with self.mutex:
            self.aborted.append(upload)

    # Checks

    def check(self, authority):
        """Every key is in a state it may be in; the listing says the same; acknowledged parts are kept."""
        keys = sorted(self.states)
        in_threads(CHECKERS, lambda n: self._check_keys(authority, keys[n::CHECKERS]))
        s3 = S3(authority)
        try:
            self._check_listing(s3)
            with self.mutex:
                open_uploads, self.uploads = self.uploads, []
            for number, upload in enumerate(open_uploads):
                self._check_upload(s3, upload, complete=number % 2 == 0)
            for upload in self.aborted:
                answer = s3.call("GET", upload.key, uploadId=upload.upload_id)
                expect(answer, 404, "list parts of an aborted upload")
            self.aborted.clear()
        finally:
            s3.close()

    def _check_keys(self, authority, keys):
        s3 = S3(authority)
        try:
            for key in keys:
                self.states[key] = [self._found(s3, key)]
        finally:
            s3.close()

    def _found(self, s3, key):
        allowed = self.states[key]
        answers = {}
        for state in allowed:
            number = 0 if state is ABSENT else state.key_number
            if number not in answers:
                answers[number] = s3.call("GET", key, headers=sse_c(number))
            answer = answers[number]
            if state is ABSENT and answer.status == 404:
                return state
            if state is not ABSENT and answer.status == 200 and answer.body == state.bytes():
                return state
        sizes = ["absent" if state is ABSENT else state.size for state in allowed]
        found = {number: f"{answer.status}, {len(answer.body)} bytes" for number, answer in answers.items()}
        raise Broken(f"object {key} should be one of {sizes}, found by customer key: {found}")

    def _check_listing(self, s3):
        answer = expect(s3.call("GET", None, **{"list-type": "2"}), 200, "list")
        found = {}
        for entry in re.findall(rb"<Contents>.*?</Contents>", answer.body, re.DOTALL):
            found[tag(entry, "Key")] = int(tag(entry, "Size"))
        expected = {key: states[0].size for key, states in self.states.items() if states[0] is not ABSENT}
        if found != expected:
            raise Broken(f"the listing differs from the objects: {set(found.items()) ^ set(expected.items())}")

    def _check_upload(self, s3, upload, complete):
        answer = expect(s3.call("GET", upload.key, uploadId=upload.upload_id), 200, "list parts")
        found = {int(tag(part, "PartNumber")): tag(part, "ETag").replace("&quot;", '"')
                 for part in re.findall(rb"<Part>.*?</Part>", answer.body, re.DOTALL)}
        for number, etag in upload.parts.items():
            # A part that was sent again when the power went may have replaced the acknowledged one.
            if number not in found:
                raise Broken(f"part {number} of an open upload is lost")
            upload.parts[number] = found[number]
        if complete:
            for number in {1, 2} - set(upload.parts):
                self._part(s3, upload, number)
            with self.mutex:
                self.uploads.append(upload)
            self._complete(s3, upload)
            self.states[upload.key] = [self._found(s3, upload.key)]
        else:
            with self.mutex:
                self.uploads.append(upload)
            self._abort(s3, upload)


def tag(xml, name):
    found = re.search(rf"<{name}>(.*?)</{name}>".encode(), xml, re.DOTALL)
    if not found:
        raise Broken(f"no {name} in {xml[:200]!r}")
    return found.group(1).decode()


def expect(answer, status, what):
    if answer.status != status:
        raise Broken(f"{what} answered {answer}")
    return answer
