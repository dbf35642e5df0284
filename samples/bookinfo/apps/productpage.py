"""productpage: the shop's page about one book, made of what details and reviews answer."""

import json
import os
from html import escape
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from string import Template
from typing import Any

from service import Answer, Request, call, json_answer, serve

DETAILS = os.environ.get("DETAILS_URL", "http://details:9080")
REVIEWS = os.environ.get("REVIEWS_URL", "http://reviews:9080")
HERE = Path(__file__).parent
PAGE = Template((HERE / "page.html").read_text(encoding="utf-8"))
STYLE = (HERE / "static" / "style.css").read_bytes()
PRODUCT = {
    "id": 0,
    "title": "Moby-Dick",
    "description": "A whaling ship, a captain with a grudge, and the largest whale that anybody has ever argued with.",
}
_MAX_STARS = 5


def page(request: Request) -> Answer:
    user = _user(request)
    headers = request.carried_on() | ({"end-user": user} if user else {})
    html = PAGE.substitute(
        title=escape(PRODUCT["title"]),
        description=escape(PRODUCT["description"]),
        greeting=_greeting(user),
        details=_details(*call(f"{DETAILS}/details/0", headers)),
        reviews=_reviews(*call(f"{REVIEWS}/reviews/0", headers)),
    )
    return Answer(html.encode(), content_type="text/html; charset=utf-8")


def product(request: Request) -> Answer:
    """The same as the page, for programs."""
    headers = request.carried_on()
    parts = {"details": f"{DETAILS}/details/0", "reviews": f"{REVIEWS}/reviews/0"}
    return json_answer({**PRODUCT, **{name: _part(*call(url, headers)) for name, url in parts.items()}})


def login(request: Request) -> Answer:
    user = "".join(letter for letter in request.query.get("user", "") if letter.isalnum())[:32]
    return _back_to_page(f"user={user}; Path=/; HttpOnly; SameSite=Lax")


def logout(_request: Request) -> Answer:
    return _back_to_page("user=; Path=/; Max-Age=0")


def _back_to_page(cookie: str) -> Answer:
    return Answer(b"", 303, "text/plain", {"Location": "/productpage", "Set-Cookie": cookie})


def _user(request: Request) -> str:
    """Who looks at the page: named by a header, or by the cookie of the login."""
    if "end-user" in request.headers:
        return request.headers["end-user"]
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("user")
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _part(status: int, body: bytes) -> Any:
    return (
        json.loads(body)
        if status == 200
        else {"status": status, "error": body.decode(errors="replace")[:200]}
    )


def _greeting(user: str) -> str:
    if user:
        return f'<span>signed in as <b>{escape(user)}</b></span> <a href="/logout">sign out</a>'
    return '<a href="/login?user=jason">sign in as jason</a>'


def _details(status: int, body: bytes) -> str:
    if status != 200:
        return _unavailable("Details", status)
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
        for name, value in json.loads(body).items()
        if name != "id"
    )
    return f"<dl>{rows}</dl>"


def _reviews(status: int, body: bytes) -> str:
    if status != 200:
        return _unavailable("Reviews", status)
    answer = json.loads(body)
    cards = "".join(_review(review) for review in answer["reviews"])
    version = escape(answer["version"])
    return f'<p class="served">answered by <b class="{version}">reviews {version}</b> ({escape(answer["workload"])})</p>{cards}'


def _review(review: dict[str, Any]) -> str:
    return (
        f"<blockquote><p>{escape(review['text'])}</p>"
        f"<footer>{escape(review['reviewer'])} {_stars(review.get('rating'))}</footer></blockquote>"
    )


def _stars(rating: dict[str, Any] | None) -> str:
    if rating is None:
        return '<span class="none">no ratings in this version</span>'
    if "error" in rating:
        return f'<span class="problem">{escape(rating["error"])}</span>'
    full = int(rating["stars"])
    stars = "★" * full + "☆" * (_MAX_STARS - full)
    return f'<span class="stars {escape(rating["color"])}" title="{full} of {_MAX_STARS}">{stars}</span>'


def _unavailable(what: str, status: int) -> str:
    why = f"status {status}" if status else "no answer"
    return f'<p class="problem">{what} are unavailable ({why}).</p>'


def style(_request: Request) -> Answer:
    return Answer(STYLE, content_type="text/css; charset=utf-8")


if __name__ == "__main__":
    serve(
        {
            "/": page,
            "/productpage": page,
            "/api/v1/products/0": product,
            "/login": login,
            "/logout": logout,
            "/static/style.css": style,
        }
    )
