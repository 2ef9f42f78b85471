"""The tools that people use with S3, over TLS: boto3, the AWS command line, rclone.

Each starts from an empty environment and home; the certificate's authority is made here and known to nobody
else. What is right is judged by comparing bytes, never by a tool's own word.
"""

import base64
import binascii
import concurrent.futures
import datetime
import functools
import hashlib
import ipaddress
import os
import secrets
import shutil
import string
import subprocess
import sys
import time

import boto3.s3.transfer
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness import equal, holds
from s3_wire import REGION, S3Vault, sse_c

MIB = 1024 * 1024
TOOL_WAIT_S = 120
LISTED = 10_000


class TlsVault(S3Vault):
    """Its S3 listener speaks TLS. Less is logged, as gigabytes pass."""

    log_level = "info"

    def more_settings(self):
        self.certificate, chain, key = make_certificate(self.directory)
        tls = f'\n[s3.tls]\ncertificate_file = "{chain}"\nkey_file = "{key}"\n'
        return super().more_settings() + tls


def make_certificate(directory):
    """Paths of the authority, and of the certificate for this machine's loopback and its key."""
    authority = certified("Throw-away authority", None, None)
    leaf = certified("localhost", *authority)
    paths = [os.path.join(directory, name) for name in ("authority.pem", "s3.pem", "s3.key.pem")]
    pem = serialization.Encoding.PEM
    written = (authority[0].public_bytes(pem), leaf[0].public_bytes(pem), leaf[1].private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    for path, content in zip(paths, written):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)
    return paths


