"""The object store as AWS's own signer sees it: what boto3 presigns must work, and what AWS refuses must be
refused with AWS's status and code.

The rows that `rows` yields are named after the requests that were compared with AWS.
"""

import base64
import datetime
import hashlib
import os
import re
import secrets
import unittest.mock

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import requests

from client import WAIT_S
from harness import equal, holds

BUCKET, REGION = "strongroom", "us-east-1"
PREFIX = "x-amz-server-side-encryption-customer-"
ALGORITHM, KEY, KEY_MD5 = PREFIX + "algorithm", PREFIX + "key", PREFIX + "key-md5"
CODE = re.compile(r"<Code>([^<]*)</Code>")
WEEK_S = 7 * 24 * 3600


def customer_key(vault, length=32):
    key = os.urandom(length)
    if length == 32:
        vault.marks.add("customer key", key)
    return key


def sse_c(customer, **changes):
    """The three headers; a change of `None` leaves one out."""
    headers = {ALGORITHM: "AES256", KEY: base64.b64encode(customer).decode(),
               KEY_MD5: base64.b64encode(hashlib.md5(customer).digest()).decode()}
    headers |= {PREFIX + name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def presign(vault, method, name, headers=None, query=None, expires_s=300, region=REGION, age_s=0,
            access_key_id=None, secret=None):
    """A URL by botocore's signer, for any headers at all."""
    credentials = botocore.credentials.Credentials(
        access_key_id or vault.access_key_id, secret or vault.secret_access_key)
    url = f"{vault.s3_url}/{BUCKET}/{name}"
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=headers or {}, params=query or {})
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age_s)
    with unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: then):
        botocore.auth.S3SigV4QueryAuth(credentials, "s3", region, expires=expires_s).add_auth(request)
    return request.prepare().url


def send(method, url, headers=None, body=None):
    """Exactly these headers, `host` and `content-length` apart."""
    bare = {"User-Agent": None, "Accept": None, "Accept-Encoding": None}
    return requests.request(method, url, headers=bare | (headers or {}), data=body, timeout=WAIT_S)


def code(answer):
    found = CODE.search(answer.text)
    return found.group(1) if found else ""


def answers(answer, status, expected=""):
    equal((answer.status_code, code(answer) if status >= 400 else ""), (status, expected))


def put(vault, name, key, body, **headers):
    sent = sse_c(key) | {"if-none-match": "*"} | headers
    return send("PUT", presign(vault, "PUT", name, sent), sent, body)


def stored(vault, body):
    """The name and key of a new object."""
    name, key = secrets.token_hex(16), customer_key(vault)
    answers(put(vault, name, key, body), 200)
    return name, key


def boto(vault, **options):
    return boto3.client(
        "s3", endpoint_url=vault.s3_url, region_name=REGION, aws_access_key_id=vault.access_key_id,
        aws_secret_access_key=vault.secret_access_key,
        config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, **options))


