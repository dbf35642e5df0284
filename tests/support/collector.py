"""An OpenTelemetry collector that keeps what it gets."""

from contextlib import asynccontextmanager

from aiohttp import web


class Collector:
    """Takes what is sent, or answers with another status."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[dict] = []
        self.asked = 0

    async def answer(self, asked: web.Request) -> web.Response:
        self.asked += 1
        if self.status == 200:
            assert asked.content_type == "application/json"
            self.bodies.append(await asked.json())
        return web.json_response({}, status=self.status)

    def spans(self) -> list[dict]:
        parts = [body["resourceSpans"][0]["scopeSpans"][0] for body in self.bodies]
        return [span for part in parts for span in part["spans"]]

    def names(self) -> list[str]:
        return [span["name"] for span in self.spans()]

    @asynccontextmanager
    async def serving(self):
        app = web.Application(client_max_size=1 << 24)
        app.add_routes([web.post("/v1/traces", self.answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        finally:
            await runner.cleanup()
