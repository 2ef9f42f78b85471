"""What schemathesis cannot know: tokens that exist, the session's hash, and how numbers are written.

Without it nearly every request would end at 404 or 401 and say nothing of the answers behind them.
"""

import os
import re
import zlib

import schemathesis

TOKEN = re.compile(r"lunasec-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SESSION_HASH = re.compile(r"[0-9a-f]{40}")
LIVE_TOKEN = os.environ["STRONGROOM_TOKEN"]
LIVE_HASH = os.environ["STRONGROOM_SESSION_HASH"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Puts a live token in place of two well-formed ones out of three, and the session's own hash."""
    if isinstance(case.body, dict):
        case.body = {name: written(name, value) for name, value in case.body.items()}
    sent = (case.headers or {}).get("lunasec-session-hash")
    if isinstance(sent, str) and SESSION_HASH.fullmatch(sent):
        case.headers["lunasec-session-hash"] = LIVE_HASH


def written(name, value):
    if isinstance(value, str) and TOKEN.fullmatch(value) and zlib.crc32(value.encode()) % 3:
        return LIVE_TOKEN
    # To JSON Schema 7.0 is an integer. The vault wants it written as one, and the document says so.
    if name == "contentLength" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
