"""What a set of files holds, and what a new reading changes."""

from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.decode import decode
from mizzen.sources.holdings import Holdings

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"


def services(**ports):
    """A text with a service of each name."""
    return "---\n".join(SERVICE.format(name=name, port=port) for name, port in ports.items())


class Watched:
    """Holdings with the texts of files given directly; asserts on what changed, by names."""

    def __init__(self):
        self.holdings = Holdings()

    def write(self, **texts):
        readings = {name: None if text is None else decode(text, name) for name, text in texts.items()}
        change = self.holdings.update(readings)
        upserts = {each.resource.key.name: each.resource.spec.ports[0].port for each in change.upserts}
        return upserts, [key.name for key in change.removals]

    @property
    def ports(self):
        return {key.name: each.resource.spec.ports[0].port for key, each in self.holdings.located.items()}

    @property
    def problems(self):
        return [each.message for each in self.holdings.diagnostics]


def test_only_what_differs_is_a_change():
    watched = Watched()
    assert watched.write(f=services(a=1, b=2)) == ({"a": 1, "b": 2}, [])
    assert watched.write(f=services(a=1, b=2)) == ({}, [])
    assert watched.write(f=services(a=1, b=3, c=4)) == ({"b": 3, "c": 4}, [])
    assert watched.write(f=services(c=4)) == ({}, ["a", "b"])
    assert watched.write(f=None) == ({}, ["c"])
    assert watched.ports == {}


def test_a_comment_moves_places_and_changes_nothing():
    watched = Watched()
    watched.write(f=services(a=1))
    assert watched.write(f="# a comment\n" + services(a=1)) == ({}, [])
    (located,) = watched.holdings.located.values()
    assert located.locate(()).line == 2


def test_a_broken_object_keeps_its_last_good_version():
    watched = Watched()
    watched.write(f=services(a=1, b=2))
    assert watched.write(f=services(a=0, b=3)) == ({"b": 3}, [])
    assert watched.ports == {"a": 1, "b": 3}
    assert "the version from f:1:1 as it was before stays in force" in watched.problems[0]
    assert watched.write(f=services(a=4, b=3)) == ({"a": 4}, [])
    assert watched.problems == []


def test_an_object_that_never_was_good_is_said_to_be_out_of_force():
    watched = Watched()
    assert watched.write(f=services(a=0)) == ({}, [])
    assert "the object is not in force" in watched.problems[0]


def test_a_text_that_cannot_be_parsed_keeps_all_that_it_held():
    watched = Watched()
    watched.write(f=services(a=1, b=2))
    assert watched.write(f="a: [") == ({}, [])
    assert watched.ports == {"a": 1, "b": 2}
    assert "stays in force as it was before: Service default/a, Service default/b" in watched.problems[0]


def test_a_broken_document_keeps_what_may_have_been_in_it():
    watched = Watched()
    watched.write(f=services(a=1, b=2))
    assert watched.write(f=services(a=3) + "---\n{\n") == ({"a": 3}, [])
    assert watched.ports == {"a": 3, "b": 2}
    assert watched.write(f=services(a=3)) == ({}, ["b"])


def test_an_object_in_two_files_is_taken_from_the_first_by_path():
    watched = Watched()
    watched.write(b=services(a=2))
    assert watched.write(a=services(a=1)) == ({"a": 1}, [])
    assert watched.problems == ["it is defined at a:1:1 and at b:1:1; the first counts"]
    assert watched.write(a=None) == ({"a": 2}, [])
    assert watched.problems == []


def test_what_is_only_kept_gives_way_to_what_is_written():
    watched = Watched()
    watched.write(a=services(x=1))
    watched.write(a="{")
    assert watched.write(b=services(x=2)) == ({"x": 2}, [])
    assert [each for each in watched.problems if "defined at" in each] == []


TEXTS = st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)).map(
    lambda ports: services(**ports)
)


@given(st.lists(st.tuples(st.sampled_from("fgh"), TEXTS), max_size=12))
def test_changes_add_up_to_what_is_in_force(writes):
    watched, told = Watched(), {}
    for name, text in writes:
        upserts, removals = watched.write(**{name: text})
        assert not upserts.keys() & set(removals)
        told |= upserts
        for key in removals:
            del told[key]
        assert told == watched.ports
