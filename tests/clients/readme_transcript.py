"""Runs the README's transcript against a throw-away vault and compares the answers with those shown.

    readme_transcript.py --binary BIN [--readme FILE] [--out DIR]

In the block that is marked `console`, a line that begins with `$ ` is a command and the lines below it are
what it prints. All run in one bash, one after another; each must end with 0 and print what is shown, apart
from what differs by nature: tokens, and whatever the README cuts off with `…`. JSON is compared key by
key. If the ports that the README names are taken, others are put in their place.
"""

import argparse
import base64
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import leak_search
from harness import Checks, Marks, Wrong, clean_environment, equal, holds, record_pid, stop, wait_for_json

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOKEN = re.compile(r"lunasec-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A random text that is cut off, and the little of it that is shown; a token's prefix is none of it.
CUT = re.compile(r"(?:(?!lunasec-)[0-9A-Za-z+=-])*…")
ADDRESSES = {"api": "127.0.0.1:37766", "s3": "127.0.0.1:37767"}
WAIT_S = 120


def steps(readme):
    """The transcript as pairs of a command and the text shown below it."""
    with open(readme, encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read())
    if len(blocks) != 1:
        raise Wrong(f"{len(blocks)} blocks are marked console, expected 1")
    found = []
    for line in blocks[0].splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        else:
            holds(found, "the block does not begin with a command")
            found[-1][1].append(line)
    return [(command, "\n".join(shown).strip()) for command, shown in found]


def free(address):
    host, port = address.split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


class DevVault:
    """`strongroom serve --dev` in surroundings of its own."""

    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory
        self.traces = os.path.join(directory, "traces")
        # Short: the system's limit for such paths is near.
        self.runtime = os.path.join(directory, "run")
        self.environment = clean_environment(XDG_RUNTIME_DIR=self.runtime)
        self.environment["PATH"] = os.path.dirname(binary) + os.pathsep + self.environment["PATH"]

    def __enter__(self):
        os.makedirs(self.traces)
        os.mkdir(self.runtime, 0o700)
        listen = {"STRONGROOM__LOG__LEVEL": "trace"}
        if not all(free(address) for address in ADDRESSES.values()):
            print("the README's ports are taken; others are used", flush=True)
            listen |= {"STRONGROOM__API__LISTEN": "127.0.0.1:0", "STRONGROOM__S3__LISTEN": "127.0.0.1:0"}
        ready_file = os.path.join(self.directory, "ready.json")
        with open(os.path.join(self.traces, "serve.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["strongroom", "serve", "--dev", "--ready-file", ready_file], cwd=self.directory,
                env=self.environment | listen, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        record_pid(self.directory, self.process.pid)
        try:
            self.addresses = wait_for_json(ready_file, self.process)
        except BaseException:
            stop(self.process)
            raise
        return self

    def __exit__(self, *_):
        stop(self.process)

    def ours(self, text):
        """The text with the addresses that this vault listens on."""
        for name, address in ADDRESSES.items():
            text = text.replace(address, f"\0{name}\0")
        for name in ADDRESSES:
            text = text.replace(f"\0{name}\0", self.addresses[name])
        return text


class Shell:
    """One bash that is given the commands one by one."""

    def __init__(self, vault):
        self.mark = secrets.token_hex(8)
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["timeout", "-k", "5", str(WAIT_S), "bash", "--norc", "--noprofile"], cwd=vault.directory,
            env=vault.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.run("set -o pipefail")

    def run(self, command):
        """Returns what the command printed; it must succeed."""
        self.process.stdin.write(f"{command}\nprintf '\\n{self.mark} %d\\n' $?\n".encode())
        self.process.stdin.flush()
        printed = b""
        while line := self.process.stdout.readline():
            if line.startswith(self.mark.encode()):
                equal(line.split()[1], b"0", f"exit code ({self.complaint()})")
                return printed.decode(errors="replace").strip()
            printed += line
        raise Wrong(f"the shell ended ({self.complaint()})")

    def complaint(self):
        self.errors.seek(0)
        return self.errors.read()[-300:].decode(errors="replace").strip()

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(WAIT_S)


def pattern(shown):
    """What is printed for a shown text: anything for what is cut off by `…`, any token for a token."""
    parts = re.split("(" + CUT.pattern + "|" + TOKEN.pattern + ")", shown)
    written = [".*" if CUT.fullmatch(part) else TOKEN.pattern if TOKEN.fullmatch(part) else re.escape(part)
               for part in parts]
    return "".join(written)


def compare(shown, found, where=""):
    """Raises where what is found is not what is shown."""
    if isinstance(shown, dict) and isinstance(found, dict):
        equal(sorted(found), sorted(shown), f"keys of {where or 'the answer'}")
        for name in shown:
            compare(shown[name], found[name], f"{where}.{name}")
    elif isinstance(shown, list) and isinstance(found, list):
        equal(len(found), len(shown), f"length of {where}")
        for number, pair in enumerate(zip(shown, found)):
            compare(*pair, f"{where}[{number}]")
    elif isinstance(shown, str) and isinstance(found, str):
        holds(re.fullmatch(pattern(shown), found, re.DOTALL), f"{where or 'the answer'} is not as shown")
    else:
        equal(found, shown, where)


def as_json(text):
    """The objects of the lines; None if they are not all JSON objects."""
    try:
        objects = [json.loads(line) for line in text.splitlines()]
    except json.JSONDecodeError:
        return None
    return objects if objects and all(isinstance(one, dict) for one in objects) else None


def one_step(vault, shell, marks, command, shown):
    printed = shell.run(vault.ours(command))
    for key in re.findall(r'customer-key":"([^"]+)"', printed):
        marks.add("data key", base64.b64decode(key))
    shown = vault.ours(shown)
    if as_json(shown) is None:
        compare(shown, printed)
    else:
        holds(as_json(printed) is not None, "the answer is not JSON")
        compare(as_json(shown), as_json(printed))


def self_test(_=None):
    """The comparison must see what differs."""
    token = "lunasec-cd5e1ee3-0000-4000-8000-000000000000"
    compare({"a": f"x{token}/y…"}, {"a": f"x{token.replace('cd', 'ef')}/yz"})
    compare({"a": token[:16] + "…"}, {"a": token.replace("cd", "ef")})
    for shown, found in (("a", "b"), ("", "x"), ({"a": "b"}, {"a": "b", "c": 1}), ({"a": True}, {"a": False}),
                         ({"a": token}, {"a": "lunasec-1"}), ({"a": "x/ab…"}, {"a": "y/ab"}),
                         ({"a": "lunasec-ab…"}, {"a": "abcdef"}), ([1], [1, 2])):
        try:
            compare(shown, found)
        except Wrong:
            continue
        raise Wrong(f"{found!r} passes for {shown!r}")


def run(binary, readme, out):
    """Returns (passed, failed)."""
    checks, marks = Checks(), Marks(os.path.join(out, "marks"))
    checks.run("readme: the comparison sees what differs", self_test)
    transcript = steps(readme)
    with DevVault(binary, out) as vault:
        shell = Shell(vault)
        for command, shown in transcript:
            checks.run(f"readme: {command[:60]}", one_step, vault, shell, marks, command, shown)
        marks.jwt(shell.run('echo "${JWT:?the transcript sets no JWT}"'))
        shell.end()
    checks.run("readme: nothing is left of the vault", lambda: equal(os.listdir(vault.runtime), []))
    passed, failed = leak_search.report(leak_search.read_marks(marks.path), [vault.traces])
    return checks.passed + passed, checks.failed + failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--readme", default=os.path.join(HERE, "..", "..", "README.md"))
    parser.add_argument("--out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strongroom-readme-") as scratch:
        out = os.path.abspath(options.out or scratch)
        os.makedirs(out, exist_ok=True)
        try:
            passed, failed = run(os.path.abspath(options.binary), options.readme, out)
        except Wrong as fault:
            print(f"FAIL readme: {fault}")
            passed, failed = 0, 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
