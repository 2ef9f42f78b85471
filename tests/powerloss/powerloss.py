"""Cuts the power of a vault at work, over and over, and checks every promise it made.

    powerloss.py --binary PATH                 200 cuts (2,000 with --long)
    powerloss.py --binary PATH --no-sync       the same with syncs ignored: passes only if a loss is found
    powerloss.py --binary PATH --kill9         kill -9 amid a hundred concurrent tokenizes and S3 clients, 20 rounds

`--no-sync` tries all files, then each store alone; `--no-sync PATTERN` only paths that match. Each cut prints
its seed; the kind and moment of the cut and what survives are drawn from it. `--seed N --cuts 1` repeats
these choices (not the threads' timing) on a new vault.
"""

import argparse
import http.client
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import objects
import vault
from ledger import Broken, Ledger
from mount import Forgetful

CUTS, CUTS_LONG = 200, 2000
KILL_ROUNDS, KILL_ROUNDS_LONG = 20, 200
NO_SYNC = ["*", "*/audit*", "*/objects*", "*records*"]
CUTS_PER_VAULT = 50  # then a new one is made, and making it is cut too
INIT_CUTS_PER_VAULT = 8
CLIENTS, KILL_CLIENTS = [8, 40], 100
OBJECT_CLIENTS = 6  # ordinary S3 clients beside them
SYNC_MS = [0, 4]  # a slow disk makes large batches, and a cut in the middle of one likelier
OLD_TOKENS_SAMPLED = 15
FAULTS_MAX = 5
LOST_CONNECTION = (OSError, http.client.HTTPException)


def work(server, signer, ledger, kept, seed, fault_allowed, clients, tokenize_only=False):
    """Starts the clients, of tokens and of objects; returns a function that waits for them and raises what
    they found.

    A client ends at the first lost connection. Before the cut every answer must be 200.
    """
    faults = []

    def tokens(rng):
        client = vault.Client(server.addresses["api"], signer)
        return client, lambda: step(client, ledger, rng, tokenize_only)

    def ordinary(rng, number):
        client = objects.S3(server.addresses["s3"])
        return client, lambda: kept.step(client, number, rng)

    def one(number):
        rng = random.Random(f"{seed}/{number}")
        client, again = tokens(rng) if number < clients else ordinary(rng, number - clients)
        try:
            while True:
                again()
        except LOST_CONNECTION:
            if not fault_allowed():
                faults.append(Broken("a connection was lost while server and power were on"))
        except Broken as fault:
            if not fault_allowed():
                faults.append(fault)
        except Exception as fault:  # a fault of this program or a malformed answer: never silent
            faults.append(Broken(f"client: {fault!r}"))
        finally:
            client.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients + OBJECT_CLIENTS)]
    for thread in threads:
        thread.start()

    def finish():
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]

    return finish


def step(client, ledger, rng, tokenize_only):
    promise = ledger.new_promise()
    ticket = expect_200(client.tokenize(), "/tokenize").data
    ledger.acknowledged(ticket["tokenId"], promise)
    if tokenize_only or rng.random() < 0.2:
        return
    promise.upload = "begun"
    expect_200(client.upload(ticket, promise.value()), "PUT")
    promise.upload = "acknowledged"
    if rng.random() < 0.5:
        answer = expect_200(client.detokenize(ticket["tokenId"]), "/detokenize")
        ledger.released(answer)
        Ledger.check_value(client.download(answer.data), promise, f"token {promise.number} before the cut")


def expect_200(answer, what):
    if answer.status != 200:
        raise Broken(f"{what} answered {answer}")
    return answer


class NotMade(Exception):
    """No vault to test: a failure of the run itself, not a finding."""


