"""A server with OpenAI's chat completions API, in a process of its own, that translates toy sentences and misbehaves on demand.

`ChatServer` starts it. What it got is in a log of JSON lines; how it answers a text is planned in a file that it reads again each time.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

KEY = "sk-toy-7f3a9c5e1b2d4f60"
MODEL = "toy-model"


class ChatServer:
    """The server of a `with` block. A plan names behaviours for the requests of a text (of all: "*"), one after another; the last one
    of a text that ends with "!" stays.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        """`options`: `key` that it asks for, `delay` of an answer in seconds, parameters that it refuses (`refuses`)."""
        self._folder = folder
        folder.mkdir(parents=True)
        self._options = options
        self.plan({})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def plan(self, behaviours: dict[str, list[str]]) -> None:
        """Replace the plan."""
        temporary = self._folder / "plan.tmp"
        temporary.write_text(json.dumps({"id": time.monotonic_ns(), "behaviours": behaviours}), encoding="utf-8")
        temporary.replace(self._folder / "plan.json")

    def log(self) -> list[dict[str, Any]]:
        """Return all requests for translations: `text`, `target`, `behaviour`, `body`, `start`, `running` (at its start, with it)."""
        file = self._folder / "log.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    def forget(self) -> list[dict[str, Any]]:
        """Return the log, and begin a new one."""
        entries = self.log()
        (self._folder / "log.jsonl").unlink(missing_ok=True)
        return entries

    def asked(self, target: str = "French") -> Counter[str]:
        """Return how often each text was asked for in a language, and begin a new log."""
        return Counter(entry["text"] for entry in self.forget() if entry["target"] == target)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        arguments = [sys.executable, __file__, str(self._folder), json.dumps(self._options)]
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        assert self._process.stdout
        self._process.stdout.close()


def text(number: int) -> str:
    """Return a text whose translation passes all checks, also back."""
    return f"This good text has number {number}"


def translation(text: str, target: str) -> str:
    """Return the server's translation of a text."""
    number = re.findall(r"\d+", text)[-1:] or ["0"]
    return f"Le texte {number[0]} est traduit ainsi." if target == "French" else f"This good text has number {number[0]}"


def _as_json(output: str) -> str:
    return json.dumps({"translation": output}, ensure_ascii=False)


