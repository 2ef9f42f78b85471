#!/usr/bin/env python3
"""Makes the test vectors of docs/crypto.md, from its text and from nothing else.

    python3 -m pip install -r requirements.txt
    python3 generate.py            write the JSON files beside this script
    python3 generate.py --check    compare them; exit status 1 names the files that differ

Every secret, nonce and salt in here is made from a fixed word, so the output never changes.
None of them may be used anywhere else.
"""

import argparse
import base64
import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).resolve().parent
V = b"\x01"
UNLIMITED = 2**32 - 1
SEGMENT = 65_536
TAG = 16


# --- primitives ---------------------------------------------------------------------------


def fixed(word, length):
    """Bytes that look random and never change."""
    blocks = (
        hashlib.sha256(f"strongroom test vector {word} {n}".encode()).digest()
        for n in range(length // 32 + 1)
    )
    return b"".join(blocks)[:length]


def u8(n):
    return n.to_bytes(1, "big")


def u16(n):
    return n.to_bytes(2, "big")


def u32(n):
    return n.to_bytes(4, "big")


def u64(n):
    return n.to_bytes(8, "big")


def s(data):
    """str(x) = u16 length, then the bytes."""
    data = data.encode() if isinstance(data, str) else data
    return u16(len(data)) + data


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def extract(salt, ikm):
    return mac(salt, ikm)  # RFC 5869, 2.2: HMAC keyed by the salt, over the key material


def expand(prk, info):
    return HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(prk)


def gcm(key, data, aad, nonce):
    return nonce + AESGCM(key).encrypt(nonce, data, aad)


# --- helpers for cases of refusal ---------------------------------------------------------


def flip(data, at):
    return data[:at] + u8(data[at] ^ 0x01) + data[at + 1 :]


def put(data, at, patch):
    return data[:at] + patch + data[at + len(patch) :]


def flips(data, fields, error, label=""):
    """One case per field, its first byte flipped. `fields` is a list of (name, length)."""
    at = 0
    for name, length in fields:
        if length:
            verdict = error.get(name, "sealed")
            yield {"name": f"{label}flipped {name}", "bytes": flip(data, at), "error": verdict}
        at += length
    assert at == len(data), (at, len(data))


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: hexed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hexed(item) for item in value]
    return value


# --- names --------------------------------------------------------------------------------

TOKENS = [
    "lunasec-00000000-0000-0000-0000-000000000000",
    "lunasec-0f8fad5b-d9cb-469f-a165-70867728950e",
    "lunasec-ffffffff-ffff-4fff-bfff-ffffffffffff",
]
SESSIONS = [
    (1, "https://shop.example", "d290f1ee-6c54-4b01-90e6-d701748f0851"),
    (1, "", "d290f1ee-6c54-4b01-90e6-d701748f0851"),
    (1, "ab", "c"),
    (1, "a", "bc"),
    (2, "https://shop.example", "https://shop.example"),
    (2, "https://shop.example", ""),
    (2, "", ""),
    (3, "https://shop.example", "d290f1ee-6c54-4b01-90e6-d701748f0851"),
    (1, "https://bücher.example/日本", "session-ключ-🔑"),
    (1, "https://shop.example", "x" * 256),
]
INDEX_SECRET = fixed("index secret", 32)
PRK_X = extract(b"strongroom.v1.index", INDEX_SECRET)


def record_id(token):
    return expand(PRK_X, b"record\0" + token.encode())


def session_ref(kind, issuer, session_id):
    return expand(PRK_X, b"session\0" + u8(kind) + s(issuer) + s(session_id))


def names():
    audit_key = fixed("audit key", 32)
    return {
        "about": "Names made of the index secret and the audit key (docs/crypto.md, Names).",
        "index_secret": INDEX_SECRET,
        "prk_x": PRK_X,
        "audit_key": audit_key,
        "grant_key": expand(PRK_X, b"grant\0"),
        "store_key": expand(PRK_X, b"store\0"),
        "tokens": [
            {
                "token": token,
                "record_id": record_id(token),
                "token_ref": mac(audit_key, b"token\0" + record_id(token))[:16],
            }
            for token in TOKENS
        ],
        "sessions": [
            {
                "kind": kind,
                "issuer": issuer,
                "id": session_id,
                "session_ref": session_ref(kind, issuer, session_id),
            }
            for kind, issuer, session_id in SESSIONS
        ],
        "refused_tokens": [
            "",
            "lunasec-",
            TOKENS[1][:-1],
            TOKENS[1] + "0",
            TOKENS[1].replace("lunasec-", "LUNASEC-"),
            TOKENS[1].replace("lunasec-", "lunasec_"),
            TOKENS[1].replace("f", "g"),
            TOKENS[1].replace("d9cb-", "d9cb0"),
            " " + TOKENS[1][:-1],
            TOKENS[1][:-2] + "é",
        ],
    }


# --- record -------------------------------------------------------------------------------

ROOT_SECRET = fixed("root secret", 32)
PRK_G = extract(b"strongroom.v1.root", ROOT_SECRET)
KEK = fixed("kek", 32)


def birth_bytes(b):
    return (
        u8(b["mode"])
        + s(b["kind"])
        + u64(b["created_at"])
        + u64(b["expires_at"])
        + u64(b["size_limit"])
        + u64(b["part_size"])
        + b["object_id"]
        + b["metadata_salt"]
    )


def state_bytes(st):
    flags = st["stored"] * 1 | st["hold"] * 2 | st["honeytoken"] * 4
    return (
        u8(flags)
        + u32(st["grant_epoch"])
        + u32(st["reads_left"])
        + u32(st["metadata_version"])
        + st["creator"]
        + u64(st["creator_grant_ends_at"])
        + s(st["pinned_etag"])
    )


def inner(g, token, rid, birth, data_key, nonce, version=V):
    key = expand(PRK_G, b"wrap\0" + token.encode())
    aad = b"strongroom.v1.inner\0" + version + u32(g) + rid + birth
    return version + u32(g) + gcm(key, data_key, aad, nonce)


