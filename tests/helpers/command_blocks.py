"""The command blocks of the documentation: what is run, what is only checked, and why."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

BLOCK = re.compile(r"(?:^<!-- (run|run: fails|not run: .+?) -->\n)?^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)

#: Commands of mlctl that are cheap, since they compute nothing → the option that makes them so.
CHEAP = {
    "--version": "",
    "recipe": "",
    "plan": "",
    "explain": "",
    "runs": "",
    "store ls": "",
    "store verify": "",
    "store gc": "",
    "sweep": "--plan",
    "ledger": "--plan",
}

#: Other programs → why they are not run here.
NOT_RUN = {
    "apt-get": "installs packages",
    "pip": "installs packages",
    "pip3": "installs packages",
    "python3": "makes an environment",
    "python3.11": "makes an environment",
    ".": "makes an environment",
    "make": "installs and trains",
    "git": "changes the checkout",
    "cd": "changes the folder",
    "export": "describes a server or a service",
    "prefect": "needs a Prefect server",
    "docker": "needs Docker",
    "cp": "changes the checkout",
    "sudo": "changes the checkout",
    "ray": "needs a cluster",
    "torchrun": "needs several machines",
    "tensorboard": "serves until it is stopped",
    "vllm": "needs a GPU",
    "llama-server": "needs a model",
    "ollama": "needs a model",
}

PLACEHOLDER = re.compile(r"^[A-Z]+$|…")


@dataclass(frozen=True)
class Block:
    """A fenced block with its mark: "", "run", "run: fails" or "not run: why"."""

    page: str
    line: int
    mark: str
    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments, assignments and the folder of a virtual environment."""
        if self.text.startswith("#!"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := _words(line))]


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z][A-Z_]*=", words[0]):
        words.pop(0)
    return [words[0].rpartition(".venv/bin/")[2], *words[1:]] if words else []


def blocks(page: str, text: str) -> list[Block]:
    """Return the command blocks of a page."""
    found = BLOCK.finditer(text)
    return [Block(page, text.count("\n", 0, match.start(3)), match[1] or "", match[2], match[3]) for match in found]


def is_cheap(words: list[str]) -> bool:
    """Return whether a command is run: one of mlctl that computes nothing, without placeholders, and asks no server."""
    if words[0] != "mlctl" or any(PLACEHOLDER.search(word) or word.startswith("[") for word in words):
        return False
    option = CHEAP.get(words[1], CHEAP.get(" ".join(words[1:3])))
    if option is None or (option and option not in words):
        return False
    asks = words[1] in ("plan", "sweep", "ledger") and not words[2].endswith(
        ".yaml"
    )  # the sources of a built-in recipe are looked up
    return not asks or "--offline" in words
