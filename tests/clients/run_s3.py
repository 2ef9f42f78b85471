"""Runs the tests of the S3 endpoint for applications against the real binary.

    run_s3.py --binary BIN [--out DIR] [--only rows|tools]

`rows`: what AWS answers, request by request. `tools`: boto3, the AWS command line and rclone, over TLS.
DIR gets the vaults, their traces, and the marked secrets; without it a temporary directory is used. At the
end everything that the vaults wrote is searched for the marks. Ends with `N passed, N failed`.
"""

import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import leak_search
import test_s3_rows
import test_s3_tools
from harness import Checks, Marks
from s3_wire import S3Vault


def rows(checks, binary, out, marks):
    with S3Vault(binary, os.path.join(out, "rows"), marks, pids=out) as vault:
        test_s3_rows.run(checks, vault)
    return vault


def tools(checks, binary, out, marks):
    with test_s3_tools.TlsVault(binary, os.path.join(out, "tools"), marks, pids=out) as vault:
        checks.run_all(test_s3_tools, test_s3_tools.Tools(vault))
    return vault


def run(binary, out, only):
    """Returns (passed, failed)."""
    checks, marks, searched = Checks(), Marks(os.path.join(out, "marks")), []
    for part in (rows, tools):
        if only in (None, part.__name__):
            vault = part(checks, binary, out, marks)
            searched += [vault.traces, vault.data]
    passed, failed = leak_search.report(leak_search.read_marks(marks.path), searched)
    return checks.passed + passed, checks.failed + failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--out")
    parser.add_argument("--only", choices=("rows", "tools"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strongroom-s3-") as scratch:
        out = os.path.abspath(options.out or scratch)
        os.makedirs(out, exist_ok=True)
        passed, failed = run(os.path.abspath(options.binary), out, options.only)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
