//! The core modules of a pair, as text.

use crate::abi::{self, Layout, Local, MAX_FLAT, Move};
use crate::pair::RUN;
use crate::streams;
use crate::ty::Ty;

/// Memory that is never given back. 16 MiB are plenty: values are as large as a command line may be.
const MEMORY: &str = r#"
  (memory (export "memory") 256)
  (global $next (mut i32) (i32.const 1024))
  (func $new (param $size i32) (param $align i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "cabi_realloc")
    (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (call $new (local.get $size) (local.get $align)))
    (memory.copy (local.get $at) (local.get $old)
      (select (local.get $size) (local.get $old-size)
        (i32.lt_u (local.get $size) (local.get $old-size))))
    (local.get $at))
"#;

/// The exporter: what it returns is where its parameters are, or was put by one move.
pub(crate) fn exporter(tuple: &Ty, has_streams: bool) -> String {
    let locals = Local::all(tuple);
    let parameters = declared(&locals, "param");
    let pass = if let [only] = locals.as_slice() {
        format!("{parameters} (result {}) {}", flat(tuple), only.get())
    } else if locals.len() > MAX_FLAT {
        // The parameters are in memory as the result is to be.
        "(param $all i32) (result i32) (local.get $all)".into()
    } else {
        let Layout { size, align } = abi::layout(tuple);
        format!(
            "{parameters} (result i32) (local $result i32)
    (local.set $result (call $new (i32.const {size}) (i32.const {align})))
    {}
    (local.get $result)",
            Move::Store.wat(tuple, "$result", &locals)
        )
    };
    let (imports, functions) = if has_streams {
        (streams::exporter_imports(), streams::exporter(tuple))
    } else {
        Default::default()
    };
    format!(
        r#"(module {imports} {MEMORY}
  (func $list (param $list i32) (param $length i32) (result i32)
    (local $result i32)
    (local.set $result (call $new (i32.const 8) (i32.const 4)))
    (i32.store (local.get $result) (local.get $list))
    (i32.store offset=4 (local.get $result) (local.get $length))
    (local.get $result))
  (export "t:t/pairs#echo" (func $list))
  (func (export "t:t/pairs#pass") {pass})
  {functions})"#
    )
}

/// The importer: all that its `run` returns is put behind one another.
pub(crate) fn importer(tuple: &Ty, has_streams: bool) -> String {
    let locals = Local::all(tuple);
    let Layout { size, align } = abi::layout(tuple);
    let core = flat(tuple);
    // The type of `pass`, and the code that calls it for the value at `$from`, the result going to `$to`.
    let (signature, call) = if locals.len() == 1 {
        let call = format!(
            "{} (local.set $s0 (call $pass (local.get $s0))) {}",
            Move::Load.wat(tuple, "$from", &locals),
            Move::Store.wat(tuple, "$to", &locals),
        );
        (format!("(param {core}) (result {core})"), call)
    } else if locals.len() > MAX_FLAT {
        let call = "(call $pass (local.get $from) (local.get $to))";
        ("(param i32 i32)".into(), call.into())
    } else {
        let arguments: String = locals.iter().map(Local::get).collect();
        let call = format!(
            "{} (call $pass {arguments} (local.get $to))",
            Move::Load.wat(tuple, "$from", &locals),
        );
        (format!("(param {core} i32)"), call)
    };
    let (imports, functions, calls) = if has_streams {
        (
            streams::importer_imports(),
            streams::importer(tuple),
            streams::CALLS,
        )
    } else {
        Default::default()
    };
    format!(
        r#"(module {imports}
  (import "t:t/pairs" "echo" (func $echo (param i32 i32 i32)))
  (import "t:t/pairs" "pass" (func $pass {signature}))
  {MEMORY} {functions}
  (func (export "{RUN}") (param $list i32) (param $length i32) (result i32)
    (local $result i32) (local $from i32) (local $to i32) (local $left i32) {locals}
    (local.set $result (call $new (i32.const 32) (i32.const 4)))
    (call $echo (local.get $list) (local.get $length) (local.get $result))

    (local.set $from (local.get $list))
    (local.set $to
      (call $new (i32.mul (local.get $length) (i32.const {size})) (i32.const {align})))
    (i32.store offset=8 (local.get $result) (local.get $to))
    (i32.store offset=12 (local.get $result) (local.get $length))
    (local.set $left (local.get $length))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      {call}
      (local.set $from (i32.add (local.get $from) (i32.const {size})))
      (local.set $to (i32.add (local.get $to) (i32.const {size})))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
    {calls}
    (local.get $result)))"#,
        locals = declared(&locals, "local"),
    )
}

/// Declarations of all locals.
fn declared(locals: &[Local], kind: &str) -> String {
    locals.iter().map(|local| local.declared(kind)).collect()
}

/// The names of the core types of all flat values.
fn flat(ty: &Ty) -> String {
    let types: Vec<_> = abi::flat(ty).into_iter().map(abi::Core::wat).collect();
    types.join(" ")
}
