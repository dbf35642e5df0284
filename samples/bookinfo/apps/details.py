"""details: what is printed on the back of the book."""

from service import Answer, Request, json_answer, serve


def details(_request: Request) -> Answer:
    return json_answer(
        {
            "id": 0,
            "author": "Herman Melville",
            "year": 1851,
            "type": "hardcover",
            "pages": 635,
            "publisher": "Foremast Press",
            "language": "English",
        }
    )


if __name__ == "__main__":
    serve({"/details/": details})
