"""Rows about browsers: CORS and POST forms; and one about a client without TLS."""

import base64
import functools
import hashlib

import requests

from harness import equal, holds
from rows_ground import answers, echoes, gives, new
from s3_wire import ALGORITHM, KEY

RULES = f"""<CORSConfiguration><CORSRule>
<AllowedOrigin>https://app.example</AllowedOrigin>
<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>
<AllowedHeader>{ALGORITHM}</AllowedHeader><AllowedHeader>{KEY}*</AllowedHeader>
<ExposeHeader>etag</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds>
</CORSRule></CORSConfiguration>"""
ORIGIN, FOREIGN = {"origin": "https://app.example"}, {"origin": "https://foreign.example"}
ASKED = {"access-control-request-method": "GET", "access-control-request-headers": f"{ALGORITHM}, {KEY}"}
FORBIDDEN = "AccessForbidden"


def rows(ground):
    yield from preflight_rows(ground)
    yield from actual_rows(ground)
    yield from form_rows(ground)

    def by_boto():
        # AWS demands TLS. The vault does too, but for clients on its own machine.
        name = new()
        ground.s3.boto().put_object(Bucket=ground.s3.bucket, Key=name, Body=b"value", SSECustomerAlgorithm="AES256",
                                    SSECustomerKey=ground.key)
        gives(ground.get(name=name), b"value")

    yield "sdk.http", by_boto


def allowed(answer, status=200):
    equal((answer.status_code, answer.headers.get("access-control-allow-origin")), (status, ORIGIN["origin"]))
    return answer


def preflight_rows(ground):
    s3 = ground.s3

    def preflight(headers, url=None):
        return s3.send("OPTIONS", url or s3.url(ground.name), headers)

    yield "cors.none", lambda: answers(preflight(ORIGIN | ASKED), 403, FORBIDDEN)

    def rules():
        digest = {"content-md5": base64.b64encode(hashlib.md5(RULES.encode()).digest()).decode()}
        answers(s3.call("PUT", None, digest, RULES.encode(), {"cors": ""}), 200)
        holds("https://app.example" in answers(s3.call("GET", None, query={"cors": ""}), 200).text, "the rules")

    yield "cors.put", rules

    def ok():
        headers = allowed(preflight(ORIGIN | ASKED)).headers
        equal({name: headers[f"access-control-{name}"] for name in
               ("allow-methods", "allow-headers", "allow-credentials", "expose-headers", "max-age")},
              {"allow-methods": "GET, PUT", "allow-headers": f"{ALGORITHM}, {KEY}", "allow-credentials": "true",
               "expose-headers": "etag", "max-age": "600"})
        equal(headers["vary"].lower(), "origin, access-control-request-headers, access-control-request-method")

    yield "cors.ok", ok
    yield "cors.presigned", lambda: allowed(
        preflight(ORIGIN | ASKED, s3.presign("GET", ground.name, ground.right)))
    yield "cors.origin", lambda: answers(preflight(FOREIGN | ASKED), 403, FORBIDDEN)
    delete = {"access-control-request-method": "DELETE"}
    yield "cors.method", lambda: answers(preflight(ORIGIN | delete), 403, FORBIDDEN)
    foo = {"access-control-request-method": "GET", "access-control-request-headers": "x-foo"}
    yield "cors.header", lambda: answers(preflight(ORIGIN | foo), 403, FORBIDDEN)

    def incomplete():
        answers(preflight(ASKED), 400, "BadRequest")
        answers(preflight(ORIGIN), 403, FORBIDDEN)

    yield "cors.nomethod", incomplete


def actual_rows(ground):
    def get(origin, url=None):
        url = url or ground.s3.presign("GET", ground.name, ground.right)
        return ground.s3.send("GET", url, ground.right | origin)

    yield "cors.actual", lambda: gives(allowed(get(ORIGIN)), ground.value)

    def foreign():
        answer = gives(get(FOREIGN), ground.value)
        equal(answer.headers.get("access-control-allow-origin"), None)

    yield "cors.actual.bad", foreign
    # AWS's answer is not known. With the headers a page can tell a refusal from a network that failed.
    expired = {"age_s": 301}
    yield "cors.actual.error", lambda: allowed(
        get(ORIGIN, ground.s3.presign("GET", ground.name, ground.right, **expired)), 403)

    def removed():
        answers(ground.s3.call("DELETE", None, query={"cors": ""}), 204)
        answers(ground.s3.call("GET", None, query={"cors": ""}), 404, "NoSuchCORSConfiguration")

    yield "more.cors.delete", removed


def form_rows(ground):
    s3 = ground.s3

    @functools.cache
    def signed(longest):
        """The fields of a form, signed by boto3, for any name under one prefix."""
        prefix, fields = new(), dict(ground.right)
        conditions = [{name: value} for name, value in fields.items()] + [["content-length-range", 0, longest]]
        return prefix, s3.boto().generate_presigned_post(
            s3.bucket, prefix + "/${filename}", fields, conditions, ExpiresIn=300)

    def posted(value, longest=1000, change=None):
        prefix, form = signed(longest)
        fields = form["fields"] | (change or {})
        request = requests.Request("POST", form["url"], data=fields, files={"file": ("a.txt", value)}).prepare()
        return prefix + "/a.txt", s3.send("POST", request.url, {"content-type": request.headers["content-type"]},
                                          request.body)

    def stored():
        name, answer = posted(b"value")
        echoes(answers(answer, 204), ground.right)
        gives(ground.get(name=name), b"value")

    yield "post.ok", stored
    yield "post.toolarge", lambda: answers(posted(b"value", 4)[1], 400, "EntityTooLarge")
    yield "more.post.otherkey", lambda: answers(posted(b"value", change=ground.wrong)[1], 403, "AccessDenied")
    yield "more.post.extra", lambda: answers(
        posted(b"value", change={"x-amz-meta-a": "b"})[1], 403, "AccessDenied")
    yield "more.post.signature", lambda: answers(
        posted(b"value", change={"x-amz-signature": "0" * 64})[1], 403, "SignatureDoesNotMatch")

    def without_key():
        form = ground.strict.boto().generate_presigned_post(ground.strict.bucket, new(), ExpiresIn=300)
        request = requests.Request("POST", form["url"], data=form["fields"], files={"file": b"x"}).prepare()
        return s3.send("POST", request.url, {"content-type": request.headers["content-type"]}, request.body)

    yield "more.post.strict", lambda: answers(without_key(), 403, "AccessDenied")
