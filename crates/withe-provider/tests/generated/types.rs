//! Types, each beside its bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use withe_provider::Payload;
use withe_provider::codec::{Decode, DecodeError, Encode};

use crate::generated::test::all::types::*;
use crate::generated::test::other::things;

/// Checks that a value is written as these bytes, and read from them.
#[track_caller]
fn is<T: Encode + Decode + PartialEq + Debug>(value: T, bytes: &[u8]) {
    let payload = Payload::of(&value);
    assert_eq!(payload.bytes, bytes, "{value:?}");
    assert_eq!(payload.read(), Ok(value));
    assert!(T::MIN_BYTES <= bytes.len());
}

fn refused<T: Decode>(bytes: &[u8]) -> Option<DecodeError> {
    let payload = Payload {
        bytes: bytes.into(),
        ..Payload::default()
    };
    payload.read::<T>().err()
}

pub(crate) fn plain() -> Plain {
    Plain {
        a_bool: true,
        b: 1,
        c: -1,
        d: 300,
        e: -300,
        f: 3,
        g: -3,
        h: 4,
        i: -4,
        j: 1.5,
        k: -2.5,
        l: 'ß',
        m: "text".into(),
        type_: 7,
        self_: 8,
    }
}

pub(crate) fn everything() -> Everything {
    Everything {
        plain: plain(),
        shape: Shape::Dot,
        colour: Colour::LightGreen,
        rights: Rights {
            read: false,
            write_all: true,
        },
        many: Many {
            f8: true,
            ..Many::default()
        },
        bytes: vec![0, 255, 1],
        corners: [Point { x: 1, y: 2 }; 3],
        names: BTreeMap::from([("b".into(), vec![2]), ("a".into(), vec![])]),
        pair: (9, "nine".into()),
        alias: Point { x: 0, y: 0 },
        thing: things::Thing { id: 77 },
        other: OtherThing { id: 78 },
        nothing: Ok(()),
        empty: Err(SmallError::NotThere),
        nested: vec![None, Some((1, "x".into()))],
    }
}

#[test]
fn records_are_their_fields() {
    is(Point { x: 1, y: -1 }, &[1, 0x7f]);
    let mut bytes = vec![1, 1, 0xff, 0xac, 2, 0xd4, 0x7d, 3, 0x7d, 4, 0x7c];
    bytes.extend(1.5f32.to_le_bytes());
    bytes.extend((-2.5f64).to_le_bytes());
    bytes.extend("ß".bytes());
    bytes.extend(b"\x04text\x07\x08");
    is(plain(), &bytes);
    assert_eq!(refused::<Point>(&[1]), Some(DecodeError::Truncated));
}

#[test]
fn cases_are_numbered() {
    is(Shape::Dot, &[0]);
    is(Shape::Circle(0.0), &[1, 0, 0, 0, 0]);
    is(Shape::Polygon(vec![Point { x: 1, y: 2 }]), &[2, 1, 1, 2]);
    is(
        Shape::Nested(Some(Err("no".into()))),
        &[3, 1, 1, 2, b'n', b'o'],
    );
    is(Colour::LightGreen, &[1]);
    assert_eq!(refused::<Shape>(&[4]), Some(DecodeError::Discriminant));
    assert_eq!(refused::<Colour>(&[2]), Some(DecodeError::Discriminant));
}

#[test]
fn flags_are_bits() {
    let rights = Rights {
        write_all: true,
        ..Rights::default()
    };
    is(rights, &[2]);
    is(
        Many {
            f0: true,
            f8: true,
            ..Many::default()
        },
        &[1, 1],
    );
    assert_eq!(refused::<Rights>(&[4]), Some(DecodeError::Discriminant));
    assert_eq!(refused::<Many>(&[0]), Some(DecodeError::Truncated));
}

#[test]
fn all_of_it_is_in_order() {
    let mut bytes = Payload::of(&plain()).bytes;
    bytes.extend([0, 1, 2, 0, 1]);
    bytes.extend([3, 0, 255, 1]);
    bytes.extend([1, 2, 1, 2, 1, 2]);
    bytes.extend([2, 1, b'a', 0, 1, b'b', 1, 2]);
    bytes.extend(b"\x09\x04nine");
    bytes.extend([0, 0, 77, 78, 0, 1, 1]);
    bytes.extend([2, 0, 1, 1, 1, b'x']);
    is(everything(), &bytes);
}

#[test]
fn errors_are_errors_that_say_what_they_are() {
    let table: [(&dyn std::error::Error, &str); 5] = [
        (&SmallError::NotThere, "not there"),
        (&BigError::Small(SmallError::Full), "small: full"),
        (&BigError::Text("why".into()), "text: why"),
        (
            &BigError::At(Point { x: 1, y: 2 }),
            "at: Point { x: 1, y: 2 }",
        ),
        (&BigError::Unknown, "unknown"),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn traits_are_what_the_parts_allow() {
    fn copied_and_hashed<T: Copy + Eq + std::hash::Hash>() {}
    fn hashed<T: Clone + Eq + std::hash::Hash>() {}
    copied_and_hashed::<Point>();
    copied_and_hashed::<Rights>();
    copied_and_hashed::<Colour>();
    copied_and_hashed::<things::Thing>();
    hashed::<BigError>();
}
