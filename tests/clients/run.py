"""Runs the client tests against the real binary: API, Simple Tokenizer, S3 by boto3, curl, command line.

    run.py --binary BIN [--out DIR]

DIR gets the vault, its traces at log level trace, and the marked secrets; without it a temporary directory
is used. At the end everything that the vault wrote is searched for the marks. Ends with
`N passed, N failed`.
"""

import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import leak_search
import test_api
import test_cli
import test_curl
import test_s3
import test_simple
from harness import Checks, Marks, Vault


def run(binary, out):
    """Returns (passed, failed)."""
    checks, marks = Checks(), Marks(os.path.join(out, "marks"))
    with Vault(binary, out, marks) as vault:
        for module in (test_api, test_simple, test_s3, test_curl, test_cli):
            checks.run_all(module, vault)
        for name, row in test_s3.rows(vault):
            checks.run(f"s3 row {name}", row)
    passed, failed = leak_search.report(leak_search.read_marks(marks.path), [vault.traces, vault.data])
    return checks.passed + passed, checks.failed + failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strongroom-clients-") as scratch:
        out = os.path.abspath(options.out or scratch)
        os.makedirs(out, exist_ok=True)
        passed, failed = run(os.path.abspath(options.binary), out)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
