//! Pictures, kept as objects. Their bytes go from one stream of the host to another, and never through this component.

use crate::wasi::blobstore::blobstore::{container_exists, create_container, get_container};
use crate::wasi::blobstore::container::Container;
use crate::wasi::blobstore::types::{IncomingValue, OutgoingValue};
use crate::wasi::http::types::IncomingBody;
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};

/// The container of all pictures.
const CONTAINER: &str = "pictures";

/// The largest picture, in bytes.
const LARGEST: u64 = 16 << 20;

/// How many bytes are handed on at a time.
const PIECE: u64 = 64 << 10;

/// How many names are asked for at a time, and shown at most.
const SHOWN: u64 = 50;

/// The outcome of keeping a picture.
pub(crate) enum Kept {
    Yes,
    TooLarge,
}

/// Whether a text can be a picture's name.
pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=100).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_plain)
}

/// The media type that a name stands for.
pub(crate) fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "gif" => "image/gif",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}

/// Keeps the body of a request, or of a response, under a name.
pub(crate) fn keep(name: &str, incoming: IncomingBody) -> Result<Kept, String> {
    let container = create_container(CONTAINER)?;
    let from = incoming.stream().map_err(|()| "the body is taken")?;
    let value = OutgoingValue::new_outgoing_value();
    let to = (value.outgoing_value_write_body()).map_err(|()| "the value has one stream")?;
    container.write_data(name, &value)?;
    let is_whole = hand_on(&from, &to, LARGEST).map_err(|why| told(&why))?;
    drop(to);
    drop(from);
    drop(IncomingBody::finish(incoming));
    if !is_whole {
        // A value that is not finished becomes no object.
        drop(value);
        return Ok(Kept::TooLarge);
    }
    OutgoingValue::finish(value)?;
    Ok(Kept::Yes)
}

/// The bytes of a picture; `None` if there is none of that name.
pub(crate) fn open(name: &str) -> Result<Option<InputStream>, String> {
    let Some(container) = container()? else {
        return Ok(None);
    };
    if !container.has_object(name)? {
        return Ok(None);
    }
    let value = container.get_data(name, 0, u64::MAX)?;
    IncomingValue::incoming_value_consume_async(value).map(Some)
}

/// The names of the first pictures.
pub(crate) fn names() -> Result<Vec<String>, String> {
    let Some(container) = container()? else {
        return Ok(Vec::new());
    };
    let (mut names, _) = container.list_objects()?.read_stream_object_names(SHOWN)?;
    names.sort();
    Ok(names)
}

fn container() -> Result<Option<Container>, String> {
    match container_exists(CONTAINER)? {
        true => get_container(CONTAINER).map(Some),
        false => Ok(None),
    }
}

/// Hands all bytes from one stream to another, unless there are more than `most`: says whether it were all.
pub(crate) fn hand_on(
    from: &InputStream,
    to: &OutputStream,
    most: u64,
) -> Result<bool, StreamError> {
    let mut handed = 0;
    while handed <= most {
        match to.blocking_splice(from, PIECE) {
            Ok(n) => handed += n,
            Err(StreamError::Closed) => {
                to.blocking_flush()?;
                return Ok(true);
            }
            Err(why) => return Err(why),
        }
    }
    Ok(false)
}

fn told(why: &StreamError) -> String {
    match why {
        StreamError::Closed => "the stream is closed".into(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}
