//! The bytes that are signed: fields, each with its length before it, after the name of what they are.
//!
//! With lengths no two lists of fields have the same bytes, and with a name no signature of one thing is one of another.
//! Signing JSON was rejected: two texts may be read alike by one reader and not by another.

/// The bytes of these fields of a thing of this name.
pub(crate) fn message(name: &str, fields: &[&[u8]]) -> Vec<u8> {
    let size: usize = fields.iter().map(|field| field.len() + 8).sum();
    let mut bytes = Vec::with_capacity(size + name.len() + 8);
    for field in std::iter::once(&name.as_bytes()).chain(fields) {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_of_fields_have_the_same_bytes() {
        let all: [(&str, &[&[u8]]); 6] = [
            ("a", &[b"b", b"c"]),
            ("a", &[b"bc"]),
            ("a", &[b"bc", b""]),
            ("a", &[b"", b"bc"]),
            ("ab", &[b"c"]),
            ("a", &[]),
        ];
        for (i, (name, fields)) in all.iter().enumerate() {
            for (other, others) in &all[i + 1..] {
                assert_ne!(message(name, fields), message(other, others));
            }
        }
    }
}
