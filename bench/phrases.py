"""What people say who don't speak in sentences: short answers, commands, numbers, names, dates. For `train_turns`."""

import random
import re

_WORDS = {
    "digit": "zero one two three four five six seven eight nine oh",
    "teen": "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen",
    "tens": "twenty thirty forty fifty sixty seventy eighty ninety",
    "ordinal": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth twentieth"
    " thirtieth",
    "month": "january february march april may june july august september october november december",
    "day": "monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight",
    "part": "morning afternoon evening night",
    "unit": "meters miles minutes hours dollars euros degrees percent people seconds pounds feet days weeks times"
    " pieces",
    "rank": "two three four five six seven eight nine ten jack queen king ace",
    "suit": "hearts clubs spades diamonds",
    "way": "left right forward back up down straight north south east west away inside outside home around",
    "move": "go turn move walk drive look step run come fly",
    "verb": "open close start stop play find call show read save delete send buy take get check book order cancel"
    " cut clear change copy move fix hold lock paint press push print record remove repeat reset search"
    " select skip wash",
    "thing": "door window file music song lights light radio news weather email message letter car phone"
    " television meeting table room ticket flight train hotel pizza coffee tea water book number address"
    " account picture map list timer alarm calendar game movie kitchen garden report box key street school"
    " dog cat house bridge river paper",
    "kind": "red blue green big small new old first last next other black white hot cold long short main second"
    " dark",
    "name": "john mary peter anna david susan michael sarah james linda robert emma thomas laura paul julia mark"
    " helen george alice frank kate henry jane william",
    "family": "smith jones brown miller davis wilson taylor clark hall young king wright hill green baker carter"
    " turner parker cook morgan bell cooper ward gray",
    "place": "london paris berlin boston chicago denver dallas rome madrid tokyo sydney dublin vienna seattle"
    " texas france spain italy ireland canada england",
    "state": "ready done finished tired hungry late busy fine good great sorry sure lost open closed full empty"
    " ill",
}  # fmt: skip
_LISTS = {name: words.split() for name, words in _WORDS.items()}
_LONE = """\
yes|no|okay|sure|maybe|thanks|hello|goodbye|stop|wait|help|yes please|no thanks|no thank you|thank you
of course|not really|not yet|not now|i see|all right|never mind|me too|that's all|that's it|that's right
go on|go ahead|come on|hold on|hang on|one moment|just a moment|excuse me|i'm sorry|i don't know|i think so
i don't think so|i hope so|why not|how much|how many|how come|what for|what else|who is it|what time is it
where are you|how are you|good morning|good night|see you later|see you tomorrow|well done|what's up|got it
right away|as soon as possible|no idea|no problem|both of them|the other one|the first one|neither|either one
all of them|none of them|nothing else|something else|somewhere else|say that again|try again|start again
again|more|less|louder|slower|next|back|cancel|continue|repeat|undo|pause|play|mute|exit|quit|enter|escape
delete|copy|paste|not bad|very well|so far so good|every day|right now|two of them|half of it|on my way
in the morning|at the office|at home|for my wife|with my friends|to the airport|black coffee|with milk
without sugar|by train|on foot|in cash|by card|over there|up here|not far|far away"""
_SHAPES = """\
{rank} of {suit}|{rank} of {suit} {rank} of {suit}|the {rank} of {suit}|{digits}|{digits}|{digits}|{digits}
{number}|{number} {number}|{number} {unit}|{number} {unit}|{move} {way}|{move} {way} {number} {unit}
{move} {way} and {move} {way}|{verb} the {thing}|{verb} the {kind} {thing}|{verb} it|{verb} it now
{verb} that|{verb} a {thing}|{verb} my {thing}|{verb} {thing}|turn on the {thing}|turn off the {thing}
turn it off|turn it on|set a timer for {number} minutes|wake me at {number}|call {name}|call {name} {family}
{name} {family}|{name}|{name} and {name}|{place}|{place} and {place}|to {place}|from {place} to {place}
in {place}|{kind} {thing}|a {kind} {thing}|the {kind} {thing}|the {kind} one|{thing}|a {thing}|the {thing}
{thing} and {thing}|{day}|{day} {part}|on {day}|{month} {ordinal}|the {ordinal} of {month}
{month} {ordinal} {number}|next {day}|{day} at {number}|half past {number}|quarter to {number}
at {number} o'clock|{number} o'clock|{number} thirty|{number} in the {part}|{number} {thing}
{number} {kind} {thing}|about {number}|more than {number}|room {number}|number {number}|page {number}
my name is {name}|i'm {name} {family}|i'm {state}|it's {state}|are you {state}|{thing} number {number}
not {day}|no {thing}|where is the {thing}|what about {day}|how about {number}|is it {state}
the {ordinal} {thing}|the {ordinal} one"""


def phrases(count: int, chance: random.Random) -> list[str]:
    """So many, drawn at random: one in six of those that stand alone."""
    lone, shapes = (text.replace("\n", "|").split("|") for text in (_LONE, _SHAPES))
    kinds = (lone if chance.random() < 1 / 6 else shapes for _ in range(count))
    return [_filled(chance.choice(kind), chance) for kind in kinds]


def _filled(shape: str, chance: random.Random) -> str:
    parts = re.split(r"[{}]", shape)  # every other one is a name
    return "".join(_drawn(part, chance) if at % 2 else part for at, part in enumerate(parts))


def _drawn(name: str, chance: random.Random) -> str:
    if name == "digits":
        return " ".join(chance.choice(_LISTS["digit"]) for _ in range(chance.randint(1, 8)))
    if name == "number":
        digit, teen, tens = (chance.choice(_LISTS[kind]) for kind in ("digit", "teen", "tens"))
        return chance.choice([digit, teen, tens, f"{tens} {digit}", f"{digit} hundred"])
    return chance.choice(_LISTS[name])
