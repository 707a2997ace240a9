"""A small Hugging Face Hub on this machine: what huggingface_hub asks to look at models and to fetch their files.

Source: huggingface_hub's own requests, and the headers it reads from the answers (X-Repo-Commit, X-Linked-ETag,
X-Linked-Size, X-Error-Code). Large files are redirected to another server, as the Hub does.
"""

import hashlib
import http.server
import json
import re
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The Hub and the server of its large files.

    Attributes:
        files: the files, by repository and by path.
        small: paths that are in Git and not redirected.
        token: what a request has to bear; None if all may read.
        gated: repositories that only the authors' friends may read.
        cuts: after how many bytes each of the next answers with a file is cut off.
        instead: what is sent instead of a file, by its path.
        sizes: what is said to be the size of a file, by its path.
        status: what every answer is; None for the right one.
        requests: method, path, Range and Authorization of each request to the Hub or, with the path ``/large/...``,
            to the other server.
    """

    def __init__(self, files):
        self.files, self.small, self.token, self.gated = files, set(), None, set()
        self.cuts, self.instead, self.sizes, self.status, self.requests = [], {}, {}, None, []
        self._servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in range(2)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        self.url = f"http://127.0.0.1:{self._servers[0].server_port}"
        self._large = f"http://localhost:{self._servers[1].server_port}"

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(hub):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                hub.requests.append(
                    (self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization"))
                )
                try:
                    hub._answer(self, urllib.parse.unquote(urllib.parse.urlsplit(self.path).path))
                except ConnectionError:
                    pass

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        return Handler

    def _answer(self, handler, path):
        if self.status:
            return self._send(handler, self.status)
        if match := re.fullmatch("/large/([^/]+/[^/]+)/(.+)", path):
            return self._send_file(handler, *match.groups())
        match = re.fullmatch("/api/models/([^/]+/[^/]+)/revision/(.+)", path)
        match = match or re.fullmatch("/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match is None:  # What huggingface_hub asks besides, and can do without.
            return self._send(handler, 404)
        repository, revision, file = (*match.groups(), None)[:3]
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return self._send(handler, 401, {"X-Error-Code": "RepoNotFound"})
        if repository not in self.files:
            return self._send(handler, 404, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", "v1", COMMIT):
            return self._send(handler, 404, {"X-Error-Code": "RevisionNotFound"})
        if file is None:
            siblings = [{"rfilename": name} for name in self.files[repository]]
            body = json.dumps(
                {
                    "id": repository,
                    "modelId": repository,
                    "sha": COMMIT,
                    "siblings": siblings,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "private": False,
                }
            ).encode()
            return self._send(handler, 200, {"Content-Type": "application/json"}, body)
        if repository in self.gated:
            return self._send(handler, 403, {"X-Error-Code": "GatedRepo"})
        if file not in self.files[repository]:
            return self._send(handler, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        data = self.files[repository][file]
        if file in self.small:
            return self._send_file(handler, repository, file)
        self._send(
            handler,
            302,
            {
                "Location": f"{self._large}/large/{urllib.parse.quote(f'{repository}/{file}')}",
                "X-Repo-Commit": COMMIT,
                "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": str(self.sizes.get(file, len(data))),
                "ETag": '"of the redirection"',
            },
        )

    def _send_file(self, handler, repository, file):
        data = self.files[repository][file]
        git_hash = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        headers = {"ETag": f'"{git_hash}"', "X-Repo-Commit": COMMIT}
        data = self.instead.get(file, data)
        span = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        if span:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = self.cuts.pop(0) if self.cuts and handler.command == "GET" else None
        self._send(handler, 206 if span else 200, headers, data[start:], cut)

    def _send(self, handler, status, headers=None, body=b"", cut=None):
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[:cut])
