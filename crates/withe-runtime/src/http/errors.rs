//! Errors of HTTP: the SDK's, and those of Wasmtime's `wasi:http`.

use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::CallError;

/// A provider's error, as the component has it.
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

/// An error in a component's body stream, as the provider has it.
pub(super) fn from_wasi(e: Error) -> HttpError {
    let kind = match &e {
        Error::DnsError { .. } | Error::DnsTimeout => HttpErrorKind::Dns,
        Error::HttpRequestDenied | Error::DestinationIpProhibited => HttpErrorKind::Denied,
        Error::ConnectionRefused
        | Error::DestinationNotFound
        | Error::DestinationUnavailable
        | Error::DestinationIpUnroutable
        | Error::Connect(_) => HttpErrorKind::ConnectionRefused,
        Error::ConnectionTerminated => HttpErrorKind::ConnectionTerminated,
        Error::ConnectionTimeout => HttpErrorKind::ConnectionTimeout,
        Error::HttpResponseTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout => HttpErrorKind::ResponseTimeout,
        Error::TlsProtocolError
        | Error::TlsCertificateError
        | Error::TlsAlertReceived { .. }
        | Error::Tls(_) => HttpErrorKind::Tls,
        Error::ConnectionLimitReached => HttpErrorKind::Exhausted,
        Error::HttpRequestUriInvalid
        | Error::HttpRequestUriTooLong
        | Error::HttpRequestMethodInvalid
        | Error::HttpRequestLengthRequired
        | Error::HttpRequestBodySize(_)
        | Error::HttpRequestHeaderSectionSize(_)
        | Error::HttpRequestHeaderSize { .. }
        | Error::HttpRequestTrailerSectionSize(_)
        | Error::HttpRequestTrailerSize { .. } => HttpErrorKind::InvalidRequest,
        Error::HttpProtocolError
        | Error::Hyper(_)
        | Error::HttpUpgradeFailed
        | Error::HttpResponseIncomplete
        | Error::HttpResponseBodySize(_)
        | Error::HttpResponseHeaderSectionSize(_)
        | Error::HttpResponseHeaderSize { .. }
        | Error::HttpResponseTrailerSectionSize(_)
        | Error::HttpResponseTrailerSize { .. }
        | Error::HttpResponseTransferCoding(_)
        | Error::HttpResponseContentCoding(_) => HttpErrorKind::Protocol,
        _ => HttpErrorKind::Handler,
    };
    match e {
        Error::DnsError {
            rcode: Some(rcode), ..
        } => HttpError::new(kind, rcode),
        e => HttpError::new(kind, e.to_string()),
    }
}

/// The meaning of an `error-code` for a caller that gets it in place of a response. WASI 0.2 and 0.3 have the same cases, and
/// are types of their own.
macro_rules! answered {
    ($e:expr, $release:ident) => {{
        use $release::ErrorCode as Code;
        let e = $e;
        let kind = match e {
            Code::DnsError(_) | Code::DnsTimeout => HttpErrorKind::Dns,
            Code::HttpRequestDenied | Code::DestinationIpProhibited => HttpErrorKind::Denied,
            Code::ConnectionRefused
            | Code::DestinationNotFound
            | Code::DestinationUnavailable
            | Code::DestinationIpUnroutable => HttpErrorKind::ConnectionRefused,
            Code::ConnectionTerminated => HttpErrorKind::ConnectionTerminated,
            Code::ConnectionTimeout => HttpErrorKind::ConnectionTimeout,
            Code::HttpResponseTimeout
            | Code::ConnectionReadTimeout
            | Code::ConnectionWriteTimeout => HttpErrorKind::ResponseTimeout,
            Code::TlsProtocolError | Code::TlsCertificateError | Code::TlsAlertReceived(_) => {
                HttpErrorKind::Tls
            }
            Code::ConnectionLimitReached => HttpErrorKind::Exhausted,
            // The request that the component sent itself: no server takes it for its client's.
            Code::HttpRequestUriInvalid
            | Code::HttpRequestUriTooLong
            | Code::HttpRequestMethodInvalid
            | Code::HttpRequestLengthRequired
            | Code::HttpRequestBodySize(_)
            | Code::HttpRequestHeaderSectionSize(_)
            | Code::HttpRequestHeaderSize(_)
            | Code::HttpRequestTrailerSectionSize(_)
            | Code::HttpRequestTrailerSize(_) => HttpErrorKind::InvalidRequest,
            Code::HttpProtocolError
            | Code::HttpUpgradeFailed
            | Code::HttpResponseIncomplete
            | Code::HttpResponseBodySize(_)
            | Code::HttpResponseHeaderSectionSize(_)
            | Code::HttpResponseHeaderSize(_)
            | Code::HttpResponseTrailerSectionSize(_)
            | Code::HttpResponseTrailerSize(_)
            | Code::HttpResponseTransferCoding(_)
            | Code::HttpResponseContentCoding(_) => HttpErrorKind::Protocol,
            // The component has not failed, and has said it to its caller.
            Code::LoopDetected | Code::ConfigurationError | Code::InternalError(_) => {
                HttpErrorKind::Internal
            }
        };
        let rcode = match e {
            Code::DnsError(payload) => payload.rcode.clone(),
            _ => None,
        };
        let text = || format!("the component answered with the error `{e:?}`");
        HttpError::new(kind, rcode.unwrap_or_else(text))
    }};
}

