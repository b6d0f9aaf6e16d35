"""Images by value and by address, and documents."""

import hashlib

import pytest

from e2e.clients.talk import CannotSay, Image, Link, Paper
from fakes.openai_media import PNG

PDF = b"%PDF-1.4 a paper"
URL = "https://images.example/cat.png"


def seen(kind: str, mime: str, data: bytes) -> str:
    return f"[{kind} {mime} sha256:{hashlib.sha256(data).hexdigest()[:16]}]"


def test_an_image_arrives_byte_for_byte(cell):
    said = cell.talk().user("what is it?", Image(PNG)).reply()
    assert said.text == f"You said: what is it? {seen('image', 'image/png', PNG)}"


def test_an_image_by_its_address_is_passed_on(cell):
    talk = cell.talk()
    if not cell.client.can_link:
        with pytest.raises(CannotSay):
            talk.user(Link(URL))
    elif not cell.column.links:
        # the upstream takes images by value only, and the gateway fetches nothing: told, not dropped
        with pytest.raises(cell.client.failed) as caught:
            talk.user("what is it?", Link(URL)).reply()
        assert talk.status(caught.value) == 400
    else:
        assert talk.user("what is it?", Link(URL)).reply().text == f"You said: what is it? [image {URL}]"


def test_a_document_arrives_byte_for_byte(cell):
    talk = cell.talk()
    if not cell.client.can_paper:
        with pytest.raises(CannotSay):
            talk.user(Paper(PDF))
    elif not cell.column.papers:
        with pytest.raises(cell.client.failed) as caught:
            talk.user("summarise", Paper(PDF)).reply()
        assert talk.status(caught.value) == 400
    else:
        said = talk.user("summarise", Paper(PDF)).reply()
        assert said.text == f"You said: summarise {seen('document', 'application/pdf', PDF)}"
