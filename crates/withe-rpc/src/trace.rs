//! W3C trace contexts: which trace a call is part of.

use std::fmt;

/// A trace context, as W3C defines it. Its text is that of the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// The part of it that calls.
    pub span_id: [u8; 8],
    /// Whether it is sampled, among others.
    pub flags: u8,
}

/// The flag of traces that are recorded.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// Reads the value of a header `traceparent`; `None` if it is not one, which W3C wants to be passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let [version] = bytes(fields.next()?)?;
        let context = Self {
            trace_id: bytes(fields.next()?)?,
            span_id: bytes(fields.next()?)?,
            flags: bytes::<1>(fields.next()?)?[0],
        };
        // Later versions may have more fields.
        let is_known = version != 0xff && (version != 0 || fields.next().is_none());
        let is_valid = context.trace_id != [0; 16] && context.span_id != [0; 8];
        (is_known && is_valid).then_some(context)
    }

    /// Whether the trace's origin wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace_id);
        let span = u64::from_be_bytes(self.span_id);
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

/// The bytes that `text` has in hexadecimal digits, which W3C wants in lower case.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_and_written_as_w3c_says() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(text).unwrap();
        assert_eq!(context.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(context.span_id[7], 0x31);
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), text);

        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-more";
        assert!(!TraceContext::parse(later).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_context_is_passed_over() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
