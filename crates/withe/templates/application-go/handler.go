// Package export_wasi_http_incoming_handler is what the component exports as `wasi:http/incoming-handler`: `wit-bindgen` says the names.
package export_wasi_http_incoming_handler

import (
	"example/{{name}}/front/component/imports/example_{{file}}_counter"
	"example/{{name}}/front/component/imports/wasi_http_types"
	"example/{{name}}/front/said"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// The most bytes that a stream takes at once.
const atOnce = 4096

// Handle answers a request.
func Handle(request *wasi_http_types.IncomingRequest, out *wasi_http_types.ResponseOutparam) {
	path := request.PathWithQuery().SomeOr("/")
	request.Drop()
	if counted := example_{{file}}_counter.Count(path); counted.IsOk() {
		answer(out, 200, said.Times(path, counted.Ok()))
	} else {
		answer(out, 503, counted.Err()+"\n")
	}
}

func answer(out *wasi_http_types.ResponseOutparam, status uint16, text string) {
	response := wasi_http_types.MakeOutgoingResponse(wasi_http_types.MakeFields())
	response.SetStatusCode(status)
	// A response has one body, and nobody has taken it.
	body := response.Body().Ok()
	wasi_http_types.ResponseOutparamSet(out, wit.Ok[*wasi_http_types.OutgoingResponse, wasi_http_types.ErrorCode](response))
	stream := body.Write().Ok()
	for left := []byte(text); len(left) > 0; {
		part := left[:min(len(left), atOnce)]
		if stream.BlockingWriteAndFlush(part).IsErr() {
			// The client has gone away.
			break
		}
		left = left[len(part):]
	}
	stream.Drop()
	wasi_http_types.OutgoingBodyFinish(body, wit.None[*wasi_http_types.Fields]())
}
