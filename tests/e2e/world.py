"""Everything the tests run against: every fake, and one gateway in front of them all."""

from contextlib import ExitStack
from typing import Any, Self

from e2e.columns import COLUMNS, Column
from e2e.gateway import GatewayProcess
from e2e.rows import ROWS
from fakes import Fake, start

SECRET = "sk-an-account-s-own-secret"
FATES = ("e401", "e404", "e429", "e500", "emid", "ecut", "edrop")  # model ids of the error tests


class World:
    """`fakes` by column, and `gateway`. Model `COLUMN` stands for the column's model, `COLUMN.think` for its thinker.

    An account rests after an upstream's failure, so every test of one has an account of its own: model
    `COLUMN.FATE.ROW` is served by no other.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.fakes: dict[str, Fake] = {}

    def start(self) -> Self:
        for number, (name, column) in enumerate(COLUMNS.items()):
            options = {"credentials": {"AKIAFAKE": SECRET}} if name == "bedrock" else {"keys": {SECRET}}
            self.fakes[name] = self._stack.enter_context(start(column.fake, **options, **column.options))
            self.fakes[name]._issued = number << 40  # no two providers give one id to two things
        self.gateway = self._stack.enter_context(GatewayProcess(**self._tables()))
        return self

    def stop(self) -> None:
        self._stack.close()

    def _tables(self) -> dict[str, Any]:
        columns = list(COLUMNS.values())
        return {
            "server": {"queue_seconds": 0},  # a limited provider is to be heard of at once, not waited for
            "providers": [c.provider | {"base_url": self.fakes[c.name].base_url} for c in columns if c.provider],
            "accounts": [entry for c in columns for entry in self._accounts(c)],
            "models": [entry for c in columns for entry in self._models(c)],
        }

    def _accounts(self, column: Column) -> list[dict[str, Any]]:
        fake = self.fakes[column.name]
        shared = {"provider": column.name, "base_url": fake.base_url, **column.account, **_credential(column, fake)}
        ordinary = {"name": column.name, "models": list({column.model, column.thinker, "other-mock"}), **shared}
        fated = [
            {"name": f"{column.name}.{fate}.{row}", "models": [f"gpt-4o-{fate}-{row}"], **shared}
            for fate in FATES
            for row in ROWS
        ]
        return [ordinary, *fated]

    def _models(self, column: Column) -> list[dict[str, Any]]:
        provider = column.account.get("provider", column.name)
        names = {column.name: column.model, f"{column.name}.think": column.thinker}
        names[f"embedder-{list(COLUMNS).index(column.name)}"] = column.model  # the Gemini SDK minds "gemini" in a name
        names |= {f"{column.name}.{fate}.{row}": f"gpt-4o-{fate}-{row}" for fate in FATES for row in ROWS}
        return [{"name": name, "targets": [f"{provider}/{model}"]} for name, model in names.items()]


def _credential(column: Column, fake: Any) -> dict[str, Any]:
    if column.name == "bedrock":
        ((key_id, secret),) = fake.credentials.items()
        return {"access_key_id": key_id, "secret_access_key": secret}
    return {"key": SECRET}
