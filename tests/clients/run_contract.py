"""Runs the tests of the published contract against the real binary.

    run_contract.py --binary BIN --node DIR [--out DIR]

The OpenAPI document and its page, schemathesis once for each subject, and LunaSec's own SDK, which
the set-up has installed into DIR. At the end everything that the vault wrote is searched for the
marked secrets. Ends with `N passed, N failed`.
"""

import argparse
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import leak_search
import test_contract
from harness import Checks, Marks, Vault


class OpenVault(Vault):
    """With what the contract has and the defaults leave out."""

    def more_settings(self):
        return "\n[simple]\nenabled = true\n[session]\nallow_unbounded = true\n"


def run(binary, node, out):
    """Returns (passed, failed)."""
    checks, marks = Checks(), Marks(os.path.join(out, "marks"))
    with OpenVault(binary, out, marks) as vault:
        checks.run_all(test_contract, vault)
        test_contract.run_sdk(vault, checks, node)
    passed, failed = leak_search.report(leak_search.read_marks(marks.path), [vault.traces, vault.data])
    return checks.passed + passed, checks.failed + failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strongroom-contract-") as scratch:
        out = os.path.abspath(options.out or scratch)
        os.makedirs(out, exist_ok=True)
        passed, failed = run(os.path.abspath(options.binary), os.path.abspath(options.node), out)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