def boto_round_trip(vault, client, size):
    """put_object, head_object, get_object and a range, all by `generate_presigned_url`."""
    value, key, name = os.urandom(size), customer_key(vault), secrets.token_hex(16)
    keyed = {"Bucket": BUCKET, "Key": name, "SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    headers = sse_c(key)
    url = client.generate_presigned_url("put_object", Params=keyed | {"IfNoneMatch": "*"}, ExpiresIn=300)
    answer = send("PUT", url, headers | {"if-none-match": "*"}, value)
    answers(answer, 200)
    echoes(answer, headers)
    answers(send("PUT", url, headers | {"if-none-match": "*"}, value), 412, "PreconditionFailed")
    answer = send("HEAD", client.generate_presigned_url("head_object", Params=keyed), headers)
    answers(answer, 200)
    equal(answer.headers["content-length"], str(size))
    answer = send("GET", client.generate_presigned_url("get_object", Params=keyed), headers)
    answers(answer, 200)
    echoes(answer, headers)
    equal(answer.content, value, "value")
    holds(hashlib.md5(value).hexdigest() not in answer.headers["etag"], "the ETag is the value's MD5")
    if size > 100:
        first, last = size // 3, size // 3 + 50
        asked = {"Range": f"bytes={first}-{last}"}
        url = client.generate_presigned_url("get_object", Params=keyed | asked)
        answer = send("GET", url, headers | asked)
        answers(answer, 206)
        equal(answer.content, value[first:last + 1], "range")


def echoes(answer, headers):
    for name in (ALGORITHM, KEY_MD5):
        equal(answer.headers.get(name), headers[name], name)
    holds(KEY not in answer.headers, "the customer key is echoed")


def test_boto3_with_its_defaults_stores_and_reads_every_size(vault):
    for size in (0, 1, 65_535, 65_536, 65_537, 5 * 1024 * 1024):
        boto_round_trip(vault, boto(vault), size)


def test_boto3_without_checksums_works_too(vault):
    boto_round_trip(vault, boto(vault, request_checksum_calculation="when_required",
                                response_checksum_validation="when_required"), 70_000)


def test_values_are_not_in_the_files(vault):
    text = vault.marks.text("value")
    stored(vault, text.encode() * 10_000)


class Row:
    """One object, its key, and another key, for the rows below."""

    def __init__(self, vault):
        self.vault = vault
        self.value = os.urandom(100_000)
        self.name, self.key = stored(vault, self.value)
        self.other = customer_key(vault)

    def new(self):
        return secrets.token_hex(16)

    def get(self, headers=None, sent=None, method="GET", **signing):
        """Signed for `headers`; `sent` are others."""
        headers = sse_c(self.key) if headers is None else headers
        url = presign(self.vault, method, self.name, headers, **signing)
        return send(method, url, headers if sent is None else sent)

    def put(self, headers, sent=None, body=b"value"):
        headers = headers | {"if-none-match": "*"}
        url = presign(self.vault, "PUT", self.new(), headers)
        return send("PUT", url, headers if sent is None else sent, body)

    def url(self, change):
        """A GET with the right headers and a URL that was changed after signing."""
        url = presign(self.vault, "GET", self.name, sse_c(self.key))
        changed = change(url)
        holds(changed != url, "the row changes nothing")
        return send("GET", changed, sse_c(self.key))

    def ranged(self, text, **signing):
        return self.get(sent=sse_c(self.key) | {"range": text}, **signing)


def altered(parameter, value):
    """Replaces a query parameter."""
    return lambda url: re.sub(rf"({parameter})=[^&]*", rf"\g<1>={value}", url)


def partial(row, text, start, end):
    answer = row.ranged(text)
    equal((answer.status_code, answer.headers.get("content-range")), (206, f"bytes {start}-{end - 1}/100000"))
    equal(answer.content, row.value[start:end], "range")


def whole(row, text):
    answer = row.ranged(text)
    answers(answer, 200)
    equal(answer.content, row.value, "value")


def bad_sets(key):
    """Header sets that are refused on GET and PUT alike."""
    return {
        "badmd5": (sse_c(key, key_md5=base64.b64encode(bytes(16)).decode()), "InvalidArgument"),
        "badmd5fmt": (sse_c(key, key_md5="AAAA"), "InvalidArgument"),
        "nomd5": (sse_c(key, key_md5=None), "InvalidArgument"),
        "nokeyhdr": (sse_c(key, key=None), "InvalidArgument"),
        "noalg": (sse_c(key, algorithm=None), "InvalidArgument"),
        "algonly": ({ALGORITHM: "AES256"}, "InvalidArgument"),
        "badalg": (sse_c(key, algorithm="AES128"), "InvalidEncryptionAlgorithmError"),
        "shortkey": (sse_c(key[:16]), "InvalidArgument"),
        "badb64": (sse_c(key, key="!" * 44), "InvalidArgument"),
    }


def key_rows(row):
    """Requests whose keys are wrong."""
    right, other = sse_c(row.key), sse_c(row.other)
    yield "put.signed.missing", lambda: answers(row.put(right, {}), 403, "SignatureDoesNotMatch")
    yield "get.signed.otherkey", lambda: answers(row.get(right, other), 403, "SignatureDoesNotMatch")
    yield "get.unsignedhdrs", lambda: answers(row.get({}, right), 403, "AccessDenied")
    yield "put.unsignedhdrs", lambda: answers(row.put({}, right | {"if-none-match": "*"}), 403, "AccessDenied")
    yield "get.wrongkey", lambda: answers(row.get(other), 403, "AccessDenied")
    yield "get.nokey", lambda: answers(row.get({}), 400, "InvalidRequest")
    yield "head.wrongkey", lambda: empty(row.get(other, method="HEAD"), 403)
    yield "head.nokey", lambda: empty(row.get({}, method="HEAD"), 400)
    yield "head.ok", lambda: empty(row.get(method="HEAD"), 200)
    for name, (headers, expected) in bad_sets(row.key).items():
        yield f"get.{name}", lambda h=headers, e=expected: answers(row.get(h), 400, e)
        yield f"put.{name}", lambda h=headers, e=expected: answers(row.put(h), 400, e)
    # AWS's minimum would allow the key to be unsigned; refusing it is ours, as with all such headers.
    bound = {name: right[name] for name in (ALGORITHM, KEY_MD5)}
    yield "get.signed.partial", lambda: not_signed(row.get(bound, right), KEY)
    # The bucket holds objects under customer keys alone.
    yield "put.nokey", lambda: answers(row.put({}), 403, "AccessDenied")
    both = right | {"x-amz-server-side-encryption": "AES256"}
    yield "put.ssec+sses3", lambda: answers(row.put(both), 400, "InvalidArgument")


def empty(answer, status):
    equal((answer.status_code, answer.content), (status, b""))


def range_rows(row):
    yield "range.mid", lambda: partial(row, "bytes=17-4115", 17, 4116)
    yield "range.suffix", lambda: partial(row, "bytes=-100", 99_900, 100_000)
    yield "range.open", lambda: partial(row, "bytes=99000-", 99_000, 100_000)
    yield "range.segments", lambda: partial(row, "bytes=65535-65536", 65_535, 65_537)
    yield "range.416", lambda: answers(row.ranged("bytes=100000-"), 416, "InvalidRange")
    yield "range.inverted", lambda: whole(row, "bytes=10-5")
    yield "range.multi", lambda: whole(row, "bytes=0-1,5-6")
    wrong = sse_c(row.other)
    yield "range.wrongkey", lambda: answers(row.get(wrong, wrong | {"range": "bytes=0-9"}), 403, "AccessDenied")


def conditional_rows(row):
    def with_header(name, value):
        return row.get(sent=sse_c(row.key) | {name: value})

    def again():
        return put(row.vault, row.name, row.other, b"other")

    etag = row.get().headers["etag"]
    yield "cond.inm", lambda: equal(with_header("if-none-match", etag).status_code, 304)
    yield "cond.im", lambda: answers(with_header("if-match", '"other"'), 412, "PreconditionFailed")
    yield "cond.put.inm", lambda: answers(again(), 412, "PreconditionFailed")
    yield "cond.put.inm.new", lambda: answers(row.put(sse_c(row.key)), 200)
    yield "get.nosuch", lambda: answers(
        send("GET", presign(row.vault, "GET", row.new(), sse_c(row.key)), sse_c(row.key)), 404, "NoSuchKey")


def signature_rows(row):
    right, extra = sse_c(row.key), {"x-amz-meta-a": "b"}
    mismatch = "SignatureDoesNotMatch"
    malformed = "AuthorizationQueryParametersError"
    yield "sig.tampered", lambda: answers(row.url(altered("X-Amz-Signature", "0" * 64)), 403, mismatch)
    yield "sig.otherkey", lambda: answers(row.url(lambda url: url.replace(row.name, row.new())), 403, mismatch)
    yield "sig.othermethod", lambda: answers(
        send("PUT", presign(row.vault, "GET", row.name, right), right, b"x"), 403, mismatch)
    yield "sig.head", lambda: empty(send("HEAD", presign(row.vault, "GET", row.name, right), right), 403)
    yield "sig.expires.altered", lambda: answers(row.url(altered("X-Amz-Expires", "301")), 403, mismatch)
    yield "sig.extraquery", lambda: answers(row.url(lambda url: url + "&a=b"), 403, mismatch)
    yield "sig.extrahdr", lambda: not_signed(row.get(sent=right | extra), "x-amz-meta-a")
    yield "sig.copysource", lambda: not_signed(
        row.put(right, right | {"if-none-match": "*", "x-amz-copy-source": f"/{BUCKET}/{row.name}"}, b""),
        "x-amz-copy-source")
    yield "sig.missing", lambda: answers(
        row.url(lambda url: re.sub("&X-Amz-Signature=[^&]*", "", url)), 400, malformed)
    yield "sig.expired", lambda: expired(row.get(age_s=301))
    yield "sig.expires.max", lambda: answers(row.get(expires_s=WEEK_S + 1), 400, malformed)
    yield "sig.expires.week", lambda: answers(row.get(expires_s=WEEK_S), 200)
    yield "sig.expires.zero", lambda: answers(row.get(expires_s=0), 403, "AccessDenied")
    yield "sig.expires.neg", lambda: answers(row.get(expires_s=-1), 400, malformed)
    yield "sig.noaccesskey", lambda: answers(row.get(access_key_id="OTHER"), 403, "InvalidAccessKeyId")
    yield "sig.wrongsecret", lambda: answers(row.get(secret="0" * 40), 403, mismatch)
    yield "sig.region", lambda: answers(row.get(region="eu-central-1"), 400, malformed)
    plain = f"{row.vault.s3_url}/{BUCKET}/{row.name}"
    yield "anon.get", lambda: answers(send("GET", plain, right), 403, "AccessDenied")
    yield "anon.put", lambda: answers(send("PUT", plain, right, b"x"), 403, "AccessDenied")


def other_rows(row):
    """What the vault's clients never send is refused by name, and nothing happens."""
    right = sse_c(row.key)
    beyond = (("DELETE", {}), ("POST", {"uploads": ""}), ("GET", {"acl": ""}), ("PUT", {"partNumber": "1"}))
    for method, query in beyond:
        url = presign(row.vault, method, row.name, right | {"if-none-match": "*"}, query)
        yield f"other.{method}.{''.join(query)}", lambda m=method, u=url: answers(
            send(m, u, right | {"if-none-match": "*"}), 501, "NotImplemented")
    yield "other.afterwards", lambda: equal(row.get().content, row.value, "value")
    old = f"{row.vault.s3_url}/{BUCKET}/{row.name}?AWSAccessKeyId=x&Signature=y&Expires=9999999999"
    yield "other.sigv2", lambda: answers(send("GET", old, right), 400, "InvalidRequest")


def not_signed(answer, name):
    answers(answer, 403, "AccessDenied")
    equal(re.findall("<HeadersNotSigned>([^<]*)<", answer.text), [name], "HeadersNotSigned")


def expired(answer):
    answers(answer, 403, "AccessDenied")
    for element in ("X-Amz-Expires", "Expires", "ServerTime"):
        holds(f"<{element}>" in answer.text, f"{element} is missing")


def constraint_rows(row):
    right = sse_c(row.key)
    sent = right | {"if-none-match": "*", "content-type": "text/csv"}
    yield "put.unsigned-ct", lambda: answers(row.put(right, sent), 200)
    ten = right | {"content-length": "10"}
    yield "put.signedlen.ok", lambda: answers(row.put(ten, right | {"if-none-match": "*"}, b"0123456789"), 200)
    yield "put.signedlen.bad", lambda: answers(
        row.put(ten, right | {"if-none-match": "*"}, b"0123456789abc"), 403, "SignatureDoesNotMatch")
    good = base64.b64encode(hashlib.sha256(b"value").digest()).decode()
    bad = base64.b64encode(bytes(32)).decode()
    yield "put.checksum.ok", lambda: answers(row.put(right | {"x-amz-checksum-sha256": good}), 200)
    yield "put.checksum.bad", lambda: answers(
        row.put(right | {"x-amz-checksum-sha256": bad}), 400, "BadDigest")
    md5 = base64.b64encode(bytes(16)).decode()
    yield "put.contentmd5.bad", lambda: answers(row.put(right | {"content-md5": md5}), 400, "BadDigest")
    override = {"response-content-type": "text/x-own", "response-cache-control": "no-store"}
    yield "get.response-override", lambda: equal(row.get(query=override).headers["content-type"], "text/x-own")


def cors_rows(row):
    origin, foreign = {"origin": "https://app.example"}, {"origin": "https://foreign.example"}
    asked = {"access-control-request-method": "GET", "access-control-request-headers": ALGORITHM}
    url = presign(row.vault, "GET", row.name, sse_c(row.key))
    plain = url.split("?")[0]
    delete = {"access-control-request-method": "DELETE"}
    yield "cors.nomethod", lambda: answers(send("OPTIONS", plain, origin), 403, "AccessForbidden")
    foo = {"access-control-request-method": "GET", "access-control-request-headers": "x-foo"}
    yield "cors.ok", lambda: allowed(send("OPTIONS", plain, origin | asked))
    yield "cors.presigned", lambda: allowed(send("OPTIONS", url, origin | asked))
    yield "cors.origin", lambda: answers(send("OPTIONS", plain, foreign | asked), 403, "AccessForbidden")
    yield "cors.method", lambda: answers(send("OPTIONS", plain, origin | delete), 403, "AccessForbidden")
    yield "cors.header", lambda: answers(send("OPTIONS", plain, origin | foo), 403, "AccessForbidden")
    yield "cors.actual", lambda: allowed(send("GET", url, sse_c(row.key) | origin))
    answer = send("GET", url, sse_c(row.key) | foreign)
    yield "cors.actual.bad", lambda: equal(
        (answer.status_code, answer.headers.get("access-control-allow-origin")), (200, None))


def allowed(answer):
    equal((answer.status_code, answer.headers.get("access-control-allow-origin")), (200, "https://app.example"))


def rows(vault):
    """Each row by its name."""
    row = Row(vault)
    for family in (key_rows, range_rows, conditional_rows, signature_rows, constraint_rows, cors_rows,
                   other_rows):
        yield from family(row)
