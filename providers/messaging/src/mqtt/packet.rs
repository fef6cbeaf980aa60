//! Packets of MQTT 5, as far as a client needs them that publishes and subscribes with QoS 0 and 1.
//!
//! Packets that come are not trusted: each has a bound before it is read, and each of its fields is looked for in what is
//! left of it.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The largest message, as NATS has it unless it is told otherwise.
pub(super) const LARGEST_MESSAGE: usize = 1 << 20;

/// The version of the protocol.
const VERSION: u8 = 5;

/// How messages are carried between a client and its broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Qos {
    /// At most once: nobody says that they came.
    AtMostOnce,
    /// At least once: the receiver acknowledges a message.
    #[default]
    AtLeastOnce,
}

/// Why bytes are no packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("a packet of {0} bytes, which is too large")]
    TooLarge(usize),
    #[error("a packet whose length is none")]
    Length,
    #[error("a packet that ends before it is complete")]
    Short,
    #[error("a text that is not UTF-8")]
    Text,
    #[error("a property that is not known ({0:#x})")]
    Property(u32),
    #[error("a packet that a broker does not send ({0:#x})")]
    Kind(u8),
}

/// A packet that a broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Accepted(Accepted),
    Publish(Publish),
    Published { id: u16, code: u8 },
    Subscribed { id: u16, code: u8 },
    Unsubscribed { id: u16 },
    Pong,
    Disconnect { code: u8 },
}

/// The answer to [`connect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) session_present: bool,
    /// 0, or why not.
    pub(super) code: u8,
    pub(super) keep_alive: Option<u16>,
    /// How many messages may be under way to the broker.
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet: Option<u32>,
    /// Whether it lacks what is needed of it.
    pub(super) lacks_qos: bool,
    pub(super) lacks_subscription_ids: bool,
    pub(super) lacks_shared_subscriptions: bool,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) body: Bytes,
    pub(super) response_topic: Option<String>,
    /// The number that it is acknowledged by; none for one that is not.
    pub(super) id: Option<u16>,
    /// The numbers of the subscriptions that it is for.
    pub(super) subscriptions: Vec<u32>,
}

/// Takes the next packet out of `buffer`, if it is there as a whole, and has at most `most` bytes.
///
/// # Errors
///
/// The bytes are no packet.
pub(super) fn read(buffer: &mut BytesMut, most: usize) -> Result<Option<Incoming>, PacketError> {
    let Some((head, length)) = frame(buffer)? else {
        return Ok(None);
    };
    if length > most {
        return Err(PacketError::TooLarge(length));
    }
    let Some(whole) = head
        .checked_add(length)
        .filter(|whole| buffer.len() >= *whole)
    else {
        return Ok(None);
    };
    let mut packet = buffer.split_to(whole).freeze();
    let first = packet[0];
    packet.advance(head);
    packet_of(first, Fields(packet)).map(Some)
}

/// The lengths of a packet's fixed header and of the rest, if they are there.
fn frame(buffer: &[u8]) -> Result<Option<(usize, usize)>, PacketError> {
    let mut length = 0_usize;
    for n in 0..4 {
        let Some(byte) = buffer.get(1 + n) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + n, length)));
        }
    }
    Err(PacketError::Length)
}

