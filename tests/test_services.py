"""The real services: each test finds them as if it were the first."""

import pytest

AGAIN = pytest.mark.parametrize("turn", [1, 2])


@AGAIN
def test_postgresql_is_empty(postgres: str, turn: int) -> None:
    import psycopg

    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE left_behind (id int)")


@AGAIN
def test_a_connection_left_open_does_not_hold_up_the_next_test(postgres: str, turn: int) -> None:
    import psycopg

    connection = psycopg.connect(postgres)
    connection.execute("CREATE TABLE left_locked (id int)")


@AGAIN
def test_redis_is_empty(redis: str, turn: int) -> None:
    from redis import Redis

    with Redis.from_url(redis) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_a_service_that_must_be_there_fails_the_test_and_else_skips_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import services

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-package"):
        services.program("no-such-program", "no-such-package")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="needs no-such-program"):
        services.program("no-such-program", "no-such-package")
