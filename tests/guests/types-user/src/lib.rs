//! Sends values of every type over a link and looks at what comes back.

wit_bindgen::generate!({
    world: "types-user",
    path: "../wit",
    generate_all,
    additional_derives: [Clone, PartialEq],
});

use std::fmt::Debug;

use exports::t::types::run::Guest;
use t::types::echo::{self, Access, Color, Many, Nested, Point, Shape, Wide};

struct TypesUser;
export!(TypesUser);

/// Calls a function for each value; what comes back must be equal.
macro_rules! each {
    ($function:ident, $values:expr) => {
        for value in $values {
            same(
                stringify!($function),
                &value,
                &echo::$function(value.clone()),
            )?;
        }
    };
    (ref $function:ident, $values:expr) => {
        for value in $values {
            same(stringify!($function), &value, &echo::$function(&value))?;
        }
    };
}

impl Guest for TypesUser {
    fn run() -> Result<(), String> {
        scalars()?;
        lists()?;
        named_types()?;
        options_and_results()?;
        many_parameters()
    }
}

fn same<T: PartialEq + Debug>(what: &str, sent: &T, received: &T) -> Result<(), String> {
    if sent == received {
        Ok(())
    } else {
        Err(format!("{what}: sent {sent:?}, received {received:?}"))
    }
}

fn scalars() -> Result<(), String> {
    each!(echo_bool, [false, true]);
    each!(echo_u8, [0, 1, u8::MAX]);
    each!(echo_u16, [0, 1, u16::MAX]);
    each!(echo_u32, [0, 1, u32::MAX]);
    each!(echo_u64, [0, 1, u64::from(u32::MAX) + 1, u64::MAX]);
    each!(echo_s8, [i8::MIN, -1, 0, i8::MAX]);
    each!(echo_s16, [i16::MIN, -1, 0, i16::MAX]);
    each!(echo_s32, [i32::MIN, -1, 0, i32::MAX]);
    each!(echo_s64, [i64::MIN, -1, 0, i64::MAX]);
    each!(
        echo_char,
        ['\0', 'a', 'ß', '\u{d7ff}', '\u{e000}', '🦀', char::MAX]
    );
    // Compared by their bits, so that the sign of zero counts.
    for value in [
        0.0,
        -0.0,
        1.5,
        f32::MIN,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ] {
        same(
            "echo_f32",
            &value.to_bits(),
            &echo::echo_f32(value).to_bits(),
        )?;
    }
    for value in [
        0.0,
        -0.0,
        1.5,
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        same(
            "echo_f64",
            &value.to_bits(),
            &echo::echo_f64(value).to_bits(),
        )?;
    }
    // The component model leaves open which NaN arrives.
    same("echo_f32 of NaN", &true, &echo::echo_f32(f32::NAN).is_nan())?;
    same("echo_f64 of NaN", &true, &echo::echo_f64(f64::NAN).is_nan())?;
    each!(
        ref echo_string,
        ["", "plain", "ß 🦀 \0 \n", &"long".repeat(10_000)].map(String::from)
    );
    Ok(())
}

fn lists() -> Result<(), String> {
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    each!(ref echo_bytes, [vec![], all_bytes, vec![0xa5; 1 << 20]]);
    each!(ref echo_u64s, [vec![], vec![u64::MAX], (0..1000).collect()]);
    let strings = |n: u32| (0..n).map(|i| format!("string {i}")).collect::<Vec<_>>();
    each!(
        ref echo_strings,
        [vec![], vec![String::new()], strings(1000)]
    );
    each!(
        ref echo_lists,
        [
            vec![],
            vec![vec![]],
            vec![vec![vec![1, 2], vec![]], vec![vec![u16::MAX]]]
        ]
    );
    each!(ref echo_bools, [vec![], vec![true, false, true]]);
    let points = |n: i32| (0..n).map(|i| Point { x: i, y: -i }).collect::<Vec<_>>();
    each!(ref echo_points, [vec![], points(1), points(1000)]);
    each!(
        ref echo_nesteds,
        [vec![], vec![nested(0)], (0..200).map(nested).collect()]
    );
    each!(ref echo_shapes, [vec![], shapes()]);
    Ok(())
}