def outer(k, rid, row_version, data, nonce, version=V):
    key = expand(KEK, b"record\0" + rid)
    aad = b"strongroom.v1.outer\0" + version + u32(k) + rid + u64(row_version)
    return version + u32(k) + gcm(key, data, aad, nonce)


def metadata(g, token, rid, salt, version_number, data, nonce, version=V):
    key = expand(PRK_G, b"metadata\0" + salt + token.encode())
    aad = b"strongroom.v1.metadata\0" + version + u32(g) + rid + u32(version_number)
    return version + u32(g) + gcm(key, data, aad, nonce)


def births_and_states():
    token = TOKENS[1]
    plain = {
        "mode": 1,
        "kind": "",
        "created_at": 1_700_000_000_000,
        "expires_at": 0,
        "size_limit": 0,
        "part_size": 0,
        "object_id": fixed("object id", 32),
        "metadata_salt": fixed("metadata salt", 32),
    }
    fresh = {
        "stored": False,
        "hold": False,
        "honeytoken": False,
        "grant_epoch": 0,
        "reads_left": UNLIMITED,
        "metadata_version": 0,
        "creator": session_ref(*SESSIONS[0]),
        "creator_grant_ends_at": 1_700_000_900_000,
        "pinned_etag": "",
    }
    rich = plain | {
        "kind": "card/ñ",
        "expires_at": 1_800_000_000_000,
        "size_limit": 2**40,
        "part_size": 8 << 20,
    }
    used = fresh | {
        "stored": True,
        "hold": True,
        "honeytoken": True,
        "grant_epoch": 7,
        "reads_left": 3,
        "metadata_version": 2,
        "pinned_etag": '"9e107d9d372bb6826bd81d3542a419d6-3"',
    }
    extreme = plain | {"created_at": 2**64 - 1, "expires_at": 2**64 - 1, "size_limit": 2**64 - 1}
    spent = fresh | {"reads_left": 0, "grant_epoch": 2**32 - 1, "creator": bytes(32)}
    yield "new", token, 1, 1, 1, plain, fresh
    yield "every field used", token, 2, 5, 42, rich, used
    yield "extreme numbers", TOKENS[2], 2**32 - 1, 2**32 - 1, 2**64 - 1, extreme, spent


def record_case(name, token, g, k, row_version, birth, state):
    rid = record_id(token)
    birth_raw, state_raw = birth_bytes(birth), state_bytes(state)
    data_key = fixed(f"data key {name}", 32)
    inner_nonce, outer_nonce = fixed(f"inner {name}", 12), fixed(f"outer {name}", 12)
    wrapped = inner(g, token, rid, birth_raw, data_key, inner_nonce)
    sealed = outer(k, rid, row_version, birth_raw + state_raw + wrapped, outer_nonce)
    return {
        "name": name,
        "token": token,
        "record_id": rid,
        "generation": g,
        "kek_number": k,
        "row_version": row_version,
        "birth": birth,
        "state": state,
        "data_key": data_key,
        "inner_nonce": inner_nonce,
        "outer_nonce": outer_nonce,
        "birth_bytes": birth_raw,
        "state_bytes": state_raw,
        "inner": wrapped,
        "outer": sealed,
    }


def refused_outer(case):
    """What a store could return instead of `case`, and bodies that were sealed in error."""
    rid, k, version = case["record_id"], case["kek_number"], case["row_version"]
    good = case["outer"]
    length = len(good)
    fields = [("version", 1), ("KEK number", 4), ("nonce", 12), ("ciphertext", length - 33)]
    fields.append(("tag", 16))
    yield from flips(good, fields, {"version": "unknown_version", "KEK number": "unknown_key"})
    yield {"name": "flipped last byte", "bytes": flip(good, length - 1), "error": "sealed"}
    for cut, error in [(0, "malformed"), (4, "malformed"), (5, "sealed"), (16, "sealed")]:
        yield {"name": f"cut to {cut} bytes", "bytes": good[:cut], "error": error}
    yield {"name": "cut by one byte", "bytes": good[:-1], "error": "sealed"}
    yield {"name": "longer by one byte", "bytes": good + b"\0", "error": "sealed"}
    yield {
        "name": "another record's id",
        "bytes": good,
        "record_id": record_id(TOKENS[0]),
        "error": "sealed",
    }
    for other in (version - 1, version + 1):
        yield {"name": f"row version {other}", "bytes": good, "row_version": other, "error": "sealed"}
    yield {"name": "another KEK in hand", "bytes": good, "kek_number": k + 1, "error": "unknown_key"}
    birth, state, wrapped = case["birth_bytes"], case["state_bytes"], case["inner"]
    whole = birth + state + wrapped
    bodies = {
        "empty body": b"",
        "unknown mode": put(whole, 0, u8(9)),
        "unknown flag": put(whole, len(birth), u8(8)),
        "kind is not UTF-8": u8(1) + s(b"\xff") + birth[3 + len(case["birth"]["kind"].encode()) :]
        + state + wrapped,
        "body cut": whole[:-1],
        "body longer": whole + b"\0",
        "kind longer than the body": put(whole, 1, u16(65535)),
    }
    nonce = fixed("outer refused", 12)
    for name, body in bodies.items():
        sealed = outer(k, rid, version, body, nonce)
        yield {"name": name, "bytes": sealed, "error": "malformed"}
    # An honest seal of a version that does not exist must not open either.
    sealed = outer(k, rid, version, whole, nonce, b"\x02")
    yield {"name": "format version 2", "bytes": sealed, "error": "unknown_version"}


