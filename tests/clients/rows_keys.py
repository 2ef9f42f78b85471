"""Rows about customer keys: presigned and not, right, wrong, missing, malformed."""

import base64
import os

from harness import equal, holds
from rows_ground import answers, echoes, element, empty, gives, new, not_md5, not_signed
from s3_wire import ALGORITHM, KEY, KEY_MD5, sse_c, sse_c_of_source

INVALID = "InvalidArgument"


def rows(ground):
    yield from presigned_rows(ground)
    yield from read_rows(ground)
    yield from malformed_rows(ground)
    yield from plain_rows(ground)
    yield from further_rows(ground)


def presigned_rows(ground):
    s3, right, value = ground.s3, ground.right, ground.value

    def put():
        answer = echoes(answers(s3.by_url("PUT", new(), right, value), 200), right)
        not_md5(answer, value)

    yield "put.signed", put
    yield "get.signed", lambda: echoes(gives(s3.by_url("GET", ground.name, right), value), right)
    # AWS's least is a signed algorithm. Here the key must be signed too, as every x-amz-* header must.
    bound = {name: right[name] for name in (ALGORITHM, KEY_MD5)}
    yield "get.signed.partial", lambda: not_signed(s3.by_url("GET", ground.name, bound, sent=right), KEY)
    yield "get.unsignedhdrs", lambda: not_signed(
        s3.by_url("GET", ground.name, {}, sent=right), ALGORITHM, KEY, KEY_MD5)
    yield "put.unsignedhdrs", lambda: not_signed(
        s3.by_url("PUT", new(), {}, value, sent=right), ALGORITHM, KEY, KEY_MD5)
    mismatch = "SignatureDoesNotMatch"
    yield "put.signed.missing", lambda: answers(s3.by_url("PUT", new(), right, value, sent={}), 403, mismatch)
    yield "get.signed.otherkey", lambda: answers(
        s3.by_url("GET", ground.name, right, sent=ground.wrong), 403, mismatch)


def read_rows(ground):
    wrong = ground.wrong
    yield "get.wrongkey", lambda: answers(ground.get(wrong), 403, "AccessDenied")
    yield "get.nokey", lambda: answers(ground.get({}), 400, "InvalidRequest")
    yield "head.wrongkey", lambda: empty(ground.get(wrong, "HEAD"), 403)
    yield "head.nokey", lambda: empty(ground.get({}, "HEAD"), 400)

    def head():
        answer = echoes(empty(ground.get(method="HEAD"), 200), ground.right)
        equal(answer.headers["content-length"], "100000")

    yield "head.ok", head
    yield "get.nosuch", lambda: answers(ground.get(name=new()), 404, "NoSuchKey")

    def delete():
        name = ground.stored(b"value", ground.right)
        answers(ground.s3.call("DELETE", name), 204)
        answers(ground.get(name=name), 404, "NoSuchKey")

    yield "delete.nokey", delete


def malformed_rows(ground):
    key = ground.key
    sets = {
        "badmd5": (sse_c(key, key_md5=base64.b64encode(bytes(16)).decode()), INVALID),
        "badmd5fmt": (sse_c(key, key_md5="AAAA"), INVALID),
        "nomd5": (sse_c(key, key_md5=None), INVALID),
        "nokeyhdr": (sse_c(key, key=None), INVALID),
        "noalg": (sse_c(key, algorithm=None), INVALID),
        "algonly": ({ALGORITHM: "AES256"}, INVALID),
        "badalg": (sse_c(key, algorithm="AES128"), "InvalidEncryptionAlgorithmError"),
        "shortkey": (sse_c(key[:16]), INVALID),
        "badb64": (sse_c(key, key="!" * 44), INVALID),
    }
    for name, (headers, code) in sets.items():
        yield f"get.{name}", lambda h=headers, c=code: answers(ground.get(h), 400, c)
        yield f"put.{name}", lambda h=headers, c=code: answers(ground.put(h), 400, c)
        yield f"more.head.{name}", lambda h=headers: empty(ground.get(h, "HEAD"), 400)
    both = ground.right | {"x-amz-server-side-encryption": "AES256"}
    yield "put.ssec+sses3", lambda: answers(ground.put(both), 400, INVALID)


def plain_rows(ground):
    """Objects under keys that the vault keeps, for the one account that may have them."""
    right = ground.right
    yield "get.plain.withkey", lambda: answers(ground.get(right, name=ground.plain), 400, "InvalidRequest")
    yield "head.plain.withkey", lambda: empty(ground.get(right, "HEAD", name=ground.plain), 400)

    def told():
        answer = gives(ground.get({}, name=ground.plain), ground.value)
        equal(answer.headers["x-amz-server-side-encryption"], "AES256")
        not_md5(answer, ground.value)
        answer = answers(ground.put({}), 200)
        equal(answer.headers["x-amz-server-side-encryption"], "AES256")

    yield "more.plain.told", told
    yield "more.plain.refused", lambda: answers(ground.strict.call("PUT", new(), {}, b"x"), 403, "AccessDenied")

    def strict():
        name = new()
        echoes(answers(ground.strict.call("PUT", name, right, b"value"), 200), right)
        gives(ground.strict.call("GET", name, right), b"value")

    yield "more.strict.withkey", strict


