"""What AWS S3 answers, request by request: each row of a list that was compared with AWS is one check.

A row's name is the list's. Where the vault differs on purpose, the row says why.
"""

import rows_cors
import rows_chunked
import rows_keys
import rows_multipart
import rows_objects
import rows_signature
from harness import equal
from rows_ground import Ground

# The list. What stands here and has no check, or is checked and does not stand here, fails.
LISTED = """
put.signed get.signed get.signed.partial get.unsignedhdrs put.unsignedhdrs put.signed.missing get.signed.otherkey

get.wrongkey get.nokey head.wrongkey head.nokey head.ok get.badmd5 get.badmd5fmt get.nomd5 get.nokeyhdr get.noalg
get.algonly get.badalg get.shortkey get.badb64 get.plain.withkey head.plain.withkey get.nosuch delete.nokey

put.badmd5 put.badmd5fmt put.nomd5 put.nokeyhdr put.noalg put.algonly put.badalg put.shortkey put.badb64
put.ssec+sses3

range.mid range.suffix range.open range.416 range.inverted range.multi range.presigned range.wrongkey

cond.inm cond.im cond.inm.wrongkey cond.put.inm cond.put.inm.new cond.put.im

mp.create mp.part.presigned mp.part.nokey mp.part.wrongkey mp.part2 mp.list mp.complete.badetag mp.complete.order
mp.complete mp.get mp.range mp.partnumber mp.toosmall mp.abort mp.part.aborted mp.create.presigned

copy.nokey copy.wrongkey copy.rekey copy.toplain copy.self.rekey copy.part

sig.tampered sig.otherkey sig.othermethod sig.expires.altered sig.extraquery sig.extrahdr sig.missing sig.expired
sig.expires.max sig.expires.zero sig.expires.neg sig.noaccesskey sig.wrongsecret sig.region anon.get anon.put

put.unsigned-ct get.response-override put.signedlen.ok put.signedlen.bad put.checksum.ok put.checksum.bad
put.contentmd5.bad

cors.none cors.put cors.ok cors.presigned cors.origin cors.method cors.header cors.nomethod cors.actual
cors.actual.bad cors.actual.error

post.ok post.toolarge sdk.http attrs
""".split()

FAMILIES = (rows_keys.rows, rows_objects.rows, rows_signature.rows, rows_multipart.rows, rows_cors.rows,
            rows_chunked.rows)


def run(checks, vault):
    """Checks every row; those beyond the list are named `more.`."""
    ground, seen = Ground(vault), []
    for family in FAMILIES:
        for name, row in family(ground):
            seen.append(name)
            checks.run(f"s3 row {name}", row)
    listed = sorted(name for name in seen if not name.startswith("more."))
    checks.run("s3 rows are the list's, each once", lambda: equal(listed, sorted(LISTED), "rows"))
