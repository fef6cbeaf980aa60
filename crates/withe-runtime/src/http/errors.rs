//! Errors of HTTP: the SDK's, and those of Wasmtime's `wasi:http`.

use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::CallError;

/// What a component learns of a provider's error.
pub(super) fn to_wasi(e: HttpError) -> Error {
    match e.kind {
        HttpErrorKind::Dns => Error::DnsError {
            rcode: Some(e.message),
            info_code: None,
        },
        HttpErrorKind::Denied => Error::HttpRequestDenied,
        HttpErrorKind::ConnectionRefused => Error::ConnectionRefused,
        HttpErrorKind::ConnectionTerminated => Error::ConnectionTerminated,
        HttpErrorKind::ConnectionTimeout => Error::ConnectionTimeout,
        HttpErrorKind::ResponseTimeout | HttpErrorKind::Deadline => Error::HttpResponseTimeout,
        HttpErrorKind::Tls => Error::TlsProtocolError,
        HttpErrorKind::InvalidRequest => Error::HttpRequestUriInvalid,
        HttpErrorKind::Protocol => Error::HttpProtocolError,
        HttpErrorKind::Exhausted => Error::ConnectionLimitReached,
        HttpErrorKind::Handler | HttpErrorKind::Internal => Error::InternalError(Some(e.message)),
    }
}

/// What a provider learns of an error in a component's body stream.
pub(super) fn from_wasi(e: Error) -> HttpError {
    let kind = match &e {
        Error::DnsError { .. } | Error::DnsTimeout => HttpErrorKind::Dns,
        Error::HttpRequestDenied => HttpErrorKind::Denied,
        Error::ConnectionRefused => HttpErrorKind::ConnectionRefused,
        Error::ConnectionTerminated => HttpErrorKind::ConnectionTerminated,
        Error::ConnectionTimeout => HttpErrorKind::ConnectionTimeout,
        Error::HttpResponseTimeout => HttpErrorKind::ResponseTimeout,
        Error::HttpProtocolError | Error::Hyper(_) => HttpErrorKind::Protocol,
        _ => HttpErrorKind::Handler,
    };
    HttpError::new(kind, e.to_string())
}

/// A component answered with WASI 0.2's `error-code` in place of a response.
pub(super) fn from_p2(e: &p2::ErrorCode) -> HttpError {
    use p2::ErrorCode as Code;
    let kind = match e {
        Code::DnsError(_) | Code::DnsTimeout => HttpErrorKind::Dns,
        Code::HttpRequestDenied => HttpErrorKind::Denied,
        Code::ConnectionRefused => HttpErrorKind::ConnectionRefused,
        Code::ConnectionTerminated => HttpErrorKind::ConnectionTerminated,
        Code::ConnectionTimeout => HttpErrorKind::ConnectionTimeout,
        Code::HttpResponseTimeout => HttpErrorKind::ResponseTimeout,
        Code::TlsProtocolError => HttpErrorKind::Tls,
        Code::ConnectionLimitReached => HttpErrorKind::Exhausted,
        // The component has not failed, and has said it to its caller.
        _ => HttpErrorKind::Internal,
    };
    answered(kind, e)
}

/// A component answered with WASI 0.3's `error-code` in place of a response.
pub(super) fn from_p3(e: &p3::ErrorCode) -> HttpError {
    use p3::ErrorCode as Code;
    let kind = match e {
        Code::DnsError(_) | Code::DnsTimeout => HttpErrorKind::Dns,
        Code::HttpRequestDenied => HttpErrorKind::Denied,
        Code::ConnectionRefused => HttpErrorKind::ConnectionRefused,
        Code::ConnectionTerminated => HttpErrorKind::ConnectionTerminated,
        Code::ConnectionTimeout => HttpErrorKind::ConnectionTimeout,
        Code::HttpResponseTimeout => HttpErrorKind::ResponseTimeout,
        Code::TlsProtocolError => HttpErrorKind::Tls,
        Code::ConnectionLimitReached => HttpErrorKind::Exhausted,
        // The component has not failed, and has said it to its caller.
        _ => HttpErrorKind::Internal,
    };
    answered(kind, e)
}

fn answered(kind: HttpErrorKind, e: &dyn std::fmt::Debug) -> HttpError {
    let text = format!("the component answered with the error `{e:?}`");
    HttpError::new(kind, text)
}

/// An error as a caller of WASI 0.2's `incoming-handler` learns of it.
pub(super) fn to_p2(e: HttpError) -> p2::ErrorCode {
    use p2::ErrorCode as Code;
    match e.kind {
        HttpErrorKind::Dns => Code::DnsError(p2::DnsErrorPayload {
            rcode: Some(e.message),
            info_code: None,
        }),
        HttpErrorKind::Denied => Code::HttpRequestDenied,
        HttpErrorKind::ConnectionRefused => Code::ConnectionRefused,
        HttpErrorKind::ConnectionTerminated => Code::ConnectionTerminated,
        HttpErrorKind::ConnectionTimeout => Code::ConnectionTimeout,
        HttpErrorKind::ResponseTimeout | HttpErrorKind::Deadline => Code::HttpResponseTimeout,
        HttpErrorKind::Tls => Code::TlsProtocolError,
        HttpErrorKind::InvalidRequest => Code::HttpRequestUriInvalid,
        HttpErrorKind::Protocol => Code::HttpProtocolError,
        HttpErrorKind::Exhausted => Code::ConnectionLimitReached,
        HttpErrorKind::Handler | HttpErrorKind::Internal => Code::InternalError(Some(e.message)),
    }
}

/// A component could not be called, or failed.
pub(super) fn from_call(e: CallError) -> HttpError {
    let kind = match &e {
        CallError::Deadline => HttpErrorKind::Deadline,
        CallError::Exhausted(_) => HttpErrorKind::Exhausted,
        _ => HttpErrorKind::Handler,
    };
    let message = match e {
        CallError::Trap(text) => text,
        other => other.to_string(),
    };
    HttpError::new(kind, message)
}

/// The host's side of a request failed.
pub(super) fn internal(e: wasmtime::Error) -> HttpError {
    HttpError::new(HttpErrorKind::Internal, format!("{e:#}"))
}
