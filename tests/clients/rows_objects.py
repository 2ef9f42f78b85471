"""Rows about reading ranges, conditions, constraints of an upload, copies, and buckets."""

import base64
import functools
import hashlib

from harness import equal, holds
from rows_ground import answers, element, gives, new
from s3_wire import sse_c_of_source


def rows(ground):
    yield from range_rows(ground)
    yield from conditional_rows(ground)
    yield from constraint_rows(ground)
    yield from copy_rows(ground)
    yield from bucket_rows(ground)


def range_rows(ground):
    def ranged(text):
        return ground.get(ground.right | {"range": text})

    def part(answer, start, end):
        gives(answer, ground.value[start:end], 206)
        equal(answer.headers["content-range"], f"bytes {start}-{end - 1}/100000")

    yield "range.mid", lambda: part(ranged("bytes=17-4115"), 17, 4116)
    yield "range.suffix", lambda: part(ranged("bytes=-100"), 99_900, 100_000)
    yield "range.open", lambda: part(ranged("bytes=99000-"), 99_000, 100_000)
    yield "range.416", lambda: answers(ranged("bytes=100000-"), 416, "InvalidRange")
    yield "range.inverted", lambda: gives(ranged("bytes=10-5"), ground.value)
    yield "range.multi", lambda: gives(ranged("bytes=0-1,5-6"), ground.value)
    sent = ground.right | {"range": "bytes=0-9"}
    yield "range.presigned", lambda: part(ground.s3.by_url("GET", ground.name, ground.right, sent=sent), 0, 10)
    wrong = ground.wrong | {"range": "bytes=0-9"}
    yield "range.wrongkey", lambda: answers(ground.get(wrong), 403, "AccessDenied")


def conditional_rows(ground):
    right, failed = ground.right, "PreconditionFailed"
    yield "cond.inm", lambda: equal(ground.get(right | {"if-none-match": ground.etag}).status_code, 304)
    yield "cond.im", lambda: answers(ground.get(right | {"if-match": '"other"'}), 412, failed)
    # AWS's answer is not known. Whoever has not the key learns nothing, not even that the ETag is right.
    yield "cond.inm.wrongkey", lambda: answers(
        ground.get(ground.wrong | {"if-none-match": ground.etag}), 403, "AccessDenied")
    once = right | {"if-none-match": "*"}
    yield "cond.put.inm", lambda: answers(ground.s3.call("PUT", ground.name, once, b"other"), 412, failed)
    yield "cond.put.inm.new", lambda: answers(ground.put(once), 200)

    def if_match():
        name = ground.stored(b"first", right)
        etag = ground.get(name=name).headers["etag"]
        answers(ground.s3.call("PUT", name, right | {"if-match": '"other"'}, b"second"), 412, failed)
        gives(ground.get(name=name), b"first")
        answers(ground.s3.call("PUT", name, right | {"if-match": etag}, b"second"), 200)
        gives(ground.get(name=name), b"second")
        answers(ground.put(right | {"if-match": etag}), 404, "NoSuchKey")

    yield "cond.put.im", if_match


def constraint_rows(ground):
    s3, right = ground.s3, ground.right

    def by_url(signed, sent=None, body=b"value", name=None):
        return s3.by_url("PUT", name or new(), signed, body, sent=sent)

    def typed():
        name = new()
        answers(by_url(right, right | {"content-type": "text/csv"}, name=name), 200)
        equal(ground.get(name=name).headers["content-type"], "text/csv")

    yield "put.unsigned-ct", typed

    def overridden():
        query = {"response-content-type": "text/x-own", "response-cache-control": "max-age=7",
                 "response-content-disposition": "attachment; filename=a.txt"}
        answer = gives(s3.by_url("GET", ground.name, right, query=query), ground.value)
        equal((answer.headers["content-type"], answer.headers["content-disposition"]),
              ("text/x-own", "attachment; filename=a.txt"))

    yield "get.response-override", overridden
    ten = right | {"content-length": "10"}
    yield "put.signedlen.ok", lambda: answers(by_url(ten, right, b"0123456789"), 200)
    yield "put.signedlen.bad", lambda: answers(by_url(ten, right, b"0123456789abc"), 403, "SignatureDoesNotMatch")
    good = base64.b64encode(hashlib.sha256(b"value").digest()).decode()
    bad = base64.b64encode(bytes(32)).decode()
    yield "put.checksum.ok", lambda: answers(by_url(right | {"x-amz-checksum-sha256": good}), 200)

    def refused(header):
        name = new()
        answers(by_url(right | header, name=name), 400, "BadDigest")
        answers(ground.get(name=name), 404, "NoSuchKey")

    yield "put.checksum.bad", lambda: refused({"x-amz-checksum-sha256": bad})
    yield "put.contentmd5.bad", lambda: refused({"content-md5": base64.b64encode(bytes(16)).decode()})

    def kept():
        name = ground.stored(b"value", right | {"x-amz-checksum-sha256": good, "x-amz-meta-colour": "blue",
                                                "content-type": "text/csv"})
        answer = gives(ground.get(right | {"x-amz-checksum-mode": "ENABLED"}, name=name), b"value")
        equal([answer.headers.get(header) for header in ("x-amz-checksum-sha256", "x-amz-meta-colour", "content-type")],
              [good, "blue", "text/csv"])

    yield "more.headers.kept", kept

    def odd_name():
        name = f"{new()}/a b+c&d=é~%41?#.txt"
        answers(s3.call("PUT", name, right, b"value"), 200)
        gives(s3.by_url("GET", name, right), b"value")

    yield "more.name.odd", odd_name


