"""What the kernel says no with, in words."""

import errno

import pytest

from mizzen.agent.nftables import _explained


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "run as root"),
        (errno.EPROTONOSUPPORT, "modprobe nf_tables"),
        (errno.ENOENT, "modprobe -a nft_chain_nat nft_redir"),
        (errno.EOPNOTSUPP, "modprobe -a nft_chain_nat nft_redir"),
        (errno.ENOMEM, "refused the rules that capture traffic: no memory"),
    ],
)
def test_refusals_say_what_to_do(number, words):
    assert words in str(_explained(OSError(number, "no memory")))
