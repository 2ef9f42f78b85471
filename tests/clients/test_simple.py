"""The Simple Tokenizer: a client without credentials speaks to the application's back end, which forwards
to the vault and adds its JWT. Both written anew from the description of the contract.
"""

import http.server
import threading

import requests
from client import WAIT_S, Client, download, upload
from harness import equal, holds

BASE_ROUTE = "/.lunasec"
NO_TOKEN = "lunasec-00000000-0000-4000-8000-000000000000"


class BackEnd:
    """Forwards `POST /.lunasec/*`, as the application's own server would; a context manager."""

    def __init__(self, vault):
        application = Client(vault)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802, the name that the library calls
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = requests.post(vault.api_url + self.path, data=body, timeout=WAIT_S,
                                       headers={"authorization": application.jwt()})
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class SimpleTokenizer:
    """`host` and `baseRoute`, no credentials."""

    def __init__(self, host, base_route=BASE_ROUTE):
        self.base = host + base_route

    def post(self, route, body):
        return requests.post(self.base + route, json=body, timeout=WAIT_S)

    def tokenize(self, value):
        answer = self.post("/tokenize", {"metadata": {"dataType": "string"}}).json()
        holds(answer["success"], "tokenize succeeds")
        equal(upload(answer["data"], value).status_code, 200, "status of the upload")
        return answer["data"]["tokenId"]

    def detokenize(self, token):
        answer = self.post("/detokenize", {"tokenId": token}).json()
        holds(answer["success"], "detokenize succeeds")
        return download(answer["data"]).content


def test_a_client_without_credentials_stores_and_reads_through_the_back_end(vault):
    value = vault.marks.text("value").encode()
    with BackEnd(vault) as back_end:
        client = SimpleTokenizer(back_end.url)
        token = client.tokenize(value)
        for _ in range(2):
            equal(client.detokenize(token), value, "value")


def test_the_back_end_passes_refusals_on(vault):
    with BackEnd(vault) as back_end:
        client = SimpleTokenizer(back_end.url)
        for body, status, name in (({}, 400, "InvalidRequest"),
                                   ({"tokenId": "x"}, 400, "InvalidRequest"),
                                   ({"tokenId": NO_TOKEN}, 404, "NoSuchToken")):
            answer = client.post("/detokenize", body)
            equal(answer.status_code, status, "status")
            error = answer.json()["error"]
            equal((error["name"], error["errorName"]), (name, name), "names")


def test_the_vault_itself_wants_an_application(vault):
    for client in (None, Client(vault, "user", vault.marks.text("session"))):
        headers = {"authorization": client.jwt()} if client else {}
        answer = requests.post(vault.api_url + BASE_ROUTE + "/tokenize", json={}, headers=headers,
                               timeout=WAIT_S)
        equal(answer.status_code, 403 if client else 401, "status")
