"""The mutations of mutations.py: what is replaced, by what, and the tests that must fail."""

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


def _group(file: str, *tests: str, quick: bool = False, **mutations: tuple[str, str]) -> list[Mutation]:
    """Return the mutations of one file that the same tests must notice, by name."""
    return [Mutation(name.replace("_", "-"), file, old, new, tests, quick) for name, (old, new) in mutations.items()]


_KEYS = "tests/mlctl/config/test_keys.py"

HASHING = [
    *_group(
        "mlctl/core/hashing.py",
        "tests/mlctl/core/test_hashing.py",
        quick=True,
        key_depends_on_order=("sort_keys=True", "sort_keys=False"),
        tree_digest_without_folders=("file.relative_to(path).as_posix(): file_digest", "file.name: file_digest"),
        tree_digest_of_one_level=('path.rglob("*")', 'path.glob("*")'),
        named_digest_without_names=('f"{name}\\0{digest}\\n"', 'f"{digest}\\n"'),
    ),
    *_group(
        "mlctl/core/random.py",
        "tests/mlctl/core/test_random.py",
        quick=True,
        generator_constant=("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB"),
        draws_without_purpose=('f"{purpose}\\0{seed}"', 'f"{seed}"'),
        draws_without_seed=('f"{purpose}\\0{seed}"', 'f"{purpose}"'),
    ),
]

KEYS = [
    *_group(
        "mlctl/config/base.py",
        _KEYS,
        quick=True,
        key_reads_first_item_only=("for item in value]", "for item in value[:1]]"),
        key_holds_runtime_settings=("get(_IN_KEY) is False)", "get(_IN_KEY) is None)"),
    ),
    *_group(
        "mlctl/config/train.py",
        _KEYS,
        quick=True,
        key_without_batch_size=(
            "batch_size: int = Field(64, ge=2, description=",
            "batch_size: int = runtime_only(64, ge=2, description=",
        ),
    ),
    *_group(
        "mlctl/pipeline/stage.py",
        _KEYS,
        quick=True,
        key_without_outside=('"outside": self.outside(recipe)', '"outside": {}'),
        key_without_version=('"version": self.version', '"version": 0'),
        key_without_inputs=("name: result.manifest.content for", "name: name for"),
        key_of_input_keys=("result.manifest.content for", "result.manifest.key for"),
    ),
    *_group(
        "mlctl/pipeline/stages/train.py",
        _KEYS,
        quick=True,
        key_without_train_seed=('"seed": _seed(recipe)', '"seed": recipe.seed'),
    ),
    *_group("mlctl/pipeline/stages/evaluate.py", _KEYS, quick=True, key_without_evaluate_seed=(', "seed": recipe.seed}', "}")),
    *_group(
        "mlctl/pipeline/warm_start.py",
        _KEYS,
        quick=True,
        warm_start_digest_of_path=('{"digest": tree_digest(file)', '{"digest": str(file)'),
    ),
]