def refused_inner(case):
    """The outer layer opens, the data key must not."""
    rid, k, version, g = (case[n] for n in ("record_id", "kek_number", "row_version", "generation"))
    birth, state, good = case["birth_bytes"], case["state_bytes"], case["inner"]
    fields = [("version", 1), ("generation", 4), ("nonce", 12), ("ciphertext", 32), ("tag", 16)]
    cases = list(
        flips(good, fields, {"version": "unknown_version", "generation": "unknown_key"})
    )
    token, key, nonce = case["token"], case["data_key"], fixed("inner refused", 12)
    other = birth_bytes(case["birth"] | {"object_id": fixed("other object", 32)})
    longer_life = birth_bytes(case["birth"] | {"expires_at": case["birth"]["expires_at"] + 1})
    cases += [
        {"name": "wrapped for another record", "error": "sealed",
         "bytes": inner(g, token, record_id(TOKENS[0]), birth, key, nonce)},
        {"name": "wrapped under another token", "error": "sealed",
         "bytes": inner(g, TOKENS[0], rid, birth, key, nonce)},
        {"name": "wrapped for another object", "error": "sealed",
         "bytes": inner(g, token, rid, other, key, nonce)},
        {"name": "wrapped for another time of expiry", "error": "sealed",
         "bytes": inner(g, token, rid, longer_life, key, nonce)},
        {"name": "another generation in hand", "error": "unknown_key", "bytes": good,
         "generation": g + 1},
        {"name": "another token in hand", "error": "sealed", "bytes": good, "token": TOKENS[0]},
    ]
    for entry in cases:
        # The store sees only the outer layer; this one was sealed with the KEK.
        body = birth + state + entry.pop("bytes")
        nonce = fixed("outer of " + entry["name"], 12)
        yield {"outer": outer(k, rid, version, body, nonce)} | entry


def metadata_cases():
    token, rid, salt = TOKENS[1], record_id(TOKENS[1]), fixed("metadata salt", 32)
    texts = ['{"color":"blue"}', '{"name":"Zoë","n":[1,2,3]}', '"' + "x" * 300 + '"']
    for number, text in enumerate(texts, 1):
        nonce = fixed(f"metadata {number}", 12)
        yield {
            "token": token,
            "record_id": rid,
            "salt": salt,
            "generation": number,
            "version": number,
            "json": text,
            "nonce": nonce,
            "meta": metadata(number, token, rid, salt, number, text.encode(), nonce),
        }


def refused_metadata(case):
    good = case["meta"]
    fields = [("version", 1), ("generation", 4), ("nonce", 12), ("ciphertext", len(good) - 33)]
    fields.append(("tag", 16))
    yield from flips(good, fields, {"version": "unknown_version", "generation": "unknown_key"})
    for cut, error in [(0, "malformed"), (4, "malformed"), (5, "sealed"), (len(good) - 1, "sealed")]:
        yield {"name": f"cut to {cut} bytes", "bytes": good[:cut], "error": error}
    yield {"name": "older version", "bytes": good, "version": case["version"] - 1, "error": "sealed"}
    yield {"name": "another record", "bytes": good, "record_id": record_id(TOKENS[0]), "error": "sealed"}
    yield {"name": "another salt", "bytes": good, "salt": bytes(32), "error": "sealed"}
    yield {"name": "another token", "bytes": good, "token": TOKENS[0], "error": "sealed"}


def record():
    cases = [record_case(*case) for case in births_and_states()]
    sealed = list(metadata_cases())
    return {
        "about": "Record and metadata (docs/crypto.md, Record). A refused case differs from the "
        "case it names in the fields it states.",
        "root_secret": ROOT_SECRET,
        "kek": KEK,
        "cases": cases,
        "metadata": sealed,
        "refused": {
            "case": cases[1]["name"],
            "outer": list(refused_outer(cases[1])),
            "inner": list(refused_inner(cases[1])),
            "metadata": list(refused_metadata(sealed[1])),
        },
    }


# --- grants -------------------------------------------------------------------------------

GRANT_KEY = expand(PRK_X, b"grant\0")


def grant_row(rid, ref, body):
    return body + mac(GRANT_KEY, b"strongroom.v1.grant\0" + rid + ref + body)


def grant_body(g, version=V):
    return (
        version
        + u64(g["row_version"])
        + u32(g["epoch"])
        + u64(g["granted_at"])
        + u64(g["expires_at"])
        + u32(g["uses_left"])
        + s(g["purpose"])
    )


def revocation_row(ref, body):
    return body + mac(GRANT_KEY, b"strongroom.v1.revocation\0" + ref + body)


def grants():
    rid, ref = record_id(TOKENS[1]), session_ref(*SESSIONS[0])
    usual = {
        "row_version": 1,
        "epoch": 0,
        "granted_at": 1_700_000_000_000,
        "expires_at": 1_700_000_900_000,
        "uses_left": UNLIMITED,
        "purpose": "",
    }
    full = {
        "row_version": 2**64 - 1,
        "epoch": 7,
        "granted_at": 0,
        "expires_at": 2**64 - 1,
        "uses_left": 1,
        "purpose": "ü" * 128,
    }
    revoked = usual | {"row_version": 2, "expires_at": 0, "uses_left": 0, "purpose": "support"}
    rows = [
        {"grant": grant, "row": grant_row(rid, ref, grant_body(grant))}
        for grant in (usual, full, revoked)
    ]
    revocations = []
    for revoked_at, keep_until in ((1_700_000_000_000, 1_700_086_400_000), (5, 0)):
        row = revocation_row(ref, V + u64(revoked_at) + u64(keep_until))
        revocations.append({"revoked_at": revoked_at, "keep_until": keep_until, "row": row})
    return {
        "about": "Grant and revocation rows (docs/crypto.md, Grants).",
        "index_secret": INDEX_SECRET,
        "record_id": rid,
        "session_ref": ref,
        "grants": rows,
        "revocations": revocations,
        "refused": {
            "grants": list(refused_grants(rid, ref, revoked)),
            "revocations": list(refused_revocations(ref, revocations[0]["row"])),
        },
    }


