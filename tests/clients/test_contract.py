"""The HTTP contract as the vault publishes it: the document, the page, and whether it keeps to them."""

import json
import os
import re
import subprocess
import sys

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

from client import WAIT_S, Client, download, upload
from harness import clean_environment, equal, holds

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "openapi.json")
SCHEMATHESIS_WAIT_S = 300
NODE_WAIT_S = 120


def test_the_served_document_is_the_checked_in_one(vault):
    answer = requests.get(vault.api_url + "/openapi.json", timeout=WAIT_S)
    equal((answer.status_code, answer.headers["content-type"]), (200, "application/json"))
    with open(DOCUMENT, "rb") as file:
        holds(answer.content == file.read(), "another document than docs/openapi.json is served")


def test_the_document_is_openapi_3_1(vault):
    document = requests.get(vault.api_url + "/openapi.json", timeout=WAIT_S).json()
    holds(document["openapi"].startswith("3.1."), "the document says its version")
    equal([str(fault) for fault in OpenAPIV31SpecValidator(document).iter_errors()], [], "faults")


def test_the_page_runs_no_script_and_loads_nothing(vault):
    answer = requests.get(vault.api_url + "/docs", timeout=WAIT_S)
    equal((answer.status_code, answer.headers["content-type"]), (200, "text/html; charset=utf-8"))
    policy = answer.headers["content-security-policy"]
    holds(re.fullmatch(r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; "
                       r"form-action 'none'; frame-ancestors 'none'", policy), f"policy: {policy}")
    for tag in ("<script", "<link", "<img", "<iframe", "<form", " style=", " src="):
        holds(tag not in answer.text, f"no {tag}")


def test_document_and_page_are_compressed(vault):
    for path in ("/openapi.json", "/docs"):
        whole = requests.get(vault.api_url + path, headers={"accept-encoding": "identity"}, timeout=WAIT_S)
        for coding in ("gzip", "br"):
            with requests.get(vault.api_url + path, headers={"accept-encoding": coding}, stream=True,
                              timeout=WAIT_S) as answer:
                equal(answer.headers.get("content-encoding"), coding, path)
                holds(len(answer.raw.read(decode_content=False)) * 3 < len(whole.content), "is smaller")


def test_the_go_command_lines_requests(vault):
    """As LunaSec's program in Go sends them: the other spelling, no expiry, an empty duration."""
    go = GoProgram(vault, "developer", "cli-tool")
    ticket = go.data("/tokenize", {"metadata": None})
    value = vault.marks.text("value").encode()
    equal(upload(ticket, value).status_code, 200)
    grant = go.call("/grant/set", {"sessionId": "", "tokenId": ticket["tokenId"], "customDuration": ""})
    equal((grant.status_code, grant.json()["error"]["name"]), (403, "NotAllowed"))
    down = go.data("/detokenize", {"tokenID": ticket["tokenId"]})
    equal(download(down).content, value, "value")
    metadata = {"note": vault.marks.text("metadata")}
    equal(go.data("/metadata/set", {"tokenId": ticket["tokenId"], "metadata": metadata}), {})
    equal(go.data("/metadata/get", {"tokenId": ticket["tokenId"]}), {"metadata": metadata})


class GoProgram(Client):
    """Mints what that program mints: a session for all developers, and no dates."""

    def jwt(self, **claims):
        return super().jwt(iat=None, exp=None, iss=None, aud=None, **claims)


def test_schemathesis_as_application(vault):
    schemathesis(vault, Client(vault))


def test_schemathesis_as_user(vault):
    schemathesis(vault, Client(vault, "user", "schema"))


def test_schemathesis_as_developer(vault):
    schemathesis(vault, Client(vault, "developer", "schema"))


def schemathesis(vault, client):
    """All of its checks and phases, with this caller's JWT and a token that the caller can read."""
    token = client.tokenize(b"value", {"note": "schema"})
    digest = client.call("/detokenize", {"tokenId": token}).headers["lunasec-session-hash"]
    environment = clean_environment(STRONGROOM_JWT=client.jwt(), STRONGROOM_TOKEN=token,
                                    STRONGROOM_SESSION_HASH=digest, PYTHONPATH=HERE,
                                    PYTHONDONTWRITEBYTECODE="1")
    program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    command = [program, "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", DOCUMENT,
               "--url", vault.api_url, "--checks", "all"]
    ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, check=False, timeout=SCHEMATHESIS_WAIT_S, cwd=vault.directory)
    with open(os.path.join(vault.directory, f"schemathesis-{client.subject}.log"), "w",
              encoding="utf-8") as file:
        file.write(ran.stdout + ran.stderr)
    if ran.returncode:
        print(ran.stdout[-8000:] + ran.stderr[-2000:])
    equal(ran.returncode, 0, "exit code of schemathesis")
    generated = re.search(r"(\d+) generated", ran.stdout)
    holds(generated and int(generated[1]) > 200, "schemathesis asked many times")
    print(f"     {generated[1]} requests as {client.subject}")


def run_sdk(vault, checks, directory):
    """LunaSec's own SDK under Node, installed in `directory`; one check for each line that it prints."""
    session, note = vault.marks.text("session id"), vault.marks.text("metadata")
    jwts = {"application": Client(vault).jwt(), "user": Client(vault, "user", session).jwt(),
            "otherUser": Client(vault, "user", vault.marks.text("session id")).jwt()}
    given = {"url": vault.api_url, "jwts": jwts, "session": session, "note": note,
             "value": vault.marks.text("value")}
    ran = subprocess.run(["node", "sdk.js"], input=json.dumps(given), env=clean_environment(),
                         capture_output=True, text=True, check=False, timeout=NODE_WAIT_S, cwd=directory)
    lines = re.findall(r"^(ok|FAIL) (.*)$", ran.stdout, re.MULTILINE)
    for verdict, name in lines:
        checks.run(f"original SDK: {name}", holds, verdict == "ok", "see the line itself")
    checks.run("original SDK: ran to its end", equal, (ran.returncode, ran.stderr, len(lines) > 10),
               (0, "", True), "exit code, standard error, number of checks")
