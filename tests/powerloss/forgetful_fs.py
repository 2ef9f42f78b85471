"""A FUSE file system that forgets, at a power cut, what was never synced.

    forgetful_fs.py MOUNTPOINT SOCKET

The contents live in memory (`image.py`). SIGUSR1 cuts the power: from then on every operation fails with
EIO, until the control socket is told to bring the power back. Commands are lines of JSON on the Unix
socket, answered by lines of JSON:

    {"do": "cut"}                      the same as SIGUSR1
    {"do": "arm", "operations": N, "syncs_only": B}
                                       cut by itself before the Nth change or sync (or: sync) from now
    {"do": "restore", "seed": S}       power back on; what survives is drawn from this seed
    {"do": "deaf", "pattern": P}       promise, and do not keep, syncs of paths like P (null: keep all)
    {"do": "slow", "sync_ms": T}       each sync takes so long first, so that more work piles up behind it
    {"do": "wipe"}                     an empty disk
    {"do": "sync"}                     make everything durable
    {"do": "status"}                   the counters

The process unmounts and ends when its standard input closes, so it cannot outlive its driver. Mounting
anew for each cut is not needed: nothing is cached by name or attribute (all timeouts are 0), and opening
a file drops its cached pages. For the same reason `restore` waits until no file is open.

libfuse cannot name an open file whose last name is removed, so it renames it to `.fuse_hidden…` instead.
Here such a name lies outside the image: it is not listed, not durable, and gone with the last handle.
"""

import json
import os
import random
import signal
import socketserver
import sys
import threading
import time
from errno import EBUSY, ENOENT

import fuse

from image import Image, refused

SYNCS = {"fsync", "fsyncdir"}
CHANGES = {"create", "mkdir", "link", "unlink", "rmdir", "rename", "write", "truncate"} | SYNCS
HARMLESS_WITHOUT_POWER = {"flush", "release", "releasedir", "init", "destroy", "access"}
RELEASE_WAIT_S = 10
HIDDEN = "/.fuse_hidden"