fn named_types() -> Result<(), String> {
    each!(
        echo_point,
        [Point {
            x: i32::MIN,
            y: i32::MAX
        }]
    );
    each!(ref echo_nested, (0..5).map(nested));
    each!(ref echo_shape, shapes());
    each!(echo_color, [Color::Red, Color::Green, Color::Blue]);
    each!(
        echo_access,
        [
            Access::empty(),
            Access::WRITE,
            Access::READ | Access::EXECUTE,
            Access::all()
        ]
    );
    each!(
        echo_many,
        [Many::empty(), Many::F0, Many::F8 | Many::F11, Many::all()]
    );
    each!(ref echo_wide, [wide()]);
    Ok(())
}

fn options_and_results() -> Result<(), String> {
    each!(echo_option, [None, Some(0), Some(u64::MAX)]);
    for value in [None, Some(None), Some(Some("text"))] {
        let sent = value.map(|inner| inner.map(String::from));
        same(
            "echo_option_option",
            &sent,
            &echo::echo_option_option(value),
        )?;
    }
    for value in [Ok(7), Err("wrong")] {
        same(
            "echo_result",
            &value.map_err(String::from),
            &echo::echo_result(value),
        )?;
    }
    for value in [Ok(&[1u8, 2][..]), Err(())] {
        same(
            "echo_result_ok",
            &value.map(<[u8]>::to_vec),
            &echo::echo_result_ok(value),
        )?;
    }
    each!(echo_result_err, [Ok(()), Err(Color::Blue)]);
    each!(echo_result_unit, [Ok(()), Err(())]);
    each!(echo_result_mixed, [Ok(1.5), Err(u64::MAX)]);
    for point in [None, Some(Point { x: 1, y: 2 })] {
        let sent = (9, "nine".to_string(), 9.5, point);
        same(
            "echo_tuple",
            &sent,
            &echo::echo_tuple((9, "nine", 9.5, point.as_ref())),
        )?;
    }
    Ok(())
}

fn many_parameters() -> Result<(), String> {
    let sixteen = echo::params16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, u32::MAX);
    let mut expected: Vec<u32> = (0..15).collect();
    expected.push(u32::MAX);
    same("params16", &expected, &sixteen)?;

    let w = Wide {
        n: Vec::new(),
        ..wide()
    };
    let rest = (
        Some("p13".to_string()),
        Color::Green,
        Access::READ,
        Point { x: 16, y: -16 },
    );
    let (parent, color, access, point) = rest.clone();
    let received = echo::params17(
        w.a,
        w.b,
        w.c,
        w.d,
        w.e,
        w.f,
        w.g,
        w.h,
        w.i,
        w.j,
        w.k,
        w.l,
        &w.m,
        parent.as_deref(),
        color,
        access,
        point,
    );
    let (parent, color, access, point) = rest;
    same("params17", &(w, parent, color, access, point), &received)?;
    echo::nothing();
    Ok(())
}

fn shapes() -> Vec<Shape> {
    let point = Point { x: 3, y: -4 };
    vec![
        Shape::Empty,
        Shape::Dot(point),
        Shape::Circle((point, 2.5)),
        Shape::Polygon(vec![]),
        Shape::Polygon(vec![point; 7]),
        Shape::Labelled(Ok("label".into())),
        Shape::Labelled(Err(Color::Green)),
    ]
}

/// The i-th of an endless row of different values.
fn nested(i: usize) -> Nested {
    let shapes = shapes();
    Nested {
        name: format!("nested {i}"),
        at: Point {
            x: i as i32,
            y: -(i as i32),
        },
        tags: (0..i % 4).map(|tag| format!("tag {tag}")).collect(),
        parent: (i % 2 == 1).then(|| format!("parent of {i}")),
        shape: shapes[i % shapes.len()].clone(),
        access: Access::from_bits_truncate(i as u8),
        color: [Color::Red, Color::Green, Color::Blue][i % 3],
    }
}

fn wide() -> Wide {
    Wide {
        a: u8::MAX,
        b: i8::MIN,
        c: u16::MAX,
        d: i16::MIN,
        e: u32::MAX,
        f: i32::MIN,
        g: u64::MAX,
        h: i64::MIN,
        i: -0.5,
        j: 1e300,
        k: '🦀',
        l: true,
        m: "wide".into(),
        n: vec![1, 2, 3],
    }
}
