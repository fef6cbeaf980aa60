//! Generates the parts of the core modules that write and read streams.
//!
//! Either side may take or give fewer values than the other offers or wants, so both go on until all are
//! there. The writer drops its end then, and the reader waits for that.

use crate::abi::{self, Layout};
use crate::ty::Ty;

/// The result of reading and writing that have to wait.
const BLOCKED: i32 = -1;
/// The end of a stream, beside how many values came before it.
const DROPPED: i32 = 1;
/// The state of a call that has returned.
const RETURNED: i32 = 2;
/// The code by which a function that goes on after it returned says that it is done.
const EXIT: i32 = 0;
/// The code, beside a set of waitables, that asks to be called when there is an event.
const WAIT: i32 = 2;

/// The exporter's imports.
pub(crate) fn exporter_imports() -> String {
    stream_imports("[export]t:t/pairs", "emit", "collect")
        + r#"
  (import "[export]t:t/pairs" "[task-return]emit" (func $return (param i32)))"#
}

/// `collect` reads as many values as it is told to, and then the end. `emit` returns a stream, and goes on
/// to write into it until all is taken; it is called once.
pub(crate) fn exporter(tuple: &Ty) -> String {
    let read_all = read_all(tuple);
    let size = abi::layout(tuple).size;
    format!(
        r#"{read_all}
  (func (export "t:t/pairs#collect") (param $stream i32) (param $length i32) (result i32)
    (call $list
      (call $read-all (local.get $stream) (local.get $length))
      (local.get $length)))

  (global $stream (mut i32) (i32.const 0))
  (global $set (mut i32) (i32.const 0))
  (global $from (mut i32) (i32.const 0))
  (global $left (mut i32) (i32.const 0))
  (func $write (result i32)
    (local $written i32)
    (loop $next
      (if (i32.eqz (global.get $left)) (then
        (call $stream-drop-writable (global.get $stream))
        (return (i32.const {EXIT}))))
      (local.set $written
        (call $stream-write (global.get $stream) (global.get $from) (global.get $left)))
      (if (i32.eq (local.get $written) (i32.const {BLOCKED})) (then
        (return (i32.or (i32.const {WAIT}) (i32.shl (global.get $set) (i32.const 4))))))
      (call $wrote (local.get $written))
      (br $next))
    unreachable)
  (func $wrote (param $written i32)
    (local.set $written (i32.shr_u (local.get $written) (i32.const 4)))
    (if (i32.eqz (local.get $written)) (then unreachable))
    (global.set $from
      (i32.add (global.get $from) (i32.mul (local.get $written) (i32.const {size}))))
    (global.set $left (i32.sub (global.get $left) (local.get $written))))
  (func (export "[async-lift]t:t/pairs#emit") (param $list i32) (param $length i32) (result i32)
    (local $ends i64)
    (local.set $ends (call $stream-new))
    (global.set $stream (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
    (global.set $set (call $waitable-set-new))
    (call $waitable-join (global.get $stream) (global.get $set))
    (global.set $from (local.get $list))
    (global.set $left (local.get $length))
    (call $return (i32.wrap_i64 (local.get $ends)))
    (call $write))
  (func (export "[callback][async-lift]t:t/pairs#emit")
    (param $event i32) (param $stream i32) (param $written i32) (result i32)
    (call $wrote (local.get $written))
    (call $write))"#
    )
}

/// The importer's imports.
pub(crate) fn importer_imports() -> String {
    stream_imports("t:t/pairs", "collect", "emit")
        + r#"
  (import "t:t/pairs" "[async-lower]collect" (func $collect (param i32 i32 i32) (result i32)))
  (import "t:t/pairs" "emit" (func $emit (param i32 i32) (result i32)))"#
}

/// How the importer calls `collect` and `emit`, and where it puts what they return.
pub(crate) const CALLS: &str = "
    (call $write-all
      (local.get $list)
      (local.get $length)
      (i32.add (local.get $result) (i32.const 16)))
    (i32.store offset=24 (local.get $result)
      (call $read-all
        (call $emit (local.get $list) (local.get $length))
        (local.get $length)))
    (i32.store offset=28 (local.get $result) (local.get $length))";

/// `$write-all` calls `collect`, and writes all values while that is running.
pub(crate) fn importer(tuple: &Ty) -> String {
    let read_all = read_all(tuple);
    let size = abi::layout(tuple).size;
    format!(
        "{read_all}
  (func $write-all (param $list i32) (param $length i32) (param $result i32)
    (local $ends i64) (local $stream i32) (local $set i32) (local $call i32) (local $written i32)
    (local.set $ends (call $stream-new))
    (local.set $stream (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))))
    (local.set $set (call $waitable-set-new))
    (call $waitable-join (local.get $stream) (local.get $set))
    (local.set $call
      (call $collect
        (i32.wrap_i64 (local.get $ends)) (local.get $length) (local.get $result)))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $length)))
      (local.set $written
        (call $stream-write (local.get $stream) (local.get $list) (local.get $length)))
      (if (i32.eq (local.get $written) (i32.const {BLOCKED})) (then
        (local.set $written (call $wait (local.get $set)))))
      (local.set $written (i32.shr_u (local.get $written) (i32.const 4)))
      (if (i32.eqz (local.get $written)) (then unreachable))
      (local.set $list
        (i32.add (local.get $list) (i32.mul (local.get $written) (i32.const {size}))))
      (local.set $length (i32.sub (local.get $length) (local.get $written)))
      (br $next)))
    (call $stream-drop-writable (local.get $stream))
    (if (i32.eq (i32.and (local.get $call) (i32.const 15)) (i32.const {RETURNED}))
      (then (return)))
    (call $waitable-join
      (i32.shr_u (local.get $call) (i32.const 4)) (local.get $set))
    (loop $wait
      (br_if $wait (i32.ne (call $wait (local.get $set)) (i32.const {RETURNED})))))"
    )
}

