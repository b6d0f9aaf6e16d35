"""Structured output, parsed by the SDK's own helpers where it has any."""

import pydantic


class Address(pydantic.BaseModel):
    street: str
    number: int


class Person(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]
    home: Address


def test_structured_output_is_parsed(cell):
    said = cell.talk(shape=Person).user("who is it?").reply()
    person = said.parsed or Person.model_validate_json(said.text)
    assert person == Person(name="sample", age=7, tags=["sample"], home=Address(street="sample", number=7))
