"""The page to talk to, against a realtime server that gives a fixed reply."""

from collections.abc import Callable

from console.conftest import MODELS, Tab
from fakes.talker import Talker, hush, tone

Talk = Callable[..., Talker]
Visit = Callable[..., Tab]
QUESTION = hush(1) + tone(0.5) + hush(5)


def test_both_sides_are_captioned_and_the_stages_drawn(talker: Talk, tab: Visit) -> None:
    here = tab(talker(), QUESTION)
    here.page.click("text=Talk")
    said = here.turn(1)
    assert "What is the time?" in said
    assert "It is ten past two." in said
    assert "225 ms" in said
    assert "local/local" in said
    label = here.page.get_attribute(".bar", "aria-label")
    assert label == (
        "vad_hang 51 ms, turn_model 27 ms, stt_final 22 ms, route 0.2 ms, llm_ttft 80 ms, first_clause 31 ms, "
        "tts_ttfa 13 ms, send 1.0 ms; heard after 225 ms"
    )
    widths = here.page.eval_on_selector_all(".bar .stage", "all => all.map(each => each.offsetWidth)")
    assert len(widths) == 8
    assert max(widths) == widths[4], "the longest stage has the longest part of the bar"
    assert here.said == []


def test_the_state_is_shown_as_it_changes(talker: Talk, tab: Visit) -> None:
    here = tab(talker(reply=tone(1)), QUESTION)
    assert here.page.inner_text("[role=status]") == "Not connected"
    here.page.click("text=Talk")
    for state in ("Listening", "Hearing you", "Speaking", "Listening"):
        here.page.wait_for_selector(f"[role=status]:text-is('{state}')")
    here.page.click("text=End")
    assert here.page.inner_text("[role=status]") == "Not connected"


def test_speaking_into_the_reply_stops_it_and_tells_how_much_was_heard(talker: Talk, tab: Visit) -> None:
    server = talker(reply=tone(20))
    here = tab(server, hush(1) + tone(0.5) + hush(1) + tone(0.5) + hush(5))
    here.page.click("text=Talk")
    here.turn(2)
    (truncate,) = server.of("conversation.item.truncate")
    assert truncate["content_index"] == 0
    assert 0 < truncate["audio_end_ms"] < 2000
    first = here.turn(1)
    assert f"You broke in after {truncate['audio_end_ms'] / 1000:.1f} s." in first
    here.page.wait_for_selector(".turn:nth-child(1) del")
    assert here.page.inner_text(".turn:nth-child(1) del").strip() == "ten past two."


def test_the_model_and_the_instructions_go_along(talker: Talk, tab: Visit) -> None:
    server = talker()
    here = tab(server)
    assert here.page.eval_on_selector_all("option", "all => all.map(each => each.value)") == list(MODELS)
    here.page.select_option("select", "auto")
    here.page.fill("textarea", "Be brief.")
    here.page.click("text=Talk")
    here.page.wait_for_selector("[role=status]:text-is('Listening')")
    assert server.asked == ["/v1/realtime?model=auto&dragoman_turns=1"]
    assert server.of("session.update")[0]["session"]["instructions"] == "Be brief."


def test_a_model_that_no_list_has_can_be_named_in_the_address(talker: Talk, tab: Visit) -> None:
    here = tab(talker(), query="?model=mine/model")
    assert here.page.input_value("select") == "mine/model"


def test_a_key_goes_along_and_without_it_the_page_says_what_is_wrong(talker: Talk, tab: Visit) -> None:
    here = tab(talker(keys={"dgm-good"}), QUESTION)
    here.page.click("text=Talk")
    assert "key" in here.page.inner_text("[role=alert]")
    here.page.fill("input[type=password]", "dgm-good")
    here.page.click("text=Talk")
    assert "What is the time?" in here.turn(1)
    assert here.page.query_selector("[role=alert]") is None


def test_a_session_that_breaks_off_is_said(talker: Talk, tab: Visit) -> None:
    here = tab(talker(dies_after_commit=True), QUESTION)
    here.page.click("text=Talk")
    assert here.page.inner_text("[role=alert]") == "out of breath"
    assert here.page.inner_text("[role=status]") == "Not connected"


def test_a_reply_that_fails_is_said(talker: Talk, tab: Visit) -> None:
    here = tab(talker(fails="the model is on fire"), QUESTION)
    here.page.click("text=Talk")
    here.page.wait_for_selector(".turn:nth-child(1):has-text('the model is on fire')")


def test_what_a_provider_cannot_be_told_is_named(talker: Talk, tab: Visit) -> None:
    here = tab(talker(lossy=("session.audio.input.noise_reduction",)))
    here.page.click("text=Talk")
    here.page.wait_for_selector("text=The provider can't be told: session.audio.input.noise_reduction.")


def test_it_can_be_written_to_instead(talker: Talk, tab: Visit) -> None:
    server = talker()
    here = tab(server)
    here.page.click("text=Talk")
    here.page.wait_for_selector("[role=status]:text-is('Listening')")
    here.page.fill("[name=text]", "What is the time?")
    here.page.press("[name=text]", "Enter")
    assert "It is ten past two." in here.turn(1)
    (created,) = server.of("conversation.item.create")
    assert created["item"]["content"] == [{"type": "input_text", "text": "What is the time?"}]


def test_the_keyboard_alone_does(talker: Talk, tab: Visit) -> None:
    here = tab(talker(), QUESTION)
    here.page.keyboard.press("Tab")  # the way home
    here.page.keyboard.press("Tab")
    here.page.keyboard.press("Enter")
    assert "What is the time?" in here.turn(1)
    here.page.keyboard.press("Enter")
    assert here.page.inner_text("[role=status]") == "Not connected"


def test_a_muted_microphone_is_silent(talker: Talk, tab: Visit) -> None:
    here = tab(talker(), tone(60))
    here.page.click("text=Talk")
    here.page.wait_for_selector("[role=status]:text-is('Hearing you')")
    here.page.click("text=Mute the microphone")
    assert "What is the time?" in here.turn(1), "the turn has ended, for the sound has"


def test_what_a_model_says_is_text_and_nothing_else(talker: Talk, tab: Visit) -> None:
    here = tab(talker(words=("<img src=x onerror=alert(1)>",)), QUESTION)
    here.page.click("text=Talk")
    assert "<img src=x onerror=alert(1)>" in here.turn(1)
