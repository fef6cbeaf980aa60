"""Answers HTTP requests with how often each path was asked for."""

from componentize_py_types import Err, Ok
from said import said
from wit_world import exports
from wit_world.imports import counter
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = request.path_with_query() or ""
        try:
            answer(response_out, 200, said(path, counter.count(path)))
        except Err as error:
            # An `err(…)` of WIT is raised, with its value.
            answer(response_out, 503, f"{error.value}\n")


def answer(response_out: ResponseOutparam, status: int, text: str) -> None:
    response = OutgoingResponse(Fields())
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    data = text.encode()
    with body.write() as stream:
        for start in range(0, len(data), 4096):
            stream.blocking_write_and_flush(data[start : start + 4096])
    OutgoingBody.finish(body, None)