def refused_grants(rid, ref, grant):
    body = grant_body(grant)
    good = grant_row(rid, ref, body)
    fields = [("version", 1), ("row version", 8), ("epoch", 4), ("granted at", 8)]
    fields += [("expires at", 8), ("uses left", 4), ("purpose length", 2)]
    fields += [("purpose", len(grant["purpose"])), ("tag", 32)]
    yield from flips(good, fields, {"version": "unknown_version"})
    for cut, error in [(0, "malformed"), (31, "malformed"), (len(good) - 1, "sealed")]:
        yield {"name": f"cut to {cut} bytes", "bytes": good[:cut], "error": error}
    other = record_id(TOKENS[0])
    yield {"name": "another record", "bytes": good, "record_id": other, "error": "sealed"}
    yield {"name": "another session", "bytes": good, "session_ref": bytes(32), "error": "sealed"}
    yield {"name": "tagged as revocation", "bytes": revocation_row(ref, body), "error": "sealed"}
    # Rows with a good tag and a body that no grant has.
    bodies = {
        "empty body": ("malformed", b""),
        "body cut": ("malformed", body[:-1]),
        "body longer": ("malformed", body + b"\0"),
        "purpose is not UTF-8": ("malformed", put(body, len(body) - 1, b"\xff")),
        "format version 2": ("unknown_version", grant_body(grant, b"\x02")),
    }
    for name, (error, bad) in bodies.items():
        yield {"name": name, "bytes": grant_row(rid, ref, bad), "error": error}


def refused_revocations(ref, good):
    fields = [("version", 1), ("revoked at", 8), ("keep until", 8), ("tag", 32)]
    yield from flips(good, fields, {"version": "unknown_version"})
    yield {"name": "cut to 31 bytes", "bytes": good[:31], "error": "malformed"}
    yield {"name": "another session", "bytes": good, "session_ref": bytes(32), "error": "sealed"}
    longer = revocation_row(ref, good[:17] + b"\0")
    yield {"name": "body longer", "bytes": longer, "error": "malformed"}


# --- keyring ------------------------------------------------------------------------------

MASTER_KEY = fixed("master key", 32)
VAULT_ID = fixed("vault id", 16)


def key_list(current, entries):
    """current u32, count u16, then number u32, created at u64, secret of each."""
    out = u32(current) + u16(len(entries))
    for number, created_at, secret in entries:
        out += u32(number) + u64(created_at) + secret
    return out


def keyring_body(lists):
    index = fixed("keyring index secret", 32)
    return index + b"".join(key_list(l["current"], l["entries"]) for l in lists.values())


def wrapped_file_key(file_key, nonce, vault_id=VAULT_ID, provider=1, version=V):
    key = expand(extract(b"strongroom.v1.master", MASTER_KEY), b"slot\0")
    aad = b"strongroom.v1.slot\0" + version + u8(provider) + vault_id
    return version + gcm(key, file_key, aad, nonce)


def keyring_file(version_number, slots, body, file_key, nonce, version=V):
    head = version + VAULT_ID + u64(version_number) + u8(len(slots))
    for provider, wrapped in slots:
        head += u8(provider) + s(wrapped)
    return head + gcm(file_key, body, head, nonce)


def keyring_lists(kinds):
    created = 1_700_000_000_000
    return {
        kind: {
            "current": current,
            "entries": [
                (number, created + 1000 * number, fixed(f"keyring {kind} {number}", 32))
                for number in numbers
            ],
        }
        for kind, (current, numbers) in kinds.items()
    }


def keyring_case(name, version, kinds):
    lists = keyring_lists(kinds)
    body = keyring_body(lists)
    file_key = fixed(f"file key {name}", 32)
    slot_nonce, body_nonce = fixed(f"slot {name}", 12), fixed(f"body {name}", 12)
    slot = wrapped_file_key(file_key, slot_nonce)
    probe = fixed("probe record id", 32)
    audit, signing = lists["audit keys"], lists["signing seeds"]
    seed = next(secret for number, _, secret in signing["entries"] if number == signing["current"])
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return {
        "name": name,
        "version": version,
        "index_secret": body[:32],
        "lists": {
            kind: {
                "current": entry["current"],
                "entries": [
                    {"number": number, "created_at": created_at, "secret": secret}
                    for number, created_at, secret in entry["entries"]
                ],
            }
            for kind, entry in lists.items()
        },
        "body": body,
        "file_key": file_key,
        "slot_nonce": slot_nonce,
        "slot": slot,
        "body_nonce": body_nonce,
        "keyring": keyring_file(version, [(1, slot)], body, file_key, body_nonce),
        "probe_record_id": probe,
        "probe_token_refs": [
            {"audit_key": number, "token_ref": mac(secret, b"token\0" + probe)[:16]}
            for number, _, secret in audit["entries"]
        ],
        "signing_public_key": public.public_bytes(Encoding.Raw, PublicFormat.Raw),
    }


def keyring():
    one = (1, [1])
    kinds = ("root secrets", "KEKs", "audit keys", "signing seeds")
    first = keyring_case("new vault", 1, dict.fromkeys(kinds, one))
    rotated = keyring_case(
        "after rotations",
        2**40 + 3,
        {
            "root secrets": (3, [1, 2, 3]),
            "KEKs": (7, [2, 7, 9]),
            "audit keys": (2, [1, 2]),
            "signing seeds": (2**32 - 1, [4, 2**32 - 1]),
        },
    )
    line = "strongroom-master-v1:" + base64.b64encode(MASTER_KEY).decode()
    return {
        "about": "The keyring file and the master key's line (docs/crypto.md, Keyring).",
        "master_key": MASTER_KEY,
        "master_key_line": line + "\n",
        "vault_id": VAULT_ID,
        "cases": [first, rotated],
        "refused": list(refused_keyrings(first)),
        "refused_lines": [
            "",
            line[:-1],
            line[:-4],
            line + "=",
            line.replace("v1", "v2"),
            line.replace("strongroom-master-v1:", ""),
            " " + line,
            line + "\n" + line + "\n",
            line.replace("=", ""),
            line[:21] + "!" + line[22:],
        ],
    }


