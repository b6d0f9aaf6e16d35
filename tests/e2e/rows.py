"""The clients: one row of the matrix each, an official SDK in one of its modes."""

from e2e.clients import CLIENTS
from e2e.clients.talk import MODES, Mode, Talk

ROWS: dict[str, tuple[type[Talk], Mode]] = {
    f"{name}-{mode.name}": (client, mode) for name, client in CLIENTS.items() for mode in MODES
}
