"""The child process: llama.cpp's server, until nobody needs it any more.

Started as `python -m dragoman.local.child ORDERS` with `ORDERS` as JSON. It says `ready` on its standard output once it
answers; what goes wrong stands on its standard error.
"""

import fcntl
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

SLOTS = 4  # requests that are worked on at a time; further ones wait
TEMPERATURE, TOP_P = 0.2, 0.9  # what the makers of the embedded model advise, unless the request says otherwise
MOST_TOKENS = 2048  # of a reply to a request that names no limit: a small model may never end by itself
PROMPT_CACHE_MIB = 64
HTTP_THREADS = 64  # each open connection holds one, idle ones too


class Orders(Struct):
    """What the child is to serve, and the files it shares with the gateways (see the package's head)."""

    gguf: str
    name: str
    context_window: int
    threads: int
    announcement: str
    users: str
    template: str | None = None


class Announcement(Struct):
    """Where the child is found: its base URL and the key it wants."""

    url: str
    key: str
    pid: int


def main() -> None:
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    report = os.dup(1)
    os.dup2(2, 1)  # native code may print; that is not for the gateway to read
    announcement = os.open(orders.announcement, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(announcement, fcntl.LOCK_EX)  # it is free: who started us saw that, and lets nobody else start
    os.ftruncate(announcement, 0)
    key = secrets.token_urlsafe(32)
    server = _serve(orders, key)
    found = Announcement(url=f"{server.listening_address}/v1", key=key, pid=os.getpid())
    os.pwrite(announcement, msgspec.json.encode(found), 0)
    os.write(report, b"ready\n")
    os.close(report)
    with Path(orders.users).open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_EX)  # waits until the last gateway is gone
        os._exit(0)  # at once: an orderly end would wait for running generations


def _serve(orders: Orders, key: str) -> Any:  # the wheel has no types
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = orders.gguf
    params.model_alias = {orders.name}
    params.api_keys = [key]
    params.port = 0
    params.n_ctx = orders.context_window
    params.n_parallel = SLOTS
    params.kv_unified = True  # each slot may take the whole context, as long as all together stay within it
    params.n_predict = MOST_TOKENS
    params.sampling.temp = TEMPERATURE
    params.sampling.top_p = TOP_P
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.n_threads_http = HTTP_THREADS
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.fit_params = False
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = orders.threads
        threads.poll = 0  # waiting threads sleep
    if orders.template:
        params.chat_template = Path(orders.template).read_text()
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