class PowerCuts:
    """The vault on the forgetful disk."""

    def __init__(self, binary, disk, seed, deaf):
        self.binary = binary
        self.disk = disk
        self.seed = seed
        self.deaf = deaf
        self.directory = os.path.join(disk.path, "vault")
        self.server = None
        self.ledger = self.objects = None
        self.init_changes = self.start_changes = None  # how many a whole run makes, as last seen
        self.ending = threading.Event()  # the server is being killed

    def next_seed(self):
        self.seed += 1
        return self.seed - 1

    def close(self):
        if self.server:
            self.server.kill()
            self.server = None

    def _serve(self):
        self.server = vault.Server(self.binary, self.directory, self.disk.base)

    def _start(self):
        before = self.disk.status()["changes"]
        self._serve()
        try:
            self.server.wait_until_ready()
        except vault.DidNotStart as fault:
            if self._power_is_off():
                raise RuntimeError("the power was cut when it should not be") from fault
            raise Broken(f"the vault does not start: {fault}") from None
        self.start_changes = self.disk.status()["changes"] - before

    def _init(self):
        return vault.init(self.binary, self.directory, os.path.join(self.disk.base, "init.log"))

    # Making a vault

    def cut_init(self):
        """`init` or the first start, cut somewhere. Afterwards there is a complete vault, or none and `init` makes one."""
        self.close()
        seed = self.next_seed()
        rng = random.Random(seed)
        self.disk.deaf(None)
        if not self.init_changes:
            self._count_init_changes()
        self.disk.wipe()
        if rng.random() < 0.5:
            # The last value lets `init` end and answer, and cuts right after.
            self.disk.arm(rng.randint(1, self.init_changes + 1))
            acknowledged = self._init() == 0
            lost = self.disk.lose_power(seed)
            what = f"init, {'after' if acknowledged else 'before'} its end"
        else:
            if self._init() != 0:
                raise NotMade("init fails on an empty disk")
            # Most files are made in a few steps among many directories.
            lost = self._cut_start(rng.randint(1, rng.choice([12, 60, 400])), seed)
            acknowledged, what = True, "first start"
        print(f"cut seed {seed}: {what}, lost {lost}", flush=True)
        try:
            self._start()
        except Broken as fault:
            self.close()
            if acknowledged:
                raise Broken(f"init had answered, and {fault}") from None
            if self._init() != 0:
                raise Broken(f"half a vault: init refuses, and {fault}") from None
            self._start()
        self._prove_complete()
        self.close()

    def _count_init_changes(self):
        self.disk.wipe()
        before = self.disk.status()["changes"]
        if self._init() != 0:
            raise NotMade("init fails on an empty disk")
        self.init_changes = self.disk.status()["changes"] - before

    def _prove_complete(self):
        client = vault.Client(self.server.addresses["api"], self._signer())
        promise = Ledger().new_promise()
        ticket = expect_200(client.tokenize(), "/tokenize").data
        expect_200(client.upload(ticket, promise.value()), "PUT")
        client.close()

    def _signer(self):
        return vault.Signer(os.path.join(self.directory, "application.key.pem"))

    def new_vault(self):
        """A vault whose making is not in question."""
        self.close()
        self.disk.deaf(None)
        self.disk.lose_power(0)
        self.disk.wipe()
        if self._init() != 0:
            raise NotMade("init fails on an empty disk")
        objects.configure(self.directory)
        self.disk.sync()
        self.signer = self._signer()
        self.ledger, self.objects = Ledger(), objects.Objects()
        try:
            self._start()
        except Broken as fault:
            raise NotMade(f"before any cut, {fault}") from None
        self.disk.deaf(self.deaf)

    # Cutting it

    def cut_work(self):
        """Work, cut, restart, check. The server runs on for the next cut."""
        seed = self.next_seed()
        rng = random.Random(seed)
        kind = rng.choice(["signal", "kill", "change", "sync", "sync", "start"])
        tokens, bodies = len(self.ledger.promises), self.objects.seeds
        self.disk.slow(rng.choice(SYNC_MS))
        self.ending.clear()
        clients = rng.choice(CLIENTS)
        finish = work(self.server, self.signer, self.ledger, self.objects, seed, self._fault_allowed, clients)
        try:
            if kind in ("change", "start"):
                self.disk.arm(rng.randint(1, 600))
                self._wait_for_cut(1.0)
            elif kind == "sync":  # when most is at stake; at the very first, all clients' requests
                self.disk.arm(rng.randint(1, rng.choice([4, 60])), syncs_only=True)
                self._wait_for_cut(1.0)
            else:
                time.sleep(rng.uniform(0.01, 0.35))
            if kind == "signal":
                self.disk.cut()
        finally:
            self.ending.set()
            self.server.kill()
        self.disk.slow(0)
        finish()
        lost = self.disk.lose_power(seed)
        made, bodies = len(self.ledger.promises) - tokens, self.objects.seeds - bodies
        if kind == "start":
            lost = self._cut_start(rng.randint(1, self.start_changes + 1), seed)
        print(f"cut seed {seed}: {kind}, {clients} clients, {made} tokens and {bodies} objects before it, lost {lost}", flush=True)
        self._start()
        self._check(OLD_TOKENS_SAMPLED)

    def check_all(self):
        self._check()

    def _check(self, sample=None):
        self.ledger.check(self.server, self.signer, os.path.join(self.directory, "data"), sample)
        self.objects.check(self.server.addresses["s3"])

    def _cut_start(self, changes, seed):
        """Starts the server and cuts before its given change to the disk. Returns what was lost."""
        self.disk.arm(changes)
        self._serve()
        try:
            self.server.wait_until_ready()
        except vault.DidNotStart as fault:
            if not self._power_is_off():
                raise Broken(f"the vault does not start after seed {seed}: {fault}") from None
        self.close()
        return self.disk.lose_power(seed)

    def _power_is_off(self):
        return not self.disk.status()["power"]

    def _fault_allowed(self):
        return self.ending.is_set() or self._power_is_off()

    def _wait_for_cut(self, patience_s):
        deadline = time.monotonic() + patience_s
        while not self._power_is_off() and time.monotonic() < deadline:
            time.sleep(0.01)


