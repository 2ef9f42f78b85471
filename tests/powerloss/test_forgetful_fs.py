"""Self-tests of the forgetful file system: the model alone, the mount, and SQLite on it."""

import mmap
import os
import random
import sqlite3
import subprocess
import sys
import unittest

from image import SECTOR, Image
from mount import Forgetful

SEEDS = range(200)


def outcomes(prepare, look):
    """All distinct results of the same history over many cuts."""
    seen = set()
    for seed in SEEDS:
        image = Image()
        prepare(image)
        image.lose(random.Random(seed))
        seen.add(look(image))
    return seen


def names(image, path="/"):
    return ",".join(sorted(image.find(path).entries))


def durable_file(image, path, data):
    node = image.create(path, 0o600)
    node.write(0, data)
    image.sync(node)
    image.sync(image.root)
    return node


class Model(unittest.TestCase):
    """`image.py`, without a mount."""

    def test_unsynced_write_may_vanish_or_stay(self):
        def prepare(image):
            durable_file(image, "/f", b"old!").write(0, b"new!")
        self.assertEqual(outcomes(prepare, lambda i: bytes(i.find("/f").data)), {b"old!", b"new!"})

    def test_synced_write_persists(self):
        seen = outcomes(lambda i: durable_file(i, "/f", b"x" * 5000), lambda i: bytes(i.find("/f").data))
        self.assertEqual(seen, {b"x" * 5000})

    def test_writes_are_torn_at_sectors_and_only_there(self):
        def prepare(image):
            durable_file(image, "/f", b"a" * 4096).write(0, b"b" * 4096)

        def look(image):
            data = bytes(image.find("/f").data)
            sectors = [data[at:at + SECTOR] for at in range(0, 4096, SECTOR)]
            self.assertTrue(all(s in (b"a" * SECTOR, b"b" * SECTOR) for s in sectors))
            return len(set(sectors))
        self.assertEqual(outcomes(prepare, look), {1, 2})

    def test_sector_is_one_of_its_versions(self):
        def prepare(image):
            node = durable_file(image, "/f", b"....")
            node.write(0, b"1")
            node.write(1, b"2")
            node.write(2, b"3")
        self.assertEqual(outcomes(prepare, lambda i: bytes(i.find("/f").data)),
                         {b"....", b"1...", b"12..", b"123."})

    def test_size_lies_between_durable_and_current(self):
        def prepare(image):
            durable_file(image, "/f", b"a" * 100).write(100, b"b" * 2000)

        def look(image):
            data = bytes(image.find("/f").data)
            self.assertTrue(data.startswith(b"a" * 100))
            self.assertLessEqual(set(data[100:]), {0, ord("b")})
            return len(data)
        sizes = outcomes(prepare, look)
        self.assertLessEqual({100, 2100}, sizes)
        self.assertGreater(len(sizes), 5)
        self.assertTrue(all(100 <= size <= 2100 for size in sizes))

    def test_grown_file_may_read_as_zeros(self):
        def prepare(image):
            durable_file(image, "/f", b"").write(0, b"b" * 512)
        self.assertIn(bytes(512), outcomes(prepare, lambda i: bytes(i.find("/f").data)))

    def test_truncation_may_be_undone(self):
        def prepare(image):
            durable_file(image, "/f", b"a" * 600).truncate(0)
        seen = outcomes(prepare, lambda i: bytes(i.find("/f").data))
        self.assertLessEqual({b"", b"a" * 600}, seen)

    def test_truncation_and_growth_show_zeros(self):
        image = Image()
        node = durable_file(image, "/f", b"a" * 600)
        node.truncate(10)
        node.truncate(600)
        self.assertEqual(bytes(node.data), b"a" * 10 + bytes(590))
        image.sync(node)
        image.lose(random.Random(1))
        self.assertEqual(bytes(image.find("/f").data), b"a" * 10 + bytes(590))

    def test_any_history_undoes_to_the_durable_state(self):
        for seed in SEEDS:
            rng = random.Random(seed)
            image = Image()
            node = durable_file(image, "/f", rng.randbytes(rng.randint(0, 3000)))
            durable, current = bytes(node.data), bytearray(node.data)
            for _ in range(20):
                if rng.random() < 0.3:
                    size = rng.randint(0, 4000)
                    node.truncate(size)
                    current = current[:size] + bytes(max(0, size - len(current)))
                else:
                    at, new = rng.randint(0, 4000), rng.randbytes(rng.randint(1, 1500))
                    node.write(at, new)
                    current += bytes(max(0, at - len(current)))
                    current[at:at + len(new)] = new
                self.assertEqual(node.data, current)
            node.lose(KeepNothing())
            self.assertEqual(bytes(node.data), durable)

    def test_new_name_needs_a_directory_sync(self):
        def prepare(image):
            node = image.create("/f", 0o600)
            node.write(0, b"x")
            image.sync(node)
        self.assertEqual(outcomes(prepare, names), {"", "f"})

    def test_durable_name_without_file_sync_may_be_empty(self):
        def prepare(image):
            image.create("/f", 0o600).write(0, b"x")
            image.sync(image.root)
        self.assertEqual(outcomes(prepare, lambda i: bytes(i.find("/f").data)), {b"", b"\0", b"x"})

    def test_rename_without_directory_sync_may_be_undone(self):
        def prepare(image):
            durable_file(image, "/f", b"old")
            durable_file(image, "/f.tmp", b"new")
            image.rename("/f.tmp", "/f")
        self.assertEqual(outcomes(prepare, lambda i: (names(i), bytes(i.find("/f").data))),
                         {("f,f.tmp", b"old"), ("f", b"new")})

    def test_rename_between_directories_is_atomic(self):
        def prepare(image):
            image.mkdir("/a", 0o700)
            image.mkdir("/b", 0o700)
            image.sync(image.root)
            image.create("/a/f", 0o600)
            image.sync(image.find("/a"))
            image.rename("/a/f", "/b/f")
        self.assertEqual(outcomes(prepare, lambda i: (names(i, "/a"), names(i, "/b"))), {("f", ""), ("", "f")})

    def test_entries_survive_as_a_prefix(self):
        def prepare(image):
            for name in "abc":
                image.create("/" + name, 0o600)
        self.assertEqual(outcomes(prepare, names), {"", "a", "a,b", "a,b,c"})

    def test_unlink_may_be_undone_with_contents(self):
        def prepare(image):
            durable_file(image, "/f", b"kept")
            image.unlink("/f")
        seen = outcomes(prepare, lambda i: bytes(i.find("/f").data) if names(i) else None)
        self.assertEqual(seen, {None, b"kept"})

    def test_contents_of_a_lost_directory_are_lost(self):
        def prepare(image):
            image.mkdir("/d", 0o700)
            node = image.create("/d/f", 0o600)
            image.sync(node)
            image.sync(image.find("/d"))
        self.assertEqual(outcomes(prepare, names), {"", "d"})

    def test_deaf_image_forgets_synced_writes(self):
        def prepare(image):
            image.deaf = "*/deaf*"
            durable_file(image, "/deaf", b"x" * 9)
            durable_file(image, "/heard", b"x" * 9)
        self.assertEqual(outcomes(prepare, lambda i: bytes(i.find("/heard").data)), {b"x" * 9})
        self.assertIn(b"", outcomes(prepare, lambda i: bytes(i.find("/deaf").data)))

    def test_same_seed_same_survivors(self):
        def one(seed):
            image = Image()
            durable_file(image, "/f", b"a" * 9000).write(0, b"b" * 9000)
            image.lose(random.Random(seed))
            return bytes(image.find("/f").data)
        self.assertEqual([one(s) for s in SEEDS], [one(s) for s in SEEDS])


