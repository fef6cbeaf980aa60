//! Random types and values through a component, by `Values` and by Wasmtime's own `Val`.
//!
//! For each type `T` a component is written that only passes on: its `run` returns what the imported
//! `get` returned, its `fwd` gives its parameter to the imported `put`. So a value goes into guest
//! memory and out of it again, both as results and as parameters, flat and not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Func, Linker, Val};
use withe_rpc::{HandleRef, Reader, Writer};

use super::{MAX_FLAT, Shape, Values, dynamic};
use crate::core::{Graph, InstanceState};
use crate::dispatch;
use crate::engine::{EngineOptions, Engines};
use crate::spec::{Identity, Member, UnitGrants, UnitLimits, UnitSpec};

/// Numbers that are the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Small and large numbers, and the extremes, about as often.
    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next() % 3,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            _ => self.next(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Core {
    I32,
    I64,
    F32,
    F64,
}

/// The canonical ABI's `join`: a core type that holds either.
fn join(a: Core, b: Core) -> Core {
    match (a, b) {
        _ if a == b => a,
        (Core::I32, Core::F32) | (Core::F32, Core::I32) => Core::I32,
        _ => Core::I64,
    }
}

fn core(types: &[Core]) -> String {
    let name = |t: &Core| match t {
        Core::I32 => "i32",
        Core::I64 => "i64",
        Core::F32 => "f32",
        Core::F64 => "f64",
    };
    types.iter().map(name).collect::<Vec<_>>().join(" ")
}

enum Ty {
    Scalar(&'static str),
    List(Box<Ty>),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Tuple(Vec<Ty>),
    Record(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    Enum(usize),
    Flags(usize),
}

const SCALARS: &[&str] = &[
    "bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string",
];

impl Ty {
    fn random(r: &mut Random, depth: usize) -> Self {
        let some = |r: &mut Random| r.below(2) == 0;
        match if depth == 0 { r.below(4) } else { r.below(12) } {
            0 | 1 => Ty::Scalar(SCALARS[r.below(SCALARS.len())]),
            2 => Ty::Enum([1, 3, 300][r.below(3)]),
            3 => Ty::Flags([1, 8, 9, 17, 32][r.below(5)]),
            4 | 5 => Ty::List(Box::new(Ty::random(r, depth - 1))),
            6 => Ty::Option(Box::new(Ty::random(r, depth - 1))),
            7 => {
                let side = |r: &mut Random| some(r).then(|| Box::new(Ty::random(r, depth - 1)));
                Ty::Result(side(r), side(r))
            }
            8 => Ty::Tuple((0..=r.below(4)).map(|_| Ty::random(r, depth - 1)).collect()),
            9 | 10 => Ty::Record((0..=r.below(6)).map(|_| Ty::random(r, depth - 1)).collect()),
            _ => Ty::Variant(
                (0..=r.below(4))
                    .map(|_| some(r).then(|| Ty::random(r, depth - 1)))
                    .collect(),
            ),
        }
    }

    /// Declares what must have a name, and returns what to call this type.
    fn wat(&self, declared: &mut String, n: &mut usize) -> String {
        let mut named = |body: String| {
            *n += 1;
            declared.push_str(&format!(
                "(type $d{n} {body}) (import \"t{n}\" (type $t{n} (eq $d{n})))\n"
            ));
            format!("$t{n}")
        };
        match self {
            Ty::Scalar(name) => (*name).into(),
            Ty::Enum(cases) => {
                let cases: String = (0..*cases).map(|i| format!(" \"c{i}\"")).collect();
                named(format!("(enum{cases})"))
            }
            Ty::Flags(flags) => {
                let flags: String = (0..*flags).map(|i| format!(" \"f{i}\"")).collect();
                named(format!("(flags{flags})"))
            }
            Ty::List(t) => format!("(list {})", t.wat(declared, n)),
            Ty::Option(t) => format!("(option {})", t.wat(declared, n)),
            Ty::Result(ok, err) => {
                let ok = ok.as_ref().map_or_else(String::new, |t| t.wat(declared, n));
                let err = err
                    .as_ref()
                    .map_or_else(String::new, |t| format!("(error {})", t.wat(declared, n)));
                format!("(result {ok} {err})")
            }
            Ty::Tuple(types) => {
                let types: Vec<_> = types.iter().map(|t| t.wat(declared, n)).collect();
                format!("(tuple {})", types.join(" "))
            }
            Ty::Record(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .enumerate()
                    .map(|(i, t)| format!("(field \"a{i}\" {})", t.wat(declared, n)))
                    .collect();
                *n += 1;
                declared.push_str(&format!(
                    "(type $d{n} (record {})) (import \"t{n}\" (type $t{n} (eq $d{n})))\n",
                    fields.join(" ")
                ));
                format!("$t{n}")
            }
            Ty::Variant(cases) => {
                let cases: Vec<_> = cases
                    .iter()
                    .enumerate()
                    .map(|(i, t)| {
                        let t = t.as_ref().map_or_else(String::new, |t| t.wat(declared, n));
                        format!("(case \"c{i}\" {t})")
                    })
                    .collect();
                *n += 1;
                declared.push_str(&format!(
                    "(type $d{n} (variant {})) (import \"t{n}\" (type $t{n} (eq $d{n})))\n",
                    cases.join(" ")
                ));
                format!("$t{n}")
            }
        }
    }

    fn flat(&self) -> Vec<Core> {
        let union = |payloads: Vec<Vec<Core>>| {
            let mut flat = vec![Core::I32];
            for payload in payloads {
                for (i, t) in payload.into_iter().enumerate() {
                    match flat.get_mut(i + 1) {
                        Some(slot) => *slot = join(*slot, t),
                        None => flat.push(t),
                    }
                }
            }
            flat
        };
        match self {
            Ty::Scalar("u64" | "s64") => vec![Core::I64],
            Ty::Scalar("f32") => vec![Core::F32],
            Ty::Scalar("f64") => vec![Core::F64],
            Ty::Scalar("string") | Ty::List(_) => vec![Core::I32, Core::I32],
            Ty::Scalar(_) | Ty::Enum(_) | Ty::Flags(_) => vec![Core::I32],
            Ty::Option(t) => union(vec![t.flat()]),
            Ty::Result(ok, err) => {
                union([ok, err].into_iter().flatten().map(|t| t.flat()).collect())
            }
            Ty::Tuple(types) | Ty::Record(types) => types.iter().flat_map(Ty::flat).collect(),
            Ty::Variant(cases) => union(cases.iter().flatten().map(Ty::flat).collect()),
        }
    }

    /// Writes a random value.
    fn value(&self, r: &mut Random, w: &mut Writer) {
        match self {
            Ty::Scalar("bool") => w.byte(r.below(2) as u8),
            Ty::Scalar("u8" | "s8") => w.byte(r.number() as u8),
            Ty::Scalar("u16") => w.unsigned((r.number() as u16).into()),
            Ty::Scalar("u32") => w.unsigned((r.number() as u32).into()),
            Ty::Scalar("u64") => w.unsigned(r.number()),
            Ty::Scalar("s16") => w.signed((r.number() as i16).into()),
            Ty::Scalar("s32") => w.signed((r.number() as i32).into()),
            Ty::Scalar("s64") => w.signed(r.number() as i64),
            Ty::Scalar("f32") => w.raw(&(r.number() as u32).to_le_bytes()),
            Ty::Scalar("f64") => w.raw(&r.number().to_le_bytes()),
            Ty::Scalar("char") => {
                w.char(char::from_u32(r.number() as u32 % 0x11_0000).unwrap_or('é'))
            }
            Ty::Scalar(_) => {
                let text: String = (0..r.below(9))
                    .map(|_| ['a', 'é', '☃', '𝄞'][r.below(4)])
                    .collect();
                w.counted(text.as_bytes());
            }
            Ty::List(t) => {
                let n = [0, 1, 2, 7, 40][r.below(5)];
                w.unsigned(n);
                (0..n).for_each(|_| t.value(r, w));
            }
            Ty::Option(t) => {
                let some = r.below(2) == 1;
                w.byte(u8::from(some));
                if some {
                    t.value(r, w);
                }
            }
            Ty::Result(ok, err) => {
                let case = r.below(2);
                w.byte(case as u8);
                if let Some(t) = [ok, err][case] {
                    t.value(r, w);
                }
            }
            Ty::Tuple(types) | Ty::Record(types) => types.iter().for_each(|t| t.value(r, w)),
            Ty::Variant(cases) => {
                let case = r.below(cases.len());
                w.unsigned(case as u64);
                if let Some(t) = &cases[case] {
                    t.value(r, w);
                }
            }
            Ty::Enum(cases) => w.unsigned(r.below(*cases) as u64),
            Ty::Flags(flags) => {
                let bits = if *flags < 32 {
                    r.next() as u32 & ((1 << flags) - 1)
                } else {
                    r.next() as u32
                };
                w.raw(&bits.to_le_bytes()[..flags.div_ceil(8)]);
            }
        }
    }
}

fn component(ty: &Ty) -> String {
    let mut declared = String::new();
    let t = ty.wat(&mut declared, &mut 0);
    let flat = ty.flat();
    let params = if flat.len() > MAX_FLAT {
        "i32".into()
    } else {
        core(&flat)
    };
    let gets: String = (0..params.split_whitespace().count())
        .map(|i| format!("local.get {i} "))
        .collect();
    format!(
        r#"(component
          {declared}
          (import "get" (func $get (result (tuple {t} u64))))
          (import "put" (func $put (param "x" {t})))
          (core module $memory
            (memory (export "memory") 32)
            (global $next (mut i32) (i32.const 65536))
            (func (export "realloc") (param i32 i32 $align i32) (param $size i32) (result i32)
              (local $at i32)
              (local.set $at (i32.and
                (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                (i32.sub (i32.const 0) (local.get $align))))
              (global.set $next (i32.add (local.get $at) (local.get $size)))
              (local.get $at)))
          (core instance $memory (instantiate $memory))
          (alias core export $memory "memory" (core memory $mem))
          (alias core export $memory "realloc" (core func $realloc))
          (core func $get' (canon lower (func $get) (memory $mem) (realloc $realloc)))
          (core func $put' (canon lower (func $put) (memory $mem) (realloc $realloc)))
          (core module $m
            (import "h" "get" (func $get (param i32)))
            (import "h" "put" (func $put (param {params})))
            (func (export "run") (result i32) (call $get (i32.const 1024)) (i32.const 1024))
            (func (export "fwd") (param {params}) {gets} call $put))
          (core instance $m (instantiate $m
            (with "h" (instance (export "get" (func $get')) (export "put" (func $put'))))))
          (func (export "run") (result (tuple {t} u64))
            (canon lift (core func $m "run") (memory $mem) (realloc $realloc)))
          (func (export "fwd") (param "x" {t})
            (canon lift (core func $m "fwd") (memory $mem) (realloc $realloc))))"#
    )
    .replace(
        "(param i32 i32 $align i32) (param $size i32)",
        "(param i32) (param i32) (param $align i32) (param $size i32)",
    )
}

/// A graph for stores to belong to; it holds one component that does nothing.
fn empty_graph(engines: &Engines) -> Arc<Graph> {
    let identity = Identity {
        application: "t".into(),
        component: "t".into(),
        config: Default::default(),
        secrets: Default::default(),
        env: vec![],
    };
    let spec = UnitSpec {
        name: "t".into(),
        bytes: Arc::from(&b"(component)"[..]),
        concurrency: false,
        members: vec![Member {
            identity: Arc::new(identity),
            instances: None,
        }],
        imports: vec![],
        fused: vec![],
        limits: UnitLimits {
            reuse: 1,
            ..UnitLimits::default()
        },
        grants: UnitGrants::default(),
    };
    let bytes = wat::parse_bytes(&spec.bytes).unwrap().into_owned();
    Graph::build(
        engines,
        vec![UnitSpec {
            bytes: bytes.into(),
            ..spec
        }],
        &|_| {},
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_types_cross_as_wasmtimes_own_values_do() {
    let engines = Engines::new(&EngineOptions {
        instances: 20,
        ..EngineOptions::default()
    })
    .unwrap();
    let graph = empty_graph(&engines);
    for seed in 1..=150u64 {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let ty = Ty::random(&mut r, 3);
        let text = component(&ty);
        check(&engines, &graph, &ty, &text, &mut r)
            .await
            .unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{text}"));
    }
}

async fn check(
    engines: &Engines,
    graph: &Arc<Graph>,
    ty: &Ty,
    text: &str,
    r: &mut Random,
) -> wasmtime::Result<()> {
    let engine = engines.get(false)?;
    let component = Component::new(engine, wat::parse_str(text)?)?;
    let shape = |name: &str| {
        let ComponentItem::ComponentFunc(f) = component
            .component_type()
            .get_export(engine, name)
            .unwrap()
            .ty
        else {
            panic!("`{name}` is no function")
        };
        Shape::of(&f)
    };
    assert_eq!(shape("fwd").params, ty.flat().len().min(MAX_FLAT + 1));

    let given = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let mut linker = Linker::<InstanceState>::new(engine);
    // Bound by hand, as `dispatch` would: the parameters' flat count must be exact.
    let (get, put) = (given.clone(), taken.clone());
    linker.root().func_wrap("get", move |_, (): ()| {
        Ok(values::<HandleRef, 1>(get.lock().unwrap().clone()))
    })?;
    macro_rules! put {
        ($($n:literal)*) => {
            match shape("fwd").params {
                $($n => linker.root().func_wrap("put", move |_, x: Values<HandleRef, $n>| {
                    *put.lock().unwrap() = x.bytes;
                    Ok(())
                })?,)*
                _ => linker.root().func_wrap("put", move |_, x: Values<HandleRef, 0>| {
                    *put.lock().unwrap() = x.bytes;
                    Ok(())
                })?,
            }
        };
    }
    put!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    let deadline = Instant::now() + Duration::from_secs(60);
    let slot = graph.unit(0).account.enter(1, deadline).await?;
    let state = InstanceState::new(graph.clone(), 0, slot.nested.clone(), deadline);
    let mut store = Store::new(engine, state);
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = linker.instantiate_async(&mut store, &component).await?;
    let func = |store: &mut Store<InstanceState>, name: &str| -> Func {
        instance.get_func(store, name).unwrap()
    };
    let (run, fwd) = (func(&mut store, "run"), func(&mut store, "fwd"));

    for _ in 0..4 {
        let mut w = Writer::default();
        ty.value(r, &mut w);
        let value = w.finish().bytes;
        let result = [value.as_slice(), &[7]].concat();
        given.lock().unwrap().clone_from(&result);

        let results_of = |name: &str| shape(name).results as u8;
        let (of_run, of_fwd) = (results_of("run"), results_of("fwd"));
        let results = dispatch::call(of_run, &mut store, run, values(vec![])).await?;
        assert_eq!(results.bytes, result, "as a result");
        dispatch::call(of_fwd, &mut store, fwd, values(value.clone())).await?;
        assert_eq!(*taken.lock().unwrap(), value, "as a parameter");

        let mut by_val = [Val::Bool(false)];
        run.call_async(&mut store, &[], &mut by_val).await?;
        let (mut w, ty) = (Writer::default(), run.ty(&store).results().next().unwrap());
        dynamic::encode(&ty, &by_val[0], &mut w, &mut vec![])?;
        assert_eq!(w.finish().bytes, result, "by `Val`");
        let ty = fwd.ty(&store).params().next().unwrap().1;
        let by_val = dynamic::decode(&ty, &mut Reader::from_bytes(&value), &[])?;
        fwd.call_async(&mut store, &[by_val], &mut []).await?;
        assert_eq!(*taken.lock().unwrap(), value, "as a parameter, by `Val`");

        // Whatever else the bytes may be, they are refused or lowered, and nothing panics.
        let mut broken = value;
        if !broken.is_empty() {
            let at = r.below(broken.len());
            broken[at] ^= 1 << r.below(8);
            broken.truncate(broken.len() - r.below(2));
            if dispatch::call(of_fwd, &mut store, fwd, values(broken))
                .await
                .is_err()
            {
                // The guest was being entered: it cannot be used again.
                return Ok(());
            }
        }
    }
    Ok(())
}

fn values<H, const N: usize>(bytes: Vec<u8>) -> Values<H, N> {
    Values {
        bytes,
        ..Values::default()
    }
}
