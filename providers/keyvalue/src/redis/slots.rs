//! Which master of a cluster has which keys.
//!
//! A key is in one of 16384 slots, by a checksum of it, or of what is between its first braces if something is.

use ::redis::Value;
use sha2::{Digest as _, Sha256};

/// How many slots a cluster has.
const SLOTS: usize = 16384;

/// A slot that no master has.
const NOBODY: u16 = u16::MAX;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Node {
    /// Reads `HOST:PORT`, as redirections have it, of which a server `asked` tells: an empty host is its own.
    pub(super) fn parse(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self {
            host: match host {
                "" => asked.host.clone(),
                "?" => return None,
                host => host.to_owned(),
            },
            port: port.parse().ok()?,
        })
    }
}

/// A master that has slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    /// The name that it has for as long as it is in the cluster.
    id: String,
    pub(super) node: Node,
}

/// The masters, and the slots that each has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// In the order of their names.
    pub(super) masters: Vec<Master>,
    /// For each slot the place of its master.
    owners: Vec<u16>,
    /// The same for the same masters with the same slots, and for no others.
    pub(super) fingerprint: String,
}

/// Why an answer to `CLUSTER SLOTS` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotsError {
    #[error("its answer to `CLUSTER SLOTS` is of another form")]
    Form,
    #[error("no master has any slot yet; give them out (`redis-cli --cluster create`)")]
    None,
}

impl Slots {
    /// The answer to `CLUSTER SLOTS` of the server `asked`.
    pub(super) fn parse(answer: Value, asked: &Node) -> Result<Self, SlotsError> {
        let Value::Array(ranges) = answer else {
            return Err(SlotsError::Form);
        };
        let ranges: Option<Vec<_>> = ranges
            .into_iter()
            .map(|range| parse(range, asked))
            .collect();
        match ranges.ok_or(SlotsError::Form)? {
            ranges if ranges.is_empty() => Err(SlotsError::None),
            ranges => Ok(Self::of(ranges)),
        }
    }

    fn of(mut ranges: Vec<(u16, u16, Master)>) -> Self {
        ranges.sort_by(|(a, _, x), (b, _, y)| (&x.id, a).cmp(&(&y.id, b)));
        let mut masters: Vec<Master> = Vec::new();
        let mut owners = vec![NOBODY; SLOTS];
        let mut hash = Sha256::new();
        for (first, last, master) in ranges {
            hash.update(format!("{} {first}-{last}\n", master.id));
            if masters.last().is_none_or(|before| before.id != master.id) {
                masters.push(master);
            }
            // There are no more masters than slots.
            let place = u16::try_from(masters.len() - 1).unwrap_or(NOBODY);
            owners[usize::from(first)..=usize::from(last)].fill(place);
        }
        Self {
            masters,
            owners,
            fingerprint: hex::encode(&hash.finalize()[..8]),
        }
    }

    /// The master that has a slot.
    pub(super) fn master(&self, slot: u16) -> Option<&Master> {
        let place = self.owners.get(usize::from(slot))?;
        self.masters.get(usize::from(*place))
    }

    /// The first slot that no master has, if there is one.
    pub(super) fn missing(&self) -> Option<usize> {
        self.owners.iter().position(|owner| *owner == NOBODY)
    }
}

/// First slot, last slot, their master.
fn parse(range: Value, asked: &Node) -> Option<(u16, u16, Master)> {
    let mut parts = array(range)?;
    let first = slot(parts.next()?)?;
    let last = slot(parts.next()?)?;
    let mut master = array(parts.next()?)?;
    let host = match master.next()? {
        Value::Nil => asked.host.clone(),
        host => match text(host)?.as_str() {
            "" => asked.host.clone(),
            // A name that the server does not know.
            "?" => return None,
            host => host.to_owned(),
        },
    };
    let Value::Int(port) = master.next()? else {
        return None;
    };
    let node = Node {
        host,
        port: u16::try_from(port).ok()?,
    };
    let id = text(master.next()?)?;
    (first <= last).then_some((first, last, Master { id, node }))
}

fn array(value: Value) -> Option<impl Iterator<Item = Value>> {
    match value {
        Value::Array(values) => Some(values.into_iter()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn slot(value: Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(slot)
            .ok()
            .filter(|slot| usize::from(*slot) < SLOTS),
        _ => None,
    }
}

/// The slot of a key.
pub(super) fn slot_of(key: &str) -> u16 {
    let key = key.as_bytes();
    let tag = || {
        let start = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[start..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[start..start + length])
    };
    let sum = tag().unwrap_or(key).iter().fold(0_u16, |sum, byte| {
        let place = (sum >> 8) ^ u16::from(*byte);
        (sum << 8) ^ CHECKSUMS[usize::from(place)]
    });
    // There are as many as fit in 14 bits.
    sum & 0x3fff
}

/// The effect of each byte on a checksum: CRC-16/XMODEM.
const CHECKSUMS: [u16; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // Fits: it is below 256.
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = match sum & 0x8000 {
                0 => sum << 1,
                _ => (sum << 1) ^ 0x1021,
            };
            bit += 1;
        }
        all[byte] = sum;
        byte += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_slots_in_which_redis_has_them() {
        // As `redis-cli cluster keyslot` says.
        for (key, slot) in [
            ("", 0),
            ("foo", 12182),
            ("somekey", 11058),
            ("foo{hash_tag}", 2515),
            ("123456789", 0x31c3),
        ] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        for (key, same) in [
            ("{a}.b", "a"),
            ("x{a}{b}", "a"),
            ("x{{a}}", "{a"),
            ("withe:bucket:{a}:b", "a"),
        ] {
            assert_eq!(slot_of(key), slot_of(same), "{key}");
        }
        assert_ne!(slot_of("x{}{a}"), slot_of("a"));
    }

    fn range(first: i64, last: i64, host: Value, port: i64, id: &str) -> Value {
        let master = [host, Value::Int(port), Value::BulkString(id.into())];
        let parts = [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master.into()),
        ];
        Value::Array(parts.into())
    }

    #[test]
    fn an_answer_says_who_has_what() {
        let asked = Node {
            host: "asked".into(),
            port: 1,
        };
        let host = |name: &str| Value::BulkString(name.into());
        let answer = Value::Array(vec![
            range(100, 16383, host("b"), 7, "2"),
            range(0, 9, Value::Nil, 8, "1"),
            range(20, 99, host(""), 8, "1"),
        ]);
        let slots = Slots::parse(answer, &asked).unwrap();
        let at = |slot| slots.master(slot).map(|master| master.node.clone());
        let one = Node::parse(":8", &asked);
        assert_eq!(one.as_ref().unwrap().host, "asked");
        assert_eq!(
            (at(0), at(9), at(10), at(99)),
            (one.clone(), one.clone(), None, one)
        );
        assert_eq!(at(16383), Node::parse("b:7", &asked));
        assert_eq!((slots.missing(), slots.masters.len()), (Some(10), 2));
        assert_ne!(slots.fingerprint, Slots::of(Vec::new()).fingerprint);
        for strange in [
            Value::Okay,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![]),
            Value::Array(vec![range(0, 16384, host("b"), 7, "2")]),
            Value::Array(vec![range(9, 0, host("b"), 7, "2")]),
            Value::Array(vec![range(0, 9, host("?"), 7, "2")]),
            Value::Array(vec![range(0, 9, host("b"), 70000, "2")]),
        ] {
            assert!(Slots::parse(strange, &asked).is_err());
        }
    }
}
