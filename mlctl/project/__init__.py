"""Projects: a folder with a recipe, deployments and a Makefile of one's own, as `mlctl init` writes it."""

from importlib import resources
from pathlib import Path

#: Folder of the files that a project starts from.
TEMPLATES = Path(str(resources.files(__name__))) / "templates"
#: The deployments of a folder without a prefect.yaml of its own; a project starts with a copy.
PREFECT_FILE = TEMPLATES / "prefect.yaml"
