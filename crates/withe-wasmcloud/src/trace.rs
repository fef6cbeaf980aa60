//! W3C trace contexts, which go over v1's wire as headers.

use async_nats::HeaderMap;
use withe_rpc::TraceContext;

/// The header that has it.
const TRACEPARENT: &str = "traceparent";

/// The trace that an invocation with these headers is part of.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    parse(headers.get(TRACEPARENT)?.as_str())
}

fn parse(text: &str) -> Option<TraceContext> {
    let mut fields = text.split('-');
    let version = hex::<1>(fields.next()?)?;
    let context = TraceContext {
        trace_id: hex(fields.next()?)?,
        span_id: hex(fields.next()?)?,
        flags: hex::<1>(fields.next()?)?[0],
    };
    let known = version[0] != 0xff && context.trace_id != [0; 16] && context.span_id != [0; 8];
    known.then_some(context)
}

/// The bytes that `text` has in lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_as_w3c_writes_them() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(text).unwrap();
        assert_eq!(context.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(context.span_id[7], 0x31);
        assert_eq!(context.flags, 1);
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
