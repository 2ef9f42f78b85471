"""Rows about signatures: altered, expired, foreign, missing, by URL and by header."""

import re

from harness import holds
from rows_ground import answers, empty, gives, new, not_signed

WEEK_S = 7 * 24 * 3600
MISMATCH = "SignatureDoesNotMatch"
MALFORMED = "AuthorizationQueryParametersError"


def rows(ground):
    yield from url_rows(ground)
    yield from expiry_rows(ground)
    yield from header_rows(ground)


def url_rows(ground):
    s3, right = ground.s3, ground.right

    def get(**signing):
        return s3.by_url("GET", ground.name, right, **signing)

    def changed(change):
        url = s3.presign("GET", ground.name, right)
        other = change(url)
        holds(other != url, "the row changes nothing")
        return s3.send("GET", other, right)

    def to(parameter, value):
        return lambda url: re.sub(f"({parameter})=[^&]*", rf"\g<1>={value}", url)

    yield "sig.tampered", lambda: answers(changed(to("X-Amz-Signature", "0" * 64)), 403, MISMATCH)
    yield "sig.otherkey", lambda: answers(changed(lambda url: url.replace(ground.name, new())), 403, MISMATCH)
    yield "sig.othermethod", lambda: answers(
        s3.send("PUT", s3.presign("GET", ground.name, right), right, b"x"), 403, MISMATCH)
    yield "more.sig.head", lambda: empty(s3.send("HEAD", s3.presign("GET", ground.name, right), right), 403)
    yield "sig.expires.altered", lambda: answers(changed(to("X-Amz-Expires", "301")), 403, MISMATCH)
    yield "sig.extraquery", lambda: answers(changed(lambda url: url + "&a=b"), 403, MISMATCH)
    extra = right | {"x-amz-meta-a": "b"}
    yield "sig.extrahdr", lambda: not_signed(s3.by_url("GET", ground.name, right, sent=extra), "x-amz-meta-a")
    source = right | {"x-amz-copy-source": f"/{s3.bucket}/{ground.name}"}
    yield "more.sig.copysource", lambda: not_signed(
        s3.by_url("PUT", new(), right, sent=source), "x-amz-copy-source")
    yield "sig.missing", lambda: answers(
        changed(lambda url: re.sub("&X-Amz-Signature=[^&]*", "", url)), 400, MALFORMED)
    yield "sig.noaccesskey", lambda: answers(get(access_key_id="OTHER"), 403, "InvalidAccessKeyId")
    yield "sig.wrongsecret", lambda: answers(get(secret="0" * 40), 403, MISMATCH)
    yield "sig.region", lambda: answers(get(region="eu-central-1"), 400, MALFORMED)
    plain = s3.url(ground.name)
    yield "anon.get", lambda: answers(s3.send("GET", plain, right), 403, "AccessDenied")
    yield "anon.put", lambda: answers(s3.send("PUT", plain, right, b"x"), 403, "AccessDenied")
    old = f"{plain}?AWSAccessKeyId={s3.access_key_id}&Signature=y&Expires=9999999999"
    yield "more.sig.v2", lambda: answers(s3.send("GET", old, right), 400, "InvalidRequest")


def expiry_rows(ground):
    def get(**signing):
        return ground.s3.by_url("GET", ground.name, ground.right, **signing)

    def expired():
        answer = answers(get(age_s=301), 403, "AccessDenied")
        for name in ("X-Amz-Expires", "Expires", "ServerTime"):
            holds(f"<{name}>" in answer.text, f"{name} is missing")

    yield "sig.expired", expired
    yield "sig.expires.max", lambda: answers(get(expires_s=WEEK_S + 1), 400, MALFORMED)
    yield "more.sig.expires.week", lambda: gives(get(expires_s=WEEK_S), ground.value)
    yield "sig.expires.zero", lambda: answers(get(expires_s=0), 403, "AccessDenied")
    yield "sig.expires.neg", lambda: answers(get(expires_s=-1), 400, MALFORMED)


def header_rows(ground):
    s3, right = ground.s3, ground.right
    yield "more.header.ok", lambda: gives(ground.get(), ground.value)
    yield "more.header.early", lambda: answers(ground.get(age_s=16 * 60), 403, "RequestTimeTooSkewed")
    yield "more.header.late", lambda: answers(ground.get(age_s=-16 * 60), 403, "RequestTimeTooSkewed")
    yield "more.header.region", lambda: answers(
        ground.get(region="eu-central-1"), 400, "AuthorizationHeaderMalformed")
    yield "more.header.noaccesskey", lambda: answers(ground.get(access_key_id="OTHER"), 403, "InvalidAccessKeyId")
    yield "more.header.wrongsecret", lambda: answers(ground.get(secret="0" * 40), 403, MISMATCH)
    yield "more.header.extra", lambda: not_signed(ground.get(more={"x-amz-meta-a": "b"}), "x-amz-meta-a")

    def other_body():
        name = new()
        url, headers = s3.sign("PUT", name, right, b"value")
        answers(s3.send("PUT", url, headers, b"other"), 400, "XAmzContentSHA256Mismatch")
        answers(ground.get(name=name), 404, "NoSuchKey")

    yield "more.header.otherbody", other_body

    def without_digest():
        url, headers = s3.sign("GET", ground.name, right)
        headers = {name: value for name, value in headers.items() if name.lower() != "x-amz-content-sha256"}
        return s3.send("GET", url, headers)

    yield "more.header.nodigest", lambda: answers(without_digest(), 400, "InvalidRequest")

    def twice():
        _, headers = s3.sign("GET", ground.name, right)
        return s3.send("GET", s3.presign("GET", ground.name, right), headers)

    yield "more.header.andurl", lambda: answers(twice(), 400, "InvalidArgument")
    old = right | {"authorization": f"AWS {s3.access_key_id}:c2lnbmF0dXJl"}
    yield "more.header.v2", lambda: answers(s3.send("GET", s3.url(ground.name), old), 400, "InvalidRequest")
