"""A disk image that knows which of its contents are durable.

Every file and directory has a *current* state, which readers see, and a list of the changes made to it
since it was last synced. A power cut undoes the whole list and then replays a random part of it:

* file contents survive in sectors of 512 bytes. Each sector ends as one of the versions it went through
  since the last sync, chosen sector by sector; so a write may be torn, and writes may be reordered.
* a file's size ends anywhere between its durable and its current one. What lies inside the size and was
  never written out reads as zeros.
* the entries of a directory (create, rename, link, unlink, mkdir, rmdir) survive as a prefix of that
  directory's journal. A rename happens as a whole or not at all, also between two directories.

The rule is the strictest reading of POSIX: syncing a file does not make its name durable, syncing its
directory does. It knows nothing of FUSE and nothing of the vault.
"""

import fnmatch
import stat
import time
from errno import EEXIST, EINVAL, EIO, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY

SECTOR = 512


class Node:
    """What a name points to. Mode, owner and times are durable at once (not part of the model)."""

    def __init__(self, number, mode, path):
        now = time.time_ns()
        self.number = number
        self.mode = mode
        self.uid = self.gid = 0
        self.links = 0
        self.atime = self.mtime = self.ctime = now
        self.path = path  # the name it was made under; only for `Image.deaf`

    @property
    def is_dir(self):
        return stat.S_ISDIR(self.mode)


class Directory(Node):
    """Entries as seen now, entries as they are on the platter, and the steps between the two."""

    def __init__(self, number, mode, path):
        super().__init__(number, mode | stat.S_IFDIR, path)
        self.entries = {}
        self.durable = {}
        self.journal = []


class EntryChange:
    """One atomic step: names set to a node, or (None) removed, in one or two directories."""

    def __init__(self, order, changes):
        self.order = order
        self.changes = changes  # [(directory, name, node or None)]

    def directories(self):
        return {directory for directory, _, _ in self.changes}


class File(Node):
    """Contents as seen now, and how to undo and redo every change since the last sync."""

    def __init__(self, number, mode, path):
        super().__init__(number, mode | stat.S_IFREG, path)
        self.data = bytearray()
        self.pending = []  # [(offset, bytes written, bytes overwritten, size before, size after)]

    def write(self, offset, new):
        before = len(self.data)
        end = offset + len(new)
        old = bytes(self.data[offset:end])
        if offset > before:
            self.data.extend(bytes(offset - before))
        self.data[offset:end] = new
        self.pending.append((offset, new, old, before, len(self.data)))

    def truncate(self, size):
        before = len(self.data)
        if size < before:
            old = bytes(self.data[size:])
            del self.data[size:]
            # To the sectors a cut-off tail is a write of zeros, which a later growth would show.
            self.pending.append((size, bytes(len(old)), old, before, size))
        elif size > before:
            self.data.extend(bytes(size - before))
            self.pending.append((before, b"", b"", before, size))

    def sync(self):
        self.pending.clear()

    def lose(self, rng):
        """Replaces the contents by what a power cut may leave of them. Returns whether anything was lost."""
        if not self.pending:
            return False
        seen = bytes(self.data)
        data = self.data
        for offset, _, old, before, after in reversed(self.pending):
            if after < before:
                data.extend(bytes(before - after))
            data[offset:offset + len(old)] = old
            del data[before:]
        sizes = [len(data), len(seen)]
        versions = {}
        for offset, new, _, _, after in self.pending:
            for first in range(offset - offset % SECTOR, offset + len(new), SECTOR):
                versions.setdefault(first, []).append((offset, new))
        longest = max([len(data)] + [max(o + len(n), a) for o, n, _, _, a in self.pending])
        data.extend(bytes(longest - len(data)))
        keep = survival(rng)
        for first in sorted(versions):
            for offset, new in versions[first][:keep(len(versions[first]))]:
                start, end = max(first, offset), min(first + SECTOR, offset + len(new))
                data[start:end] = new[start - offset:end - offset]
        size = rng.choice(sizes + [rng.randint(min(sizes), max(sizes))])
        del data[size:]
        self.pending.clear()
        return bytes(data) != seen


def survival(rng):
    """How many of `count` steps survive: none, all, nearly all, or any number, one habit per file and cut."""
    habit = rng.choice(["none", "all", "torn", "any"])

    def keep(count):
        if habit == "none":
            return 0
        if habit == "all" or (habit == "torn" and rng.random() < 0.9):
            return count
        return rng.randint(0, count)

    return keep