def further_rows(ground):
    s3, right, wrong = ground.s3, ground.right, ground.wrong

    def zero(headers, status, code):
        answers(ground.get(headers, name=ground.empty), status, code)
        empty(ground.get(headers, "HEAD", name=ground.empty), status)

    yield "more.zero.right", lambda: zero(right, 200, "")
    yield "more.zero.wrongkey", lambda: zero(wrong, 403, "AccessDenied")
    yield "more.zero.nokey", lambda: zero({}, 400, "InvalidRequest")

    def overwritten():
        name = ground.stored(b"first", right)
        answers(s3.call("PUT", name, wrong, b"second"), 200)
        gives(ground.get(wrong, name=name), b"second")
        answers(ground.get(right, name=name), 403, "AccessDenied")
        answers(s3.call("PUT", name, {}, b"third"), 200)
        gives(ground.get({}, name=name), b"third")
        answers(ground.get(wrong, name=name), 400, "InvalidRequest")

    yield "more.overwrite", overwritten

    def encrypted_copy():
        name = new()
        source = {"x-amz-copy-source": f"/{s3.bucket}/{ground.plain}"}
        answers(s3.call("PUT", name, source | right), 200)
        gives(ground.get(right, name=name), ground.value)
        answers(ground.get({}, name=name), 400, "InvalidRequest")
        answers(ground.get(wrong, name=name), 403, "AccessDenied")

    yield "more.copy.from.plain", encrypted_copy

    def source_key_of_plain():
        source = {"x-amz-copy-source": f"/{s3.bucket}/{ground.plain}"} | sse_c_of_source(ground.key)
        answers(s3.call("PUT", new(), source | right), 400, "InvalidRequest")

    yield "more.copy.plain.withkey", source_key_of_plain
    # One spelling of a key: what is not base64 with its padding is no key.
    unpadded = sse_c(ground.key, key=right[KEY].rstrip("="))
    yield "more.key.unpadded", lambda: answers(ground.get(unpadded), 400, INVALID)
    differs = ground.vault.marks.add("customer key", b"\xff" + os.urandom(31))
    url_safe = sse_c(differs, key=base64.urlsafe_b64encode(differs).decode())
    yield "more.key.urlsafe", lambda: answers(ground.put(url_safe), 400, INVALID)

    def any_case():
        url = s3.presign("GET", ground.name, right)
        gives(s3.send("GET", url, {name.upper(): value for name, value in right.items()}), ground.value)

    yield "more.header.case", any_case
    # Some clients move the headers into the query. Other servers ignore them there, and answer as if there
    # were no key; here nothing is ignored in silence. The key is marked, so this also shows that queries reach
    # no log.
    yield "more.query.key", lambda: answers(
        s3.by_url("GET", ground.name, {}, query=right), 501, "NotImplemented")
    yield "more.query.key.put", lambda: answers(
        ground.strict.by_url("PUT", new(), {}, b"x", query=right), 501, "NotImplemented")
    yield "more.tagging", lambda: answers(
        s3.call("PUT", ground.name, {}, b"<Tagging/>", {"tagging": ""}), 501, "NotImplemented")
    yield from attribute_rows(ground)


def attribute_rows(ground):
    wanted = {"x-amz-object-attributes": "ETag,ObjectSize,StorageClass,Checksum,ObjectParts"}

    def asked(headers, name=None):
        return ground.s3.call("GET", name or ground.name, headers, query={"attributes": ""})

    def attributes():
        answer = answers(asked(ground.right | wanted), 200)
        equal(element(answer, "ObjectSize"), "100000")
        equal(element(answer, "ETag"), ground.etag.strip('"'))
        holds(ground.value not in answer.content, "the attributes hold the value")
        answers(asked(sse_c(ground.key, algorithm="AES128") | wanted), 400, "InvalidEncryptionAlgorithmError")
        equal(asked(ground.right).status_code, 400, "without a list of attributes")

    yield "attrs", attributes
    # Servers were seen that authenticate no key here.
    yield "more.attrs.wrongkey", lambda: answers(asked(ground.wrong | wanted), 403, "AccessDenied")
    yield "more.attrs.nokey", lambda: answers(asked(wanted), 400, "InvalidRequest")
    yield "more.attrs.zero.wrongkey", lambda: answers(
        asked(ground.wrong | wanted, ground.empty), 403, "AccessDenied")