/// Imports for the streams of the function `writes`, and those of the function `reads`.
fn stream_imports(module: &str, writes: &str, reads: &str) -> String {
    format!(
        r#"
  (import "{module}" "[stream-new-0]{writes}" (func $stream-new (result i64)))
  (import "{module}" "[async-lower][stream-write-0]{writes}"
    (func $stream-write (param i32 i32 i32) (result i32)))
  (import "{module}" "[stream-drop-writable-0]{writes}" (func $stream-drop-writable (param i32)))
  (import "{module}" "[async-lower][stream-read-0]{reads}"
    (func $stream-read (param i32 i32 i32) (result i32)))
  (import "{module}" "[stream-drop-readable-0]{reads}" (func $stream-drop-readable (param i32)))
  (import "$root" "[waitable-set-new]" (func $waitable-set-new (result i32)))
  (import "$root" "[waitable-join]" (func $waitable-join (param i32 i32)))
  (import "$root" "[waitable-set-wait]" (func $waitable-set-wait (param i32 i32) (result i32)))"#
    )
}

/// `$read-all` reads so many values and the end of a stream, as many at a time as there are; `$wait` gives
/// what the next event of a set says.
fn read_all(tuple: &Ty) -> String {
    let Layout { size, align } = abi::layout(tuple);
    format!(
        "
  (func $wait (param $set i32) (result i32)
    (local $event i32)
    (local.set $event (call $new (i32.const 8) (i32.const 4)))
    (drop (call $waitable-set-wait (local.get $set) (local.get $event)))
    (i32.load offset=4 (local.get $event)))
  (func $read-all (param $stream i32) (param $length i32) (result i32)
    (local $set i32) (local $list i32) (local $to i32) (local $read i32)
    (local.set $set (call $waitable-set-new))
    (call $waitable-join (local.get $stream) (local.get $set))
    ;; There is room for one value more, which must not come.
    (local.set $length (i32.add (local.get $length) (i32.const 1)))
    (local.set $list
      (call $new (i32.mul (local.get $length) (i32.const {size})) (i32.const {align})))
    (local.set $to (local.get $list))
    (loop $next
      (local.set $read
        (call $stream-read (local.get $stream) (local.get $to) (local.get $length)))
      (if (i32.eq (local.get $read) (i32.const {BLOCKED})) (then
        (local.set $read (call $wait (local.get $set)))))
      (local.set $to (i32.add (local.get $to)
        (i32.mul (i32.shr_u (local.get $read) (i32.const 4)) (i32.const {size}))))
      (local.set $length
        (i32.sub (local.get $length) (i32.shr_u (local.get $read) (i32.const 4))))
      (br_if $next (i32.ne (i32.and (local.get $read) (i32.const 15)) (i32.const {DROPPED}))))
    (if (i32.ne (local.get $length) (i32.const 1)) (then unreachable))
    (call $stream-drop-readable (local.get $stream))
    (local.get $list))"
    )
}