def copy_rows(ground):
    s3 = ground.s3

    def copied(source, headers, name=None):
        return s3.call("PUT", name or new(), {"x-amz-copy-source": f"/{s3.bucket}/{source}"} | headers)

    @functools.cache
    def source():
        return ground.stored(ground.value, ground.right)

    opened = sse_c_of_source(ground.key)
    yield "copy.nokey", lambda: answers(copied(source(), {}), 400, "InvalidRequest")
    yield "copy.wrongkey", lambda: answers(
        copied(source(), sse_c_of_source(ground.other) | ground.wrong), 403, "AccessDenied")

    def rekeyed(name, target):
        answer = answers(copied(name, opened | ground.wrong, target), 200)
        holds(element(answer, "ETag"), "the copy's ETag")
        gives(ground.get(ground.wrong, name=target), ground.value)
        answers(ground.get(name=target), 403, "AccessDenied")

    yield "copy.rekey", lambda: rekeyed(source(), new())

    def to_plain():
        name = new()
        answers(copied(source(), opened, name), 200)
        gives(ground.get({}, name=name), ground.value)

    yield "copy.toplain", to_plain

    def onto_itself():
        name = ground.stored(ground.value, ground.right)
        rekeyed(name, name)

    yield "copy.self.rekey", onto_itself
    # Where keys are demanded, a copy must not do what an upload may not.
    yield "more.copy.toplain.strict", lambda: answers(strict_copy(ground), 403, "AccessDenied")
    yield "more.copy.nosuch", lambda: answers(copied(new(), ground.right), 404, "NoSuchKey")
    foreign = {"x-amz-copy-source": "/strongroom/" + "0" * 32} | ground.right
    yield "more.copy.foreign", lambda: answers(s3.call("PUT", new(), foreign), 403, "AccessDenied")


def strict_copy(ground):
    strict, name = ground.strict, new()
    answers(strict.call("PUT", name, ground.right, b"value"), 200)
    source = {"x-amz-copy-source": f"/{strict.bucket}/{name}"} | sse_c_of_source(ground.key)
    return strict.call("PUT", new(), source)


def bucket_rows(ground):
    s3 = ground.s3
    made = f"{s3.name}-made"

    def life():
        answers(s3.call("PUT", None, bucket=made), 200)
        answers(s3.call("HEAD", None, bucket=made), 200)
        listed = s3.call("GET", None, bucket="").text
        holds(f"<Name>{made}</Name>" in listed and f"<Name>{s3.bucket}</Name>" in listed, "buckets are not listed")
        holds("strongroom<" not in listed and ground.strict.bucket not in listed, "others' buckets are listed")
        answers(s3.call("PUT", "a", {}, b"x", bucket=made), 200)
        answers(s3.call("DELETE", None, bucket=made), 409, "BucketNotEmpty")
        answers(s3.call("DELETE", "a", bucket=made), 204)
        answers(s3.call("DELETE", None, bucket=made), 204)
        answers(s3.call("GET", None, bucket=made), 404, "NoSuchBucket")

    yield "more.bucket.life", life
    others = {"vault's": "strongroom", "other account's": ground.strict.bucket, "no one's": "elsewhere"}
    for whose, bucket in others.items():
        for method, name in (("GET", None), ("GET", "a"), ("PUT", "a"), ("DELETE", "a"), ("PUT", None)):
            what = f"more.bucket.{whose}.{method}.{name or 'itself'}"
            yield what, lambda m=method, n=name, b=bucket: answers(s3.call(m, n, bucket=b), 403, "AccessDenied")

    def listed():
        prefix = new()
        for name in ("a/1", "a/2", "b", "c/3"):
            answers(s3.call("PUT", f"{prefix}/{name}", {}, b"x"), 200)
        query = {"list-type": "2", "prefix": f"{prefix}/", "delimiter": "/", "max-keys": "2"}
        first = answers(s3.call("GET", None, query=query), 200)
        equal((element(first, "IsTruncated"), element(first, "KeyCount")), ("true", "2"))
        equal([f"{prefix}/{name}" in first.text for name in ("a/&lt;", "a/<", "b<", "c/<")],
              [False, True, True, False])
        query["continuation-token"] = element(first, "NextContinuationToken")
        second = answers(s3.call("GET", None, query=query), 200)
        equal((element(second, "IsTruncated"), f"{prefix}/c/<" in second.text), ("false", True))

    yield "more.list", listed

    def deleted():
        names = [ground.stored(b"x", {}) for _ in range(3)]
        objects = "".join(f"<Object><Key>{name}</Key></Object>" for name in [*names, new()])
        body = f"<Delete>{objects}</Delete>".encode()
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        answer = answers(s3.call("POST", None, {"content-md5": digest}, body, {"delete": ""}), 200)
        equal(answer.text.count("<Deleted>"), 4, "deleted")
        for name in names:
            answers(ground.get({}, name=name), 404, "NoSuchKey")

    yield "more.delete.many", deleted
