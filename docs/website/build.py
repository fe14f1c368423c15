"""Builds the documentation site: `python docs/website/build.py [--folder FOLDER] [--repository URL]` (`make docs`).

The site is FOLDER/site (default build/website/site). Its pages open from the disk, without a network; the search needs a web server.
Every warning of the generator (a broken link, an unknown anchor, a name that the API reference does not find) is an
error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from reference import PARTS
from staging import Staging

ROOT = Path(__file__).parents[2]


def build(folder: Path, repository: str = "") -> Path:
    """Build the site in a folder, and return the folder of its pages.

    Raises:
        subprocess.CalledProcessError: the generator found an error in a page; its messages are on standard output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    Staging(ROOT, folder / "pages", repository, PARTS).write()
    config = (ROOT / "docs" / "website" / "zensical.toml").read_text(encoding="utf-8")
    if repository:
        config = config.replace("[project]\n", f'[project]\nrepo_url = "{repository}"\n', 1)
    (folder / "zensical.toml").write_text(config, encoding="utf-8")
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder / "site"


def main() -> int:
    """Build the site and print where it is."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "website", help="folder for the staged pages and the site"
    )
    parser.add_argument("--repository", default="", help="URL of the repository, to which links to source files then lead")
    arguments = parser.parse_args()
    try:
        site = build(arguments.folder.resolve(), arguments.repository)
    except subprocess.CalledProcessError:
        return 1
    print(f"site: {site / 'index.html'}, with search: python -m http.server --bind 127.0.0.1 --directory {site}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