fn packet_of(first: u8, mut fields: Fields) -> Result<Incoming, PacketError> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    Ok(match kind {
        2 => {
            let session_present = fields.byte()? & 1 == 1;
            let mut accepted = Accepted {
                session_present,
                code: fields.byte()?,
                ..Accepted::default()
            };
            fields.properties(|property| match property {
                Property::KeepAlive(seconds) => accepted.keep_alive = Some(seconds),
                Property::ReceiveMaximum(most) => accepted.receive_maximum = Some(most),
                Property::MaximumPacket(most) => accepted.maximum_packet = Some(most),
                Property::MaximumQos(most) => accepted.lacks_qos = most == 0,
                Property::SubscriptionIds(are) => accepted.lacks_subscription_ids = !are,
                Property::SharedSubscriptions(are) => accepted.lacks_shared_subscriptions = !are,
                _ => {}
            })?;
            Incoming::Accepted(accepted)
        }
        3 => {
            let topic = fields.text()?;
            let id = match flags >> 1 & 0b11 {
                0 => None,
                1 => Some(fields.short()?),
                // Nothing is subscribed to with more.
                _ => return Err(PacketError::Kind(first)),
            };
            let mut publish = Publish {
                topic,
                id,
                ..Publish::default()
            };
            fields.properties(|property| match property {
                Property::ResponseTopic(topic) => publish.response_topic = Some(topic),
                Property::Subscription(id) => publish.subscriptions.push(id),
                _ => {}
            })?;
            publish.body = fields.0;
            Incoming::Publish(publish)
        }
        4 => Incoming::Published {
            id: fields.short()?,
            code: fields.code()?,
        },
        9 | 11 => {
            let id = fields.short()?;
            fields.properties(|_| {})?;
            match kind {
                // One filter is subscribed to at a time.
                9 => Incoming::Subscribed {
                    id,
                    code: fields.byte()?,
                },
                _ => Incoming::Unsubscribed { id },
            }
        }
        13 => Incoming::Pong,
        14 => Incoming::Disconnect {
            code: fields.code()?,
        },
        _ => return Err(PacketError::Kind(first)),
    })
}

/// The properties of a packet that are used.
enum Property {
    ResponseTopic(String),
    Subscription(u32),
    KeepAlive(u16),
    ReceiveMaximum(u16),
    MaximumPacket(u32),
    MaximumQos(u8),
    SubscriptionIds(bool),
    SharedSubscriptions(bool),
    Other,
}

/// The rest of a packet.
struct Fields(Bytes);

impl Fields {
    fn byte(&mut self) -> Result<u8, PacketError> {
        self.0.try_get_u8().map_err(|_| PacketError::Short)
    }

    /// A reason's code, which may be left out if it is 0.
    fn code(&mut self) -> Result<u8, PacketError> {
        match self.0.is_empty() {
            true => Ok(0),
            false => self.byte(),
        }
    }

    fn short(&mut self) -> Result<u16, PacketError> {
        self.0.try_get_u16().map_err(|_| PacketError::Short)
    }

    fn long(&mut self) -> Result<u32, PacketError> {
        self.0.try_get_u32().map_err(|_| PacketError::Short)
    }

    fn variable(&mut self) -> Result<u32, PacketError> {
        let mut number = 0;
        for n in 0..4 {
            let byte = self.byte()?;
            number |= u32::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(PacketError::Length)
    }

    fn part(&mut self, length: usize) -> Result<Bytes, PacketError> {
        match length <= self.0.len() {
            true => Ok(self.0.split_to(length)),
            false => Err(PacketError::Short),
        }
    }

    fn bytes(&mut self) -> Result<Bytes, PacketError> {
        let length = self.short()?;
        self.part(length.into())
    }

    fn text(&mut self) -> Result<String, PacketError> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| PacketError::Text)
    }

    /// Shows all properties to `each`. They are not kept: a packet may have very many that are of no use.
    fn properties(&mut self, mut each: impl FnMut(Property)) -> Result<(), PacketError> {
        let length = self.variable()?;
        let mut part = Self(self.part(length as usize)?);
        while !part.0.is_empty() {
            each(part.property()?);
        }
        Ok(())
    }

    fn property(&mut self) -> Result<Property, PacketError> {
        let id = self.variable()?;
        Ok(match id {
            0x08 => Property::ResponseTopic(self.text()?),
            0x0b => Property::Subscription(self.variable()?),
            0x13 => Property::KeepAlive(self.short()?),
            0x21 => Property::ReceiveMaximum(self.short()?),
            0x24 => Property::MaximumQos(self.byte()?),
            0x27 => Property::MaximumPacket(self.long()?),
            0x29 => Property::SubscriptionIds(self.byte()? != 0),
            0x2a => Property::SharedSubscriptions(self.byte()? != 0),
            0x01 | 0x17 | 0x19 | 0x25 | 0x28 => {
                self.byte()?;
                Property::Other
            }
            0x22 | 0x23 => {
                self.short()?;
                Property::Other
            }
            0x02 | 0x11 | 0x18 => {
                self.long()?;
                Property::Other
            }
            0x03 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => {
                self.bytes()?;
                Property::Other
            }
            0x26 => {
                self.bytes()?;
                self.bytes()?;
                Property::Other
            }
            other => return Err(PacketError::Property(other)),
        })
    }
}

