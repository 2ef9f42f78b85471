"""Searches everything that the tests left behind for the secrets that they marked.

    leak_search.py --marks FILE PATH...

FILE has one mark per line: a name, a tab, the secret in hex. Each is looked for as it is, in hex, in
base64 and URL-safe base64 at each of the three alignments, and percent-encoded, in every file below the
PATHs, names of files included. Before the search a planted secret must be found in every form, or the
search has gone blind. A find is printed with the mark's name, never with the secret.
"""

import argparse
import base64
import os
import sys
import tempfile
import urllib.parse

SHORTEST = 12  # bytes; anything shorter would be found by chance
BLOCK = 1 << 20


def base64_forms(secret):
    """What base64 of any text that contains the secret must contain."""
    forms = set()
    for before in range(3):
        inner = base64.b64encode(b"\0" * before + secret)
        # The first characters mix in what stands before, the last ones what stands after.
        first = (0, 2, 3)[before]
        last = (before + len(secret)) * 8 // 6
        form = inner[first:last]
        forms |= {form, form.replace(b"+", b"-").replace(b"/", b"_")}
    return forms


def forms(secret):
    """Every spelling that the search knows."""
    written = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    written |= base64_forms(secret)
    written.add(urllib.parse.quote_from_bytes(secret, safe="").encode())
    return written


def read_marks(path):
    marks = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, written = line.rstrip("\n").partition("\t")
            secret = bytes.fromhex(written)
            if len(secret) < SHORTEST:
                raise SystemExit(f"the mark {name} is too short to be searched for")
            marks[secret] = name
    return marks


def files(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        elif not os.path.isdir(path):
            raise SystemExit(f"there is no {path}")
        for directory, _, names in os.walk(path):
            for name in sorted(names):
                full = os.path.join(directory, name)
                if os.path.isfile(full) and not os.path.islink(full):
                    yield full


class Search:
    """The forms of all marks, and what was found."""

    def __init__(self, marks):
        self.forms = [(form, name) for secret, name in marks.items() for form in forms(secret)]
        self.overlap = max((len(form) for form, _ in self.forms), default=1) - 1
        self.finds = []
        self.files = self.bytes = 0

    def run(self, paths):
        for path in files(paths):
            self.files += 1
            found = self.names_in(os.fsencode(path)) | self.names_in_file(path)
            self.finds += [(name, path) for name in sorted(found)]
        return self

    def names_in(self, data):
        return {name for form, name in self.forms if form in data}

    def names_in_file(self, path):
        found, tail = set(), b""
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                self.bytes += len(block)
                found |= self.names_in(tail + block)
                tail = (tail + block)[-self.overlap:]
        return found


def blind_spots():
    """The forms and places in which a planted secret was not found."""
    secret = os.urandom(32)
    plain = b"planted-" + secret.hex().encode()
    missed = []
    for name, mark in (("bytes", secret), ("text", plain)):
        plants = {
            "raw": mark,
            "hex": mark.hex().encode(),
            "upper-case hex": mark.hex().upper().encode(),
            "percent": urllib.parse.quote_from_bytes(mark, safe="").encode(),
        }
        for before in range(3):
            inner = b"ab"[:before] + mark + b"behind"
            plants[f"base64 at {before}"] = base64.b64encode(inner)
            plants[f"URL-safe base64 at {before}"] = base64.urlsafe_b64encode(inner).rstrip(b"=")
        for kind, plant in plants.items():
            with tempfile.TemporaryDirectory() as directory:
                with open(os.path.join(directory, "file"), "wb") as file:
                    # Astride two blocks, amid other bytes.
                    file.write(os.urandom(BLOCK - len(plant) // 2) + plant + os.urandom(100))
                if not Search({mark: "planted"}).run([directory]).finds:
                    missed.append(f"{name}, {kind}")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, plain.decode()), "wb"):
            pass
        if not Search({plain: "planted"}).run([directory]).finds:
            missed.append("a file's name")
        if Search({os.urandom(32): "absent"}).run([directory]).finds:
            missed.append("something was found that is not there")
    return missed


def report(marks, paths):
    """Prints what was found; returns (passed, failed): the self-test is one check, the search another."""
    missed = blind_spots()
    for spot in missed:
        print(f"FAIL self-test: {spot}")
    search = Search(marks).run(paths)
    for name, path in search.finds:
        print(f"FAIL {name} stands in {path}")
    idle = not marks or not search.files
    if idle:
        print("FAIL nothing was marked, or there was no file to search")
    print(f"searched {search.files} files, {search.bytes} bytes, for {len(marks)} marked secrets")
    failed = bool(missed) + max(len(search.finds), idle)
    return (not missed) + (not search.finds and not idle), failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--marks", required=True)
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    passed, failed = report(read_marks(options.marks), options.paths)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
