"""The web console: static files without a build step, which the admin server hands out.

The page is read-only and lives on `GET /api/v1/status` alone. All that comes from there is shown as text, never as
markup: names of workloads, messages and Envoy's words are other people's.
"""

from importlib.resources import files

_CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def read_pages() -> dict[str, tuple[str, str]]:
    """Every file of the console: its name -> (content type, text)."""
    return {
        page.name: (_CONTENT_TYPES[page.name[page.name.rindex(".") :]], page.read_text("utf-8"))
        for page in sorted(files(__name__).joinpath("static").iterdir(), key=lambda page: page.name)
    }
