"""Rows about multipart uploads under customer keys."""

import functools
import os

from harness import equal, holds
from rows_ground import answers, echoes, element, gives, new
from s3_wire import sse_c_of_source

PART = 5 * 1024 * 1024  # the least that a part other than the last may have


class Upload:
    """One upload under the ground's right key."""

    def __init__(self, ground, headers=None):
        self.ground, self.s3, self.name = ground, ground.s3, new()
        self.headers = ground.right if headers is None else headers

    @functools.cached_property
    def id(self):
        answer = answers(self.s3.call("POST", self.name, self.headers, query={"uploads": ""}), 200)
        if self.headers:
            echoes(answer, self.headers)
        return element(answer, "UploadId")

    def query(self, number):
        return {"partNumber": str(number), "uploadId": self.id}

    def part(self, number, value, headers=None):
        return self.s3.call("PUT", self.name, self.headers if headers is None else headers, value, self.query(number))

    def kept(self, number, value):
        """The part's ETag."""
        return echoes(answers(self.part(number, value), 200), self.headers).headers["etag"]

    def complete(self, *parts):
        listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                         for number, etag in parts)
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        return self.s3.call("POST", self.name, {}, body, {"uploadId": self.id})

    def abort(self):
        return self.s3.call("DELETE", self.name, query={"uploadId": self.id})


def rows(ground):
    upload, first, second = Upload(ground), os.urandom(PART), os.urandom(1000)
    value, right = first + second, ground.right
    etags = {}

    yield "mp.create", lambda: holds(upload.id, "there is no upload")

    def presigned():
        answer = ground.s3.by_url("PUT", upload.name, right, first, query=upload.query(1))
        etags[1] = echoes(answers(answer, 200), right).headers["etag"]

    yield "mp.part.presigned", presigned
    yield "mp.part.nokey", lambda: answers(upload.part(2, second, {}), 400, "InvalidRequest")
    yield "mp.part.wrongkey", lambda: answers(upload.part(2, second, ground.wrong), 400, "InvalidRequest")
    yield "mp.part2", lambda: etags.update({2: upload.kept(2, second)})

    def listed():
        answer = answers(ground.s3.call("GET", upload.name, query={"uploadId": upload.id}), 200)
        equal([answer.text.count(f"<Size>{size}</Size>") for size in (PART, 1000)], [1, 1])
        equal(answer.text.count("<Part>"), 2, "parts")

    yield "mp.list", listed

    def uploads():
        answer = answers(ground.s3.call("GET", None, query={"uploads": ""}), 200)
        holds(upload.id in answer.text and upload.name in answer.text, "the upload is not listed")

    yield "more.mp.uploads", uploads
    yield "mp.complete.badetag", lambda: answers(
        upload.complete((1, etags[1]), (2, '"' + "0" * 32 + '"')), 400, "InvalidPart")
    yield "mp.complete.order", lambda: answers(
        upload.complete((2, etags[2]), (1, etags[1])), 400, "InvalidPartOrder")
    yield "more.mp.notyet", lambda: answers(ground.get(name=upload.name), 404, "NoSuchKey")

    def completed():
        answer = answers(upload.complete((1, etags[1]), (2, etags[2])), 200)
        holds(element(answer, "ETag").strip('"').endswith("-2"), "the ETag does not count the parts")

    yield "mp.complete", completed
    yield "mp.get", lambda: echoes(gives(ground.get(name=upload.name), value), right)
    yield "more.mp.get.wrongkey", lambda: answers(ground.get(ground.wrong, name=upload.name), 403, "AccessDenied")
    middle = right | {"range": f"bytes={PART - 10}-{PART + 9}"}
    yield "mp.range", lambda: gives(ground.get(middle, name=upload.name), value[PART - 10:PART + 10], 206)

    def by_number():
        answer = gives(ground.get(name=upload.name, query={"partNumber": "2"}), second, 206)
        equal(answer.headers["x-amz-mp-parts-count"], "2")

    yield "mp.partnumber", by_number
    yield from refused_rows(ground)
    yield from copied_rows(ground)


def refused_rows(ground):
    small = Upload(ground)

    def too_small():
        parts = [(number, small.kept(number, os.urandom(1000))) for number in (1, 2)]
        answers(small.complete(*parts), 400, "EntityTooSmall")

    yield "mp.toosmall", too_small
    yield "mp.abort", lambda: answers(small.abort(), 204)
    yield "mp.part.aborted", lambda: answers(small.part(1, b"value"), 404, "NoSuchUpload")

    def presigned():
        name = new()
        answer = ground.s3.by_url("POST", name, ground.right, query={"uploads": ""})
        answer = echoes(answers(answer, 200), ground.right)
        aborted = ground.s3.call("DELETE", name, query={"uploadId": element(answer, "UploadId")})
        answers(aborted, 204)

    yield "mp.create.presigned", presigned
    yield "more.mp.create.strict", lambda: answers(
        ground.strict.call("POST", new(), query={"uploads": ""}), 403, "AccessDenied")
    yield "more.mp.part.number", lambda: answers(Upload(ground).part(10_001, b"x"), 400, "InvalidArgument")

    def with_key():
        plain = Upload(ground, {})
        answers(plain.part(1, b"x", ground.right), 400, "InvalidRequest")
        answers(plain.abort(), 204)

    yield "more.mp.part.plain.withkey", with_key


def copied_rows(ground):
    def copied():
        upload = Upload(ground, ground.wrong)
        source = {"x-amz-copy-source": f"/{ground.s3.bucket}/{ground.name}",
                  "x-amz-copy-source-range": "bytes=100-65999"}
        answer = answers(upload.part(1, b"", source | sse_c_of_source(ground.key) | ground.wrong), 200)
        answers(upload.complete((1, element(answer, "ETag"))), 200)
        gives(ground.get(ground.wrong, name=upload.name), ground.value[100:66_000])

    yield "copy.part", copied