STORE = [
    *_group(
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
    *_group(
        "storage/verify.py",
        "tests/storage/test_store.py",
        quick=True,
        size_not_verified=("status.st_size != file.bytes", "False"),
        digest_not_verified=("file_digest(path) != file.sha256", "False"),
        missing_file_is_fine=('return "missing"', 'return ""'),
    ),
    *_group(
        "storage/manifest.py",
        "tests/storage/test_store.py",
        quick=True,
        content_of_volatile_files=("for f in self.files if not f.volatile}", "for f in self.files}"),
    ),
    *_group(
        "storage/store.py",
        "tests/storage/test_store.py",
        quick=True,
        checkpoints_dropped_before_manifest=(
            "        manifest.write(self.folder)\n        _drop_hidden(self.folder)",
            "        _drop_hidden(self.folder)\n        manifest.write(self.folder)",
        ),
        hidden_files_in_manifest=("path.is_file() and not _is_hidden(path.relative_to(folder))", "path.is_file()"),
    ),
    *_group(
        "mlctl/core/locks.py",
        "tests/storage/test_store.py",
        quick=True,
        held_lock_looks_free=("    except Timeout:\n        return True", "    except Timeout:\n        return False"),
    ),
    *_group(
        "storage/gc.py",
        "tests/storage/test_store.py",
        "tests/storage/test_champion_registry.py",
        quick=True,
        gc_removes_running_builds=(" and not store.is_building(folder.parent.name, folder.name)", ""),
        gc_removes_champions=("for result in champion.results.items()}", "for result in {}}"),
        gc_removes_caches_in_use=("entry.stat().st_mtime < since", "True"),
    ),
    *_group(
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
    *_group(
        "mlctl/core/url_redaction.py",
        "tests/mlctl/core/test_url_redaction.py",
        quick=True,
        passwords_shown=('url = _USER_INFO.sub(f"://{_REDACTED}@", url)', "url = str(url)"),
        query_values_shown=("{_REDACTED if value else ''}", "{value}"),
        renewed_signature_is_another_file=('if not _ACCESS.fullmatch(parameter.partition("=")[0])', "if parameter"),
    ),
]

_CHECKPOINTS = "tests/mlctl/modeling/test_checkpoint.py"
_LOSSES = ("tests/mlctl/training/test_losses.py", "tests/mlctl/training/test_negatives.py")
_MASKING = ("tests/mlctl/training/test_masking.py", "tests/mlctl/training/test_collator.py")

TRAINING = [
    *_group(
        "mlctl/modeling/checkpoint.py",
        _CHECKPOINTS,
        resumed_from_other_training=('if state["subject"] != self._subject:', "if False:"),
        damaged_checkpoint_read=('if file_digest(path / _TENSORS) != state["sha256"]:', "if False:"),
        best_checkpoint_removed=("if old.name != best:", "if True:"),
    ),
    *_group(
        "mlctl/training/losses.py",
        *_LOSSES,
        cz_nce_with_positive_in_denominator=(
            "excluded, positive_in_denominator=False)",
            "excluded, positive_in_denominator=True)",
        ),
        cz_nce_sign=(
            "torch.logsumexp(negatives, dim=1) - positive).masked",
            "torch.logsumexp(negatives, dim=1) + positive).masked",
        ),
        excluded_negatives_ignored=("diagonal if excluded is None else diagonal | excluded", "diagonal"),
        sample_is_its_own_negative=("diagonal if excluded is None else diagonal | excluded", "diagonal & ~diagonal"),
        positive_without_temperature=(".repeat(2) / temperature", ".repeat(2)"),
        negatives_of_one_side=("mask.repeat(1, 2), float", "torch.cat([mask, torch.ones_like(mask)], 1), float"),
        identities_compared_on_one_side=("for second in range(2):", "for second in (first,):"),
        touching_spans_overlap=("(first[:, :1] < second[:, 1])", "(first[:, :1] <= second[:, 1])"),
    ),
    *_group(
        "mlctl/training/negatives.py",
        "tests/mlctl/training/test_negatives.py",
        hard_negatives_reversed=("if not self._hard_words:", "if self._hard_words:"),
        same_words_reversed=("return mask if self._same_words else", "return mask if not self._same_words else"),
        equal_sentences_lose_all_words=("[rows][:, rows] & ~same_content(identities)", "[rows][:, rows]"),
        similarity_of_one_direction=("| across | across.T", "| across"),
        similarity_across_sides_only=("(x @ x.T > min_similarity) | (y @ y.T > min_similarity) | across", "across"),
    ),
    *_group(
        "mlctl/training/masking.py",
        *_MASKING,
        special_tokens_masked=("attention_mask & ~rule.special[input_ids] &", "attention_mask &"),
        special_tokens_inserted=("ordinary = np.flatnonzero(~rule.special)", "ordinary = np.arange(len(rule.special))"),
        mask_share=("_TO_MASK, _TO_RANDOM = 0.8, 0.1", "_TO_MASK, _TO_RANDOM = 0.9, 0.1"),
        random_share=("_TO_MASK, _TO_RANDOM = 0.8, 0.1", "_TO_MASK, _TO_RANDOM = 0.8, 0.2"),
        input_masked_in_place=("masked = input_ids.copy()", "masked = input_ids"),
    ),
    *_group(
        "mlctl/training/collator.py",
        *_MASKING,
        labels_are_masked_ids=("ids[block].reshape(-1)[masked_positions]", "masked_ids[block].reshape(-1)[masked_positions]"),
        both_sides_masked_alike=("(Stream.SOURCE_MASK, Stream.TARGET_MASK)", "(Stream.SOURCE_MASK, Stream.SOURCE_MASK)"),
        every_epoch_masked_alike=("keys(self._seed, stream, epoch, rows.row_ids)", "keys(self._seed, stream, 0, rows.row_ids)"),
        same_word_pairs_every_epoch=(
            "keys(seed, Stream.WORD_PAIRS, epoch, rows.row_ids)",
            "keys(seed, Stream.WORD_PAIRS, 0, rows.row_ids)",
        ),
        target_words_hashed_at_source_spans=("word_pair_spans[:, 2 * side :][:, :2])", "word_pair_spans[:, :2])"),
    ),
    *_group(
        "mlctl/training/optimiser.py",
        "tests/mlctl/training/test_optimiser.py",
        first_step_learns_nothing=("* (step + 1) / settings.warmup_steps", "* step / settings.warmup_steps"),
        decay_from_the_first_step=("settings.steps - settings.warmup_steps", "settings.steps"),
    ),
    *_group(
        "mlctl/training/language_sampling.py",
        "tests/mlctl/training/test_language_sampling.py",
        alpha_ignored=("sizes**alpha / (sizes**alpha).sum()", "sizes / sizes.sum()"),
        passes_restart_every_epoch=("start = epoch * count - first * len(rows)", "start = 0"),
    ),
    *_group(
        "mlctl/training/sampler.py",
        "tests/mlctl/training/test_sampler.py",
        same_row_order_every_epoch=("Stream.ROW_ORDER, epoch, shard,", "Stream.ROW_ORDER, 0, shard,"),
        same_shard_order_every_epoch=("Stream.SHARD_ORDER, epoch, 0,", "Stream.SHARD_ORDER, 0, 0,"),
    ),
    *_group(
        "mlctl/training/divergence.py",
        "tests/mlctl/training/test_divergence.py",
        divergence_unnoticed=("if median > self._lowest + self._max_rise * fall:", "if False:"),
        noise_counts_as_divergence=(
            "_MIN_FALL_NATS, _MIN_FALL_DEVIATIONS = 2.0, 8.0",
            "_MIN_FALL_NATS, _MIN_FALL_DEVIATIONS = 0.0, 0.0",
        ),
    ),
]

_HELDOUT = "tests/mlctl/sharding/test_heldout_files.py"
_SPANS = "tests/mlctl/sharding/test_subword_spans.py"
_DECONTAMINATION = "tests/mlctl/sharding/test_decontamination.py"

SHARDING = [
    *_group(
        "mlctl/sharding/subword_spans.py",
        _SPANS,
        quick=True,
        span_begins_before_word=("(self._offsets[first, 0] >= words[:, 0]) & ", ""),
        span_ends_after_word=("(self._offsets[last, 1] <= words[:, 1])", "(last >= 0)"),
        truncated_word_has_span=(" & ~self._truncated[last]", ""),
        unknown_token_has_span=(
            "exact &= self._unknown_before[span[:, 0]] == self._unknown_before[span[:, 1]]",
            "exact &= last >= 0",
        ),
    ),
    *_group(
        "mlctl/sharding/heldout.py",
        _HELDOUT,
        quick=True,
        heldout_target_in_training=("= source | target", "= source"),
        heldout_source_in_training=("= source | target", "= target"),
        heldout_target_twice=(
            "occurs_once(self.identities[:, 0]) & occurs_once(self.identities[:, 1])",
            "occurs_once(self.identities[:, 0])",
        ),
        heldout_source_twice=(
            "occurs_once(self.identities[:, 0]) & occurs_once(self.identities[:, 1])",
            "occurs_once(self.identities[:, 1])",
        ),
        heldout_identities_of_sources=(
            "candidates.identities[heldout[language]].ravel()",
            "candidates.identities[heldout[language]][:, 0]",
        ),
    ),
    *_group(
        "mlctl/sharding/heldout.py",
        "tests/mlctl/sharding/test_stage.py",
        synthetic_pairs_held_out=(
            'eligible &= pc.equal(batch["synthetic"], "")',
            'eligible &= pc.not_equal(batch["synthetic"], "?")',
        ),
    ),
    *_group(
        "mlctl/sharding/decontamination.py",
        _DECONTAMINATION,
        quick=True,
        passage_of_nine_words=("PASSAGE_WORDS = 8", "PASSAGE_WORDS = 9"),
        passages_across_sentences=("np.flatnonzero(ends <= sentence_ends)", "np.flatnonzero(ends < len(offsets))"),
        passages_of_unknown_words=(
            "starts = starts[unknown_before[ends[starts]] == unknown_before[starts]]",
            "starts = starts + 0",
        ),
        one_side_decontaminated=("np.logical_or(*flags) for flags", "flags[0] for flags"),
        passages_ignored=("self.text | self.passage", "self.text"),
        texts_ignored=("self.text | self.passage", "self.passage"),
    ),
    *_group(
        "mlctl/sharding/corpus_shards.py",
        _DECONTAMINATION,
        quick=True,
        contaminated_pairs_trained_on=("trainable &= ~match.either", "trainable &= ~match.passage"),
    ),
    *_group(
        "mlctl/sharding/synthetic_cap.py",
        "tests/mlctl/sharding/test_caps.py",
        quick=True,
        twice_the_synthetic_rows=("limit = int(max_ratio *", "limit = int(2 * max_ratio *"),
        human_rows_capped=("return below_cap | human", "return below_cap"),
    ),
    *_group(
        "mlctl/sharding/word_frequency_cap.py",
        "tests/mlctl/sharding/test_caps.py",
        quick=True,
        one_word_pair_too_many=("np.arange(len(words))) + max_word_pairs", "np.arange(len(words))) + max_word_pairs + 1"),
    ),
]

_TESTS = "tests/mlctl/evaluation/statistics/test_paired_tests.py"
_PROMOTION = "tests/mlctl/evaluation/statistics/test_promotion.py"
_COMPARISON = "tests/mlctl/evaluation/statistics/test_model_comparison.py"

EVALUATION = [
    *_group(
        "mlctl/evaluation/statistics/paired_tests.py",
        _TESTS,
        p_can_be_zero=("(1 + int(extreme)) / (1 + len(self.randomised))", "int(extreme) / len(self.randomised)"),
        p_of_one_side=("np.abs(self.randomised) >= abs(self.difference)", "self.randomised >= self.difference"),
        bonferroni_for_holm=("(len(values) - rank) * values", "len(values) * values"),
        holm_not_monotone=(
            "largest = max(largest, min(1.0, (len(values) - rank) * values[index]))",
            "largest = min(1.0, (len(values) - rank) * values[index])",
        ),
        interval_of_90_percent=("(ALPHA / 2, 1 - ALPHA / 2)", "(ALPHA, 1 - ALPHA)"),
        population_deviation=("values.std(ddof=1)", "values.std(ddof=0)"),
        items_not_exchanged_in_trained=("trained.part.sum(1) - part", "trained.part.sum(1)"),
        seeds_not_resampled=(
            ".integers(0, len(base.part), (resamples, len(base.part)))",
            ".integers(0, 1, (resamples, len(base.part)))",
        ),
    ),
    *_group(
        "mlctl/evaluation/statistics/promotion.py",
        _PROMOTION,
        promoted_within_the_interval=("overall.low > 0 and ", ""),
        promoted_with_any_p=(" and overall.p < ALPHA", ""),
        fallen_task_promoted=("task.difference < -tolerance", "task.difference > tolerance"),
        tolerance_ignored=("task.difference < -tolerance", "task.difference < 0"),
    ),
    *_group(
        "mlctl/evaluation/statistics/model_comparison.py",
        _COMPARISON,
        _PROMOTION,
        significant_despite_the_interval=("return p < ALPHA and not low <= 0 <= high", "return p < ALPHA"),
        english_in_the_mean=("found[task] = zero_shot or list(compared.values())", "found[task] = list(compared.values())"),
        directions_not_added=("np.add.at(part[row], columns, scores.part)", "part[row][columns] = scores.part"),
    ),
    *_group(
        "mlctl/evaluation/metrics/retrieval.py",
        "tests/mlctl/evaluation/metrics/test_retrieval.py",
        ties_count_as_hits=("best_correct > best_wrong + MARGIN", "best_correct >= best_wrong"),
        equal_sentences_are_wrong=("identities[None, :, :]).any(dim=2)", "identities[None, :, :]).all(dim=2)"),
    ),
]

_LICENCES = "tests/mlctl/corpora/test_licences.py"

LICENCES = [
    *_group(
        "mlctl/corpora/licences.py",
        _LICENCES,
        quick=True,
        unknown_licence_allowed=(
            "return expression != UNKNOWN and self._allows_parsed",
            "return expression == UNKNOWN or self._allows_parsed",
        ),
        empty_list_allows_nothing=("if not self.allowed or expression in self.allowed", "if expression in self.allowed"),
        one_licence_of_an_and_is_enough=("return all(map(self._allows_parsed", "return any(map(self._allows_parsed"),
        every_licence_of_an_or_is_needed=("return any(map(self._allows_parsed", "return all(map(self._allows_parsed"),
        several_licences_are_a_choice=('(" OR " if any(choices) else " AND ")', '" OR "'),
        later_versions_are_one=("'or-later' if match['later'] else 'only'", "'only'"),
    ),
    *_group(
        "mlctl/pipeline/licence_check.py",
        "tests/mlctl/pipeline/test_licence_check.py",
        quick=True,
        translation_licence_unchecked=("or not recipe.licences.allow:", "or True:"),
    ),
]

MUTATIONS = [*HASHING, *KEYS, *STORE, *SHARDING, *LICENCES, *TRAINING, *EVALUATION]