def run_cuts(binary, cuts, seed, deaf=None, stop_at_fault=False):
    """Returns (cuts passed, faults)."""
    passed, faults = 0, []
    with Forgetful() as disk:
        run = PowerCuts(binary, disk, seed, deaf)
        try:
            left, fresh_vault, in_vault = cuts, True, 0
            while left > 0 and len(faults) < (1 if stop_at_fault else FAULTS_MAX):
                first_seed = run.seed
                try:
                    if fresh_vault:
                        for _ in range(0 if deaf else min(INIT_CUTS_PER_VAULT, left - 1)):
                            left -= 1
                            run.cut_init()
                            passed += 1
                        run.new_vault()
                        fresh_vault, in_vault = False, 0
                    left, in_vault = left - 1, in_vault + 1
                    run.cut_work()
                    if in_vault == CUTS_PER_VAULT or left == 0:
                        run.check_all()
                        fresh_vault = True
                    passed += 1
                except Broken as fault:
                    faults.append(f"seed {max(first_seed, run.seed - 1)}: {fault}")
                    print(f"FAULT {faults[-1]}", flush=True)
                    run.close()
                    fresh_vault = True
        finally:
            run.close()
    return passed, faults


def run_kills(binary, rounds, seed):
    """`kill -9` on a plain directory. Returns (rounds passed, faults)."""
    scratch = tempfile.mkdtemp(prefix="kill9-")
    directory = os.path.join(scratch, "vault")
    passed, faults, server = 0, [], None
    ledger, kept = Ledger(), objects.Objects()
    try:
        if vault.init(binary, directory, os.path.join(scratch, "init.log")) != 0:
            return 0, ["init fails on an empty directory"]
        objects.configure(directory)
        signer = vault.Signer(os.path.join(directory, "application.key.pem"))
        server = vault.Server(binary, directory, scratch).wait_until_ready()
        for number in range(seed, seed + rounds):
            rng = random.Random(number)
            before = len(ledger.promises)
            ending = threading.Event()
            finish = work(server, signer, ledger, kept, number, ending.is_set, KILL_CLIENTS, number % 2 == 0)
            try:
                time.sleep(rng.uniform(0.05, 0.5))
            finally:
                ending.set()
                server.kill()
            finish()
            print(f"kill seed {number}: {len(ledger.promises) - before} tokens before it", flush=True)
            server = vault.Server(binary, directory, scratch).wait_until_ready()
            sample = OLD_TOKENS_SAMPLED if number < seed + rounds - 1 else None
            ledger.check(server, signer, os.path.join(directory, "data"), sample)
            kept.check(server.addresses["s3"])
            passed += 1
    except (Broken, vault.DidNotStart) as fault:
        faults.append(str(fault))
        print(f"FAULT {fault}", flush=True)
    finally:
        if server:
            server.kill()
        shutil.rmtree(scratch, ignore_errors=True)
    return passed, faults


def run(binary, options):
    """Returns (passed, failed)."""
    if options.kill9:
        rounds = options.cuts or (KILL_ROUNDS_LONG if options.long else KILL_ROUNDS)
        passed, faults = run_kills(binary, rounds, options.seed)
        return passed, len(faults)
    cuts = options.cuts or (CUTS_LONG if options.long else CUTS)
    passed = failed = 0
    for pattern in NO_SYNC if options.no_sync == "each" else [options.no_sync]:
        whole, faults = run_cuts(binary, cuts, options.seed, pattern, bool(pattern))
        if pattern:
            print(f"without syncs of {pattern}: {faults[0] if faults else 'no loss found'}", flush=True)
            passed, failed = passed + bool(faults), failed + (not faults)
        else:
            passed, failed = whole, len(faults)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--no-sync", nargs="?", const="each", metavar="PATTERN")
    parser.add_argument("--kill9", action="store_true")
    options = parser.parse_args()
    # So that being stopped, too, ends the server and unmounts the disk.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    binary = os.path.abspath(options.binary)
    began = time.monotonic()
    try:
        passed, failed = run(binary, options)
    except NotMade as fault:
        print(f"FAULT {fault}")
        passed, failed = 0, 1
    print(f"took {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
