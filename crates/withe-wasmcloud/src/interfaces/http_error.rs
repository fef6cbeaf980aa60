//! `error-code` of `wasi:http/types@0.2`, which v1 sends as it is.

use withe_provider::{HttpError, HttpErrorKind};
use withe_rpc::codec::{Decode as _, Encode as _, Writer};
use withe_rpc::{CallError, DecodeError, Reader};

/// How many cases it has.
const CASES: usize = 39;
/// The case `internal-error`, the only one with a text.
const INTERNAL: u32 = 38;

/// Writes the case that says the same as `error`.
pub(super) fn encode(error: &HttpError, w: &mut Writer) {
    let case: u32 = match error.kind {
        HttpErrorKind::Dns => {
            w.unsigned(1);
            // Neither `rcode` nor `info-code` is known.
            return w.raw(&[0, 0]);
        }
        HttpErrorKind::Denied => 15,
        HttpErrorKind::ConnectionRefused => 6,
        HttpErrorKind::ConnectionTerminated => 7,
        HttpErrorKind::ConnectionTimeout => 8,
        HttpErrorKind::ResponseTimeout | HttpErrorKind::Deadline => 33,
        HttpErrorKind::Tls => 12,
        HttpErrorKind::InvalidRequest => 19,
        HttpErrorKind::Protocol => 35,
        HttpErrorKind::Exhausted => 11,
        HttpErrorKind::Handler | HttpErrorKind::Internal => {
            w.unsigned(u64::from(INTERNAL));
            return Some(&error.message[..]).encode(w);
        }
    };
    w.unsigned(u64::from(case));
}

/// Reads a case. Its payload is left unread but for `internal-error`'s text: nothing follows it.
///
/// # Errors
///
/// If there is no such case.
pub(super) fn decode(r: &mut Reader<'_>) -> Result<HttpError, DecodeError> {
    let case = r.case(CASES)?;
    if case == INTERNAL {
        let text = Option::<String>::decode(r)?;
        let text = text.unwrap_or_else(|| "an internal error".into());
        return Ok(HttpError::new(HttpErrorKind::Handler, text));
    }
    let kind = match case {
        0 | 1 => HttpErrorKind::Dns,
        4 | 15 => HttpErrorKind::Denied,
        2 | 3 | 5 | 6 => HttpErrorKind::ConnectionRefused,
        7 => HttpErrorKind::ConnectionTerminated,
        8 => HttpErrorKind::ConnectionTimeout,
        9 | 10 | 33 => HttpErrorKind::ResponseTimeout,
        11 => HttpErrorKind::Exhausted,
        12..=14 => HttpErrorKind::Tls,
        16..=24 => HttpErrorKind::InvalidRequest,
        25..=32 | 34 | 35 => HttpErrorKind::Protocol,
        _ => HttpErrorKind::Internal,
    };
    let text = format!(
        "the other side answered with the error `{}`",
        NAMES[case as usize]
    );
    Ok(HttpError::new(kind, text))
}

/// The names of the cases, in order.
const NAMES: [&str; CASES] = [
    "DNS-timeout",
    "DNS-error",
    "destination-not-found",
    "destination-unavailable",
    "destination-IP-prohibited",
    "destination-IP-unroutable",
    "connection-refused",
    "connection-terminated",
    "connection-timeout",
    "connection-read-timeout",
    "connection-write-timeout",
    "connection-limit-reached",
    "TLS-protocol-error",
    "TLS-certificate-error",
    "TLS-alert-received",
    "HTTP-request-denied",
    "HTTP-request-length-required",
    "HTTP-request-body-size",
    "HTTP-request-method-invalid",
    "HTTP-request-URI-invalid",
    "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size",
    "HTTP-request-header-size",
    "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size",
    "HTTP-response-incomplete",
    "HTTP-response-header-section-size",
    "HTTP-response-header-size",
    "HTTP-response-body-size",
    "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size",
    "HTTP-response-transfer-coding",
    "HTTP-response-content-coding",
    "HTTP-response-timeout",
    "HTTP-upgrade-failed",
    "HTTP-protocol-error",
    "loop-detected",
    "configuration-error",
    "internal-error",
];

/// The error that the sender of a request gets for a call that failed on its way.
pub(super) fn of_call(why: CallError) -> HttpError {
    let kind = match why {
        CallError::Deadline => HttpErrorKind::Deadline,
        CallError::Exhausted(_) => HttpErrorKind::Exhausted,
        CallError::Unreachable(_) => HttpErrorKind::ConnectionRefused,
        CallError::TypeMismatch(_) => HttpErrorKind::Protocol,
        _ => HttpErrorKind::Handler,
    };
    HttpError::new(kind, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_way_over_the_wire() {
        use HttpErrorKind::*;
        for (kind, back) in [
            (Dns, Dns),
            (Denied, Denied),
            (ConnectionRefused, ConnectionRefused),
            (ConnectionTerminated, ConnectionTerminated),
            (ConnectionTimeout, ConnectionTimeout),
            (ResponseTimeout, ResponseTimeout),
            (Deadline, ResponseTimeout),
            (Tls, Tls),
            (InvalidRequest, InvalidRequest),
            (Protocol, Protocol),
            (Exhausted, Exhausted),
            (Handler, Handler),
            (Internal, Handler),
        ] {
            let mut w = Writer::default();
            encode(&HttpError::new(kind, "why"), &mut w);
            let bytes = w.finish().bytes;
            let error = decode(&mut Reader::from_bytes(&bytes)).unwrap();
            assert_eq!(error.kind, back, "{kind:?}");
        }
    }

    #[test]
    fn names_stand_where_the_interface_has_them() {
        let wit = withe_provider::wit::WASI_HTTP_0_2;
        let (_, variant) = wit.split_once("variant error-code {").unwrap();
        let (variant, _) = variant.split_once('}').unwrap();
        let cases = variant.lines().map(str::trim);
        let cases = cases.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let names: Vec<_> = cases
            .map(|line| line.split(['(', ',']).next().unwrap_or_default())
            .collect();
        assert_eq!(names, NAMES);
    }
}
