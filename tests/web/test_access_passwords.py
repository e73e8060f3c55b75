"""Passwords: who comes in, what it costs, and how little guessing tells."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

import bcrypt
import pytest
from support.certificates import PASSWORD, PASSWORD_HASH
from support.fake_time import FakeTime

from trainwave_exporter.web import HEALTH_PATHS
from trainwave_exporter.web.access.password_lanes import PasswordLane, Remembered, Turns, network_of
from trainwave_exporter.web.access.passwords import (
    FAILURES_AT_ONCE,
    SECONDS_PER_FAILURE,
    PasswordCheck,
    Passwords,
)
from trainwave_exporter.web.access.request_limits import Bucket, BucketPerClient

if TYPE_CHECKING:
    from web.conftest import Gate

OpenGate: TypeAlias = "Callable[..., Awaitable[Gate]]"

USERS = f"basic_auth_users:\n  ada: {PASSWORD_HASH}\n"
ALLOWED = PasswordCheck(allowed=True)
REFUSED = PasswordCheck(allowed=False)


def header(user: str, password: str = PASSWORD) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


ADA = header("ada")


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def checks() -> list[int]:
    """Return the costs of the hashes that were computed."""
    return []


@pytest.fixture
def passwords(fake_time: FakeTime, checks: list[int]) -> Passwords:
    def matches(password: bytes, hashed: bytes) -> bool:
        checks.append(int(hashed[4:6]))
        return bcrypt.checkpw(password, hashed)

    passwords = Passwords(fake_time.monotonic, matches)
    passwords.use({"ada": PASSWORD_HASH})
    return passwords


async def test_only_users_with_their_password_come_in(open_gate: OpenGate) -> None:
    gate = await open_gate(USERS)
    for path in ("/metrics", "/", "/-/healthy", "/-/ready", "/none"):
        status, headers = await gate.get(path)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Basic realm=")
    assert (await gate.get(auth=ADA))[0] == 200
    assert (await gate.get("/none", auth=ADA))[0] == 404
    assert (await gate.get(auth=header("ada", "wrong")))[0] == 401
    assert (await gate.get(auth=header("bob")))[0] == 401
    assert gate.refusals == ["credentials"] * 7


async def test_health_is_open_by_choice_and_nothing_else(open_gate: OpenGate) -> None:
    gate = await open_gate(USERS, open_paths=HEALTH_PATHS)
    statuses = [(await gate.get(path))[0] for path in (*HEALTH_PATHS, "/", "/metrics")]
    assert statuses == [200, 200, 401, 401]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic ????",
        "Basic YWRh",  # no colon
        "Basic äöü",
        f"Bearer {header('ada')[6:]}",
        f"Basic {header('ada')[6:]}!",
        "Basic Og==",  # a colon alone
    ],
)
async def test_what_holds_no_credentials_is_refused(passwords: Passwords, text: str | None) -> None:
    assert await passwords.check(text, "192.0.2.1") == REFUSED


async def test_the_scheme_may_be_spelled_in_any_case(passwords: Passwords) -> None:
    text = header("ada").replace("Basic", "bAsIc")
    assert await passwords.check(text, "192.0.2.1") == ALLOWED


async def test_a_right_password_is_computed_once(passwords: Passwords, checks: list[int]) -> None:
    for _ in range(100):
        assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED
    assert checks == [4]


async def test_first_scrapes_at_once_compute_one_hash(
    passwords: Passwords, checks: list[int]
) -> None:
    first = (passwords.check(header("ada"), f"192.0.2.{n}") for n in range(20))
    assert set(await asyncio.gather(*first)) == {ALLOWED}
    assert checks == [4]


async def test_a_password_that_was_right_is_none_once_the_hash_is_another(
    passwords: Passwords,
) -> None:
    assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED
    passwords.use({"ada": bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()})
    assert await passwords.check(header("ada"), "192.0.2.1") == REFUSED
    assert await passwords.check(header("ada", "new"), "192.0.2.1") == ALLOWED
    passwords.use({})
    assert not passwords


async def test_a_user_that_is_removed_during_the_check_does_not_come_in(
    passwords: Passwords,
) -> None:
    checking = asyncio.create_task(passwords.check(header("ada"), "192.0.2.1"))
    await asyncio.sleep(0)
    passwords.use({"grace": PASSWORD_HASH})
    assert await checking == REFUSED


async def test_an_unknown_user_costs_the_check_of_a_known_one(
    passwords: Passwords, checks: list[int]
) -> None:
    passwords.use({"ada": PASSWORD_HASH, "grace": PASSWORD_HASH.replace("$04$", "$06$")})
    for user in ("ada", "bob", "bob", "grace"):
        assert await passwords.check(header(user, "wrong"), f"192.0.2.{user}") == REFUSED
    known, first, again, other = checks
    assert (known, other) == (4, 6)
    assert first == again in {4, 6}
    del checks[:]
    for number in range(60):
        await passwords.check(header(f"user-{number}", "wrong"), f"192.0.2.{number}")
    assert set(checks) == {4, 6}


async def test_a_password_longer_than_bcrypt_reads_is_as_good_as_elsewhere(
    passwords: Passwords,
) -> None:
    long = "é" * 60
    hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    passwords.use({"ada": hashed, "zoë": hashed})
    assert await passwords.check(header("ada", long), "192.0.2.1") == ALLOWED
    assert await passwords.check(header("zoë", long), "192.0.2.1") == ALLOWED
    assert await passwords.check(header("ada", "é" * 35), "192.0.2.1") == REFUSED


async def test_bits_of_a_salt_that_count_for_nothing_may_be_set(passwords: Passwords) -> None:
    alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    number = alphabet.index(PASSWORD_HASH[28])
    odd = PASSWORD_HASH[:28] + alphabet[number + 5] + PASSWORD_HASH[29:]
    passwords.use({"ada": odd})
    assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED
    assert await passwords.check(header("ada", "wrong"), "192.0.2.1") == REFUSED


@pytest.mark.parametrize("user", ["ada", "bob"])
async def test_guessing_is_bounded_whoever_is_tried(
    passwords: Passwords, checks: list[int], fake_time: FakeTime, user: str
) -> None:
    for number in range(FAILURES_AT_ONCE):
        assert await passwords.check(header(user, str(number)), "192.0.2.1") == REFUSED
    for number in range(100):
        verdict = await passwords.check(header(user, f"x{number}"), "192.0.2.1")
        assert verdict == PasswordCheck(allowed=False, retry_after=SECONDS_PER_FAILURE)
    assert len(checks) == FAILURES_AT_ONCE
    await fake_time.advance(SECONDS_PER_FAILURE)
    assert await passwords.check(header(user, "y"), "192.0.2.1") == REFUSED
    assert not (await passwords.check(header(user, "z"), "192.0.2.1")).allowed
    assert len(checks) == FAILURES_AT_ONCE + 1


async def test_who_guesses_locks_nobody_out(passwords: Passwords) -> None:
    assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED
    for number in range(FAILURES_AT_ONCE + 1):
        await passwords.check(header("ada", str(number)), "192.0.2.1")
    assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED
    passwords.use({"ada": PASSWORD_HASH, "grace": PASSWORD_HASH})
    assert await passwords.check(header("grace"), "192.0.2.2") == ALLOWED


async def test_right_passwords_are_no_guesses(passwords: Passwords) -> None:
    users = [f"user-{number}" for number in range(3 * FAILURES_AT_ONCE)]
    passwords.use(dict.fromkeys(users, PASSWORD_HASH))
    for user in users:
        assert await passwords.check(header(user), "192.0.2.1") == ALLOWED


async def test_a_crowd_of_guessers_waits_in_a_queue_that_ends(
    passwords: Passwords, checks: list[int]
) -> None:
    crowd = (passwords.check(header("ada", str(n)), f"10.0.{n}.1") for n in range(200))
    verdicts = await asyncio.gather(*crowd)
    turned_away = [verdict for verdict in verdicts if verdict.retry_after == 1]
    assert len(checks) + len(turned_away) == 200
    assert len(checks) < 50
    assert await passwords.check(header("ada"), "192.0.2.1") == ALLOWED


@pytest.fixture
async def crowded(fake_time: FakeTime) -> AsyncIterator[tuple[Passwords, list[bytes], Event]]:
    """Passwords of which the first is being checked for long; and those that were checked."""
    order: list[bytes] = []
    go_on = Event()

    def matches(password: bytes, _hashed: bytes) -> bool:
        order.append(password)
        assert go_on.wait(30)
        return password == PASSWORD.encode()

    passwords = Passwords(fake_time.monotonic, matches)
    passwords.use({"ada": PASSWORD_HASH})
    yield passwords, order, go_on
    go_on.set()


async def guess(passwords: Passwords, numbers: range) -> list[asyncio.Task[PasswordCheck]]:
    """Begin to guess, each guess from another network."""
    guesses = [
        asyncio.create_task(passwords.check(header("ada", str(n)), f"10.{n >> 8}.{n & 255}.1"))
        for n in numbers
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    return guesses


async def test_who_comes_back_is_checked_before_a_crowd_that_does_not(
    crowded: tuple[Passwords, list[bytes], Event],
) -> None:
    passwords, order, go_on = crowded
    crowd = await guess(passwords, range(100))
    assert await passwords.check(ADA, "192.0.2.1") == PasswordCheck(allowed=False, retry_after=1.0)
    crowd += await guess(passwords, range(100, 1_000))
    second = asyncio.create_task(passwords.check(ADA, "192.0.2.1"))
    crowd += await guess(passwords, range(1_000, 1_100))
    go_on.set()
    assert await second == ALLOWED
    assert order[:2] == [b"0", PASSWORD.encode()]  # after the one that was under way
    verdicts = await asyncio.gather(*crowd)
    # One was checked at once, eight waited for it; the others were turned away.
    assert sum(verdict == REFUSED for verdict in verdicts) == 9
    assert sum(verdict.retry_after == 1 for verdict in verdicts) == 1_091


async def test_who_came_back_to_guess_is_nobody_who_comes_back_any_more(
    crowded: tuple[Passwords, list[bytes], Event], fake_time: FakeTime
) -> None:
    passwords, order, go_on = crowded
    crowd = await guess(passwords, range(9))
    guesser = "198.51.100.1"
    assert (await passwords.check(header("ada", "first"), guesser)).retry_after == 1
    second = asyncio.create_task(passwords.check(header("ada", "second"), guesser))
    await asyncio.sleep(0)
    go_on.set()
    assert await second == REFUSED
    assert order[1] == b"second"
    await asyncio.gather(*crowd)
    await fake_time.advance(SECONDS_PER_FAILURE)  # its failure is forgiven
    go_on.clear()
    crowd = await guess(passwords, range(100, 109))
    assert (await passwords.check(header("ada", "third"), guesser)).retry_after == 1
    go_on.set()
    await asyncio.gather(*crowd)


async def test_guesses_from_one_network_leave_room_for_others(
    crowded: tuple[Passwords, list[bytes], Event],
) -> None:
    passwords, _, go_on = crowded
    under_way = await guess(passwords, range(1))
    crowd = [f"2001:db8:0:{n:x}::1" for n in range(64)]  # of one /48
    for number, address in enumerate(crowd):
        guesses = [passwords.check(header("ada", f"{number} {n}"), address) for n in range(2)]
        under_way += [asyncio.create_task(each) for each in guesses]
    for _ in range(3):
        await asyncio.sleep(0)
    returning = [
        asyncio.create_task(passwords.check(header("ada", f"again {n}"), address))
        for n, address in enumerate(crowd)
    ]
    for _ in range(3):
        await asyncio.sleep(0)
    assert await passwords.check(ADA, "192.0.2.1") == PasswordCheck(allowed=False, retry_after=1.0)
    second = asyncio.create_task(passwords.check(ADA, "192.0.2.1"))
    await asyncio.sleep(0)
    go_on.set()
    assert await second == ALLOWED
    await asyncio.gather(*under_way, *returning)


async def test_who_is_cancelled_while_waiting_passes_the_turn_on() -> None:
    turns = Turns()
    assert await turns.take(PasswordLane.NEW, "192.0.2.1")
    waiting = [asyncio.create_task(turns.take(PasswordLane.NEW, "192.0.2.1")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.pass_on()
    waiting[1].cancel()  # whose turn it is by now
    assert await waiting[2]
    turns.pass_on()
    assert await turns.take(PasswordLane.FAILED, "192.0.2.1")


def test_those_noted_last_are_remembered() -> None:
    remembered = Remembered(most=2)
    for client in "abcde":
        remembered.add(client)
    assert [client in remembered for client in "abcde"] == [False, False, True, True, True]
    remembered.discard("d")
    assert "d" not in remembered


def test_a_network_is_larger_than_a_client() -> None:
    assert network_of("192.0.2.1") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2::/64") == "2001:db8:1::/48"
    assert network_of("") == ""


async def test_the_right_password_gets_in_by_the_second_try_under_a_crowd_of_guessers(
    open_gate: OpenGate,
) -> None:
    """Forty-eight guess as fast as they can, each time from another address; a hash of cost 10."""
    costly = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    gate = await open_gate(f"basic_auth_users:\n  ada: {costly}\n")
    numbers = count()
    under_siege = asyncio.Event()

    async def guesser() -> None:
        loop = asyncio.get_running_loop()
        for number in numbers:
            wrong = header("ada", str(number))
            request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {wrong}\r\n\r\n"
            with socket.socket() as connection, suppress(ConnectionError):
                connection.setblocking(False)
                # From 127.1.0.1 on; 250 to a network, each of them once.
                network = f"127.{1 + number // 60_000}.{number // 250 % 240}"
                connection.bind((f"{network}.{1 + number % 250}", 0))
                await loop.sock_connect(connection, ("127.0.0.1", gate.port))
                await loop.sock_sendall(connection, request.encode())
                await loop.sock_recv(connection, 65536)
            if number >= 1_000:
                under_siege.set()

    guessers = [asyncio.create_task(guesser()) for _ in range(48)]
    async with asyncio.timeout(60):
        await under_siege.wait()
        statuses = [(await gate.get(auth=ADA))[0] for _ in range(2)]
    for task in guessers:
        task.cancel()
    await asyncio.gather(*guessers, return_exceptions=True)
    assert statuses[1] == 200
    assert gate.refusals.count("guessing") > 500  # there were more guesses than could be checked


async def test_hashes_are_computed_one_at_a_time_and_beside_the_loop(
    passwords: Passwords,
) -> None:
    costly = bcrypt.hashpw(b"x", bcrypt.gensalt(11)).decode()
    passwords.use({"ada": costly})
    guesses = [
        asyncio.create_task(passwords.check(header("ada", str(n)), f"10.0.{n}.1")) for n in range(3)
    ]
    turns = 0
    while not all(guess.done() for guess in guesses):
        await asyncio.sleep(0)
        turns += 1
    assert turns > 20


async def test_guessing_is_answered_with_429(open_gate: OpenGate) -> None:
    gate = await open_gate(USERS)
    wrong = header("ada", "wrong")
    statuses = [(await gate.get(auth=wrong))[0] for _ in range(FAILURES_AT_ONCE)]
    assert statuses == [401] * FAILURES_AT_ONCE
    status, headers = await gate.get(auth=wrong)
    assert (status, headers["Retry-After"]) == (429, "3")
    assert gate.refusals == ["credentials"] * FAILURES_AT_ONCE + ["guessing"]


async def test_users_come_and_go_with_the_file(open_gate: OpenGate) -> None:
    gate = await open_gate("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    status, headers = await gate.get()
    assert (status, headers["X-Frame-Options"]) == (200, "deny")
    await gate.rewrite(USERS)
    status, headers = await gate.get()
    assert (status, headers.get("X-Frame-Options")) == (401, None)
    assert (await gate.get(auth=ADA))[0] == 200
    await gate.rewrite(USERS.replace("ada", "grace"))
    assert (await gate.get(auth=ADA))[0] == 401


async def test_headers_come_with_every_answer_and_leave_the_page_its_own(
    open_gate: OpenGate,
) -> None:
    gate = await open_gate(
        "http_server_config:\n  headers:\n    Content-Security-Policy: default-src *\n"
        f"    Strict-Transport-Security: max-age=60\n{USERS}"
    )
    for path, auth in (("/metrics", None), ("/metrics", ADA), ("/none", ADA)):
        _, headers = await gate.get(path, auth=auth)
        assert headers["Content-Security-Policy"] == "default-src *"
        assert headers["Strict-Transport-Security"] == "max-age=60"
    _, headers = await gate.get("/", auth=ADA)
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_requests_are_limited_where_the_file_says_so(
    open_gate: OpenGate, fake_time: FakeTime
) -> None:
    limit = "rate_limit: {interval: 2s, burst: 3}\n"
    gate = await open_gate(limit, clock=fake_time.monotonic)
    assert [(await gate.get())[0] for _ in range(4)] == [200, 200, 200, 429]
    await gate.rewrite(f"{limit}http_server_config: {{}}\n")
    status, headers = await gate.get()
    assert (status, headers["Retry-After"]) == (429, "2")
    await fake_time.advance(2)
    assert [(await gate.get())[0] for _ in range(2)] == [200, 429]
    await gate.rewrite("rate_limit: {interval: 0}\n")
    assert [(await gate.get())[0] for _ in range(5)] == [200] * 5
    assert gate.refusals == ["rate_limit"] * 3


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    now = [0.0]
    bucket = Bucket(1.0, 2, lambda: now[0])
    bucket.give_back()
    now[0] = 1000.0
    assert [bucket.take() for _ in range(3)] == [0, 0, 1]
    now[0] = 1000.25
    assert bucket.take() == 0.75


def test_who_has_one_address_of_version_six_has_the_whole_network() -> None:
    clients = BucketPerClient(1.0, 2, lambda: 0.0)
    assert clients.of("2001:db8::1") is clients.of("2001:db8::ffff:1")
    assert clients.of("2001:db8::1") is not clients.of("2001:db8:0:1::1")
    assert clients.of("::ffff:192.0.2.1") is clients.of("192.0.2.1")
    assert clients.of("fe80::1%eth0") is clients.of("fe80::2%eth0")
    assert clients.of(None) is clients.of("")


def test_clients_of_long_ago_are_forgotten() -> None:
    clients = BucketPerClient(1.0, 2, lambda: 0.0, most=2)
    first, second = clients.of("192.0.2.1"), clients.of("192.0.2.2")
    assert clients.of("192.0.2.1") is first
    clients.of("192.0.2.3")
    assert clients.of("192.0.2.1") is first
    assert clients.of("192.0.2.2") is not second
