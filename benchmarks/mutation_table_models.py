"""Mutations of sharding, licences, training and evaluation for mutations.py."""

from __future__ import annotations

from mutation_table import group

_CHECKPOINTS = "tests/mlctl/modeling/test_training_checkpoint.py"
_LOSSES = ("tests/mlctl/training/test_losses.py", "tests/mlctl/training/test_false_negatives.py")
_MASKING = ("tests/mlctl/training/test_masking.py", "tests/mlctl/training/test_collator.py")

TRAINING = [
    *group(
        "mlctl/modeling/training_checkpoint.py",
        _CHECKPOINTS,
        resumed_from_other_training=('if state["fingerprint"] != self._fingerprint:', "if False:"),
        damaged_checkpoint_read=('if file_digest(path / _TENSORS) != state["sha256"]:', "if False:"),
        best_checkpoint_removed=("if old.name != best:", "if True:"),
    ),
    *group(
        "mlctl/training/losses.py",
        *_LOSSES,
        cz_nce_with_positive_in_denominator=(
            "excluded, weights, positive_in_denominator=False)",
            "excluded, weights, positive_in_denominator=True)",
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
    *group(
        "mlctl/training/false_negatives.py",
        "tests/mlctl/training/test_false_negatives.py",
        hard_negatives_reversed=("if not self._hard_words:", "if self._hard_words:"),
        same_words_reversed=("return mask if self._same_words else", "return mask if not self._same_words else"),
        equal_sentences_lose_all_words=("[rows][:, rows] & ~same_content(identities)", "[rows][:, rows]"),
        similarity_of_one_direction=("| across | across.T", "| across"),
        similarity_across_sides_only=("(x @ x.T > min_similarity) | (y @ y.T > min_similarity) | across", "across"),
    ),
    *group(
        "mlctl/training/masking.py",
        *_MASKING,
        special_tokens_masked=("attention_mask & ~rule.special[input_ids] &", "attention_mask &"),
        special_tokens_inserted=("ordinary = np.flatnonzero(~rule.special)", "ordinary = np.arange(len(rule.special))"),
        mask_share=("_TO_MASK, _TO_RANDOM = 0.8, 0.1", "_TO_MASK, _TO_RANDOM = 0.9, 0.1"),
        random_share=("_TO_MASK, _TO_RANDOM = 0.8, 0.1", "_TO_MASK, _TO_RANDOM = 0.8, 0.2"),
        input_masked_in_place=("masked = input_ids.copy()", "masked = input_ids"),
    ),
    *group(
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
    *group(
        "mlctl/training/lr_schedule.py",
        "tests/mlctl/training/test_optimiser.py",
        first_step_learns_nothing=("* (step + 1) / settings.warmup_steps", "* step / settings.warmup_steps"),
        decay_from_the_first_step=("settings.steps - settings.warmup_steps", "settings.steps"),
    ),
    *group(
        "mlctl/training/language_sampling.py",
        "tests/mlctl/training/test_language_sampling.py",
        alpha_ignored=("sizes**alpha / (sizes**alpha).sum()", "sizes / sizes.sum()"),
        passes_restart_every_epoch=("start = epoch * count - first * len(rows)", "start = 0"),
    ),
    *group(
        "mlctl/training/sampler.py",
        "tests/mlctl/training/test_sampler.py",
        same_row_order_every_epoch=("Stream.ROW_ORDER, epoch, shard,", "Stream.ROW_ORDER, 0, shard,"),
        same_shard_order_every_epoch=("Stream.SHARD_ORDER, epoch, 0,", "Stream.SHARD_ORDER, 0, 0,"),
    ),
    *group(
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
    *group(
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
    *group(
        "mlctl/sharding/heldout.py",
        _HELDOUT,
        heldout_target_in_training=("= source | target", "= source"),
        heldout_source_in_training=("= source | target", "= target"),
        heldout_target_twice=(
            "occurs_once(identities[:, 0]) & occurs_once(identities[:, 1])",
            "occurs_once(identities[:, 0])",
        ),
        heldout_source_twice=(
            "occurs_once(identities[:, 0]) & occurs_once(identities[:, 1])",
            "occurs_once(identities[:, 1])",
        ),
        heldout_identities_of_sources=(
            "of(chosen).identities.ravel()",
            "of(chosen).identities[:, 0]",
        ),
        dev_pair_with_evaluation_text=("ordered[~np.concatenate(flags)]", "ordered"),
    ),
    *group(
        "mlctl/sharding/heldout.py",
        "tests/mlctl/sharding/test_stage.py",
        synthetic_pairs_held_out=(
            'eligible &= pc.equal(batch["synthetic"], "")',
            'eligible &= pc.not_equal(batch["synthetic"], "?")',
        ),
    ),
    *group(
        "mlctl/sharding/decontamination.py",
        _DECONTAMINATION,
        passage_of_nine_words=("PASSAGE_WORDS = 8", "PASSAGE_WORDS = 9"),
        passages_across_sentences=("np.flatnonzero(ends <= sentence_ends)", "np.flatnonzero(ends < len(offsets))"),
        one_side_decontaminated=("np.logical_or(*flags) for flags", "flags[0] for flags"),
        passages_ignored=("self.text | self.passage", "self.text"),
        texts_ignored=("self.text | self.passage", "self.passage"),
    ),
    *group(
        "mlctl/sharding/corpus_shards.py",
        _DECONTAMINATION,
        contaminated_pairs_trained_on=("trainable &= ~match.either", "trainable &= ~match.passage"),
    ),
    *group(
        "mlctl/sharding/synthetic_cap.py",
        "tests/mlctl/sharding/test_caps.py",
        twice_the_synthetic_rows=("limit = int(max_ratio *", "limit = int(2 * max_ratio *"),
        human_rows_capped=("return below_cap | human", "return below_cap"),
    ),
    *group(
        "mlctl/sharding/word_frequency_cap.py",
        "tests/mlctl/sharding/test_caps.py",
        one_word_pair_too_many=("np.arange(len(words))) + max_word_pairs", "np.arange(len(words))) + max_word_pairs + 1"),
    ),
]

_TESTS = "tests/mlctl/evaluation/statistics/test_paired_tests.py"
_PROMOTION = "tests/mlctl/evaluation/statistics/test_promotion.py"
_COMPARISON = "tests/mlctl/evaluation/statistics/test_model_comparison.py"
_FIGURES = "tests/mlctl/evaluation/statistics/test_decision_figures.py"

EVALUATION = [
    *group(
        "mlctl/evaluation/statistics/paired_tests.py",
        _FIGURES,
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
    *group(
        "mlctl/evaluation/statistics/ledger_comparison.py",
        "tests/mlctl/evaluation/statistics/test_ledger_comparison.py",
        ledger_without_the_test_over_trainings=('max(p, row["p"])', 'row["p"]'),
        ledger_without_correction=("corrected < ALPHA", 'row["p"] < ALPHA'),
        language_judged_with_itself=('(language == self.language) == (scope == "itself")', "True"),
        harm_called_help=('if row["difference"] > 0', 'if row["difference"] < 1'),
    ),
    *group(
        "mlctl/evaluation/statistics/promotion.py",
        _FIGURES,
        _PROMOTION,
        promoted_within_the_interval=("overall.low > 0 and ", ""),
        promoted_with_any_p=(" and overall.p < ALPHA", ""),
        fallen_task_promoted=("task.difference < -tolerance", "task.difference > tolerance"),
        tolerance_ignored=("task.difference < -tolerance", "task.difference < 0"),
    ),
    *group(
        "mlctl/evaluation/statistics/model_comparison.py",
        _FIGURES,
        _COMPARISON,
        significant_despite_the_interval=("return p < ALPHA and not low <= 0 <= high", "return p < ALPHA"),
        english_in_the_mean=("found[task] = zero_shot or list(compared.values())", "found[task] = list(compared.values())"),
        directions_not_added=("np.add.at(part[row], columns, scores.part)", "part[row][columns] = scores.part"),
    ),
    *group(
        "mlctl/modeling/nearest_neighbours.py",
        "tests/mlctl/evaluation/metrics/test_retrieval.py",
        ties_count_as_hits=("best_correct > best_wrong + MARGIN", "best_correct >= best_wrong"),
        equal_sentences_are_wrong=("identities[None, :, :]).any(dim=2)", "identities[None, :, :]).all(dim=2)"),
    ),
    *group(
        "mlctl/evaluation/compared_models.py",
        "tests/mlctl/evaluation/test_base_model.py",
        base_is_pooled_like_the_trained_model=(
            "open_model(BASE, base_folder, base.sentences,",
            "open_model(BASE, base_folder, sentences,",
        ),
        base_has_the_recipes_pooling=('"auto" if base.has_own else settings.pooling', "settings.pooling"),
    ),
    *group(
        "mlctl/reporting/regressions.py",
        "tests/mlctl/reporting/test_regressions.py",
        chance_is_a_regression=('row["significant"] and row["difference"] < 0', 'row["difference"] < 0'),
        gain_is_a_regression=('row["difference"] < 0', 'row["difference"] > 0'),
    ),
    *group(
        "mlctl/pipeline/export.py",
        "tests/mlctl/pipeline/test_export.py",
        worse_model_exported=("    if not force:\n", "    if False:\n"),
        worse_model_passes=("    if worse:\n", "    if not worse:\n"),
    ),
]

_LICENCES = "tests/mlctl/corpora/test_licences.py"

LICENCES = [
    *group(
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
    *group(
        "mlctl/pipeline/licence_check.py",
        "tests/mlctl/pipeline/test_licence_check.py",
        quick=True,
        translation_licence_unchecked=("or not recipe.licences.allow:", "or True:"),
    ),
]

EXPORT = [
    *group(
        "mlctl/modeling/tokenizer_trimming.py",
        "tests/mlctl/modeling/test_vocabulary_trimming.py",
        bpe_without_the_parts_of_tokens=("kept = _with_parts(model, vocabulary, kept)", "pass"),
        no_single_characters=("{number for number, token in vocabulary.items() if _is_basic(token, model)}", "set()"),
        post_processor_with_old_ids=('_renumber_post_processor(trimmed.get("post_processor"), new_ids)', "pass"),
    ),
    *group(
        "mlctl/modeling/vocabulary_trimming.py",
        "tests/mlctl/modeling/test_vocabulary_trimming.py",
        head_keeps_its_biases=("if tensor.ndim and tensor.shape[0] == rows", "if tensor.ndim > 1 and tensor.shape[0] == rows"),
        configuration_with_old_ids=('renumbered(value) if name.endswith("_token_id") else value', "value"),
    ),
    *group(
        "mlctl/reporting/card_metadata.py",
        "tests/mlctl/reporting/test_card.py",
        card_without_licence=('{"license": UNKNOWN}', "{}"),
        languages_with_script=('tag.partition("-")[0]', "tag"),
    ),
    *group(
        "mlctl/pipeline/encoder_scores.py",
        "tests/mlctl/evaluation/test_single_encoder.py",
        mean_over_any_languages=("for language in languages if all(", "for language in languages if any("),
    ),
]
