//! Keeps objects by `wasi:blobstore`: by calls, and by HTTP (`PUT` and `GET` of `/CONTAINER/OBJECT`; `POST` to
//! `/CONTAINER/all` does everything).

wit_bindgen::generate!({ world: "shelf", path: "../wit", generate_all });

use exports::t::shelf::shelf::{Guest as Shelf, Order};
use exports::wasi::http::incoming_handler::{Guest as Handler, IncomingRequest, ResponseOutparam};
use wasi::blobstore::blobstore::{
    container_exists, copy_object, create_container, delete_container, get_container, move_object,
};
use wasi::blobstore::container::Container;
use wasi::blobstore::types::{IncomingValue, ObjectId, OutgoingValue};
use wasi::http::types::{Fields, Method, OutgoingBody, OutgoingResponse};
use wasi::io::streams::{InputStream, OutputStream, StreamError};

struct Component;
export!(Component);

/// Bytes that are written and read at a time.
const PIECE: usize = 64 << 10;

/// Byte `n` of every object that is filled.
fn pattern(n: u64) -> u8 {
    (n % 251) as u8 ^ (n >> 16) as u8
}

fn told(why: StreamError) -> String {
    match why {
        StreamError::Closed => "the stream is closed".into(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

/// Writes all of `bytes`.
fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), String> {
    while !bytes.is_empty() {
        let room = match stream.check_write().map_err(told)? {
            0 => {
                stream.subscribe().block();
                continue;
            }
            room => (room as usize).min(bytes.len()),
        };
        stream.write(&bytes[..room]).map_err(told)?;
        bytes = &bytes[room..];
    }
    stream.blocking_flush().map_err(told)
}

/// The next bytes; none at the end.
fn read(stream: &InputStream) -> Result<Vec<u8>, String> {
    match stream.blocking_read(PIECE as u64) {
        Ok(bytes) => Ok(bytes),
        Err(StreamError::Closed) => Ok(Vec::new()),
        Err(why) => Err(told(why)),
    }
}

fn ensure(is_so: bool, what: &str) -> Result<(), String> {
    if is_so {
        Ok(())
    } else {
        Err(format!("not so: {what}"))
    }
}

fn put(container: &Container, object: &str, text: &str) -> Result<(), String> {
    let value = OutgoingValue::new_outgoing_value();
    let stream = value
        .outgoing_value_write_body()
        .map_err(|()| "no stream")?;
    container.write_data(object, &value)?;
    write(&stream, text.as_bytes())?;
    drop(stream);
    OutgoingValue::finish(value)
}

fn part(container: &Container, object: &str, start: u64, end: u64) -> Result<String, String> {
    let value = container.get_data(object, start, end)?;
    let bytes = IncomingValue::incoming_value_consume_sync(value)?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

fn all(name: &str) -> Result<(), String> {
    ensure(!container_exists(name)?, "the container is not there yet")?;
    ensure(
        get_container(name).is_err(),
        "a container that is not there cannot be had",
    )?;
    ensure(delete_container(name).is_err(), "nor removed")?;
    let pets = create_container(name)?;
    create_container(name)?;
    ensure(container_exists(name)?, "the container is there")?;
    ensure(get_container(name)?.name()? == name, "it has its name")?;
    let info = pets.info()?;
    ensure(
        info.name == name && info.created_at < 4_000_000_000,
        "its time is in seconds",
    )?;

    ensure(!pets.has_object("cat")?, "there is no cat yet")?;
    ensure(pets.get_data("cat", 0, 1).is_err(), "nor can it be read")?;
    ensure(
        pets.object_info("cat").is_err(),
        "nor is anything known of it",
    )?;
    put(&pets, "cat", "meow")?;
    ensure(pets.has_object("cat")?, "there is a cat")?;
    let info = pets.object_info("cat")?;
    ensure(
        (&*info.name, &*info.container) == ("cat", name),
        "it is named",
    )?;
    ensure(info.size == 4, "it has four bytes")?;
    ensure(part(&pets, "cat", 0, u64::MAX)? == "meow", "it says meow")?;
    ensure(
        part(&pets, "cat", 1, 3)? == "eo",
        "the end of a range is not in it",
    )?;
    ensure(
        part(&pets, "cat", 2, 2)?.is_empty(),
        "an empty range is empty",
    )?;
    ensure(
        part(&pets, "cat", 9, 12)?.is_empty(),
        "there is nothing behind the end",
    )?;
    ensure(
        pets.get_data("cat", 3, 1).is_err(),
        "a range has its start first",
    )?;
    ensure(
        pets.get_data("cat", 1, 9)?.size() == 3,
        "a value says what there is",
    )?;
    put(&pets, "cat", "purr!")?;
    ensure(part(&pets, "cat", 0, 9)? == "purr!", "it is replaced")?;
    put(&pets, "empty", "")?;
    ensure(
        part(&pets, "empty", 0, 9)?.is_empty(),
        "an object can be empty",
    )?;

    // A value is written once, has one stream, and is one object.
    let value = OutgoingValue::new_outgoing_value();
    let stream = value
        .outgoing_value_write_body()
        .map_err(|()| "no stream")?;
    ensure(
        value.outgoing_value_write_body().is_err(),
        "there is one stream",
    )?;
    write(&stream, b"before, ")?;
    pets.write_data("deep/in/here", &value)?;
    ensure(
        pets.write_data("elsewhere", &value).is_err(),
        "a value is one object",
    )?;
    write(&stream, b"after")?;
    drop(stream);
    ensure(
        !pets.has_object("deep/in/here")?,
        "it is not there before it is whole",
    )?;
    OutgoingValue::finish(value)?;
    ensure(
        part(&pets, "deep/in/here", 0, 99)? == "before, after",
        "both parts are there",
    )?;
    let nowhere = OutgoingValue::new_outgoing_value();
    ensure(
        OutgoingValue::finish(nowhere).is_err(),
        "a value has to go somewhere",
    )?;
    for bad in ["", "..", "a/../b", "/etc/passwd"] {
        let value = OutgoingValue::new_outgoing_value();
        ensure(
            pets.write_data(bad, &value).is_err(),
            "a name leads nowhere else",
        )?;
        ensure(
            create_container(&format!("{bad}/")).is_err(),
            "nor a container's",
        )?;
    }
    abandon(&pets, "half")?;
    ensure(
        !pets.has_object("half")?,
        "what is not finished is not there",
    )?;

    let id = |object: &str| ObjectId {
        container: name.to_owned(),
        object: object.to_owned(),
    };
    let nowhere = ObjectId {
        container: format!("{name}-not-there"),
        object: "x".into(),
    };
    copy_object(&id("cat"), &id("copy"))?;
    move_object(&id("copy"), &id("moved"))?;
    move_object(&id("moved"), &id("moved"))?;
    ensure(part(&pets, "moved", 0, 9)? == "purr!", "a copy is the same")?;
    ensure(
        !pets.has_object("copy")? && pets.has_object("cat")?,
        "what is moved is gone",
    )?;
    ensure(
        copy_object(&id("none"), &id("x")).is_err(),
        "nothing cannot be copied",
    )?;
    ensure(copy_object(&id("cat"), &nowhere).is_err(), "nor to nowhere")?;
    ensure(move_object(&id("cat"), &nowhere).is_err(), "nor moved")?;
    ensure(pets.has_object("cat")?, "it stays where it was")?;

    for n in 0..300 {
        if n % 3 == 0 {
            put(&pets, &format!("many/{n}"), "x")?;
        }
    }
    let names = pets.list_objects()?;
    let (skipped, ended) = names.skip_stream_object_names(7)?;
    ensure((skipped, ended) == (7, false), "seven are passed over")?;
    let (mut count, mut ended) = (skipped, ended);
    while !ended {
        let (some, end) = names.read_stream_object_names(40)?;
        count += some.len() as u64;
        ended = end;
    }
    ensure(
        count == 104,
        &format!("there are 104 objects, and not {count}"),
    )?;
    let (mut listed, mut ended) = (Vec::new(), false);
    let names = pets.list_objects()?;
    while !ended {
        let (some, end) = names.read_stream_object_names(u64::MAX)?;
        listed.extend(some);
        ended = end;
    }
    listed.sort();
    listed.retain(|name| !name.starts_with("many/"));
    ensure(
        listed == ["cat", "deep/in/here", "empty", "moved"],
        &format!("{listed:?}"),
    )?;

    pets.delete_object("cat")?;
    pets.delete_object("cat")?;
    pets.delete_objects(&["moved".into(), "none".into(), "empty".into()])?;
    ensure(!pets.has_object("moved")?, "it is removed")?;
    pets.clear()?;
    let (left, ended) = pets.list_objects()?.read_stream_object_names(9)?;
    ensure(left.is_empty() && ended, "nothing is left")?;
    put(&pets, "cat", "meow")?;
    delete_container(name)?;
    ensure(!container_exists(name)?, "the container is gone")?;
    ensure(!pets.has_object("cat")?, "and what was in it")?;
    ensure(pets.list_objects().is_err(), "it cannot be listed")?;
    ensure(pets.clear().is_err() && pets.info().is_err(), "nor cleared")?;
    let value = OutgoingValue::new_outgoing_value();
    ensure(
        pets.write_data("cat", &value).is_err(),
        "nothing can be written there",
    )
}

fn abandon(container: &Container, object: &str) -> Result<(), String> {
    let value = OutgoingValue::new_outgoing_value();
    let stream = value
        .outgoing_value_write_body()
        .map_err(|()| "no stream")?;
    container.write_data(object, &value)?;
    write(&stream, &[b'x'; 1000])?;
    drop(stream);
    drop(value);
    Ok(())
}

impl Shelf for Component {
    fn all(container: String) -> Result<(), String> {
        all(&container)
    }

    fn fill(container: String, object: String, size: u64, order: Order) -> Result<(), String> {
        let container = create_container(&container)?;
        let value = OutgoingValue::new_outgoing_value();
        let stream = value
            .outgoing_value_write_body()
            .map_err(|()| "no stream")?;
        if order == Order::NamedFirst {
            container.write_data(&object, &value)?;
        }
        let mut n = 0;
        while n < size {
            let end = size.min(n + PIECE as u64);
            let bytes: Vec<u8> = (n..end).map(pattern).collect();
            write(&stream, &bytes)?;
            n = end;
        }
        drop(stream);
        if order == Order::WrittenFirst {
            container.write_data(&object, &value)?;
        }
        OutgoingValue::finish(value)
    }

    fn verify(container: String, object: String, start: u64, end: u64) -> Result<u64, String> {
        let value = get_container(&container)?.get_data(&object, start, end)?;
        let size = value.size();
        let stream = IncomingValue::incoming_value_consume_async(value)?;
        let mut n = start;
        loop {
            let bytes = read(&stream)?;
            if bytes.is_empty() {
                break;
            }
            for byte in bytes {
                if byte != pattern(n) {
                    return Err(format!("byte {n} is another one"));
                }
                n += 1;
            }
        }
        match n - start == size {
            true => Ok(size),
            false => Err(format!(
                "{} bytes came, and the value has {size}",
                n - start
            )),
        }
    }

    fn abandon(container: String, object: String) -> Result<(), String> {
        abandon(&create_container(&container)?, &object)
    }

    fn put(container: String, object: String, text: String) -> Result<(), String> {
        put(&create_container(&container)?, &object, &text)
    }

    fn get(container: String, object: String) -> Result<String, String> {
        part(&get_container(&container)?, &object, 0, u64::MAX)
    }
}

impl Handler for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let Some((container, object)) = path[1..].split_once('/') else {
            return answer(out, 400, "ask for /CONTAINER/OBJECT\n");
        };
        match request.method() {
            Method::Put => match receive(container, object, request) {
                Ok(()) => answer(out, 201, "kept\n"),
                Err(why) => answer(out, 502, &why),
            },
            Method::Get => send(container, object, out),
            Method::Post if object == "all" => match all(container) {
                Ok(()) => answer(out, 200, "all\n"),
                Err(why) => answer(out, 500, &why),
            },
            _ => answer(out, 405, "only PUT and GET, and POST to `all`\n"),
        }
    }
}

/// Keeps a request's body as it comes.
fn receive(container: &str, object: &str, request: IncomingRequest) -> Result<(), String> {
    let container = create_container(container)?;
    let body = request.consume().map_err(|()| "no body")?;
    let from = body.stream().map_err(|()| "no stream")?;
    let value = OutgoingValue::new_outgoing_value();
    let stream = value
        .outgoing_value_write_body()
        .map_err(|()| "no stream")?;
    container.write_data(object, &value)?;
    loop {
        let bytes = read(&from)?;
        if bytes.is_empty() {
            break;
        }
        write(&stream, &bytes)?;
    }
    drop(stream);
    OutgoingValue::finish(value)
}

/// Answers with an object as it comes.
fn send(container: &str, object: &str, out: ResponseOutparam) {
    let found = get_container(container).and_then(|c| c.get_data(object, 0, u64::MAX));
    let value = match found {
        Ok(value) => value,
        Err(why) => return answer(out, 404, &why),
    };
    let from = match IncomingValue::incoming_value_consume_async(value) {
        Ok(from) => from,
        Err(why) => return answer(out, 502, &why),
    };
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let to = body.write().expect("the stream is taken once");
    loop {
        match read(&from) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) if write(&to, &bytes).is_ok() => {}
            // Not finished: whoever reads it knows that it is not whole.
            _ => return,
        }
    }
    drop(to);
    _ = OutgoingBody::finish(body, None);
}

fn answer(out: ResponseOutparam, status: u16, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    _ = response.set_status_code(status);
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let to = body.write().expect("the stream is taken once");
    _ = write(&to, text.as_bytes());
    drop(to);
    _ = OutgoingBody::finish(body, None);
}
