"""Mutations of translation by a server for mutations.py: what is paid for, kept, repeated and never shown."""

from __future__ import annotations

from mutation_table import group

_FAILURES = "tests/mlctl/translation/test_openai_failures.py"
_PARTS = "tests/mlctl/translation/test_openai_parts.py"
_STAGE = "tests/mlctl/translation/test_openai_stage.py"

TRANSLATION = [
    *group(
        "mlctl/translation/openai_api/requester.py",
        _FAILURES,
        failed_request_not_repeated=("or retries == self._settings.max_retries:", "or retries >= 0:"),
        rate_limit_rejects_a_text=("                if not is_limited:\n", "                if True:\n"),
        broken_server_blamed_on_the_text=(
            "            if not answer:\n                raise server.unreachable",
            "            if False:\n                raise server.unreachable",
        ),
        pause_of_the_server_ignored=("self._limiter.pause(asked)", "self._limiter.pause(0.0)"),
        refused_key_is_tried_on=("if reply.status in (401, 403):", "if reply.status in (403,):"),
        filtered_prompt_counts_as_failure=("if reply.code == CONTENT_FILTER:", "if False:"),
        cut_body_is_an_answer=("if reply.is_success and not answer:", "if False:"),
        everything_is_tried_again=("return reply.status in _TRANSIENT or reply.status >= 500", "return True"),
    ),
    *group(
        "mlctl/translation/openai_api/requester.py",
        f"{_STAGE}::test_every_text_is_asked_for_once",
        used_tokens_not_counted=("used = _usage(answer, reply, estimated)", "used = None"),
    ),
    *group(
        "mlctl/translation/openai_api/spending.py",
        _PARTS,
        f"{_STAGE}::test_the_cost_limit_stops_before_it_and_a_higher_one_goes_on",
        cost_limit_ignored=("            if limit and self._spent + cost > limit:", "            if False:"),
        requests_on_their_way_cost_nothing=("while limit and self._in_flight and", "while False and"),
        usage_lost_in_a_crash=("os.write(self._descriptor, _line(used).encode())", "pass"),
        cut_line_counted=('if line.endswith("\\n") and len(fields) == 3', "if len(fields) >= 2"),
    ),
    *group(
        "mlctl/translation/openai_api/rate_limiter.py",
        _PARTS,
        quick=True,
        requests_without_a_limit=("self._next_request = start + self._request_seconds", "self._next_request = start"),
        tokens_without_a_limit=("self._next_tokens = start + tokens * self._token_seconds", "self._next_tokens = start"),
        pause_of_one_request_only=("self._next_tokens, self._paused_until)", "self._next_tokens)"),
    ),
    *group(
        "mlctl/translation/openai_api/answer.py",
        _PARTS,
        quick=True,
        unfinished_answer_accepted=('if self.finish_reason == "length":', "if False:"),
        refusal_accepted=("if self.refusal or self.finish_reason == CONTENT_FILTER:", "if False:"),
        quotation_marks_of_the_text_removed=("or text.lstrip()[:1] in _QUOTES:", "or False:"),
        fence_of_the_text_removed=('and "```" not in text:', "and True:"),
        lone_surrogates_kept=('_SURROGATE.sub("\\ufffd", output)', "output"),
        notes_beside_structured_output_dropped=("if len(values) == 1 else None", "if len(values) else None"),
    ),
    *group(
        "mlctl/translation/openai_api/answer_store.py",
        f"{_STAGE}::test_what_changes_answers_is_asked_for_again",
        f"{_STAGE}::test_a_glossary_asks_again_only_for_texts_with_its_terms",
        f"{_STAGE}::test_a_killed_run_asks_for_nothing_again_that_it_has_got",
        temperature_not_in_the_key=('"temperature": str(options.temperature),', ""),
        seed_not_in_the_key=('"seed": str(options.seed),', ""),
        prompt_not_in_the_key=("source, target, request.prompt)", 'source, target, request.prompt.rpartition("\\n")[2])'),
        answers_not_stored=(
            "return self._memory.put_if_absent(key, translation) if self._memory else translation",
            "return translation",
        ),
    ),
    *group(
        "mlctl/translation/openai_api/backend.py",
        _FAILURES,
        faulty_answers_stored=("return translation if checked.rule else", "return translation if False else"),
        equal_requests_sent_twice=("if future := self._pending.get(request.key):", 'if future := self._pending.get(b""):'),
    ),
    *group(
        "mlctl/translation/openai_api/client.py",
        _FAILURES,
        f"{_STAGE}::test_the_key_comes_from_the_environment_and_is_in_no_file_and_no_log",
        f"{_STAGE}::test_a_key_that_cannot_be_sent_is_not_shown",
        key_in_messages=('one_line.replace(self._key, "…") if self._key else one_line', "one_line"),
        key_of_another_server=("os.environ.get(settings.api_key_variable", 'os.environ.get("OPENAI_API_KEY"'),
        trickling_answer_never_ends=("if time.monotonic() > end:", "if False:"),
        key_with_line_breaks_sent=("if not (key.isascii() and key.isprintable()):", "if False:"),
    ),
    *group(
        "mlctl/translation/openai_api/request.py",
        f"{_FAILURES}::test_a_server_that_understands_less_is_asked_in_its_way",
        refused_format_sent_again=('self._is_structured, self._is_structured_known = "response_format" in body, True', "pass"),
    ),
    *group(
        "mlctl/translation/openai_api/prompt.py",
        _PARTS,
        quick=True,
        whole_glossary_in_every_prompt=("self._glossary.terms_of(text))", "self._glossary._terms.values())"),
    ),
    *group(
        "mlctl/translation/quality.py",
        f"{_STAGE}::test_the_cost_limit_stops_before_it_and_a_higher_one_goes_on",
        cost_limit_hidden_by_the_round_trip=('may_fail = settings.backend != "openai"', "may_fail = True"),
    ),
    *group(
        "mlctl/translation/parallelism.py",
        f"{_STAGE}::test_the_process_of_the_run_asks_on_every_execution_backend",
        limits_of_each_worker=('if settings.backend == "openai":', "if False:"),
    ),
    *group(
        "mlctl/pipeline/stages/translate.py",
        _PARTS,
        quick=True,
        server_in_the_key_of_other_backends=('if recipe.translate.backend != "openai":', "if False:"),
    ),
    *group(
        "mlctl/translation/translation_memory.py",
        "tests/mlctl/translation/test_translation_memory.py",
        second_answer_replaces_the_first=("return str(stored.decode())", "break"),
    ),
]
