"""details: what is printed on the back of the book."""

from service import Answer, Request, json_answer, serve


def details(_request: Request) -> Answer:
    return json_answer(
        {
            "id": 0,
            "author": "William Shakespeare",
            "year": 1595,
            "type": "paperback",
            "pages": 200,
            "publisher": "PublisherA",
            "language": "English",
            "isbn-10": "1234567890",
            "isbn-13": "123-1234567890",
        }
    )


if __name__ == "__main__":
    serve({"/details/": details})
