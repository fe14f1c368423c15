"""Mutations of keys, hashing and the store for mutations.py: what is replaced, by what, and the tests that must fail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """A fault: in `file`, the text `old` (it occurs once) becomes `new`. `quick`: its tests need no PyTorch and few seconds."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    quick: bool = False

    def applies_to(self, root: Path) -> bool:
        """Return whether the text occurs exactly once in the file, and the tests exist."""
        path = root / self.file
        tests = all((root / test.partition("::")[0]).exists() for test in self.tests)
        return tests and path.is_file() and path.read_text(encoding="utf-8").count(self.old) == 1


def group(file: str, *tests: str, quick: bool = False, **mutations: tuple[str, str]) -> list[Mutation]:
    """Return the mutations of one file that the same tests must notice, by name."""
    return [Mutation(name.replace("_", "-"), file, old, new, tests, quick) for name, (old, new) in mutations.items()]


_KEYS = "tests/mlctl/config/test_keys.py"

HASHING = [
    *group(
        "mlctl/core/hashing.py",
        "tests/mlctl/core/test_hashing.py",
        quick=True,
        key_depends_on_order=("sort_keys=True", "sort_keys=False"),
        tree_digest_without_folders=("file.relative_to(path).as_posix(): file_digest", "file.name: file_digest"),
        tree_digest_of_one_level=('path.rglob("*")', 'path.glob("*")'),
        named_digest_without_names=('f"{name}\\0{digest}\\n"', 'f"{digest}\\n"'),
    ),
    *group(
        "mlctl/core/random.py",
        "tests/mlctl/core/test_random.py",
        quick=True,
        generator_constant=("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB"),
        draws_without_purpose=('f"{purpose}\\0{seed}"', 'f"{seed}"'),
        draws_without_seed=('f"{purpose}\\0{seed}"', 'f"{purpose}"'),
    ),
]

KEYS = [
    *group(
        "mlctl/config/base.py",
        _KEYS,
        quick=True,
        key_reads_first_item_only=("for item in value]", "for item in value[:1]]"),
        key_holds_runtime_settings=("get(_IN_KEY) is False)", "get(_IN_KEY) is None)"),
    ),
    *group(
        "mlctl/config/train.py",
        _KEYS,
        quick=True,
        key_without_batch_size=(
            "batch_size: int = Field(64, ge=2, description=",
            "batch_size: int = runtime_only(64, ge=2, description=",
        ),
    ),
    *group(
        "mlctl/pipeline/stage.py",
        _KEYS,
        quick=True,
        key_without_outside=('"outside": self.outside(recipe)', '"outside": {}'),
        key_without_version=('"version": self.version', '"version": 0'),
        key_without_inputs=("name: result.manifest.content for", "name: name for"),
        key_of_input_keys=("result.manifest.content for", "result.manifest.key for"),
    ),
    *group(
        "mlctl/pipeline/stages/train.py",
        _KEYS,
        quick=True,
        key_without_train_seed=('"seed": _seed(recipe)', '"seed": recipe.seed'),
    ),
    *group("mlctl/pipeline/stages/evaluate.py", _KEYS, quick=True, key_without_evaluate_seed=(', "seed": recipe.seed}', "}")),
    *group(
        "mlctl/pipeline/warm_start.py",
        _KEYS,
        quick=True,
        warm_start_digest_of_path=('{"digest": tree_digest(file)', '{"digest": str(file)'),
    ),
]

STORE = [
    *group(
        "mlctl/core/files.py",
        "tests/mlctl/core/test_files.py",
        quick=True,
        rename_before_flush=("    fsync_tree(temporary)\n    if temporary", "    if temporary"),
        rename_without_flushing_folder=("    temporary.replace(path)\n    fsync(path.parent)\n", "    temporary.replace(path)\n"),
        leftovers_are_continued=("    discard(temporary)\n    yield temporary", "    yield temporary"),
        file_size_limit_is_no_full_disk=("errno.EDQUOT, errno.EFBIG)", "errno.EDQUOT)"),
        second_creator_succeeds=("        return False\n    finally", "        return True\n    finally"),
        links_are_followed=("path.is_dir() and not path.is_symlink()", "path.is_dir()"),
    ),
    *group(
        "storage/verify.py",
        "tests/storage/test_store.py",
        quick=True,
        size_not_verified=("status.st_size != file.bytes", "False"),
        digest_not_verified=("file_digest(path) != file.sha256", "False"),
        missing_file_is_fine=('return "missing"', 'return ""'),
    ),
    *group(
        "storage/manifest.py",
        "tests/storage/test_store.py",
        quick=True,
        content_of_volatile_files=("for f in self.files if not f.volatile}", "for f in self.files}"),
    ),
    *group(
        "storage/store.py",
        "tests/storage/test_store.py",
        quick=True,
        checkpoints_dropped_before_manifest=(
            "        manifest.write(self.folder)\n        _drop_hidden(self.folder)",
            "        _drop_hidden(self.folder)\n        manifest.write(self.folder)",
        ),
        hidden_files_in_manifest=("path.is_file() and not _is_hidden(path.relative_to(folder))", "path.is_file()"),
    ),
    *group(
        "mlctl/core/locks.py",
        "tests/storage/test_store.py",
        quick=True,
        held_lock_looks_free=("    except Timeout:\n        return True", "    except Timeout:\n        return False"),
    ),
    *group(
        "storage/gc.py",
        "tests/storage/test_store.py",
        "tests/storage/test_champion_registry.py",
        quick=True,
        gc_removes_running_builds=(" and not store.is_building(folder.parent.name, folder.name)", ""),
        gc_removes_champions=("for result in champion.results.items()}", "for result in {}}"),
        gc_removes_caches_in_use=("entry.stat().st_mtime < since", "True"),
    ),
    *group(
        "storage/champion_registry.py",
        "tests/storage/test_champion_registry.py",
        quick=True,
        promotion_over_another_champion=("if state.current != expected:", "if False:"),
        champion_numbers_reused=("Champion(state.last_number + 1", "Champion(state.current + 1"),
        rollback_keeps_notes=("dataclasses.replace(champion, notes=())", "champion"),
        rollback_to_the_oldest=("return max(earlier)", "return min(earlier)"),
        all_champions_kept=("*state.champions)[:keep]", "*state.champions)"),
        concurrent_change_lost=("if self._revisions.append(", "if not self._revisions.append("),
    ),
    *group(
        "mlctl/core/url_redaction.py",
        "tests/mlctl/core/test_url_redaction.py",
        quick=True,
        passwords_shown=('url = _USER_INFO.sub(f"://{_REDACTED}@", url)', "url = str(url)"),
        query_values_shown=("{_REDACTED if value else ''}", "{value}"),
        renewed_signature_is_another_file=('if not _ACCESS.fullmatch(parameter.partition("=")[0])', "if parameter"),
    ),
]
