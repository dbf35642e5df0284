"""reviews: what readers say. v1 shows no stars, v2 black ones, v3 red ones; it asks ratings for them."""

import json
import os
from typing import Any

from service import VERSION, Answer, Request, call, json_answer, serve

STAR_COLOR = {"v2": "black", "v3": "red"}.get(VERSION, "")
RATINGS = os.environ.get("RATINGS_URL", "http://ratings:9080")
TEXTS = {
    "Ada": "I came for the whale and stayed for the chapters on rope. Nobody had told me how funny it is.",
    "Grace": "A long voyage with a captain who takes no advice. Best read with a view of the sea.",
}


def reviews(request: Request) -> Answer:
    stars = _stars(request) if STAR_COLOR else {}
    return json_answer(
        {
            "id": 0,
            "workload": os.environ.get("MIZZEN_WORKLOAD", ""),
            "version": VERSION,
            "reviews": [
                {
                    "reviewer": reviewer,
                    "text": text,
                    **({"rating": stars[reviewer]} if reviewer in stars else {}),
                }
                for reviewer, text in TEXTS.items()
            ],
        }
    )


def _stars(request: Request) -> dict[str, Any]:
    status, body = call(f"{RATINGS}/ratings/0", request.carried_on())
    if status != 200:
        return {reviewer: {"error": f"ratings are unavailable (status {status})"} for reviewer in TEXTS}
    ratings = json.loads(body)["ratings"]
    return {reviewer: {"stars": stars, "color": STAR_COLOR} for reviewer, stars in ratings.items()}


if __name__ == "__main__":
    serve({"/reviews/": reviews})