/// The greeting of a client.
pub(super) struct Connect<'a> {
    pub(super) client: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    /// Whether it begins anew, and wants nothing of what was before.
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    /// How long the broker keeps the session when the connection is lost, in seconds.
    pub(super) session: u32,
    /// How many messages may be under way to the client.
    pub(super) receive_maximum: u16,
    pub(super) maximum_packet: u32,
}

/// Asks to be let in.
pub(super) fn connect(connect: &Connect<'_>) -> Bytes {
    let mut body = BytesMut::new();
    put_text(&mut body, "MQTT");
    body.put_u8(VERSION);
    let user = u8::from(connect.user.is_some()) << 7;
    let password = u8::from(connect.password.is_some()) << 6;
    body.put_u8(user | password | u8::from(connect.clean) << 1);
    body.put_u16(connect.keep_alive);
    let mut properties = BytesMut::new();
    properties.put_u8(0x11);
    properties.put_u32(connect.session);
    properties.put_u8(0x21);
    properties.put_u16(connect.receive_maximum);
    properties.put_u8(0x27);
    properties.put_u32(connect.maximum_packet);
    put_properties(&mut body, &properties);
    put_text(&mut body, connect.client);
    for text in [connect.user, connect.password].into_iter().flatten() {
        put_text(&mut body, text);
    }
    packet(0x10, &body)
}

/// Publishes a message; with an `id`, if the broker is to say that it has it.
pub(super) fn publish(topic: &str, body: &[u8], reply: Option<&str>, id: Option<u16>) -> Bytes {
    let mut all = BytesMut::with_capacity(topic.len() + body.len() + 32);
    put_text(&mut all, topic);
    if let Some(id) = id {
        all.put_u16(id);
    }
    let mut properties = BytesMut::new();
    if let Some(reply) = reply {
        properties.put_u8(0x08);
        put_text(&mut properties, reply);
    }
    put_properties(&mut all, &properties);
    all.put_slice(body);
    packet(0x30 | u8::from(id.is_some()) << 1, &all)
}

/// How many bytes of a packet that publishes are not the message's body, at most.
pub(super) fn overhead(topic: &str, reply: Option<&str>) -> usize {
    // The header, the topic's length, the number, and the length of the properties.
    const FIELDS: usize = 5 + 2 + 2 + 4;
    FIELDS + topic.len() + reply.map_or(0, |reply| 3 + reply.len())
}

/// Says that a message has come.
pub(super) fn published(id: u16) -> Bytes {
    packet(0x40, &id.to_be_bytes())
}

/// Subscribes to what comes from now on to the topics that `filter` says; `number` is in each message of it.
pub(super) fn subscribe(filter: &str, number: u32, qos: Qos, id: u16) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(id);
    let mut properties = BytesMut::new();
    properties.put_u8(0x0b);
    put_variable(&mut properties, number);
    put_properties(&mut body, &properties);
    put_text(&mut body, filter);
    // Messages that the broker kept of before do not come.
    const NOTHING_KEPT: u8 = 2 << 4;
    body.put_u8(NOTHING_KEPT | u8::from(qos == Qos::AtLeastOnce));
    packet(0x82, &body)
}

/// Ends a subscription.
pub(super) fn unsubscribe(filter: &str, id: u16) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(id);
    put_properties(&mut body, &[]);
    put_text(&mut body, filter);
    packet(0xa2, &body)
}

/// Asks whether the broker is there.
pub(super) fn ping() -> Bytes {
    packet(0xc0, &[])
}

/// Leaves, and has the broker keep nothing of the session.
pub(super) fn disconnect() -> Bytes {
    packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 0])
}

fn packet(first: u8, body: &[u8]) -> Bytes {
    let mut all = BytesMut::with_capacity(body.len() + 5);
    all.put_u8(first);
    // Bodies are far smaller: subjects and messages have bounds.
    put_variable(&mut all, u32::try_from(body.len()).unwrap_or(u32::MAX));
    all.put_slice(body);
    all.freeze()
}

fn put_variable(out: &mut BytesMut, mut number: u32) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        match number {
            0 => return out.put_u8(byte),
            _ => out.put_u8(byte | 0x80),
        }
    }
}