def refused_keyrings(case):
    good, body, slot = case["keyring"], case["body"], case["slot"]
    key, version = case["file_key"], case["version"]
    fields = [("version byte", 1), ("vault id", 16), ("version", 8), ("slot count", 1)]
    fields += [("provider", 1), ("slot length", 2), ("slot version byte", 1), ("slot nonce", 12)]
    fields += [("wrapped file key", 32), ("slot tag", 16), ("nonce", 12)]
    fields += [("ciphertext", len(body)), ("tag", 16)]
    verdicts = {
        "version byte": "unknown_version",
        "slot version byte": "unknown_version",
        "provider": "unknown_provider",
        # No slot at all, and a slot that is longer than the file.
        "slot count": "malformed",
        "slot length": "sealed",
    }
    yield from flips(good, fields, verdicts)
    for cut, error in [(0, "malformed"), (1, "malformed"), (25, "malformed"), (26, "malformed")]:
        yield {"name": f"cut to {cut} bytes", "bytes": good[:cut], "error": error}
    yield {"name": "cut after the slot", "bytes": good[: 29 + len(slot)], "error": "sealed"}
    yield {"name": "cut by one byte", "bytes": good[:-1], "error": "sealed"}
    yield {"name": "longer by one byte", "bytes": good + b"\0", "error": "sealed"}
    yield {"name": "another master key", "bytes": good, "master_key": bytes(32), "error": "sealed"}
    newer = version + 1
    yield {"name": "older than the one seen", "bytes": good, "at_least": newer, "error": "rolled_back"}
    nonce = fixed("keyring refused", 12)

    def sealed(slots=((1, slot),), data=body, number=version, format_version=V):
        return keyring_file(number, slots, data, key, nonce, format_version)

    other_vault = wrapped_file_key(key, nonce, vault_id=bytes(16))
    other_provider = wrapped_file_key(key, nonce, provider=2)
    short_key = wrapped_file_key(key[:31], nonce)
    lists = keyring_lists({"root secrets": (1, [1])})["root secrets"]
    first = 32  # where the list of root secrets starts
    roots = key_list(lists["current"], lists["entries"])
    rest = body[first + len(roots) :]
    entry = lists["entries"][0]

    def with_roots(raw):
        return body[:first] + raw + rest

    cases = {
        "slot of another vault": ("sealed", sealed([(1, other_vault)])),
        "slot of another provider": ("sealed", sealed([(1, other_provider)])),
        "wrapped key of 31 bytes": ("malformed", sealed([(1, short_key)])),
        "empty slot": ("malformed", sealed([(1, b"")])),
        "unknown provider": ("unknown_provider", sealed([(200, slot)])),
        "unknown provider beside the file's": (
            "unknown_provider",
            sealed([(1, slot), (200, slot)]),
        ),
        "two slots of the file provider": ("malformed", sealed([(1, slot), (1, slot)])),
        "no slot": ("malformed", sealed([])),
        "version 0": ("malformed", sealed(number=0)),
        "format version 2": ("unknown_version", sealed(format_version=b"\x02")),
        "empty body": ("malformed", sealed(data=b"")),
        "body cut": ("malformed", sealed(data=body[:-1])),
        "body longer": ("malformed", sealed(data=body + b"\0")),
        "empty list": ("malformed", sealed(data=with_roots(key_list(1, [])))),
        "current is not in the list": ("malformed", sealed(data=with_roots(key_list(2, [entry])))),
        "number 0": ("malformed", sealed(data=with_roots(key_list(0, [(0, *entry[1:])])))),
        "number twice": ("malformed", sealed(data=with_roots(key_list(1, [entry, entry])))),
        "numbers fall": (
            "malformed",
            sealed(data=with_roots(key_list(1, [(2, *entry[1:]), entry]))),
        ),
        "more entries than bytes": (
            "malformed",
            sealed(data=with_roots(put(roots, 4, u16(1024)))),
        ),
    }
    for name, (error, data) in cases.items():
        yield {"name": name, "bytes": data, "error": error}


# --- sealed runs --------------------------------------------------------------------------

RUN_KEY_INPUT = fixed("customer key", 32)
SALT = fixed("run salt", 32)


