"""Requests to the S3 listener: signed by botocore's signer, sent byte for byte as a test wants them.

Knows how to sign and to send, and nothing of what is expected.
"""

import base64
import datetime
import hashlib
import http.client
import os
import secrets
import ssl
import unittest.mock
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

from harness import Vault

WAIT_S = 60
REGION = "us-east-1"
PREFIX = "x-amz-server-side-encryption-customer-"
ALGORITHM, KEY, KEY_MD5 = PREFIX + "algorithm", PREFIX + "key", PREFIX + "key-md5"


class S3Vault(Vault):
    """A vault with two credentials for applications: one needs customer keys, one does not."""

    certificate = None

    def more_settings(self):
        self.strict = Account(self, "strict", server_keyed=False)
        self.keyed = Account(self, "keyed", server_keyed=True)
        return self.strict.settings() + self.keyed.settings()

    def tls(self):
        """What verifies the listener's certificate; None where there is none."""
        return ssl.create_default_context(cafile=self.certificate) if self.certificate else None


class Account:
    """One credential, its buckets, and what it sends."""

    def __init__(self, vault, name, server_keyed):
        self.vault, self.name, self.server_keyed = vault, name, server_keyed
        self.bucket = f"{name}-bucket"
        self.access_key_id = f"{name.upper()}ACCESSKEY"
        self.secret = vault.marks.add("S3 secret access key", secrets.token_hex(20))

    def settings(self):
        path = self.vault.secret_file(f"{self.name}.secret", self.secret)
        return f"""
[[s3.credential]]
name = "{self.name}"
access_key_id = "{self.access_key_id}"
secret_access_key_file = "{path}"
buckets = ["{self.bucket}", "{self.name}-*"]
server_keyed = {str(self.server_keyed).lower()}
"""

    def url(self, name, query=None, bucket=None):
        """`name` is an object's, as it stands in the URL; None means the bucket."""
        path = self.bucket if bucket is None else bucket
        if name is not None:
            path += "/" + urllib.parse.quote(name, safe="/~")
        return f"{self.vault.s3_url}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")

    def presign(self, method, name, headers=None, query=None, expires_s=300, age_s=0, bucket=None, **signer):
        """A URL that is signed for these headers."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.url(name, query, bucket), headers=dict(headers or {}))
        with as_of(age_s):
            self.signer(botocore.auth.S3SigV4QueryAuth, expires=expires_s, **signer).add_auth(request)
        return request.prepare().url

    def sign(self, method, name, headers=None, body=b"", query=None, age_s=0, bucket=None, **signer):
        """The URL and the headers, `authorization` among them."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.url(name, query, bucket), headers=dict(headers or {}), data=body)
        with as_of(age_s):
            self.signer(botocore.auth.S3SigV4Auth, **signer).add_auth(request)
        return request.url, dict(request.headers.items())

    def signer(self, kind, access_key_id=None, secret=None, region=REGION, **more):
        credentials = botocore.credentials.Credentials(access_key_id or self.access_key_id, secret or self.secret)
        return kind(credentials, "s3", region, **more)

    def call(self, method, name, headers=None, body=b"", query=None, more=None, **signing):
        """Signed by header; `more` are headers that are sent unsigned."""
        url, signed = self.sign(method, name, headers, body, query, **signing)
        return self.send(method, url, signed | (more or {}), body)

    def by_url(self, method, name, headers=None, body=b"", sent=None, **signing):
        """Presigned for `headers`; `sent` are sent instead of them."""
        url = self.presign(method, name, headers, **signing)
        return self.send(method, url, (headers if sent is None else sent) or {}, body)

    def send(self, method, url, headers, body=b""):
        return send(method, url, headers, body, self.vault.tls())

    def boto(self, **options):
        """boto3 with its defaults, and what a test changes of them."""
        return boto3.client(
            "s3", endpoint_url=self.vault.s3_url, region_name=REGION, aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret, verify=self.vault.certificate,
            config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, **options))


def as_of(age_s):
    """Signs as if it were so many seconds ago."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age_s)
    return unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: then)


class Answer:
    """Status, headers (names in any case) and the whole body."""

    def __init__(self, answer):
        self.status_code, self.headers, self.content = answer.status, answer.headers, answer.read()
        self.text = self.content.decode("utf-8", "replace")


def send(method, url, headers, body=b"", tls=None):
    """Exactly these headers, and `host` and `content-length` where they are not among them."""
    parts = urllib.parse.urlsplit(url)
    connection = (http.client.HTTPSConnection(parts.netloc, timeout=WAIT_S, context=tls) if tls
                  else http.client.HTTPConnection(parts.netloc, timeout=WAIT_S))
    names = {name.lower() for name in headers}
    try:
        connection.putrequest(method, f"{parts.path}?{parts.query}" if parts.query else parts.path,
                              skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "content-length" not in names and (body or method in ("PUT", "POST")):
            connection.putheader("content-length", str(len(body)))
        try:
            connection.endheaders(body or None)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The answer says why nobody reads on.
        return Answer(connection.getresponse())
    finally:
        connection.close()


def sse_c(customer, prefix=PREFIX, **changes):
    """The three headers; a change of `None` leaves one out."""
    headers = {"algorithm": "AES256", "key": base64.b64encode(customer).decode(),
               "key_md5": base64.b64encode(hashlib.md5(customer).digest()).decode()} | changes
    return {prefix + name.replace("_", "-"): value for name, value in headers.items() if value is not None}


def sse_c_of_source(customer):
    return sse_c(customer, prefix="x-amz-copy-source-server-side-encryption-customer-")


def customer_key(vault):
    return vault.marks.add("customer key", os.urandom(32))
