"""Guessing of passwords against the real web server, its processes and threads, many at once."""

from __future__ import annotations

import http.client
import re
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.engines import engine
from tests.e2e.portal import Portal

pytestmark = pytest.mark.e2e

LOGIN = "/admin/login/"
TRIES, ACCOUNT_TRIES = 5, 30
PARALLEL, MANY = 500, 100
HOME = "192.0.2.77"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal behind a proxy, so that guesses can come from many addresses."""
    with engine(request.param) as variables:
        portal = Portal(
            tmp_path_factory.mktemp("door") / "home",
            NETRAVEN_BEHIND_PROXY="yes",
            NETRAVEN_SIGN_IN_TRIES_ADDRESS="100",
            NETRAVEN_WORKERS="1",
            **variables,
        )
        portal.setup()
        with portal.running():
            yield portal


class Guesser:
    """Sends passwords; one form of the page serves all of them."""

    def __init__(self, portal: Portal) -> None:
        self._port = portal.port
        page, headers = self._ask("GET", "", {})
        self._cookie = next(value for name, value in headers if name.lower() == "set-cookie").partition(";")[0]
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None
        self._token = found[1]

    def guess(self, password: str, address: str, name: str = "admin") -> str:
        """What came of it: `in`, `wrong`, `closed`, or what the page says."""
        form = {"csrfmiddlewaretoken": self._token, "username": name, "password": password, "next": "/admin/"}
        headers = {
            "Cookie": self._cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": address,
        }
        page, answered = self._ask("POST", urllib.parse.urlencode(form), headers)
        if any(name.lower() == "location" for name, _ in answered):
            return "in"
        if "Please enter the correct username and password" in page:
            return "wrong"
        return "closed" if "Too many wrong passwords: sign-in is closed here for" in page else page[:500]

    def at_once(self, count: int, address: Callable[[int], str], name: str = "admin") -> Counter[str]:
        """Many wrong guesses that start together."""
        start, said = threading.Barrier(count), Counter[str]()
        lock = threading.Lock()

        def one(number: int) -> None:
            start.wait()
            outcome = self.guess(f"guess-{number}", address(number), name)
            with lock:
                said[outcome] += 1

        threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return said

    def _ask(self, method: str, body: str, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request(method, LOGIN, body, headers)
            answer = connection.getresponse()
            return answer.read().decode(), answer.getheaders()
        finally:
            connection.close()


def test_of_500_guesses_at_once_no_more_are_looked_at_than_the_limit_says(door: Portal) -> None:
    guesser = Guesser(door)
    assert guesser.guess(door.password, HOME) == "in"
    one_address = guesser.at_once(PARALLEL, lambda number: "198.51.100.1")
    assert one_address == {"wrong": TRIES, "closed": PARALLEL - TRIES}
    assert guesser.guess(door.password, "198.51.100.1") == "closed"
    many_addresses = guesser.at_once(MANY, lambda number: f"203.0.113.{number + 1}")
    assert many_addresses == {"wrong": ACCOUNT_TRIES - TRIES, "closed": MANY - ACCOUNT_TRIES + TRIES}
    assert guesser.guess(door.password, "198.51.100.2") == "closed"
    # Who is known at an address is not locked out of it by strangers, and the command opens the rest.
    assert guesser.guess(door.password, HOME) == "in"
    assert "opened" in door.must("unlock_user", "admin")
    assert guesser.guess(door.password, "198.51.100.2") == "in"


def test_a_name_that_does_not_exist_is_answered_in_the_same_way(door: Portal) -> None:
    said = Guesser(door).at_once(20, lambda number: "198.51.100.50", "nobody-of-that-name")
    assert said == {"wrong": TRIES, "closed": 20 - TRIES}
