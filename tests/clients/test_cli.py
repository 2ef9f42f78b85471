"""The command line: values by standard input and file, metadata, grants, and the exit codes scripts rely on."""

import json
import os
import stat
import uuid

from client import Client
from harness import equal, holds

DONE, FAILED, USAGE, NO_TOKEN, NOT_ALLOWED, UNAVAILABLE, NOT_VALID = range(7)


def ran(vault, *arguments, code=DONE, **more):
    """Standard output of a command that must end with this exit code."""
    result = vault.command(*arguments, **more)
    if result.returncode != code:
        raise AssertionError(f"{arguments[0]}: exit code {result.returncode}, expected {code}: "
                             f"{result.stderr.decode(errors='replace').strip()[:300]}")
    if code not in (DONE, NOT_VALID):
        holds(result.stderr or b"error" in result.stdout, "a failure without a word")
    for name, secret in (("standard error", result.stderr),):
        holds(b"marked-" not in secret, f"a secret in {name}")
    return result.stdout


def tokenize(vault, value, *arguments):
    return ran(vault, "--quiet", "tokenize", *arguments, stdin=value).decode().strip()


def test_standard_input_to_standard_output(vault):
    for value in (b"", vault.marks.text("value").encode(), b'{"n":12345678901234567890}', b"\xef\xbb\xbfx\r\n\0"):
        equal(ran(vault, "--quiet", "detokenize", tokenize(vault, value)), value, "value")


def test_the_token_can_come_by_standard_input(vault):
    token = tokenize(vault, b"value")
    equal(ran(vault, "detokenize", "-", stdin=token.encode() + b"\n"), b"value")


def test_files_go_in_and_come_out_private(vault):
    given, taken = (os.path.join(vault.directory, name) for name in ("given", "taken"))
    value = os.urandom(3_000_000)
    with open(given, "wb") as file:
        file.write(value)
    token = ran(vault, "-q", "tokenize", given).decode().strip()
    ran(vault, "-q", "detokenize", "-o", taken, token)
    with open(taken, "rb") as file:
        equal(file.read(), value, "value")
    equal(stat.S_IMODE(os.stat(taken).st_mode), 0o600, "mode")
    answer = json.loads(ran(vault, "--json", "detokenize", "-o", taken, token))
    equal(answer, {"bytes": len(value)})
    for path in (given, taken):
        os.unlink(path)


def test_plaintext_as_an_argument(vault):
    token = ran(vault, "-q", "tokenize", "--plaintext", "no secret").decode().strip()
    equal(ran(vault, "-q", "detokenize", token), b"no secret")


def test_metadata_is_kept_read_and_replaced(vault):
    first, second = ({"note": vault.marks.text("metadata")} for _ in range(2))
    token = tokenize(vault, b"value", "--metadata", json.dumps(first))
    equal(json.loads(ran(vault, "-q", "metadata", "get", token)), first)
    ran(vault, "-q", "metadata", "set", token, json.dumps(second))
    equal(json.loads(ran(vault, "-q", "metadata", "get", token)), second)
    ran(vault, "-q", "metadata", "get", tokenize(vault, b"value"), code=NO_TOKEN)


def test_json_output(vault):
    answer = json.loads(ran(vault, "--json", "tokenize", stdin=b"value"))
    equal(list(answer), ["tokenId"])
    answer = json.loads(ran(vault, "--json", "auth", "create", "--subject", "application"))
    vault.marks.jwt(answer["jwt"])
    equal(sorted(answer), ["expiresAt", "jwt"])
    answer = json.loads(ran(vault, "--json", "metadata", "get", unknown(), code=NO_TOKEN))
    equal(sorted(answer["error"]), ["message", "name", "requestId", "status"])
    equal((answer["error"]["name"], answer["error"]["status"]), ("NoSuchToken", 404))


def test_grants_are_set_and_verified(vault):
    session = vault.marks.text("session id")
    token = tokenize(vault, b"value")
    ran(vault, "grant", "verify", "--session", session, token, code=NOT_VALID)
    ran(vault, "grant", "set", "--session", session, "--for", "5m", token)
    ran(vault, "grant", "verify", "--session", session, token)
    equal(Client(vault, "user", session).detokenize(token), b"value")
    ran(vault, "grant", "verify", "--self", token)
    ran(vault, "grant", "set", "--self", token)


def test_auth_create_speaks_for_a_user(vault):
    session = vault.marks.text("session id")
    made = ran(vault, "-q", "auth", "create", "--subject", "user", "--session", session, "--for", "1m")
    jwt = vault.marks.jwt(made.decode().strip())
    equal(Client(vault).call("/tokenize", {}, {"authorization": jwt}).status_code, 200)
    equal(Client(vault).call("/grant/verify", {}, {"authorization": jwt}).status_code, 403)


def test_no_grant_means_exit_code_3(vault):
    session = vault.marks.text("session id")
    token = Client(vault, "user", session).tokenize(b"value")
    ran(vault, "detokenize", "--no-grant", token, code=NO_TOKEN)
    equal(ran(vault, "-q", "detokenize", token), b"value")


def test_exit_codes(vault):
    for arguments in (("nothing",), ("tokenize", "--metadata", "7"), ("detokenize",), ("detokenize", "no-token"),
                      ("grant", "set", unknown()), ("grant", "set", "--self", "--for", "soon", unknown()),
                      ("auth", "create", "--subject", "root")):
        ran(vault, *arguments, code=USAGE)
    ran(vault, "detokenize", unknown(), code=NO_TOKEN)
    ran(vault, "tokenize", "/does/not/exist", code=FAILED)
    ran(vault, "tokenize", stdin=b"x", key=foreign_key(vault), code=NOT_ALLOWED)
    ran(vault, "tokenize", stdin=b"x", url="http://127.0.0.1:1", code=UNAVAILABLE)


def test_a_token_whose_value_never_came_is_exit_code_3(vault):
    token = Client(vault).data("/tokenize", {})["tokenId"]
    ran(vault, "detokenize", token, code=NO_TOKEN)


def test_init_twice_changes_nothing(vault):
    before = os.stat(os.path.join(vault.home, "master.key")).st_mtime_ns
    ran(vault, "init", vault.home)
    equal(os.stat(os.path.join(vault.home, "master.key")).st_mtime_ns, before, "time of the master key")


def unknown():
    return f"lunasec-{uuid.uuid4()}"


def foreign_key(vault):
    """Another vault's key."""
    home = os.path.join(vault.directory, "foreign")
    if not os.path.isdir(home):
        equal(vault.command("init", home).returncode, DONE, "init")
    return os.path.join(home, "application.key.pem")