class KeepNothing(random.Random):
    """Draws the worst cut: nothing survives and the size is the durable one."""

    def choice(self, options):
        return options[0]


class Mounted(unittest.TestCase):
    """Through the kernel."""

    @classmethod
    def setUpClass(cls):
        cls.fs = Forgetful().__enter__()
        cls.addClassCleanup(cls.fs.__exit__)

    def setUp(self):
        self.fs.wipe()

    def at(self, name):
        return os.path.join(self.fs.path, name)

    def put(self, name, data, sync=True):
        with open(self.at(name), "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def get(self, name):
        with open(self.at(name), "rb") as file:
            return file.read()

    def sync_directory(self, name=""):
        handle = os.open(self.at(name), os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(handle)
        os.close(handle)

    def test_synced_file_and_name_persist(self):
        self.put("f", b"x" * 300_000)
        self.sync_directory()
        self.fs.lose_power(1)
        self.assertEqual(self.get("f"), b"x" * 300_000)

    def test_unsynced_overwrite_is_lost_for_some_seed_and_readers_see_it(self):
        seen = set()
        for seed in range(20):
            self.put("f", b"old")
            self.sync_directory()
            self.put("f", b"new", sync=False)
            self.assertEqual(self.get("f"), b"new")
            self.fs.lose_power(seed)
            seen.add(self.get("f"))
        self.assertLessEqual({b"old", b"new"}, seen)

    def test_rename_is_undone_for_some_seed(self):
        seen = set()
        for seed in range(20):
            self.put("f", b"old")
            self.put("g", b"new")
            self.sync_directory()
            os.rename(self.at("g"), self.at("f"))
            self.fs.lose_power(seed)
            seen.add((self.get("f"), os.path.exists(self.at("g"))))
        self.assertEqual(seen, {(b"old", True), (b"new", False)})

    def test_signal_stops_every_operation(self):
        self.put("f", b"x")
        self.sync_directory()
        file = open(self.at("f"), "r+b", buffering=0)
        self.fs.cut()
        for operation in (lambda: file.write(b"y"), lambda: os.fsync(file.fileno()),
                          lambda: os.listdir(self.fs.path), lambda: os.mkdir(self.at("d"))):
            self.assertRaises(OSError, operation)
        file.close()
        self.fs.restore(1)
        self.assertEqual(self.get("f"), b"x")

    def test_armed_cut_falls_before_the_given_change(self):
        self.fs.arm(3)
        os.mkdir(self.at("a"))
        os.mkdir(self.at("b"))
        self.assertRaises(OSError, os.mkdir, self.at("c"))
        self.fs.restore(1)

    def test_exclusive_creation_refuses_an_existing_file(self):
        self.put("f", b"")
        self.assertRaises(FileExistsError, os.open, self.at("f"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)

    def test_unlinked_file_stays_readable_while_open(self):
        self.put("f", b"still here")
        with open(self.at("f"), "rb") as file:
            os.unlink(self.at("f"))
            self.assertEqual(os.listdir(self.fs.path), [])
            self.assertEqual(os.fstat(file.fileno()).st_size, 10)
            self.assertEqual(file.read(), b"still here")

    def test_rename_onto_an_open_file_is_one_step(self):
        seen = set()
        for seed in range(20):
            self.put("f", b"old")
            self.put("g", b"new")
            self.sync_directory()
            with open(self.at("f"), "rb") as file:
                os.rename(self.at("g"), self.at("f"))
                self.assertEqual(file.read(), b"old")
                self.assertEqual(os.listdir(self.fs.path), ["f"])
            self.fs.lose_power(seed)
            seen.add((self.get("f"), os.path.exists(self.at("g"))))
        self.assertEqual(seen, {(b"old", True), (b"new", False)})

    def test_power_cut_between_hiding_and_renaming_shows_neither(self):
        self.put("f", b"old")
        self.put("g", b"new")
        self.sync_directory()
        with open(self.at("f"), "rb"):
            self.fs.arm(1)
            self.assertRaises(OSError, os.rename, self.at("g"), self.at("f"))
        self.fs.restore(1)
        self.assertEqual((self.get("f"), self.get("g")), (b"old", b"new"))

    def test_file_published_by_link_keeps_its_contents(self):
        seen = set()
        for seed in range(20):
            self.fs.wipe()
            os.mkdir(self.at("done"))
            self.sync_directory()
            with open(self.at("new"), "wb", buffering=0) as file:
                file.write(b"whole" * 50_000)
                os.fsync(file.fileno())
                os.link(self.at("new"), self.at("done/f"))
                if seed % 2:
                    self.sync_directory("done")
                os.unlink(self.at("new"))
                self.assertRaises(FileExistsError, os.link, self.at("done/f"), self.at("done/f"))
                self.assertEqual(self.get("done/f"), b"whole" * 50_000)
            self.fs.lose_power(seed)
            there = os.path.exists(self.at("done/f"))
            self.assertFalse(there and self.get("done/f") != b"whole" * 50_000)
            seen.add((bool(seed % 2), there))
        self.assertEqual(seen, {(False, False), (False, True), (True, True)})

    def test_data_synchronous_writes_are_durable(self):
        self.put("f", b"")
        self.sync_directory()
        handle = os.open(self.at("f"), os.O_WRONLY | os.O_DSYNC)
        os.write(handle, b"kept")
        os.close(handle)
        for seed in range(10):
            self.fs.lose_power(seed)
            self.assertEqual(self.get("f"), b"kept")

    def test_shared_mapping_is_seen_by_another_process(self):
        self.put("f", bytes(4096))
        with open(self.at("f"), "r+b") as file, mmap.mmap(file.fileno(), 4096) as shared:
            shared[:5] = b"hello"
            other = "import mmap,sys; f=open(sys.argv[1],'r+b'); print(mmap.mmap(f.fileno(),4096)[:5].decode())"
            printed = subprocess.run([sys.executable, "-c", other, self.at("f")], capture_output=True, check=True)
            self.assertEqual(printed.stdout, b"hello\n")
            shared.flush()


INSERTER = """
import sqlite3, sys
path, synchronous, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
base = sqlite3.connect(path, isolation_level=None)
base.execute(f"PRAGMA synchronous={synchronous}")
base.execute("PRAGMA wal_autocheckpoint=20")
for n in range(start, start + 1000):
    base.execute("INSERT INTO t VALUES (?, ?)", (n, b"v" * 700))
    print(n, flush=True)
"""


class SqliteOnIt(unittest.TestCase):
    """The measure of the whole: a database known to keep its promise does, and without syncs does not."""

    CUTS = 50

    def violations(self, synchronous):
        """Runs the same 50 cuts; returns a line for each in which a committed row or the file was lost."""
        found = []
        with Forgetful() as fs:
            path = os.path.join(fs.path, "base.sqlite")
            rng = random.Random(4711)
            for cut in range(self.CUTS):
                if cut % 10 == 0 or found and found[-1].startswith(f"cut {cut - 1} "):
                    fs.wipe()
                    self.new_base(path)
                    fs.sync()
                    acknowledged = []
                fs.arm(rng.randint(5, 300))
                run = subprocess.run([sys.executable, "-c", INSERTER, path, synchronous, str(cut * 1000)],
                                     capture_output=True, check=False)
                self.assertNotEqual(run.returncode, 0, "the cut came too late")
                acknowledged += [int(line) for line in run.stdout.split()]
                fs.restore(cut)
                fault = self.fault(path, acknowledged)
                if fault:
                    found.append(f"cut {cut} {fault}")
        return found

    def new_base(self, path):
        base = sqlite3.connect(path)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)")
        base.commit()
        base.close()

    def fault(self, path, acknowledged):
        base = None
        try:
            base = sqlite3.connect(path)
            if base.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return "corrupt"
            there = {n for n, in base.execute("SELECT n FROM t")}
            missing = set(acknowledged) - there
            return f"lost {len(missing)} rows" if missing else None
        except sqlite3.DatabaseError as error:
            return str(error)
        finally:
            if base:
                base.close()

    def test_wal_with_full_synchronous_survives_every_cut(self):
        self.assertEqual(self.violations("FULL"), [])

    def test_wal_without_syncs_fails_in_the_same_cuts(self):
        found = self.violations("OFF")
        self.assertGreater(len(found), 0)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