#: Answers, by behaviour: from a translation, and whether structured output was asked for.
_ANSWERS: dict[str, Callable[[str, bool], dict[str, Any]]] = {
    "ok": lambda output, structured: {"content": _as_json(output) if structured else output},
    "plain": lambda output, _: {"content": output},
    "fence": lambda output, _: {"content": f"```json\n{_as_json(output)}\n```"},
    "quotes": lambda output, _: {"content": f"« {output} »"},
    "thoughts": lambda output, _: {"content": f"<think>\nIt is a text.\n</think>\n\n{output}"},
    "chatter": lambda output, _: {"content": f"Sure! Here is the translation: {output}"},
    "note": lambda output, _: {"content": f"**{output}**\n\n(Note: I kept the number.)"},
    "language": lambda output, _: {
        "content": f"The number of the good text is {re.findall('[0-9]+', output)[0]} and it stays in English"
    },
    "copy": lambda output, _: {"content": f"This good text has number {re.findall('[0-9]+', output)[0]}"},
    "length": lambda _, __: {"content": '{"translation": "Le texte', "finish_reason": "length"},
    "filter": lambda _, __: {"content": None, "finish_reason": "content_filter"},
    "refusal": lambda _, __: {"content": None, "refusal": "I cannot help with that."},
    "empty": lambda _, __: {"content": ""},
    "no_usage": lambda output, _: {"content": output, "usage": None},
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self._is_refused():
            return
        self._send(200, json.dumps({"object": "list", "data": [{"id": MODEL}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_refused():
            return
        if not self.path.endswith("/v1/chat/completions"):
            self._error(404, "no such path")
            return
        prompt = body["messages"][-1]["content"]
        target = (re.search(r"from [\w ]+ to ([\w ]+)", prompt) or [None, ""])[1]
        text = prompt.partition("\n\nAnswer with this JSON")[0].rpartition("\n")[2]
        self._answer(body, text, target)

    def _answer(self, body: dict[str, Any], text: str, target: str) -> None:
        behaviour = self.server.next_behaviour(text)
        with self.server.entry(text=text, target=target, behaviour=behaviour, body=body):
            if body["model"] != MODEL:
                self._error(404, f"The model `{body['model']}` does not exist.")
                return
            if refused := [name for name in self.server.options.get("refuses", ()) if name in body]:
                instead = " Use 'max_completion_tokens' instead." if refused == ["max_tokens"] else ""
                self._error(400, f"Unsupported parameter: '{refused[0]}'.{instead}")
                return
            time.sleep(self.server.options.get("delay", 0.0))
            name, _, value = behaviour.partition(":")
            if name in _ANSWERS:
                structured = "response_format" in body
                self._complete(body, **_ANSWERS[name](translation(text, target), structured))
            else:
                getattr(self, f"_{name}")(value)

    def _is_refused(self) -> bool:
        key = self.server.options.get("key")
        given = self.headers.get("Authorization", "")
        if key is None or given == f"Bearer {key}":
            return False
        self._error(401, f"Incorrect key in {given!r}")  # repeats what it got, as some do
        return True

    def _status(self, value: str) -> None:
        """Send an error: status,code,Retry-After."""
        status, code, retry_after = (*value.split(","), "", "")[:3]
        self._error(int(status), f"planned {status}", code or None, {"Retry-After": retry_after} if retry_after else {})

    def _body(self, value: str) -> None:
        """Send a body that is no chat completion."""
        self._send(200, value.encode())

    def _cut(self, value: str) -> None:
        """Close the connection in the body."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(value.encode() or b'{"choices": [{"mess')
        self._drop()

    def _reset(self, value: str) -> None:
        del value
        self._drop()

    def _hang(self, value: str) -> None:
        time.sleep(float(value or 600))
        self._drop()

    def _drip(self, value: str) -> None:
        """Never be silent for long, and end with a good answer after so many tenths of a second."""
        body = json.dumps({"choices": [{"message": {"content": translation("5", "French")}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(int(value) + len(body)))
        self.end_headers()
        for _ in range(int(value)):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(body)

    def _exit(self, value: str) -> None:
        os._exit(int(value or 1))

    def _drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _complete(self, body: dict[str, Any], content: str | None, finish_reason: str = "stop", **changes: Any) -> None:
        """Send a chat completion, whose tokens are words."""
        prompt = body["messages"][-1]["content"]
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len((content or "").split())}
        message = {"role": "assistant", "content": content, "refusal": changes.get("refusal")}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
        self._send(200, json.dumps({**answer, "usage": changes.get("usage", usage)}).encode())

    def _error(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps({"error": {"message": message, "code": code}}).encode(), **(headers or {}))

    def _send(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *parts: object) -> None:
        del parts


class _Entry:
    """Writes a request to the log when it begins, and counts the running ones."""

    def __init__(self, server: _Server, values: dict[str, Any]) -> None:
        self._server, self._values = server, values

    def __enter__(self) -> None:
        with self._server.lock:
            self._server.running += 1
            line = json.dumps({**self._values, "start": time.monotonic(), "running": self._server.running})
            with (self._server.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def __exit__(self, *error: object) -> None:
        with self._server.lock:
            self._server.running -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.options = folder, options
        self.lock = threading.Lock()
        self.running = 0
        self._plan: dict[str, Any] = {"id": None}

    def entry(self, **values: Any) -> _Entry:
        return _Entry(self, values)

    def next_behaviour(self, text: str) -> str:
        with self.lock:
            plan = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
            if plan["id"] != self._plan["id"]:
                self._plan = plan
            behaviours = self._plan["behaviours"]
            queue = next((behaviours[name] for name in (text, "*") if behaviours.get(name)), ["ok!"])
            return queue[0].removesuffix("!") if queue[0].endswith("!") else queue.pop(0)

    def handle_error(self, *parts: object) -> None:
        """Say nothing of clients that have gone."""
        del parts


if __name__ == "__main__":
    with _Server(Path(sys.argv[1]), json.loads(sys.argv[2])) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()
