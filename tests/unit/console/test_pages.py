"""The console's pages are complete, and load nothing that its content policy forbids."""

import re

import pytest

from mizzen.console import read_pages

PAGES = read_pages()
SCRIPTS = [name for name in PAGES if name.endswith(".js")]


def text(name):
    return PAGES[name][1]


def test_the_page_runs_under_its_content_security_policy():
    page = text("index.html")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), (
        "no inline script, style or handler"
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_daemon_says_never_becomes_markup(name):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|srcdoc"
    )
    assert not re.search(forbidden, text(name))


def test_every_file_that_a_file_names_is_there():
    named = re.findall(r'(?:href|src)="([^":/]+)"', text("index.html"))
    named += [found for name in SCRIPTS for found in re.findall(r'from "\./([^"]+)"', text(name))]
    assert set(named) == set(PAGES) - {"index.html"}


def test_every_element_that_the_script_fills_is_on_the_page():
    script = text("console.js")
    used = set(re.findall(r'at\("([\w-]+)"\)', script)) | set(
        re.findall(r'^  \["(\w+)", \(status\)', script, re.MULTILINE)
    )
    assert len(used) > 8
    assert used <= set(re.findall(r'id="([\w-]+)"', text("index.html")))


def test_colours_come_in_light_and_dark():
    light, dark = re.findall(r":root \{([^}]*)\}", text("console.css"))
    names = [set(re.findall(r"(--[\w-]+):", block)) for block in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[\w-]+)\)", text("console.css"))) <= names[0] | {"--ink"}