fn put_properties(out: &mut BytesMut, properties: &[u8]) {
    // A few fields, none of them longer than a text may be.
    put_variable(out, u32::try_from(properties.len()).unwrap_or(u32::MAX));
    out.put_slice(properties);
}

/// Texts have at most so many bytes as their length can say; [`is_text`] was asked before.
fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

/// Whether a text can be in a packet.
pub(super) fn is_text(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Option<Incoming>, PacketError> {
        read(&mut BytesMut::from(bytes), 1 << 20)
    }

    #[test]
    fn packets_are_read_as_a_broker_sends_them() {
        let accepted = [0x20, 13, 1, 0, 10, 0x21, 0, 20, 0x27, 0, 0, 4, 0, 0x2a, 0];
        let Ok(Some(Incoming::Accepted(read))) = all(&accepted) else {
            panic!("{:?}", all(&accepted));
        };
        assert!(read.session_present && read.lacks_shared_subscriptions);
        assert_eq!(
            (read.receive_maximum, read.maximum_packet),
            (Some(20), Some(1024))
        );
        let published = all(&[0x40, 4, 0, 7, 0x10, 0]);
        assert_eq!(
            published,
            Ok(Some(Incoming::Published { id: 7, code: 0x10 }))
        );
        assert_eq!(
            all(&[0x40, 2, 0, 7]),
            Ok(Some(Incoming::Published { id: 7, code: 0 }))
        );
        assert_eq!(
            all(&[0x90, 4, 0, 1, 0, 0x87]),
            Ok(Some(Incoming::Subscribed { id: 1, code: 0x87 }))
        );
        assert_eq!(all(&[0xd0, 0]), Ok(Some(Incoming::Pong)));
        assert_eq!(all(&[0xe0, 0]), Ok(Some(Incoming::Disconnect { code: 0 })));
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut written = BytesMut::from(&publish("a/b", b"body", Some("in/1"), Some(9))[..]);
        let message = Publish {
            topic: "a/b".into(),
            body: Bytes::from_static(b"body"),
            response_topic: Some("in/1".into()),
            id: Some(9),
            subscriptions: Vec::new(),
        };
        let read = read(&mut written, 1 << 20);
        assert_eq!(read, Ok(Some(Incoming::Publish(message))));
        assert!(written.is_empty());
    }

    #[test]
    fn what_of_a_packet_is_no_body_is_known_before_it_is_made() {
        let long = "t".repeat(usize::from(u16::MAX));
        for topic in ["a", &long] {
            for reply in [None, Some("r"), Some(&long[..])] {
                for body in [0, 1 << 20] {
                    let packet = publish(topic, &vec![0; body], reply, Some(9)).len();
                    let most = overhead(topic, reply) + body;
                    assert!(packet <= most && most < packet + 8, "{packet} of {most}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_read_before_it_is_there_and_nothing_that_is_too_large() {
        let message = publish("a/b", &[0; 300], Some("in/1"), Some(9));
        for end in 0..message.len() {
            let mut part = BytesMut::from(&message[..end]);
            assert_eq!(read(&mut part, 1 << 20), Ok(None));
            assert_eq!(part.len(), end);
        }
        let mut whole = BytesMut::from(&message[..]);
        assert!(matches!(
            read(&mut whole, 300),
            Err(PacketError::TooLarge(_))
        ));
    }

    #[test]
    fn bytes_of_any_sort_are_an_error_and_no_panic() {
        let mut seed = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let length = seed.usize(2..40);
            let mut bytes: Vec<u8> = std::iter::repeat_with(|| seed.u8(..))
                .take(length)
                .collect();
            bytes[1] = (length - 2) as u8;
            _ = all(&bytes);
        }
        for wrong in [
            &[0x20, 1, 0][..],
            &[0x30, 1, 0],
            &[0x30, 5, 0, 1, b'a', 9, 0],
            &[0x34, 6, 0, 1, b'a', 0, 1, 0],
            &[0x30, 5, 0, 1, 0xff, 0, 0],
            &[0x30, 6, 0, 1, b'a', 2, 0x7e, 0],
            &[0x10, 0],
            &[0x30, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(all(wrong).is_err(), "{wrong:x?}");
        }
    }
}
