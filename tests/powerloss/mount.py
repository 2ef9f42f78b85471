"""Mounts the forgetful file system in a child process and talks to it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MOUNT_WAIT_S = 15


class Forgetful:
    """Use as a context: the mount is gone at the end, whatever happened in between."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="powerloss-")
        self.socket = None
        self.mutex = threading.Lock()
        self.path = os.path.join(self.base, "disk")
        control = os.path.join(self.base, "control")
        os.mkdir(self.path)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "forgetful_fs.py"), self.path, control],
            stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        try:
            self._wait_for_mount()
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(control)
            self.lines = self.socket.makefile("rb")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_for_mount(self):
        deadline = time.monotonic() + MOUNT_WAIT_S
        while not os.path.ismount(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the file system did not mount (fuse, libfuse2, /dev/fuse?)")
            time.sleep(0.02)

    def __exit__(self, *_):
        if self.socket:
            self.lines.close()
            self.socket.close()
        for flags in (["-u"], ["-u", "-z"]):
            if not os.path.ismount(self.path):
                break
            subprocess.run(["fusermount", *flags, self.path], check=False, stderr=subprocess.DEVNULL)
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not os.path.ismount(self.path):
            shutil.rmtree(self.base, ignore_errors=True)

    def ask(self, **order):
        with self.mutex:
            self.socket.sendall(json.dumps(order).encode() + b"\n")
            answer = json.loads(self.lines.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def cut(self):
        """By signal; on return every operation fails."""
        os.kill(self.process.pid, signal.SIGUSR1)
        # A signal taken late would cut the power of the next run.
        while self.status()["power"]:
            time.sleep(0.001)

    def arm(self, operations, syncs_only=False):
        self.ask(do="arm", operations=operations, syncs_only=syncs_only)

    def restore(self, seed):
        """Call it when nobody has a file open any more. Returns what was lost."""
        return self.ask(do="restore", seed=seed)

    def lose_power(self, seed):
        self.ask(do="cut")
        return self.restore(seed)

    def deaf(self, pattern):
        self.ask(do="deaf", pattern=pattern)

    def slow(self, sync_ms):
        self.ask(do="slow", sync_ms=sync_ms)

    def wipe(self):
        self.ask(do="wipe")

    def sync(self):
        self.ask(do="sync")

    def status(self):
        return self.ask(do="status")
