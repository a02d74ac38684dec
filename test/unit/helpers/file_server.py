"""A web server on this machine whose every path can misbehave, and small data sets to fetch from it."""

import contextlib
import gzip
import hashlib
import http.server
import threading
from typing import NamedTuple, Optional

from fetching import fetch

PATIENCE = fetch.Network(
    connect_s=5, read_s=30, attempts=3, backoff_s=0, stall_s=60, stall_bytes=100, command_s=60
)


class Answer(NamedTuple):
    """How the server answers at one path."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    ranges: bool = True  # answers Range with 206
    break_after: Optional[int] = None  # sends so many bytes of the body, then hangs up
    drip_s: Optional[float] = None  # one byte after the other, so many seconds apart
    location: Optional[str] = None  # redirects there, with status 302
    header_drip_s: Optional[float] = None  # the headers byte by byte, so many seconds apart
    mute: bool = False  # headers, then nothing
    length: bool = True  # says Content-Length
    shift: int = 0  # answers with a range that begins so many bytes too late


class FileServer:
    """`answers[path]` is an Answer, or a list of them, one for each request; `requests` is a log."""

    def __init__(self, url, closing):
        self.url = url
        self.closing = closing  # set at the end of the test: frees the waiting handlers
        self.answers = {}
        self.requests = []  # (path, Range header or "")

    def next_answer(self, path):
        answer = self.answers.get(path, Answer(status=404))
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def mirror(self, folder, recipe_bodies, **answer):
        """Serve {name: bytes} below /folder/; returns the address."""
        for name, body in recipe_bodies.items():
            self.answers[f"/{folder}/{name}"] = Answer(body, **answer)
        return f"{self.url}/{folder}/"


@contextlib.contextmanager
def serving():
    """A running FileServer on a free port."""
    closing = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            site.requests.append((self.path, self.headers.get("Range", "")))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                _respond(self, site.next_answer(self.path), closing)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = FileServer(f"http://127.0.0.1:{server.server_address[1]}", closing)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # poll, s
    thread.start()
    try:
        yield site
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _respond(handler, answer, closing):
    body, status = answer.body, answer.status
    if answer.header_drip_s is not None:
        while not closing.wait(answer.header_drip_s):
            handler.wfile.write(b"H" if answer.shift else b"HTTP/1.1 200 OK\r\nX: ")
            answer = answer._replace(shift=1)
        return
    if answer.location is not None:
        handler.send_response(302)
        handler.send_header("Location", answer.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    asked = handler.headers.get("Range")
    start = 0
    if asked and answer.ranges and status == 200:
        start = int(asked[len("bytes=") : -1]) + answer.shift
    if start > len(body):
        body, status, start = b"", 416, 0
    elif asked and answer.ranges and status == 200:
        status = 206
    handler.send_response(status)
    handler.send_header("Content-Type", answer.content_type)
    if answer.length:
        handler.send_header("Content-Length", str(len(body) - start))
    if status == 206:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    handler.end_headers()
    if answer.mute:
        closing.wait()
    elif answer.drip_s is not None:
        for byte in body[start:][: answer.break_after]:
            handler.wfile.write(bytes([byte]))
            if closing.wait(answer.drip_s):
                return
    else:
        handler.wfile.write(body[start:][: answer.break_after])


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def noise(size, seed):
    """`size` bytes that do not compress, the same for the same seed."""
    blocks = (hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]


RAW = {
    "train-images-idx3-ubyte": noise(5000, 1),
    "train-labels-idx1-ubyte": noise(60, 2),
    "t10k-images-idx3-ubyte": noise(1000, 3),
    "t10k-labels-idx1-ubyte": noise(10, 4),
}
PACKED = {name + ".gz": gzip.compress(raw) for name, raw in RAW.items()}


def digits_recipe(*mirrors, npm=""):
    """Four files as MNIST's, but small."""
    files = tuple(
        fetch.File(name, len(body), sha256(body), sha256(RAW[name[:-3]]))
        for name, body in PACKED.items()
    )
    return fetch.Recipe(files=files, mirrors=mirrors, npm=npm)
