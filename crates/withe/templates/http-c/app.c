/* Answers HTTP requests. */
#include "service.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "greeting.h"

/* The most bytes that a stream takes at once. */
#define AT_ONCE 4096

static void answer(wasi_http_types_own_response_outparam_t out, uint16_t status, const char *text) {
    wasi_http_types_own_fields_t headers = wasi_http_types_constructor_fields();
    wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
    wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
    wasi_http_types_method_outgoing_response_set_status_code(borrowed, status);
    wasi_http_types_own_outgoing_body_t body;
    /* A response has one body, and nobody has taken it. */
    if (!wasi_http_types_method_outgoing_response_body(borrowed, &body)) {
        abort();
    }
    wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val = {.ok = response}};
    wasi_http_types_static_response_outparam_set(out, &result);

    wasi_http_types_own_output_stream_t stream;
    if (!wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
        abort();
    }
    size_t left = strlen(text);
    while (left > 0) {
        service_list_u8_t part = {.ptr = (uint8_t *)text, .len = left < AT_ONCE ? left : AT_ONCE};
        wasi_io_streams_stream_error_t error;
        if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(
                wasi_io_streams_borrow_output_stream(stream), &part, &error)) {
            /* The client has gone away. */
            wasi_io_streams_stream_error_free(&error);
            break;
        }
        text += part.len;
        left -= part.len;
    }
    wasi_io_streams_output_stream_drop_own(stream);
    wasi_http_types_error_code_t error;
    if (!wasi_http_types_static_outgoing_body_finish(body, NULL, &error)) {
        wasi_http_types_error_code_free(&error);
    }
}

void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t request,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    service_string_t path;
    char *text;
    if (wasi_http_types_method_incoming_request_path_with_query(
            wasi_http_types_borrow_incoming_request(request), &path)) {
        text = greeting((const char *)path.ptr, path.len);
        service_string_free(&path);
    } else {
        text = greeting("", 0);
    }
    wasi_http_types_incoming_request_drop_own(request);
    if (text == NULL) {
        answer(out, 500, "there is no memory\n");
    } else {
        answer(out, 200, text);
    }
    free(text);
}
