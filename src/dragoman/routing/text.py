"""A prompt as the predictor reads it: what cannot change the answer is taken away first.

Case, white space, typographic variants and common courtesies say nothing of how hard a question is, so two prompts that
differ only in them must be the same prompt to the router.
"""

import re
import unicodedata

MOST_CHARACTERS = 4_000  # of a prompt that are read: its head and its tail, so that no prompt takes long
_TAIL = 1_000

_TYPOGRAPHY = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "–": "-",
        "—": "-",
        "−": "-",
        "…": "...",
        "\u00a0": " ",
    }
)
_GREETING = r"(?:(?:hi|hello|hey|greetings|good (?:morning|day|evening|afternoon))(?: there| all| everyone)?[,.!:]* )"
_ASKING = (
    r"(?:(?:please|kindly|pls|plz)(?: (?:can|could|would|will) you)?"
    r"|(?:can|could|would|will) you(?: (?:please|kindly))?"
    r"|i would (?:like|appreciate) (?:it if )?you(?: to| could| can)?|i(?:'d| would) like you to|i need your help with"
    r"|i have a question)"
)
_TASK = (
    r"(?: (?:help(?: me)?(?: (?:with|to))?|answer|solve|respond to|reply to|look at|consider|tell me"
    r"|assist(?: me)? with)(?: (?:the following|the|this|my|these|following))?"
    r"(?: (?:question|problem|task|request|prompt|exercise|query|one))?"
    r"(?: (?:below|carefully|for me|correctly|as best you can))*)"
)
_OPENING = re.compile(rf"^{_GREETING}?(?:{_ASKING}{_TASK}?[:,.!?-]* )?")
_CLOSING = re.compile(
    r"[ ,]*(?:\b(?:(?:many |lots of )?thanks(?: a lot| so much| very much| again)?|thank you(?: (?:so|very) much)?|thx"
    r"|please(?: and thank you)?|cheers|i appreciate (?:it|your help)|much appreciated)"
    r"(?: (?:in advance|for (?:your|the|any) (?:help|time|answer|assistance)))?[ .!:)]*)+$"
)
# The expressions are slow beside these; they are asked only where one of them is there.
_OPENINGS = (
    *("hi", "hello", "hey", "greetings", "good ", "please", "kindly", "pls", "plz"),
    *("can you", "could you", "would you", "will you", "i ", "i'd "),
)
_CLOSINGS = ("thank", "thx", "please", "cheers", "appreciate")
_LAST = 120  # characters in which thanks are looked for
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_+")
_PLAIN_WORD = re.compile(r"[a-z]+|[0-9]+|_+|[^\sa-z0-9_]")  # the same, faster, where all is ASCII


def normalise(prompt: str) -> str:
    """Lower case, single spaces, plain quotes and dashes, without greetings, "please" in front and thanks behind."""
    if len(prompt) > MOST_CHARACTERS:
        prompt = f"{prompt[: MOST_CHARACTERS - _TAIL]} {prompt[-_TAIL:]}"
    if not prompt.isascii():
        prompt = unicodedata.normalize("NFKC", prompt.translate(_TYPOGRAPHY))
    plain = " ".join(prompt.lower().split())
    bare = plain
    if plain.startswith(_OPENINGS) and (opening := _OPENING.match(plain)):
        bare = plain[opening.end() :]
    tail = bare[-_LAST:]
    if any(map(tail.__contains__, _CLOSINGS)) and (closing := _CLOSING.search(bare, max(0, len(bare) - _LAST))):
        bare = bare[: closing.start()]
    return bare or plain


def words(normal: str) -> list[str]:
    """Words, numbers and signs of a normalised prompt, in order."""
    return (_PLAIN_WORD if normal.isascii() else _WORD).findall(normal)
