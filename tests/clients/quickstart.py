"""Runs docs/quickstart.md as it stands and compares what it prints with what it shows.

    quickstart.py --binary BIN [--guide FILE] [--out DIR]

A block that is marked `sh` is run whole, all in one bash; it must end with 0, and if a block marked `text`
follows, print that as its last lines. The block that builds the program is not run: the binary is given. If
the ports that the guide names are taken, others are put in their place.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import leak_search
from harness import Checks, Marks, Wrong, clean_environment, equal, holds
from readme_transcript import Shell

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BUILDS = "cargo install"
PORTS = {"api": 37766, "s3": 37767}


def steps(guide):
    """Pairs of a script and the text shown below it, if any."""
    with open(guide, encoding="utf-8") as file:
        found = []
        for kind, text in BLOCK.findall(file.read()):
            if kind == "sh":
                found.append([text.strip(), None])
            else:
                holds(found and found[-1][1] is None, "a text block follows no script")
                found[-1][1] = text.strip()
    builds = [script for script, _ in found if BUILDS in script]
    equal(len(builds), 1, "blocks that build")
    holds(sum(shown is not None for _, shown in found) >= 2, "the guide shows what is printed")
    return [step for step in found if BUILDS not in step[0]]


def free_ports():
    """The guide's ports, or free ones where any of them is taken."""
    for wanted in (PORTS, dict.fromkeys(PORTS, 0)):
        sockets = []
        try:
            for port in wanted.values():
                probe = socket.socket()
                sockets.append(probe)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return {name: probe.getsockname()[1] for name, probe in zip(wanted, sockets)}
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise Wrong("no ports are free")


class Place:
    """Where the guide is followed: what its shell needs to know."""

    def __init__(self, binary, out):
        self.directory = os.path.join(out, "guide")
        os.makedirs(self.directory)
        self.ports = free_ports()
        self.environment = clean_environment(STRONGROOM__LOG__LEVEL="trace")
        for name, port in self.ports.items():
            self.environment[f"STRONGROOM__{name.upper()}__LISTEN"] = f"127.0.0.1:{port}"
        self.environment["PATH"] = os.path.dirname(binary) + os.pathsep + self.environment["PATH"]

    def ours(self, script):
        for name, port in PORTS.items():
            script = script.replace(f":{port}", f":{self.ports[name]}")
        return script


def one_step(place, shell, script, shown):
    printed = shell.run(place.ours(script))
    if shown is not None:
        equal(printed.splitlines()[-len(shown.splitlines()):], shown.splitlines(), "what it prints")


def run(binary, guide, out):
    """Returns (passed, failed)."""
    checks, marks = Checks(), Marks(os.path.join(out, "marks"))
    place = Place(binary, out)
    shell = Shell(place)
    # What is set stays from step to step, and any command that fails ends it all.
    shell.run("set -e")
    try:
        for script, shown in steps(guide):
            checks.run(f"quickstart: {script.splitlines()[0][:60]}", one_step, place, shell, script, shown)
        marks.jwt(shell.run('echo "${JWT:?the guide sets no JWT}"'))
        marks.add("token", shell.run('echo "${TOKEN:?the guide sets no TOKEN}"').encode())
    finally:
        # `timeout` made a group of its own, of which the vault is one if a step failed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.process.pid, signal.SIGTERM)
        shell.end()
    traces = os.path.join(out, "traces")
    os.makedirs(traces)
    vault = os.path.join(place.directory, "vault")
    for name in ("serve.log", "health.txt"):
        shutil.copy(os.path.join(vault, name), traces)
    shutil.copytree(os.path.join(vault, "data"), os.path.join(traces, "data"))
    passed, failed = leak_search.report(leak_search.read_marks(marks.path), [traces])
    return checks.passed + passed, checks.failed + failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--guide", default=os.path.join(HERE, "..", "..", "docs", "quickstart.md"))
    parser.add_argument("--out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strongroom-quickstart-") as scratch:
        out = os.path.abspath(options.out or scratch)
        os.makedirs(out, exist_ok=True)
        try:
            passed, failed = run(os.path.abspath(options.binary), options.guide, out)
        except Wrong as fault:
            print(f"FAIL quickstart: {fault}")
            passed, failed = 0, 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
