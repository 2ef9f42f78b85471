"""The whole way of a value with nothing but curl, and `auth create` for the credential."""

import json
import os
import subprocess

from harness import clean_environment, equal, holds


def curl(vault, *arguments, body=b""):
    """Returns (status, body). Headers and body come by files and standard input, as a careful caller does."""
    answer = os.path.join(vault.directory, "curl.answer")
    ran = subprocess.run(["curl", "-sS", "-o", answer, "-w", "%{http_code}", *arguments], input=body,
                         env=clean_environment(), capture_output=True, check=False, timeout=60)
    equal((ran.returncode, ran.stderr), (0, b""), "curl")
    with open(answer, "rb") as file:
        content = file.read()
    os.unlink(answer)
    return int(ran.stdout), content


def header_file(vault, headers):
    """A file for `-H @FILE`, so that no secret stands in the command line."""
    path = os.path.join(vault.directory, "curl.headers")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{name}: {value}\n" for name, value in headers.items())
    return "@" + path


def post(vault, jwt, path, body):
    headers = header_file(vault, {"authorization": jwt, "content-type": "application/json"})
    status, answer = curl(vault, "-H", headers, "--data-binary", "@-", vault.api_url + path,
                          body=json.dumps(body).encode())
    equal(status, 200, path)
    data = json.loads(answer).get("data", {})
    key = data.get("headers", {}).get("x-amz-server-side-encryption-customer-key")
    if key:
        vault.marks.add("data key in base64", key)
    return data


def test_a_value_goes_in_and_comes_out_by_curl(vault):
    made = vault.command("--quiet", "auth", "create", "--subject", "application")
    equal(made.returncode, 0, "auth create")
    jwt = vault.marks.jwt(made.stdout.decode().strip())
    value = (vault.marks.text("value") + "\0\xff\r\n").encode("latin-1")
    up = post(vault, jwt, "/tokenize", {"metadata": {"note": vault.marks.text("metadata")}})
    headers = header_file(vault, up["headers"])
    equal(curl(vault, "-X", "PUT", "-H", headers, "--data-binary", "@-", up["uploadUrl"], body=value), (200, b""))
    equal(post(vault, jwt, "/grant/set", {"tokenId": up["tokenId"], "self": True, "customDuration": "5m"}), {})
    equal(post(vault, jwt, "/grant/verify", {"tokenId": up["tokenId"], "self": True}), {"valid": True})
    down = post(vault, jwt, "/detokenize", {"tokenId": up["tokenId"]})
    status, answer = curl(vault, "-H", header_file(vault, down["headers"]), down["downloadUrl"])
    equal((status, answer), (200, value), "value")
    status, answer = curl(vault, down["downloadUrl"])
    holds(status == 403 and value not in answer, "the URL alone is not enough")


def test_a_streamed_upload_works(vault):
    jwt = vault.marks.jwt(vault.command("-q", "auth", "create", "--subject", "application").stdout.decode().strip())
    value = os.urandom(300_000)
    up = post(vault, jwt, "/tokenize", {})
    headers = header_file(vault, up["headers"] | {"transfer-encoding": "chunked"})
    equal(curl(vault, "-X", "PUT", "-H", headers, "-T", "-", up["uploadUrl"], body=value)[0], 200)
    down = post(vault, jwt, "/detokenize", {"tokenId": up["tokenId"]})
    equal(curl(vault, "-H", header_file(vault, down["headers"]), down["downloadUrl"]), (200, value))