/// A component answered with WASI 0.2's `error-code` in place of a response.
pub(super) fn from_p2(e: &p2::ErrorCode) -> HttpError {
    answered!(e, p2)
}

/// A component answered with WASI 0.3's `error-code` in place of a response.
pub(super) fn from_p3(e: &p3::ErrorCode) -> HttpError {
    answered!(e, p3)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each sort, the code that says it in either release, and the sort that comes back of the code.
    fn table() -> Vec<(HttpErrorKind, p2::ErrorCode, p3::ErrorCode, HttpErrorKind)> {
        use HttpErrorKind::*;
        macro_rules! rows {
            ($($kind:ident => $code:ident => $back:ident,)*) => {
                vec![$(($kind, p2::ErrorCode::$code, p3::ErrorCode::$code, $back),)*]
            };
        }
        let mut table = rows![
            Denied => HttpRequestDenied => Denied,
            ConnectionRefused => ConnectionRefused => ConnectionRefused,
            ConnectionTerminated => ConnectionTerminated => ConnectionTerminated,
            ConnectionTimeout => ConnectionTimeout => ConnectionTimeout,
            ResponseTimeout => HttpResponseTimeout => ResponseTimeout,
            Deadline => HttpResponseTimeout => ResponseTimeout,
            Tls => TlsProtocolError => Tls,
            InvalidRequest => HttpRequestUriInvalid => InvalidRequest,
            Protocol => HttpProtocolError => Protocol,
            Exhausted => ConnectionLimitReached => Exhausted,
        ];
        let why = || Some("why".to_owned());
        table.push((
            Dns,
            p2::ErrorCode::DnsError(p2::DnsErrorPayload {
                rcode: why(),
                info_code: None,
            }),
            p3::ErrorCode::DnsError(p3::DnsErrorPayload {
                rcode: why(),
                info_code: None,
            }),
            Dns,
        ));
        for kind in [Handler, Internal] {
            let codes = (
                p2::ErrorCode::InternalError(why()),
                p3::ErrorCode::InternalError(why()),
            );
            table.push((kind, codes.0, codes.1, Internal));
        }
        table
    }

    #[test]
    fn a_sort_of_failure_stays_what_it_is_in_either_release() {
        let table = table();
        assert_eq!(table.len(), 13);
        for (kind, code_p2, code_p3, back) in table {
            let error = || HttpError::new(kind, "why");
            // The types of Wasmtime's codes are not compared otherwise.
            let said = format!("{:?}", to_p2(error()));
            assert_eq!(said, format!("{code_p2:?}"), "{kind:?}");
            assert_eq!(from_p2(&code_p2).kind, back, "{kind:?}");
            assert_eq!(from_p3(&code_p3).kind, back, "{kind:?}");
            // A body that breaks off for another reason is one that the component did not write to its end.
            let of_body = match back {
                HttpErrorKind::Internal => HttpErrorKind::Handler,
                other => other,
            };
            assert_eq!(from_wasi(to_wasi(error())).kind, of_body, "{kind:?}");
        }
    }

    #[test]
    fn what_a_name_server_said_stays_as_it_is() {
        let refused = || p2::DnsErrorPayload {
            rcode: Some("REFUSED".into()),
            info_code: None,
        };
        let code = p2::ErrorCode::DnsError(refused());
        for error in [
            from_p2(&code),
            from_wasi(to_wasi(from_p2(&code))),
            from_p2(&to_p2(from_p2(&code))),
        ] {
            assert_eq!(error, HttpError::new(HttpErrorKind::Dns, "REFUSED"));
        }
    }
}
