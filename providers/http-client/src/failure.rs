//! Failures, in the interface's words.

use std::error::Error;
use std::io;

use withe_provider::{HttpError, HttpErrorKind};

use crate::connect::{TooSlow, Unresolved};
use crate::proxy::TunnelError;

/// Classifies an error by the innermost cause that says something. `destination` is for people.
pub(crate) fn classify(destination: &str, error: &(dyn Error + 'static)) -> HttpError {
    let mut kind = None;
    let mut next = Some(error);
    let mut innermost = error;
    while let Some(error) = next {
        // The request's own body failed, and said why.
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return http.clone();
        }
        kind = kind_of(error).or(kind);
        innermost = error;
        // `source` of an `io::Error` skips the error that it wraps.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = wrapped
            .map(|e| e as &(dyn Error + 'static))
            .or(error.source());
    }
    HttpError::new(
        kind.unwrap_or(HttpErrorKind::Internal),
        format!("{destination}: {innermost}"),
    )
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<HttpErrorKind> {
    if error.is::<Unresolved>() {
        return Some(HttpErrorKind::Dns);
    }
    if let Some(error) = error.downcast_ref::<TunnelError>() {
        return match error {
            TunnelError::Login { .. } | TunnelError::Refused { .. } => {
                Some(HttpErrorKind::ConnectionRefused)
            }
            TunnelError::Malformed { .. } => Some(HttpErrorKind::Protocol),
            TunnelError::Io { .. } => None,
        };
    }
    if error.is::<TooSlow>() {
        return Some(HttpErrorKind::ConnectionTimeout);
    }
    if error.is::<rustls::Error>() || error.is::<rustls::pki_types::InvalidDnsNameError>() {
        return Some(HttpErrorKind::Tls);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return match error {
            e if e.is_user() => Some(HttpErrorKind::InvalidRequest),
            e if e.is_parse() => Some(HttpErrorKind::Protocol),
            e if e.is_incomplete_message() || e.is_closed() || e.is_canceled() => {
                Some(HttpErrorKind::ConnectionTerminated)
            }
            _ => None,
        };
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => Some(HttpErrorKind::ConnectionRefused),
        io::ErrorKind::TimedOut => Some(HttpErrorKind::ConnectionTimeout),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Some(HttpErrorKind::ConnectionTerminated),
        _ => None,
    }
}