def plaintext(length):
    """Byte i is i mod 251."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def stored(bucket, object_key, part_number):
    return b"s" + s(bucket) + s(object_key) + u32(part_number)


def envelope(token, part_index, part_size):
    return b"e" + s(token) + u32(part_index) + u64(part_size)


def context_bytes(context):
    if context["kind"] == "stored":
        return stored(context["bucket"], context["object_key"], context["part_number"])
    return envelope(context["token"], context["part_index"], context["part_size"])


def segments(data):
    return [data[at : at + SEGMENT] for at in range(0, len(data), SEGMENT)] or [b""]


def run_key(context, version=V):
    return expand(extract(SALT, RUN_KEY_INPUT), b"run\0" + version + context_bytes(context))


def segment(key, counter, flag, data):
    return AESGCM(key).encrypt(counter.to_bytes(11, "big") + u8(flag), data, None)


def run(context, data, last_flag, version=V):
    key, parts = run_key(context, version), segments(data)
    out = version + SALT
    for counter, part in enumerate(parts):
        flag = last_flag if counter + 1 == len(parts) else 0
        out += segment(key, counter, flag, part)
    return out


SMALL = {"kind": "stored", "bucket": "values", "object_key": "a/ключ", "part_number": 1}
MIDDLE = {"kind": "envelope", "token": TOKENS[1], "part_index": 3, "part_size": 8 << 20}
LENGTHS = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073]


def runs():
    contexts = [(SMALL, 1), (SMALL | {"part_number": 10_000}, 1), (MIDDLE, 1), (MIDDLE, 2)]
    cases = []
    for context, flag in contexts:
        for length in LENGTHS:
            sealed = run(context, plaintext(length), flag)
            case = {
                "context": context,
                "context_bytes": context_bytes(context),
                "run_key": run_key(context),
                "last_flag": flag,
                "length": length,
                "sealed_length": len(sealed),
                "sealed_sha256": hashlib.sha256(sealed).digest(),
                "last_tag": sealed[-TAG:],
            }
            if length < 64:
                case["sealed"] = sealed
            cases.append(case)
    return {
        "about": "Sealed runs (docs/crypto.md, Sealed runs). Byte i of every plaintext is i mod "
        "251. A refused case is the run of `length` bytes in the first case's context after the "
        "edits, or the bytes it states, opened with the fields it states.",
        "key": RUN_KEY_INPUT,
        "salt": SALT,
        "cases": cases,
        "refused": [refused_run(*case) for case in refused_runs()],
    }


def refused_runs():
    tagged = SEGMENT + TAG
    three = 131_073
    yield "version byte 2", 1, [{"op": "set", "at": 0, "hex": "02"}], {}, "unknown_version"
    yield "flipped salt", 1, [{"op": "flip", "at": 1}], {}, "sealed"
    yield "flipped ciphertext", 1, [{"op": "flip", "at": 33}], {}, "sealed"
    yield "flipped tag", 1, [{"op": "flip", "at": 34}], {}, "sealed"
    yield "flipped byte in the middle segment", three, [{"op": "flip", "at": 33 + tagged}], {}, "sealed"
    yield "no bytes", 0, [{"op": "cut", "to": 0}], {}, "malformed"
    yield "header cut", 0, [{"op": "cut", "to": 32}], {}, "malformed"
    yield "header alone", 1, [{"op": "cut", "to": 33}], {}, "malformed"
    yield "shorter than a tag", 1, [{"op": "cut", "to": 48}], {}, "malformed"
    yield "cut by one byte", 65_535, [{"op": "cut", "to": 33 + 65_535 + TAG - 1}], {}, "sealed"
    yield "cut at the end of a segment", 131_072, [{"op": "cut", "to": 33 + tagged}], {}, "sealed"
    yield "cut within a later tag", three, [{"op": "cut", "to": 33 + 2 * tagged + 9}], {}, "malformed"
    yield "longer by one byte", 1, [{"op": "append", "hex": "00"}], {}, "sealed"
    yield "longer after a full segment", SEGMENT, [{"op": "append", "hex": "00"}], {}, "malformed"
    yield "first two segments swapped", three, [{"op": "swap", "first": 0, "second": 1}], {}, "sealed"
    yield "full last segment swapped", 131_072, [{"op": "swap", "first": 0, "second": 1}], {}, "sealed"
    yield "first segment left out", three, [{"op": "drop", "segment": 0}], {}, "sealed"
    yield "last segment left out", three, [{"op": "drop", "segment": 2}], {}, "sealed"
    yield "empty run cut from a full one", SEGMENT, [{"op": "cut", "to": 33 + TAG}], {}, "sealed"
    yield "wrong part number", 1, [], {"context": SMALL | {"part_number": 2}}, "sealed"
    yield "wrong bucket", 1, [], {"context": SMALL | {"bucket": "value"}}, "sealed"
    yield "wrong object key", 1, [], {"context": SMALL | {"object_key": "b"}}, "sealed"
    moved = SMALL | {"bucket": SMALL["bucket"] + "a", "object_key": SMALL["object_key"][1:]}
    yield "a letter moved from object key to bucket", 1, [], {"context": moved}, "sealed"
    yield "wrong kind of context", 1, [], {"context": MIDDLE}, "sealed"
    yield "wrong key", 1, [], {"key": bytes(32)}, "sealed"
    yield "end of run where the object should end", 1, [], {"last_flag": 2}, "sealed"
    key = run_key(SMALL)
    made = {
        "missing final flag": V + SALT + segment(key, 0, 0, plaintext(1)),
        "unknown flag": V + SALT + segment(key, 0, 3, plaintext(1)),
        "counter starts at 1": V + SALT + segment(key, 1, 1, plaintext(1)),
        "little-endian counter": V + SALT
        + AESGCM(key).encrypt(b"\x01" + bytes(11), plaintext(1), None),
    }
    for name, data in made.items():
        yield name, None, data, {}, "sealed"
    sealed = run(SMALL, plaintext(1), 1, b"\x02")
    yield "format version 2", None, sealed, {}, "unknown_version"


def refused_run(name, length, edits, opened_with, error):
    case = {"name": name, "error": error} | opened_with
    if length is None:
        return case | {"sealed": edits}
    data = run(SMALL, plaintext(length), 1)
    for edit in edits:
        data = edited(data, edit)
    digest = hashlib.sha256(data).digest()
    return case | {"length": length, "edits": edits, "sealed_sha256": digest}


def edited(data, edit):
    op = edit["op"]
    if op == "set":
        return put(data, edit["at"], bytes.fromhex(edit["hex"]))
    if op == "flip":
        return flip(data, edit["at"])
    if op == "cut":
        return data[: edit["to"]]
    if op == "append":
        return data + bytes.fromhex(edit["hex"])
    head, body = data[:33], data[33:]
    parts = [body[at : at + SEGMENT + TAG] for at in range(0, len(body), SEGMENT + TAG)]
    if op == "drop":
        del parts[edit["segment"]]
    else:
        one, two = edit["first"], edit["second"]
        parts[one], parts[two] = parts[two], parts[one]
    return head + b"".join(parts)


# --- stored objects -----------------------------------------------------------------------

CHECK_SALT = fixed("check salt", 32)
PRK_M = extract(CHECK_SALT, RUN_KEY_INPUT)
CHECK = expand(PRK_M, b"check\0")
MANIFEST_KEY = expand(PRK_M, b"manifest\0")


def manifest_bytes(m, version=V):
    out = version + u64(m["size"]) + u64(m["stored_at"]) + s(m["etag"])
    out += u32(len(m["runs"]))
    for entry in m["runs"]:
        out += u32(entry["part_number"]) + u64(entry["length"]) + entry["salt"]
    out += u8(len(m["checksums"]))
    for name, value in m["checksums"]:
        out += s(name) + s(value)
    out += u16(len(m["headers"]))
    for name, value in m["headers"]:
        out += s(name) + s(value)
    return out


def head(bucket, object_key, manifest, nonce, version=V):
    aad = b"strongroom.v1.manifest\0" + version + s(bucket) + s(object_key)
    return version + CHECK_SALT + CHECK + gcm(MANIFEST_KEY, manifest, aad, nonce)


def manifests():
    empty_run = {"part_number": 1, "length": 0, "salt": fixed("salt 1", 32)}
    yield "empty object", {
        "size": 0,
        "stored_at": 1_700_000_000_000,
        "etag": fixed("etag", 16).hex(),
        "runs": [empty_run],
        "checksums": [],
        "headers": [],
    }
    yield "three parts", {
        "size": 5_242_880 * 2 + 17,
        "stored_at": 1_700_000_000_001,
        "etag": fixed("etag", 16).hex() + "-3",
        "runs": [
            {"part_number": 1, "length": 5_242_880, "salt": fixed("salt 1", 32)},
            {"part_number": 2, "length": 5_242_880, "salt": fixed("salt 2", 32)},
            {"part_number": 10_000, "length": 17, "salt": fixed("salt 3", 32)},
        ],
        "checksums": [["crc32", "DUoRhQ=="], ["md5", "1B2M2Y8AsgTpgAmY7PhCfg=="]],
        "headers": [["content-type", "text/plain; charset=utf-8"], ["x-amz-meta-note", "grün"]],
    }


def stored_objects():
    bucket, object_key = "values", "a/ключ"
    cases = []
    for name, manifest in manifests():
        nonce = fixed(f"head {name}", 12)
        raw = manifest_bytes(manifest)
        cases.append(
            {
                "name": name,
                "manifest": manifest,
                "manifest_bytes": raw,
                "nonce": nonce,
                "head": head(bucket, object_key, raw, nonce),
            }
        )
    return {
        "about": "Heads of stored objects (docs/crypto.md, Stored objects). Every refused head "
        "stands for the last case.",
        "customer_key": RUN_KEY_INPUT,
        "check_salt": CHECK_SALT,
        "check": CHECK,
        "manifest_key": MANIFEST_KEY,
        "bucket": bucket,
        "object_key": object_key,
        "cases": cases,
        "refused": list(refused_heads(bucket, object_key, cases[-1])),
    }


def refused_heads(bucket, object_key, case):
    good, raw, manifest = case["head"], case["manifest_bytes"], case["manifest"]
    fields = [("version", 1), ("check salt", 32), ("check", 32), ("nonce", 12)]
    fields += [("ciphertext", len(raw)), ("tag", 16)]
    verdicts = {"version": "unknown_version", "check salt": "wrong_key", "check": "wrong_key"}
    yield from flips(good, fields, verdicts)
    for cut, error in [(0, "malformed"), (64, "malformed"), (65, "sealed"), (len(good) - 1, "sealed")]:
        yield {"name": f"cut to {cut} bytes", "bytes": good[:cut], "error": error}
    yield {"name": "another customer key", "bytes": good, "customer_key": bytes(32), "error": "wrong_key"}
    yield {"name": "another bucket", "bytes": good, "bucket": "value", "error": "sealed"}
    yield {"name": "another object key", "bytes": good, "object_key": "a", "error": "sealed"}
    runs_of = manifest["runs"]
    bad = {
        "size is not the sum of the lengths": manifest | {"size": manifest["size"] + 1},
        "no run": manifest | {"size": 0, "runs": []},
        "part numbers fall": manifest | {"runs": runs_of[::-1]},
        "part number twice": manifest
        | {"size": 2 * runs_of[0]["length"], "runs": [runs_of[0], runs_of[0]]},
        "part number 0": manifest | {"size": 17, "runs": [runs_of[2] | {"part_number": 0}]},
        "run over 5 GiB": manifest
        | {"size": (5 << 30) + 1, "runs": [runs_of[0] | {"length": (5 << 30) + 1}]},
    }
    nonce = fixed("head refused", 12)
    bodies = {name: manifest_bytes(m) for name, m in bad.items()}
    bodies |= {
        "empty manifest": b"",
        "manifest cut": raw[:-1],
        "manifest longer": raw + b"\0",
        "header is not UTF-8": raw[:-1] + b"\xff",
    }
    for name, body in bodies.items():
        yield {"name": name, "bytes": head(bucket, object_key, body, nonce), "error": "malformed"}
    newer = manifest_bytes(manifest, b"\x02")
    yield {
        "name": "manifest of format version 2",
        "bytes": head(bucket, object_key, newer, nonce),
        "error": "unknown_version",
    }
    yield {
        "name": "head of format version 2",
        "bytes": head(bucket, object_key, raw, nonce, b"\x02"),
        "error": "unknown_version",
    }


# --- what the store keeps under its own key -------------------------------------------------

STORE_KEY = fixed("kept store key", 32)
UPLOAD_ID = fixed("upload id", 32).hex()
UPLOAD_KEYS = {"check_salt": CHECK_SALT, "check": CHECK, "manifest_key": MANIFEST_KEY}


def sealed_object_key(bucket, object_key, data_key, nonce, version=V):
    key = expand(STORE_KEY, b"object\0" + s(bucket) + s(object_key))
    return version + gcm(key, data_key, b"strongroom.v1.object\0" + version, nonce)


def sealed_upload(upload_id, bucket, object_key, plain, nonce, version=V):
    key = expand(STORE_KEY, b"upload\0" + s(upload_id))
    aad = b"strongroom.v1.upload\0" + version + s(bucket) + s(object_key)
    return version + gcm(key, plain, aad, nonce)


def draft_bytes(d):
    out = u16(len(d["headers"]))
    for name, value in d["headers"]:
        out += s(name) + s(value)
    if d["checksum"] is None:
        return out + u8(0)
    return out + u8(1) + s(d["checksum"][0]) + s(d["checksum"][1])


def sealed_draft(upload_id, plain, nonce, version=V):
    aad = b"strongroom.v1.draft\0" + version + s(upload_id)
    return version + gcm(MANIFEST_KEY, plain, aad, nonce)


def part_bytes(p):
    out = u64(p["length"]) + u64(p["stored_at"]) + p["salt"] + p["file"] + s(p["etag"])
    out += u8(len(p["checksums"]))
    for name, value in p["checksums"]:
        out += s(name) + s(value)
    return out


def sealed_part(upload_id, number, plain, nonce, version=V):
    aad = b"strongroom.v1.part\0" + version + s(upload_id) + u32(number)
    return version + gcm(MANIFEST_KEY, plain, aad, nonce)


def kept():
    bucket, object_key, data_key = "values", "a/ключ", fixed("kept data key", 32)
    nonce = fixed("kept", 12)
    keys = CHECK_SALT + CHECK + MANIFEST_KEY
    drafts = [
        {"headers": [], "checksum": None},
        {
            "headers": [["content-type", "text/plain"], ["x-amz-meta-note", "grün"]],
            "checksum": ["SHA256", "COMPOSITE"],
        },
    ]
    part = {
        "length": 5_242_880,
        "stored_at": 1_700_000_000_002,
        "salt": fixed("salt 2", 32),
        "file": fixed("file", 16),
        "etag": fixed("etag", 16).hex(),
        "checksums": [["crc32", "DUoRhQ=="]],
    }
    good = {
        "object": sealed_object_key(bucket, object_key, data_key, nonce),
        "upload": sealed_upload(UPLOAD_ID, bucket, object_key, keys + data_key, nonce),
        "draft": sealed_draft(UPLOAD_ID, draft_bytes(drafts[1]), nonce),
        "part": sealed_part(UPLOAD_ID, 10_000, part_bytes(part), nonce),
    }
    return {
        "about": "What the embedded store keeps sealed (docs/crypto.md, Uploads in parts and "
        "Server-keyed objects).",
        "store_key": STORE_KEY,
        "bucket": bucket,
        "object_key": object_key,
        "upload_id": UPLOAD_ID,
        "part_number": 10_000,
        "data_key": data_key,
        "customer_key": RUN_KEY_INPUT,
        "keys": UPLOAD_KEYS,
        "nonce": nonce,
        "object": good["object"],
        "upload_customer": sealed_upload(UPLOAD_ID, bucket, object_key, keys, nonce),
        "upload_server": good["upload"],
        "drafts": [
            {"draft": draft, "sealed": sealed_draft(UPLOAD_ID, draft_bytes(draft), nonce)}
            for draft in drafts
        ],
        "part": part,
        "sealed_part": good["part"],
        "refused": list(refused_kept(bucket, object_key, keys, part, drafts[1], good, nonce)),
    }


def refused_kept(bucket, object_key, keys, part, draft, good, nonce):
    for kind, sealed in good.items():
        fields = [("version", 1), ("nonce", 12), ("ciphertext", len(sealed) - 29), ("tag", 16)]
        for case in flips(sealed, fields, {"version": "unknown_version"}, f"{kind}: "):
            yield case | {"kind": kind}
        for cut, error in [(0, "malformed"), (12, "sealed"), (len(sealed) - 1, "sealed")]:
            name = f"{kind}: cut to {cut} bytes"
            yield {"kind": kind, "name": name, "bytes": sealed[:cut], "error": error}
    others = {"object": ["bucket", "object_key"], "upload": ["bucket", "object_key", "upload_id"]}
    others |= {"draft": ["upload_id"], "part": ["upload_id"]}
    for kind, names in others.items():
        for name in names:
            case = {"kind": kind, "name": f"{kind}: another {name}", "bytes": good[kind]}
            yield case | {name: "other", "error": "sealed"}
    case = {"kind": "part", "name": "part: another number", "bytes": good["part"]}
    yield case | {"part_number": 1, "error": "sealed"}
    malformed = {
        "object: short key": ("object", sealed_object_key(bucket, object_key, bytes(31), nonce)),
        "upload: without a key": (
            "upload",
            sealed_upload(UPLOAD_ID, bucket, object_key, keys[:-1], nonce),
        ),
        "upload: longer": (
            "upload",
            sealed_upload(UPLOAD_ID, bucket, object_key, keys + bytes(33), nonce),
        ),
        "draft: longer": ("draft", sealed_draft(UPLOAD_ID, draft_bytes(draft) + b"\0", nonce)),
        "draft: neither with nor without a checksum": (
            "draft",
            sealed_draft(UPLOAD_ID, u16(0) + u8(2), nonce),
        ),
        "part: longer": (
            "part",
            sealed_part(UPLOAD_ID, 10_000, part_bytes(part) + b"\0", nonce),
        ),
        "part: cut": ("part", sealed_part(UPLOAD_ID, 10_000, part_bytes(part)[:-1], nonce)),
    }
    for name, (kind, sealed) in malformed.items():
        yield {"kind": kind, "name": name, "bytes": sealed, "error": "malformed"}


# --- files --------------------------------------------------------------------------------

FILES = {
    "names.json": names,
    "record.json": record,
    "grants.json": grants,
    "keyring.json": keyring,
    "runs.json": runs,
    "objects.json": stored_objects,
    "kept.json": kept,
}


def text_of(make):
    return json.dumps(hexed(make()), indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    differing = 0
    for name, make in FILES.items():
        path, text = HERE / name, text_of(make)
        if not check:
            path.write_text(text, encoding="ascii")
        elif not path.is_file() or path.read_text(encoding="ascii") != text:
            print(f"{name} differs from what generate.py makes", file=sys.stderr)
            differing += 1
    for path in sorted(HERE.glob("*.json")):
        if path.name not in FILES:
            print(f"{path.name} is made by nobody", file=sys.stderr)
            differing += 1
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
