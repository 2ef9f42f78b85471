"""Rows about bodies in signed chunks (aws-chunked), which the list has not: AWS documents them in
"Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks"."""

import base64
import binascii
import hashlib
import os

import botocore.auth
import botocore.awsrequest

from harness import equal
from rows_ground import answers, gives, new

CHUNK = 64 * 1024
EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED, TRAILED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class Seed(botocore.auth.S3SigV4Auth):
    """Signs a head whose payload is said to come in chunks."""

    payload_said = SIGNED

    def payload(self, request):
        return self.payload_said


class Chunked:
    """One upload in chunks; the parts of the body can be altered before it is sent."""

    def __init__(self, ground, value, payload=SIGNED, trailer=None):
        self.s3, self.value, self.trailer, self.name = ground.s3, value, trailer, new()
        headers = ground.right | {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(value))}
        if trailer:
            headers["x-amz-trailer"] = trailer[0]
        self.request = botocore.awsrequest.AWSRequest(method="PUT", url=self.s3.url(self.name), headers=headers)
        self.signer = self.s3.signer(Seed)
        self.signer.payload_said = payload
        self.signer.add_auth(self.request)
        self.last = self.request.headers["Authorization"].rsplit("Signature=", 1)[1]
        self.signed = payload != UNSIGNED

    def sign(self, kind, *digests):
        text = "\n".join([kind, self.request.context["timestamp"], self.signer.credential_scope(self.request),
                          self.last, *digests])
        self.last = self.signer.signature(text, self.request)
        return self.last

    def chunk(self, data):
        if not self.signed:
            return b"%x\r\n" % len(data)
        signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY, hashlib.sha256(data).hexdigest())
        return b"%x;chunk-signature=%s\r\n" % (len(data), signature.encode())

    def body(self):
        """A list of its pieces: for each chunk its line, its data, and the end of line; then the end."""
        pieces = []
        for start in range(0, len(self.value), CHUNK):
            data = self.value[start:start + CHUNK]
            pieces += [self.chunk(data), data, b"\r\n"]
        pieces.append(self.chunk(b""))
        if self.trailer:
            line = f"{self.trailer[0]}:{self.trailer[1]}"
            pieces.append(line.encode() + b"\r\n")
            if self.signed:
                signature = self.sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(line.encode() + b"\n").hexdigest())
                pieces.append(f"x-amz-trailer-signature:{signature}\r\n".encode())
        return pieces + [b"\r\n"]

    def sent(self, pieces=None):
        headers = dict(self.request.headers.items())
        return self.s3.send("PUT", self.request.url, headers, b"".join(pieces or self.body()))


def rows(ground):
    value = os.urandom(3 * CHUNK + 17)
    crc = base64.b64encode(binascii.crc32(value).to_bytes(4, "big")).decode()
    good, bad = ("x-amz-checksum-crc32", crc), ("x-amz-checksum-crc32", "AAAAAA==")

    def stored(upload):
        answers(upload.sent(), 200)
        answer = gives(ground.get(name=upload.name), value)
        equal(answer.headers.get("content-encoding"), None, "aws-chunked is no encoding of the object")

    def refused(upload, status, code, change=None):
        pieces = upload.body()
        if change:
            change(pieces)
        answers(upload.sent(pieces), status, code)
        answers(ground.get(name=upload.name), 404, "NoSuchKey")

    yield "more.chunks.signed", lambda: stored(Chunked(ground, value))
    yield "more.chunks.trailer", lambda: stored(Chunked(ground, value, TRAILED, good))
    yield "more.chunks.unsigned", lambda: stored(Chunked(ground, value, UNSIGNED, good))
    mismatch = "SignatureDoesNotMatch"
    yield "more.chunks.data", lambda: refused(Chunked(ground, value), 403, mismatch, other_data)
    yield "more.chunks.swapped", lambda: refused(Chunked(ground, value), 403, mismatch, swapped)
    yield "more.chunks.signature", lambda: refused(Chunked(ground, value), 403, mismatch, other_signature)
    yield "more.chunks.trailer.data", lambda: refused(
        Chunked(ground, value, TRAILED, good), 403, mismatch, other_trailer)
    yield "more.chunks.trailer.wrong", lambda: refused(Chunked(ground, value, TRAILED, bad), 400, "BadDigest")
    yield "more.chunks.unsigned.wrong", lambda: refused(Chunked(ground, value, UNSIGNED, bad), 400, "BadDigest")
    # The final chunk is what says that the body is whole.
    yield "more.chunks.cut", lambda: refused(Chunked(ground, value), 400, "IncompleteBody", cut)


def other_data(pieces):
    pieces[4] = bytes([pieces[4][0] ^ 1]) + pieces[4][1:]


def swapped(pieces):
    pieces[0:3], pieces[3:6] = pieces[3:6], pieces[0:3]


def other_signature(pieces):
    pieces[3] = pieces[3].replace(pieces[3][-4:], b"00\r\n")


def other_trailer(pieces):
    pieces[-3] = b"x-amz-checksum-crc32:AAAAAA==\r\n"


def cut(pieces):
    del pieces[-2:]
