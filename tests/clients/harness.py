"""What the client tests share: counted checks, marked secrets, and a vault that always ends.

Knows nothing of what is tested.
"""

import json
import os
import secrets
import subprocess
import time
import traceback

READY_WAIT_S = 60
STOP_WAIT_S = 40
COMMAND_WAIT_S = 120


def clean_environment(**more):
    """`env -i PATH HOME LANG`, and what a test adds."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **more}


class Checks:
    """Runs checks one by one and counts them; the first line of a failure names the check."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, *arguments):
        try:
            check(*arguments)
        except Exception as fault:
            self.failed += 1
            print(f"FAIL {name}: {fault}", flush=True)
            if not isinstance(fault, Wrong):
                traceback.print_exc()
        else:
            self.passed += 1
            print(f"ok   {name}", flush=True)

    def run_all(self, module, subject):
        """Each function of the module whose name begins with `test_`, in their order."""
        for name, check in list(vars(module).items()):
            if name.startswith("test_"):
                self.run(f"{module.__name__}: {name[5:].replace('_', ' ')}", check, subject)


class Wrong(AssertionError):
    """An expectation that did not hold."""


def equal(found, expected, what="answer"):
    if found != expected:
        raise Wrong(f"{what}: found {brief(found)}, expected {brief(expected)}")


def holds(condition, what):
    if not condition:
        raise Wrong(what)


def brief(value):
    """Enough to see the difference; values are long, and secret."""
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    return repr(value)[:200]


class Marks:
    """Secrets that must not be found in anything that the vault writes; see leak_search.py."""

    def __init__(self, path):
        self.path = path
        self.known = set()

    def add(self, name, secret):
        """Marks a secret and hands it back."""
        data = secret.encode() if isinstance(secret, str) else bytes(secret)
        if data not in self.known:
            self.known.add(data)
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a",
                      encoding="utf-8") as file:
                file.write(f"{name}\t{data.hex()}\n")
        return secret

    def text(self, name):
        """A new secret text."""
        return self.add(name, f"marked-{secrets.token_hex(16)}")

    def jwt(self, jwt):
        """Marks what makes a JWT valid, its signature."""
        self.add("signature of a JWT", jwt.rsplit(".", 1)[1])
        return jwt


class Vault:
    """One vault of the real binary; a context manager that ends it and keeps its traces.

    In `directory`: the vault itself, and in `traces` what is searched for secrets.
    """

    log_level = "trace"

    def __init__(self, binary, directory, marks, pids=None):
        self.binary, self.directory, self.marks = binary, directory, marks
        self.pids = pids or directory
        self.home = os.path.join(directory, "vault")
        self.data = os.path.join(self.home, "data")
        self.config = os.path.join(self.home, "strongroom.toml")
        self.key_file = os.path.join(self.home, "application.key.pem")
        self.traces = os.path.join(directory, "traces")
        self.access_key_id = "TESTACCESSKEY"
        self.secret_access_key = marks.add("S3 secret access key", secrets.token_hex(20))
        self.process = None

    def __enter__(self):
        os.makedirs(self.traces)
        self._init()
        with open(self.config, "a", encoding="utf-8") as file:
            file.write(self.more_settings())
        secret_file = self.secret_file("s3.secret", self.secret_access_key)
        ready_file = os.path.join(self.directory, "ready.json")
        environment = clean_environment(
            STRONGROOM__API__LISTEN="127.0.0.1:0", STRONGROOM__S3__LISTEN="127.0.0.1:0",
            STRONGROOM__S3__ACCESS_KEY_ID=self.access_key_id,
            STRONGROOM__S3__SECRET_ACCESS_KEY_FILE=secret_file,
            STRONGROOM__S3__CORS_ORIGINS='["https://app.example"]',
            STRONGROOM__SIMPLE__ENABLED="true",
            STRONGROOM__LOG__LEVEL=self.log_level)
        with open(os.path.join(self.traces, "serve.log"), "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config, "--ready-file", ready_file],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        record_pid(self.pids, self.process.pid)
        try:
            ready = wait_for_json(ready_file, self.process)
            self.api_url, self.s3_url, self.s3 = ready["api_url"], ready["s3_url"], ready["s3"]
            self._keep_proc_files()
        except BaseException:
            self.__exit__()
            raise
        return self

    def more_settings(self):
        """What a kind of vault adds to the configuration, as TOML."""
        return ""

    def secret_file(self, name, secret):
        """Writes the secret where nobody else can read it, and returns the path."""
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(secret + "\n")
        return path

    def _init(self):
        made = subprocess.run([self.binary, "init", self.home], env=clean_environment(), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_WAIT_S)
        with open(os.path.join(self.traces, "init.log"), "wb") as log:
            log.write(made.stdout + made.stderr)
        equal(made.returncode, 0, "exit code of init")
        with open(os.path.join(self.home, "master.key"), "rb") as file:
            self.marks.add("master key", file.read().strip())
        with open(self.key_file, encoding="ascii") as file:
            self.marks.add("application's key", file.read().split("\n")[5])

    def _keep_proc_files(self):
        """What other users of the machine, or root's tools, see of the process."""
        for name in ("cmdline", "environ"):
            with open(f"/proc/{self.process.pid}/{name}", "rb") as source:
                with open(os.path.join(self.traces, name), "wb") as kept:
                    kept.write(source.read())

    def __exit__(self, *_):
        stop(self.process)

    def log(self):
        with open(os.path.join(self.traces, "serve.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def command(self, *arguments, stdin=b"", key=None, url=None, cwd=None):
        """Runs the command line against this vault, its output kept apart from the traces."""
        environment = clean_environment(STRONGROOM_URL=url or self.api_url,
                                        STRONGROOM_KEY=key or self.key_file)
        return subprocess.run([self.binary, *arguments], env=environment, input=stdin, check=False,
                              capture_output=True, timeout=COMMAND_WAIT_S, cwd=cwd or self.directory)


def record_pid(directory, pid):
    """For whoever must end the servers if this program is killed."""
    with open(os.path.join(directory, "pids"), "a", encoding="ascii") as file:
        file.write(f"{pid}\n")


def wait_for_json(path, process):
    deadline = time.monotonic() + READY_WAIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Wrong(f"the server ended with {process.returncode}")
        try:
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.01)
    raise Wrong(f"the server was not ready after {READY_WAIT_S} s")


def stop(process):
    """SIGTERM and, if that does not help, SIGKILL; the exit code must be 0."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Wrong("the server did not stop by itself") from None
    equal(process.returncode, 0, "exit code of the server")
