//! A stream that is passed as an argument, from what is read: bytes as they are, other elements one a line.

use std::sync::Arc;

use std::future::poll_fn;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use wasmtime::component::wasm_wave;
use wasmtime::component::wasm_wave::parser::ParserError;
use wasmtime::component::wasm_wave::value::Value;
use withe_rpc::pipe::{PipeWriter, pipe};
use withe_rpc::{CallError, Chunk, Payload, PipeReader, StreamKind, Writer};
use withe_wit::Type;

use super::json::JsonMisfit;
use super::values::{self, ValueError, encode};
use super::{json, types};

/// How many bytes are read at a time.
const READ: usize = 64 << 10;

/// The longest line that is read for an element.
const LINE: u64 = 16 << 20;

/// The source of a stream's elements.
pub struct Feed {
    /// The name of it, for messages.
    pub name: String,
    /// The reader.
    pub from: Box<dyn AsyncRead + Send + Unpin>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Feed {
    /// A stream of elements of type `of`. Nothing is read before it is wanted.
    pub(super) fn stream(self, of: Arc<Type>) -> PipeReader {
        let (writer, reader) = pipe(values::kind(false, Some(&of)), 0);
        // Ends with what is read, or when the reader goes.
        tokio::spawn(async move {
            match writer.kind() {
                StreamKind::Bytes => self.bytes(writer).await,
                _ => self.lines(&of, writer).await,
            }
        });
        reader
    }

    async fn bytes(mut self, mut writer: PipeWriter) {
        while let Ok(wanted) = poll_fn(|cx| writer.poll_demand(cx)).await {
            let mut bytes = vec![0; wanted.min(READ)];
            match self.from.read(&mut bytes).await {
                Ok(0) => return writer.finish(),
                Ok(count) => {
                    bytes.truncate(count);
                    let payload = Payload {
                        bytes,
                        ..Payload::default()
                    };
                    if writer.send(Chunk { count, payload }).is_err() {
                        return;
                    }
                }
                Err(e) => return writer.fail(self.failed(&e)),
            }
        }
    }

    async fn lines(mut self, of: &Type, mut writer: PipeWriter) {
        let from = std::mem::replace(&mut self.from, Box::new(tokio::io::empty()));
        let mut lines = BufReader::new(from);
        let mut number = 0;
        while poll_fn(|cx| writer.poll_demand(cx)).await.is_ok() {
            let mut line = String::new();
            number += 1;
            match (&mut lines).take(LINE).read_line(&mut line).await {
                Ok(0) => return writer.finish(),
                Ok(_) if line.trim().is_empty() => continue,
                Ok(_) => {}
                Err(e) => return writer.fail(self.failed(&e)),
            }
            match element(line.trim(), of) {
                Ok(payload) => {
                    if writer.send(Chunk { count: 1, payload }).is_err() {
                        return;
                    }
                }
                Err(why) => {
                    let name = &self.name;
                    let why = format!("{name}, line {number}: {why}");
                    return writer.fail(CallError::TypeMismatch(why));
                }
            }
        }
    }

    fn failed(&self, error: &std::io::Error) -> CallError {
        CallError::Unreachable(format!("cannot read {}: {error}", self.name))
    }
}

/// Why a line is no element.
#[derive(Debug, thiserror::Error)]
enum ElementError {
    /// Neither WAVE nor JSON; the reason is that of WAVE.
    #[error(transparent)]
    Wave(#[from] ParserError),
    /// JSON of another type.
    #[error(transparent)]
    Json(#[from] JsonMisfit),
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// The element that a line is, in WAVE or in JSON.
fn element(line: &str, of: &Type) -> Result<Payload, ElementError> {
    let ty = types::written(of).ok_or_else(|| ValueError::NoText(of.to_string()))?;
    let value: Value = match wasm_wave::from_str(&ty, line) {
        Ok(value) => value,
        Err(refused) => {
            let Ok(json) = serde_json::from_str(line) else {
                return Err(refused.into());
            };
            json::value(&json, &ty)?
        }
    };
    let mut w = Writer::default();
    encode(&value, of, &mut w)?;
    Ok(w.finish())
}
