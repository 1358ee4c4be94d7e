"""A fitted model behind two servers on loopback, and clients that ask it from many threads."""

import asyncio
import contextlib
import http.client
import http.server
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

QUESTIONS = ("predict", "predict_proba", "transform", "anomaly_score")


def answer(model, path: str, body: bytes) -> bytes:
    """What a request is answered: rows come as an array of NumPy, or as records of a frame in JSON."""
    if body.startswith(b"\x93NUMPY"):
        rows = np.load(io.BytesIO(body), allow_pickle=False)
    else:
        import pandas as pd

        rows = pd.DataFrame(json.loads(body))
    out = io.BytesIO()
    np.save(out, getattr(model, path.strip("/"))(rows), allow_pickle=False)
    return out.getvalue()


@contextlib.contextmanager
def threaded(model) -> Iterator[int]:
    """The port of a server of Python's own, with a thread for each connection, that ends with the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes

        def do_POST(self):
            content = answer(model, self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def asgi(model) -> Iterator[int]:
    """The port of an ASGI server, whose application asks the model in threads, and that ends with the block."""
    import uvicorn

    async def application(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        content = await asyncio.to_thread(answer, model, scope["path"], body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
        await send({"type": "http.response.body", "body": content})

    config = uvicorn.Config(application, host="127.0.0.1", port=0, log_level="error", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


SERVERS: dict[str, Callable] = {"http.server": threaded, "uvicorn": asgi}


def memory() -> int:
    """Bytes of memory of this process that lie in RAM."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def requests(X, n: int, seed: int = 0) -> list[tuple]:
    """(question, rows) of so many requests: 1 to 200 rows each, an even share of them a single row."""
    rng = np.random.RandomState(seed)
    sizes = np.where(rng.uniform(size=n) < 0.5, 1, rng.randint(1, 201, size=n))
    starts = rng.randint(0, len(X) - sizes + 1)
    names = rng.choice(QUESTIONS, n)
    return [(str(name), slice(int(a), int(a + k))) for name, a, k in zip(names, starts, sizes, strict=True)]


def ask_all(port: int, X, asked: list[tuple], expected: dict, clients: int = 16) -> tuple[int, list]:
    """(lost, seconds): how many requests failed or had another answer than `expected` says, and how long each took.

    `expected` is question -> answers for all rows of X, which were given at once.
    """

    def client(own):
        connection, lost, seconds = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0, []
        for name, rows in own:
            body = io.BytesIO()
            np.save(body, X[rows], allow_pickle=False)
            start = time.perf_counter()
            connection.request("POST", "/" + name, body.getvalue())
            response = connection.getresponse()
            content = response.read()
            seconds.append((name, rows.stop - rows.start, time.perf_counter() - start))
            same = response.status == 200 and np.array_equal(np.load(io.BytesIO(content)), expected[name][rows])
            lost += not same
        connection.close()
        return lost, seconds

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(client, [asked[i::clients] for i in range(clients)]))
    return sum(lost for lost, _ in answers), [each for _, seconds in answers for each in seconds]
