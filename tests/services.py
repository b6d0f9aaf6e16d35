"""The services that tests run against for real, as Debian packages them: PostgreSQL and Redis.

| fixture        | gives                                                                                               |
|----------------|-----------------------------------------------------------------------------------------------------|
| `postgres`     | the URL of an empty PostgreSQL database; nobody else uses it during the test                        |
| `database`     | a value for `state.database`: the test runs twice, on "sqlite" and on a database as from `postgres` |
| `redis`        | the URL (`unix://…`) of an empty Redis; nobody else uses it during the test                         |
| `redis_server` | a `RedisServer` of this test alone, which it may stop and start                                     |

Each pytest process starts what its tests ask for, once, in a folder of its own, on a Unix socket, without persistence,
and ends it. A test whose service is not installed is skipped; where the variable CI is set, it fails instead.
`scripts/packages.sh` installs what is missing.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest


def missing(reason: str) -> None:
    """Skips the test, or fails it where it must be able to run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, package: str, *folders: Path) -> str:
    """The path of a program, from PATH or the folders."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    found = shutil.which(name, path=path)
    if found is None:
        missing(f"needs {name}: apt-get install {package}")
    return str(found)


class PostgresServer:
    """A cluster of its own. Root may not run one, so it then belongs to the user of the Debian package, or nobody."""

    def __init__(self) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self._initdb = program("initdb", "postgresql", *reversed(installed))
        self._pg_ctl = program("pg_ctl", "postgresql", *reversed(installed))
        self._folder = Path(tempfile.mkdtemp(prefix="dragoman-pg-"))
        self._user: str | None = None
        if os.getuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self._user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(self._folder, self._user)

    def start(self) -> None:
        data = str(self._folder / "data")
        self._run(self._initdb, "-D", data, "-U", "dragoman", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={self._folder} -c fsync=off"
        self._run(self._pg_ctl, "-D", data, "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run(self._pg_ctl, "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        return f"postgresql://dragoman@/postgres?host={self._folder}"

    def _run(self, *command: str) -> None:
        # `pg_ctl start` leaves the server its standard streams: a pipe would never end.
        with (self._folder / "said").open("w+b") as said:
            done = subprocess.run(command, stdout=said, stderr=said, user=self._user, cwd=self._folder, check=False)
            said.seek(0)
            assert done.returncode == 0, said.read().decode()


class RedisServer:
    """Runs `redis-server` without persistence: what is stopped has forgotten. `options` are its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self._program = program("redis-server", "redis-server")
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        command += self._options
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=self.socket.parent)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"eady to accept connections" in line:
                return
        raise AssertionError("redis-server does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    if find_spec("psycopg") is None:
        missing("needs psycopg: make setup")
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """See the module."""
    import psycopg

    with psycopg.connect(postgres_server.url, autocommit=True) as connection:  # emptied: a new one takes a second
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = user AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres_server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """See the module."""
    return "sqlite" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(shared_redis: RedisServer) -> str:
    """See the module."""
    from redis import Redis

    with Redis.from_url(shared_redis.url) as client:
        client.flushall()
    return shared_redis.url


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """See the module."""
    server = RedisServer(tmp_path_factory.mktemp("r"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
