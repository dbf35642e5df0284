"""`mizzen prometheus`: a file that Prometheus may read at any time, and a configuration that it accepts."""

import pytest
import yaml
from click.testing import CliRunner

from mizzen.cli.main import run
from mizzen.cli.prometheus import command, keep_written, write_if_changed
from mizzen.errors import UserError


class EnoughError(Exception):
    """Ends what would go on for ever."""


def written_by(script, path):
    """What the file holds after each round, and what was said; `script` has an answer or an error for each."""
    rounds, held, said = iter(script), [], []

    def read() -> bytes:
        answer = next(rounds)
        if isinstance(answer, str):
            raise UserError(answer)
        return answer

    def wait() -> None:
        held.append(path.read_bytes() if path.exists() else None)
        if len(held) == len(script):
            raise EnoughError

    with pytest.raises(EnoughError):
        keep_written(path, read, wait, said.append)
    return held, said


def test_the_file_follows_what_the_daemon_says(tmp_path):
    held, said = written_by([b"[]\n", b"[1]\n"], tmp_path / "targets.json")
    assert held == [b"[]\n", b"[1]\n"]
    assert said == []


def test_while_nobody_answers_it_stays_and_that_is_said_once(tmp_path):
    script = ["gone", "gone", b"[1]\n", "gone", "broken", "broken"]
    held, said = written_by(script, tmp_path / "targets.json")
    assert held == [None, None, b"[1]\n", b"[1]\n", b"[1]\n", b"[1]\n"]
    assert said == ["gone", "gone", "broken"], "again after it was back"


def test_only_what_differs_is_written_and_then_as_a_whole(tmp_path):
    path = tmp_path / "targets.json"
    write_if_changed(path, b"[]\n")
    first = path.stat()
    write_if_changed(path, b"[]\n")
    assert path.stat() == first
    with path.open("rb") as reader:
        write_if_changed(path, b"[1]\n")
        assert reader.read() == b"[]\n", "who has opened it reads what was there"
    assert path.read_bytes() == b"[1]\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        write_if_changed(tmp_path / "none" / "targets.json", b"[]\n")


def test_watching_needs_a_file(capsys):
    assert run(["prometheus", "targets", "--watch"]) == 2
    assert "--watch needs --output" in capsys.readouterr().err


def configuration(*options):
    return yaml.safe_load(CliRunner().invoke(command, ["config", *options], catch_exceptions=False).output)


def test_a_configuration_reads_the_file():
    daemon, workloads = configuration("--targets", "/etc/prometheus/mesh.json")["scrape_configs"]
    assert daemon["static_configs"] == [{"targets": ["127.0.0.1:15014"]}]
    assert workloads["file_sd_configs"] == [{"files": ["/etc/prometheus/mesh.json"]}]


def test_a_configuration_asks_every_daemon():
    daemon, workloads = configuration("--daemon", "a:15014", "--daemon", "b:15014", "--http")[
        "scrape_configs"
    ]
    assert daemon["static_configs"] == [{"targets": ["a:15014", "b:15014"]}]
    assert [one["url"] for one in workloads["http_sd_configs"]] == [
        "http://a:15014/api/v1/prometheus/targets",
        "http://b:15014/api/v1/prometheus/targets",
    ]


@pytest.mark.parametrize("options", [(), ("--http",)])
def test_jobs_have_names_of_their_own_and_no_labels_that_are_the_targets(options):
    found = configuration(*options)
    names = [job["job_name"] for job in found["scrape_configs"]]
    assert len(names) == len(set(names)) == 2
    assert found["global"]["scrape_interval"] == "15s"