class Image:
    """The tree. All paths are absolute, all errors `OSError`."""

    def __init__(self):
        self.deaf = None  # pattern of paths whose syncs are promised and not kept
        self.wipe()

    def wipe(self):
        """An empty disk."""
        self.next_number = 1
        self.order = 0
        self.root = self._new(Directory, 0o755, "/")
        self.unsynced_dirs = {}

    def _new(self, kind, mode, path):
        node = kind(self.next_number, mode, path)
        self.next_number += 1
        return node

    # Reading

    def find(self, path):
        node = self.root
        for name in path.split("/"):
            if not name:
                continue
            if not node.is_dir:
                raise OSError(ENOTDIR, path)
            node = node.entries.get(name)
            if node is None:
                raise OSError(ENOENT, path)
        return node

    def find_file(self, path):
        node = self.find(path)
        if node.is_dir:
            raise OSError(EISDIR, path)
        return node

    def _place(self, path):
        """The directory a path lies in, and its last name."""
        above, _, name = path.rpartition("/")
        directory = self.find(above)
        if not directory.is_dir:
            raise OSError(ENOTDIR, path)
        if not name:
            raise OSError(EINVAL, path)
        return directory, name

    # Changing entries

    def _change(self, *changes):
        self.order += 1
        step = EntryChange(self.order, changes)
        for directory, name, node in changes:
            gone = directory.entries.pop(name, None)
            if gone:
                gone.links -= 1
            if node:
                directory.entries[name] = node
                node.links += 1
            directory.mtime = directory.ctime = time.time_ns()
        for directory in step.directories():
            directory.journal.append(step)
            self.unsynced_dirs[directory.number] = directory
        return step

    def retract(self, step, directory, name, node):
        """Takes back the removal of a name, when it was the last step and nobody has seen it."""
        directory.journal.remove(step)
        directory.entries[name] = node
        node.links += 1

    def create(self, path, mode, kind=File):
        directory, name = self._place(path)
        if name in directory.entries:
            raise OSError(EEXIST, path)
        node = self._new(kind, mode & 0o7777, path)
        self._change((directory, name, node))
        return node

    def mkdir(self, path, mode):
        return self.create(path, mode, Directory)

    def link(self, old, new):
        node = self.find_file(old)
        directory, name = self._place(new)
        if name in directory.entries:
            raise OSError(EEXIST, new)
        self._change((directory, name, node))

    def unlink(self, path):
        """Returns what `retract` needs."""
        directory, name = self._place(path)
        node = self.find_file(path)
        return self._change((directory, name, None)), directory, name, node

    def rmdir(self, path):
        directory, name = self._place(path)
        node = self.find(path)
        if not node.is_dir:
            raise OSError(ENOTDIR, path)
        if node.entries:
            raise OSError(ENOTEMPTY, path)
        self._change((directory, name, None))

    def rename(self, old, new):
        source, old_name = self._place(old)
        target, new_name = self._place(new)
        node = self.find(old)
        there = target.entries.get(new_name)
        if there is node:
            return
        if there is not None:
            if there.is_dir and not node.is_dir:
                raise OSError(EISDIR, new)
            if node.is_dir and not there.is_dir:
                raise OSError(ENOTDIR, new)
            if there.is_dir and there.entries:
                raise OSError(ENOTEMPTY, new)
        self._change((source, old_name, None), (target, new_name, node))

    # Durability

    def hears(self, node):
        """Whether syncs of this node are kept."""
        return self.deaf is None or not fnmatch.fnmatch(node.path, self.deaf)

    def sync(self, node):
        if not self.hears(node):
            return
        if not node.is_dir:
            node.sync()
        elif node.journal:
            self._commit({node: node.journal[-1].order})

    def sync_all(self):
        """What an orderly shutdown of the machine does; also for files whose syncs are not kept."""
        self._commit({d: d.journal[-1].order for d in self.unsynced_dirs.values()})
        for node in self.walk():
            if not node.is_dir:
                node.sync()

    def _commit(self, upto):
        """Makes each directory's journal durable up to the given step, and what those steps rest on."""
        work = list(upto)
        while work:
            directory = work.pop()
            for step in directory.journal:
                if step.order > upto[directory]:
                    break
                for other in step.directories():
                    if upto.get(other, -1) < step.order:
                        upto[other] = step.order
                        work.append(other)
        steps = {s.order: s for d, last in upto.items() for s in d.journal if s.order <= last}
        for order in sorted(steps):
            for directory, name, node in steps[order].changes:
                directory.durable.pop(name, None)
                if node:
                    directory.durable[name] = node
        for directory, last in upto.items():
            directory.journal = [step for step in directory.journal if step.order > last]
            if not directory.journal:
                self.unsynced_dirs.pop(directory.number, None)

    def lose(self, rng):
        """The power cut. Returns how many directories and files came out other than they were seen."""
        upto = {}
        for number in sorted(self.unsynced_dirs):
            directory = self.unsynced_dirs[number]
            kept = survival(rng)(len(directory.journal))
            if kept:
                upto[directory] = directory.journal[kept - 1].order
        self._commit(upto)
        lost = {"directories": 0, "files": 0}
        self.unsynced_dirs = {}
        self._forget(self.root, rng, lost, set())
        return lost

    def _forget(self, directory, rng, lost, done):
        if directory.entries != directory.durable:
            lost["directories"] += 1
        directory.entries = dict(directory.durable)
        directory.journal = []
        for _, node in sorted(directory.entries.items()):
            if node.is_dir:
                self._forget(node, rng, lost, done)
            elif node.number not in done:
                done.add(node.number)
                node.links = 0
                if node.lose(rng):
                    lost["files"] += 1
            if not node.is_dir:
                node.links += 1

    def walk(self):
        """Every node that has a name now."""
        work = [self.root]
        while work:
            node = work.pop()
            yield node
            if node.is_dir:
                work.extend(node.entries.values())


def refused(path):
    """The error of every operation after the cut and before the power is back."""
    return OSError(EIO, path or "power is off")