def certified(name, issuer, issuer_key):
    """A certificate and its key; an authority where there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
             .public_key(key.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=2))
             .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
    signer = (issuer_key or key).public_key()
    built = built.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    if issuer is None:
        usage = {name: False for name in ("digital_signature", "content_commitment", "key_encipherment",
                                          "data_encipherment", "key_agreement", "encipher_only", "decipher_only")}
        built = built.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    else:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(issuer_key or key, hashes.SHA256()), key


class Tools:
    """The vault, a directory to work in, and the tools with nothing but what they are given."""

    def __init__(self, vault):
        self.vault, self.s3 = vault, vault.keyed
        self.bucket = self.s3.bucket
        self.scratch = os.path.join(vault.directory, "scratch")
        self.home = os.path.join(vault.directory, "home")
        os.makedirs(self.scratch)
        os.makedirs(os.path.join(self.home, ".aws"))
        # Left alone, this command line signs URLs for endpoints other than AWS's in the old way.
        with open(os.path.join(self.home, ".aws", "config"), "w", encoding="ascii") as file:
            file.write("[default]\ns3 =\n  signature_version = s3v4\n")
        # rclone takes the key as text, so the others use such a key too.
        letters = "".join(secrets.choice(string.ascii_letters) for _ in range(32))
        self.key = vault.marks.add("customer key", letters).encode()
        self.keyed = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": self.key}

    @functools.cached_property
    def boto(self):
        return self.s3.boto()

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def aws(self, *arguments):
        """The AWS command line of this Python environment; returns what it printed."""
        return self.run(os.path.join(os.path.dirname(sys.executable), "aws"), *arguments,
                        AWS_ACCESS_KEY_ID=self.s3.access_key_id, AWS_SECRET_ACCESS_KEY=self.s3.secret,
                        AWS_DEFAULT_REGION=REGION, AWS_CA_BUNDLE=self.vault.certificate,
                        AWS_ENDPOINT_URL_S3=self.vault.s3_url, AWS_EC2_METADATA_DISABLED="true")

    @functools.cached_property
    def aws_key(self):
        """The arguments that give the AWS command line the customer key."""
        path = self.path("customer.key")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(self.key)
        return "--sse-c", "AES256", "--sse-c-key", f"fileb://{path}"

    def rclone(self, *arguments, with_key=True):
        settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": self.vault.s3_url, "REGION": REGION,
                    "ACCESS_KEY_ID": self.s3.access_key_id, "SECRET_ACCESS_KEY": self.s3.secret}
        if with_key:
            settings |= {"SSE_CUSTOMER_ALGORITHM": "AES256", "SSE_CUSTOMER_KEY": self.key.decode()}
        environment = {f"RCLONE_CONFIG_VAULT_{name}": value for name, value in settings.items()}
        return self.run("rclone", "--ca-cert", self.vault.certificate, "--retries", "1", "--low-level-retries", "1",
                        *arguments, **environment)

    def run(self, *command, **environment):
        bare = {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": "C.UTF-8"}
        ran = subprocess.run(command, env=bare | environment, stdin=subprocess.DEVNULL, capture_output=True,
                             check=False, timeout=TOOL_WAIT_S)
        said = (ran.stderr + ran.stdout).decode(errors="replace")
        holds(ran.returncode == 0, f"{os.path.basename(command[0])} {arguments_of(command)}: {said[-1500:]}")
        return ran.stdout.decode()

    def tree(self, name, big=9 * MIB):
        """A directory of files: no bytes, few, more than a segment, enough for a multipart upload."""
        top = self.path(name)
        sizes = {"empty": 0, "one": 1, "a b/é+&.txt": 1000, "deep/er/still/segment": 70_000, "deep/big": big}
        for path, size in sizes.items():
            path = os.path.join(top, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(os.urandom(size))
        return top


def arguments_of(command):
    return " ".join(word for word in command[1:] if not word.startswith("/"))


def contents(top):
    """The digest of each file by its path."""
    found = {}
    for place, _, files in os.walk(top):
        for file in files:
            path = os.path.join(place, file)
            with open(path, "rb") as opened:
                found[os.path.relpath(path, top)] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def test_aws_cp_and_sync_both_ways_with_a_customer_key(tools):
    there, back = f"s3://{tools.bucket}/aws", tools.path("aws-back")
    top = tools.tree("aws")
    tools.aws("s3", "sync", *tools.aws_key, top, there)
    tools.aws("s3", "sync", *tools.aws_key, there, back)
    equal(contents(back), contents(top), "files")
    # Nothing has changed, so nothing may move; then one file does.
    equal(tools.aws("s3", "sync", *tools.aws_key, "--size-only", top, there), "")
    with open(os.path.join(top, "one"), "wb") as file:
        file.write(b"changed")
    holds("aws/one" in tools.aws("s3", "sync", *tools.aws_key, top, there), "the changed file was not sent")
    tools.aws("s3", "cp", *tools.aws_key, f"{there}/one", tools.path("aws-one"))
    with open(tools.path("aws-one"), "rb") as file:
        equal(file.read(), b"changed")
    os.remove(os.path.join(top, "empty"))
    tools.aws("s3", "sync", "--delete", *tools.aws_key, top, there)
    holds("empty" not in tools.aws("s3", "ls", "--recursive", there + "/"), "the removed file is still there")


def test_aws_without_a_customer_key_where_the_vault_keeps_keys(tools):
    there, back = f"s3://{tools.bucket}/aws-plain", tools.path("aws-plain-back")
    top = tools.tree("aws-plain")
    tools.aws("s3", "cp", "--recursive", top, there)
    tools.aws("s3", "cp", "--recursive", there, back)
    equal(contents(back), contents(top), "files")
    url = tools.aws("s3", "presign", f"{there}/one").strip()
    answer = requests.get(url, verify=tools.vault.certificate, timeout=TOOL_WAIT_S)
    with open(os.path.join(top, "one"), "rb") as file:
        equal((answer.status_code, answer.content), (200, file.read()))
    tools.aws("s3", "mv", f"{there}/one", f"{there}/two")
    holds("one" not in tools.aws("s3", "ls", there + "/"), "the moved object is still there")
    tools.aws("s3", "rm", "--recursive", there)


def test_rclone_syncs_both_ways_with_a_customer_key(tools):
    rclone_both_ways(tools, "rclone", with_key=True)


def test_rclone_syncs_both_ways_where_the_vault_keeps_keys(tools):
    rclone_both_ways(tools, "rclone-plain", with_key=False)


def rclone_both_ways(tools, name, with_key):
    there, back = f"vault:{tools.bucket}/{name}", tools.path(f"{name}-back")
    top = tools.tree(name, big=23 * MIB)
    in_parts = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    tools.rclone("sync", *in_parts, top, there, with_key=with_key)
    tools.rclone("sync", there, back, with_key=with_key)
    equal(contents(back), contents(top), "files")
    tools.rclone("check", "--download", top, there, with_key=with_key)
    os.remove(os.path.join(top, "one"))
    tools.rclone("sync", *in_parts, top, there, with_key=with_key)
    holds("one" not in tools.rclone("lsf", "-R", there).splitlines(), "the removed file is still there")
    tools.rclone("purge", there, with_key=with_key)


def test_a_gibibyte_goes_up_in_parts_and_comes_back(tools):
    path, digest = tools.path("gibibyte"), hashlib.sha256()
    block = os.urandom(16 * MIB)
    with open(path, "wb") as file:
        for number in range(64):
            part = number.to_bytes(8, "big") + block[8:]
            digest.update(part)
            file.write(part)
    parts = boto3.s3.transfer.TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=4)
    tools.boto.upload_file(path, tools.bucket, "gibibyte", ExtraArgs=tools.keyed, Config=parts)
    os.remove(path)
    head = tools.boto.head_object(Bucket=tools.bucket, Key="gibibyte", **tools.keyed)
    equal(head["ContentLength"], 1024 * MIB)
    read = Digest()
    tools.boto.download_fileobj(tools.bucket, "gibibyte", read, ExtraArgs=tools.keyed, Config=parts)
    equal(read.digest.hexdigest(), digest.hexdigest(), "SHA-256")
    start = 16 * MIB - 5
    part = tools.boto.get_object(Bucket=tools.bucket, Key="gibibyte", Range=f"bytes={start}-{start + 19}", **tools.keyed)
    equal(part["Body"].read(), block[-5:] + (1).to_bytes(8, "big") + block[8:15], "a range over two parts")
    tools.boto.delete_object(Bucket=tools.bucket, Key="gibibyte")
    until(lambda: size_of(tools.vault.data) < 512 * MIB, "the deleted object's bytes are still on the disk")


class Digest:
    """A file that keeps nothing but the digest of what is written to it."""

    def __init__(self):
        self.digest = hashlib.sha256()

    def write(self, data):
        self.digest.update(data)
        return len(data)


def size_of(top):
    total = 0
    for place, _, files in os.walk(top):
        for file in files:
            try:
                total += os.stat(os.path.join(place, file)).st_size
            except FileNotFoundError:
                pass
    return total


def until(condition, fault, wait_s=20):
    deadline = time.monotonic() + wait_s
    while not condition():
        holds(time.monotonic() < deadline, fault)
        time.sleep(0.1)


def test_boto3_sends_trailing_checksums_and_they_are_kept(tools):
    value, seen = os.urandom(200_000), []
    client = tools.s3.boto()
    client.meta.events.register("before-send.s3.PutObject", lambda request, **_: seen.append(request.headers))
    client.put_object(Bucket=tools.bucket, Key="trailer", Body=value, **tools.keyed)
    sent = {name.lower(): text(value_of) for name, value_of in seen[0].items()}
    equal((sent["x-amz-content-sha256"], sent["x-amz-trailer"]),
          ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-crc32"), "what boto3 sends")
    answer = client.get_object(Bucket=tools.bucket, Key="trailer", ChecksumMode="ENABLED", **tools.keyed)
    crc = base64.b64encode(binascii.crc32(value).to_bytes(4, "big")).decode()
    equal(answer["ChecksumCRC32"], crc)
    equal(answer["Body"].read(), value, "value")


def text(header):
    return header.decode() if isinstance(header, bytes) else header


def test_boto3_sends_every_checksum_that_it_can_compute(tools):
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        value, name = os.urandom(100_000), f"checksum-{algorithm}"
        tools.boto.put_object(Bucket=tools.bucket, Key=name, Body=value, ChecksumAlgorithm=algorithm, **tools.keyed)
        answer = tools.boto.get_object(Bucket=tools.bucket, Key=name, ChecksumMode="ENABLED", **tools.keyed)
        holds(answer[f"Checksum{algorithm}"], "the checksum was not kept")
        equal(answer["Body"].read(), value, "value")


def test_presigned_urls_work_over_tls(tools):
    value, headers = os.urandom(100_000), sse_c(tools.key)
    common = {"Bucket": tools.bucket, "Key": "presigned", **tools.keyed}
    url = tools.boto.generate_presigned_url("put_object", Params=common, ExpiresIn=300)
    holds(url.startswith("https://"), "the URL is not https")
    sent = {"headers": headers, "verify": tools.vault.certificate, "timeout": TOOL_WAIT_S}
    equal(requests.put(url, data=value, **sent).status_code, 200)
    answer = requests.get(tools.boto.generate_presigned_url("get_object", Params=common), **sent)
    equal((answer.status_code, answer.content), (200, value))
    ranged = sent | {"headers": headers | {"range": "bytes=65530-65545"}}
    answer = requests.get(tools.boto.generate_presigned_url("get_object", Params=common), **ranged)
    equal((answer.status_code, answer.content), (206, value[65_530:65_546]))


def test_copies_change_the_customer_key(tools):
    value, other = os.urandom(12 * MIB), tools.vault.marks.add("customer key", os.urandom(32))
    tools.boto.put_object(Bucket=tools.bucket, Key="first", Body=value, **tools.keyed)
    extra = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": tools.key,
             "SSECustomerAlgorithm": "AES256", "SSECustomerKey": other}
    small = boto3.s3.transfer.TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    for name, config in (("copied", None), ("copied-in-parts", small)):
        # The managed copy asks for the source's size with the source's key.
        tools.boto.copy({"Bucket": tools.bucket, "Key": "first"}, tools.bucket, name, ExtraArgs=extra, Config=config)
        answer = tools.boto.get_object(Bucket=tools.bucket, Key=name, SSECustomerAlgorithm="AES256",
                                       SSECustomerKey=other)
        equal(answer["Body"].read(), value, "value")
        for wrong in ({}, tools.keyed):
            try:
                tools.boto.get_object(Bucket=tools.bucket, Key=name, **wrong)
                status = 200
            except tools.boto.exceptions.ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            equal(status, 403 if wrong else 400, "with the old key, or none")


def test_ten_thousand_names_are_listed_page_by_page_and_deleted(tools):
    top = tools.path("many")
    names = {f"{number % 100:02}/{number:05}" for number in range(LISTED)}
    for folder in {name[:2] for name in names}:
        os.makedirs(os.path.join(top, folder))
    for name in names:
        with open(os.path.join(top, name), "w", encoding="ascii") as file:
            file.write(name)
    tools.rclone("copy", "--transfers", "32", "--checkers", "32", "--s3-no-head", "--no-traverse", top,
                 f"vault:{tools.bucket}/many")
    shutil.rmtree(top)
    pages = list(tools.boto.get_paginator("list_objects_v2").paginate(Bucket=tools.bucket, Prefix="many/"))
    equal([len(page["Contents"]) for page in pages], [1000] * 10, "pages")
    listed = [item["Key"][5:] for page in pages for item in page["Contents"]]
    equal(listed, sorted(names), "names")
    pages = tools.boto.get_paginator("list_objects_v2").paginate(
        Bucket=tools.bucket, Prefix="many/", Delimiter="/", PaginationConfig={"PageSize": 7})
    folders = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
    equal(folders, [f"many/{folder:02}/" for folder in range(100)], "folders")
    old = tools.boto.get_paginator("list_objects").paginate(Bucket=tools.bucket, Prefix="many/5")
    equal(sum(len(page["Contents"]) for page in old), 1000, "names by the first version of the listing")
    equal(len(tools.aws("s3", "ls", "--recursive", f"s3://{tools.bucket}/many/").splitlines()), LISTED)
    equal(len(tools.rclone("lsf", "-R", "--files-only", f"vault:{tools.bucket}/many").splitlines()), LISTED)
    some = f"many/{listed[4321]}"
    answer = tools.boto.get_object(Bucket=tools.bucket, Key=some, **tools.keyed)
    equal(answer["Body"].read().decode(), some[5:])
    for start in range(0, LISTED, 1000):
        objects = [{"Key": f"many/{name}"} for name in listed[start:start + 1000]]
        answer = tools.boto.delete_objects(Bucket=tools.bucket, Delete={"Objects": objects, "Quiet": True})
        equal(answer.get("Errors"), None)
    equal(tools.boto.list_objects_v2(Bucket=tools.bucket, Prefix="many/")["KeyCount"], 0)


def test_many_clients_write_and_read_at_a_time(tools):
    def round_trip(number):
        value = os.urandom(1 + number * 1000)
        tools.boto.put_object(Bucket=tools.bucket, Key=f"parallel/{number}", Body=value, **tools.keyed)
        answer = tools.boto.get_object(Bucket=tools.bucket, Key=f"parallel/{number}", **tools.keyed)
        return answer["Body"].read() == value

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        equal(list(pool.map(round_trip, range(100))), [True] * 100)


def test_nothing_is_left_when_all_is_deleted(tools):
    tools.rclone("delete", f"vault:{tools.bucket}")
    equal(tools.boto.list_objects_v2(Bucket=tools.bucket)["KeyCount"], 0)
    equal(tools.boto.list_multipart_uploads(Bucket=tools.bucket).get("Uploads", []), [], "uploads")
    until(lambda: size_of(os.path.join(tools.vault.data, "objects")) < 64 * MIB, "deleted bytes are on the disk")
