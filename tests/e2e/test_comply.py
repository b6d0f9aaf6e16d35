"""llm-comply, a conformance tester that knows nothing of us, in its four formats."""

import json
import subprocess
import sys

import pytest

from e2e.columns import COLUMNS

FORMATS = {
    "openai-chat": ("/v1", ()),
    "open-responses": ("/v1", ()),
    "anthropic": ("/v1", ("--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01")),
    "google-genai": ("", ("--auth-header", "x-goog-api-key", "--no-bearer")),
}


# By what the tester is mistaken, or the provider falls short, by format and column:
IGNORED = {
    # it knows the event by another name than its own copy of the specification and OpenAI's SDK do
    ("open-responses", None): ["unknown SSE event type: response.reasoning_summary_text"],
    # Open Responses has fields that OpenAI's own responses lack, and the relay lane adds nothing
    ("open-responses", "openai-responses"): ["presence_penalty", "frequency_penalty"],
    ("open-responses", "azure"): ["presence_penalty", "frequency_penalty"],
}
# It wants tools to be called that it did not force (Ollama has no `tool_choice`), which the fake's model never does.
UNFORCED = {"ollama": {"anth-tool-calling", "chat-tool-calling", "google-tool-calling", "tool-calling"}}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("form", FORMATS)
def test_the_gateway_complies(world, form, column):
    path, options = FORMATS[form]
    command = [sys.executable, "-m", "llm_comply.cli", "run", "--json", "--format", form]
    command += ["-u", world.gateway.url + path, "-k", "any", "-m", f"{column}.think", *options]
    ignored = IGNORED.get((form, None), []) + IGNORED.get((form, column), [])
    command += ["-i", ",".join(ignored)] if ignored else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(done.stdout)
    failed = {result["id"]: result["errors"] for result in report["results"] if result["status"] == "failed"}
    if column in UNFORCED:
        failed = {name: errors for name, errors in failed.items() if name not in UNFORCED[column]}
    assert failed == {}, json.dumps(failed, indent=1)
    assert len(report["results"]) > 7