class ForgetfulFs(fuse.Operations):
    """The operations FUSE asks for. One lock: every operation under it is short."""

    use_ns = True
    flag_nullpath_ok = 1  # open files are known by handle, also after their name is gone
    flag_nopath = 1
    # Without a method here the kernel learns to answer by itself.
    chown = lock = ioctl = bmap = setxattr = getxattr = listxattr = removexattr = symlink = readlink = None

    def __init__(self):
        self.image = Image()
        self.mutex = threading.RLock()
        self.power = True
        self.armed = None  # operations left
        self.armed_for = CHANGES
        self.sync_s = 0
        self.open_files = {}
        self.next_handle = 1
        self.hidden = {}  # libfuse's name → file without a name of its own
        self.hiding = None  # (path, what `Image.retract` needs) if the last operation hid a file
        self.counters = {"operations": 0, "changes": 0, "syncs": 0, "refused": 0}

    def __call__(self, name, *arguments):
        if self.sync_s and name in SYNCS:
            time.sleep(self.sync_s)
        with self.mutex:
            self._join_to_replacement(name, arguments)
            if name in CHANGES and self.power and not self._is_hidden(arguments):
                self.counters["changes"] += 1
                if self.armed is not None and name in self.armed_for:
                    self.armed -= 1
                    if self.armed <= 0:
                        self.cut()
            self.counters["operations"] += 1
            if not self.power and name not in HARMLESS_WITHOUT_POWER:
                self.counters["refused"] += 1
                raise refused(arguments[0])
            return getattr(self, name)(*arguments)

    # Names that libfuse invents

    @staticmethod
    def _is_hidden(arguments):
        return any(isinstance(argument, str) and HIDDEN in argument for argument in arguments)

    def _join_to_replacement(self, name, arguments):
        """A rename onto an open file comes as two: hide it, then rename. To a cut they are one step."""
        hiding, self.hiding = self.hiding, None
        if hiding and name == "rename" and arguments[1] == hiding[0]:
            self.image.retract(*hiding[1])

    def _find(self, path):
        return self.hidden.get(path) or self.image.find(path)

    # Control

    def cut(self):
        with self.mutex:
            self.power = False
            self.armed = None

    def restore(self, seed):
        """Draws what survives and lets operations through again."""
        deadline = time.monotonic() + RELEASE_WAIT_S
        while True:
            with self.mutex:
                self.power = False
                if not self.open_files:
                    self.hidden.clear()
                    lost = self.image.lose(random.Random(seed))
                    self.power = True
                    return lost
                still_open = sorted(node.path for node, _ in self.open_files.values())
            if time.monotonic() > deadline:
                raise OSError(EBUSY, f"still open: {still_open}")
            time.sleep(0.002)

    def command(self, order):
        what = order["do"]
        if what == "restore":
            return self.restore(order["seed"])
        with self.mutex:
            if what == "cut":
                self.cut()
            elif what == "arm":
                self.armed = order["operations"]
                self.armed_for = SYNCS if order["syncs_only"] else CHANGES
            elif what == "deaf":
                self.image.deaf = order["pattern"]
            elif what == "slow":
                self.sync_s = order["sync_ms"] / 1000
            elif what == "wipe":
                self.hidden.clear()
                self.image.wipe()
            elif what == "sync":
                self.image.sync_all()
            elif what != "status":
                raise ValueError(f"unknown command {what!r}")
            return dict(self.counters, power=self.power, armed=self.armed, open=len(self.open_files))

    # Names

    def getattr(self, path, fi=None):
        node = self._node(path, fi)
        size = 0 if node.is_dir else len(node.data)
        return {
            "st_mode": node.mode, "st_nlink": 2 if node.is_dir else node.links, "st_size": size,
            "st_blocks": (size + 511) // 512, "st_blksize": 4096, "st_uid": node.uid, "st_gid": node.gid,
            "st_atime": node.atime, "st_mtime": node.mtime, "st_ctime": node.ctime,
        }

    def readdir(self, path, handle):
        return [".", ".."] + sorted(self.open_files[handle][0].entries)

    def mkdir(self, path, mode):
        self.image.mkdir(path, mode)

    def rmdir(self, path):
        self.image.rmdir(path)

    def unlink(self, path):
        if not self.hidden.pop(path, None):
            self.image.unlink(path)

    def rename(self, old, new):
        if HIDDEN in new:
            undo = self.image.unlink(old)
            self.hidden[new] = undo[-1]
            self.hiding = (old, undo)
        else:
            self.image.rename(old, new)

    def link(self, target, source):
        self.image.link(source, target)

    def chmod(self, path, mode):
        node = self._find(path)
        node.mode = node.mode & ~0o7777 | mode & 0o7777

    def utimens(self, path, times=None):
        node = self._find(path)
        node.atime, node.mtime = times or (time.time_ns(), time.time_ns())

    def statfs(self, _path):
        blocks = 64 << 18  # 64 GiB, nearly all free
        return {
            "f_bsize": 4096, "f_frsize": 4096, "f_blocks": blocks, "f_bfree": blocks - 1024,
            "f_bavail": blocks - 1024, "f_files": 1 << 20, "f_ffree": 1 << 19, "f_favail": 1 << 19,
            "f_namemax": 255,
        }

    def access(self, _path, _mode):
        return 0

    # Open files

    def _open(self, node, flags):
        handle = self.next_handle
        self.next_handle += 1
        self.open_files[handle] = (node, flags)
        return handle

    def _node(self, path, fi):
        if fi is not None and fi.fh in self.open_files:
            return self.open_files[fi.fh][0]
        if path is None:
            raise OSError(ENOENT, "the file is gone")
        return self._find(path)

    def _kept_at_once(self, fi):
        """O_SYNC contains O_DSYNC: writes through such a handle are durable on return."""
        return self.open_files[fi.fh][1] & os.O_DSYNC

    def create(self, path, mode, fi=None):
        fi.fh = self._open(self.image.create(path, mode), fi.flags)

    def open(self, path, fi):
        fi.fh = self._open(self._find(path), fi.flags)

    def opendir(self, path):
        return self._open(self.image.find(path), 0)

    def read(self, _path, size, offset, fi):
        return bytes(self.open_files[fi.fh][0].data[offset:offset + size])

    def write(self, _path, data, offset, fi):
        node = self.open_files[fi.fh][0]
        node.write(offset, data)
        node.mtime = node.ctime = time.time_ns()
        if self._kept_at_once(fi):
            self._sync(node)
        return len(data)

    def truncate(self, path, length, fi=None):
        node = self._node(path, fi)
        node.truncate(length)
        node.mtime = node.ctime = time.time_ns()

    def flush(self, _path, _fi):
        return 0

    def release(self, _path, fi):
        self.open_files.pop(fi.fh, None)

    def releasedir(self, _path, handle):
        self.open_files.pop(handle, None)

    def _sync(self, node):
        self.counters["syncs"] += 1
        self.image.sync(node)

    def fsync(self, _path, _datasync, fi):
        self._sync(self.open_files[fi.fh][0])

    def fsyncdir(self, _path, _datasync, handle):
        self._sync(self.open_files[handle][0])


class Control(socketserver.StreamRequestHandler):
    """One connection to the control socket."""

    def handle(self):
        for line in self.rfile:
            try:
                answer = {"ok": self.server.fs.command(json.loads(line))}
            except (OSError, ValueError, KeyError) as error:
                answer = {"error": str(error)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def in_background(work):
    threading.Thread(target=work, daemon=True).start()


def main(mountpoint, socket_path):
    fs = ForgetfulFs()
    # The FUSE loop sits in C, where Python's own handlers would wait for the next operation.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})

    def watch_signal():
        while True:
            signal.sigwait({signal.SIGUSR1})
            fs.cut()

    def watch_driver():
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    server = socketserver.ThreadingUnixStreamServer(socket_path, Control)
    server.daemon_threads = True
    server.fs = fs
    for work in (watch_signal, watch_driver, server.serve_forever):
        in_background(work)
    fuse.FUSE(
        fs, mountpoint, raw_fi=True, foreground=True, nothreads=True, big_writes=True,
        max_write=131072, entry_timeout=0, attr_timeout=0, negative_timeout=0, default_permissions=True,
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
