//! The codes by which brokers of MQTT 5 refuse, in words.

/// Whether a broker refuses by this code whoever connects, for who that is.
pub(crate) fn is_of_user(code: u8) -> bool {
    matches!(code, 0x86 | 0x87 | 0x8c)
}

/// The meaning of a code of MQTT.
pub(crate) fn refusal(code: u8) -> &'static str {
    match code {
        0x80 => "it gives no reason",
        0x84 => "it does not speak MQTT 5",
        0x85 => "the client's name is not allowed",
        0x86 => "user or password are wrong",
        0x87 => "that is not allowed",
        0x88 => "it is not available",
        0x89 => "it is busy",
        0x8a => "the client is banned",
        0x8f => "the filter is none for it",
        0x90 => "the topic is none for it",
        0x95 => "the packet is too large",
        0x97 => "a quota is used up",
        0x99 => "the body is not as it has to be",
        0x9e => "it has no shared subscriptions",
        0xa1 => "it has no numbers of subscriptions",
        0xa2 => "it has no wildcards",
        _ => "see the list of MQTT 5",
    }
}
