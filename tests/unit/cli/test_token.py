"""`mizzen token` issues what the daemon accepts, and says what is wrong with what it cannot issue."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from mizzen.ca.tokens import KEY_FILE, JoinTokenKey
from mizzen.cli.main import run


@pytest.fixture
def key(tmp_path):
    return JoinTokenKey.open(tmp_path / KEY_FILE, os.urandom)


def test_a_token_says_what_was_asked(key, tmp_path, capsys):
    options = ["--namespace", "shop", "--service-account", "cart", "--workload", "cart-0", "--ttl", "12h"]
    assert run(["token", "--state-dir", str(tmp_path), *options]) == 0
    now = datetime.fromtimestamp(time.time(), UTC)
    token = key.verify(capsys.readouterr().out.strip(), trust_domain="cluster.local", now=now)
    assert str(token.identity) == "spiffe://cluster.local/ns/shop/sa/cart"
    assert token.workload == "cart-0"
    assert timedelta(hours=11) < token.expires - now <= timedelta(hours=12)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--namespace", "a/b"], 1, "check --namespace, --service-account and --trust-domain"),
        (["--namespace", "a", "--ttl", "soon"], 2, "'soon' is not a duration such as 30m, 12h or 7d"),
        (["--namespace", "a", "--ttl", "31d"], 2, "not between 1s and 30d"),
        (["--namespace", "a", "--ttl", "0s"], 2, "not between 1s and 30d"),
        (["--namespace", "a", "--ttl", "9" * 30 + "d"], 2, "is not a duration"),
        ([], 2, "Missing option '--namespace'"),
    ],
)
def test_what_cannot_be_issued_is_one_line(key, tmp_path, capsys, options, code, words):
    assert run(["token", "--state-dir", str(tmp_path), *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_folder_without_a_key_is_not_made_into_one(tmp_path, capsys):
    assert run(["token", "--state-dir", str(tmp_path), "--namespace", "a"]) == 1
    assert "join-token.key does not exist: name the state folder of a daemon" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
