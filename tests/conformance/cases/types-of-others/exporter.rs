wit_bindgen::generate!({ world: "exporter", path: "cases/types-of-others" });

use exports::case::types_of_others::types::{Path, Point, Unit};
use exports::case::types_of_others::{measure, shapes};

struct Exporter;
export!(Exporter);

impl shapes::Guest for Exporter {
    fn square(name: String, at: Point, side: u32) -> shapes::Shape {
        let corner = |x, y| Point {
            x: at.x + x,
            y: at.y + y,
        };
        let side = side as i32;
        shapes::Shape {
            name,
            outline: vec![
                corner(0, 0),
                corner(side, 0),
                corner(side, side),
                corner(0, side),
            ],
        }
    }
}

impl measure::Guest for Exporter {
    fn circumference(shape: shapes::Shape, unit: Unit) -> (f64, Unit) {
        let corners = &shape.outline;
        let next = corners.iter().cycle().skip(1);
        let sides = corners
            .iter()
            .zip(next)
            .map(|(a, b)| f64::from(a.x - b.x).hypot(f64::from(a.y - b.y)));
        match unit {
            Unit::Metre => (sides.sum(), unit),
            Unit::Mile => (sides.sum::<f64>() / 1609.344, unit),
        }
    }

    fn by_name(shapes: Vec<shapes::Shape>) -> Vec<(String, shapes::Shape)> {
        shapes
            .into_iter()
            .map(|shape| (shape.name.clone(), shape))
            .collect()
    }

    fn bounds(path: Path) -> Option<Path> {
        let low = Point {
            x: path.iter().map(|p| p.x).min()?,
            y: path.iter().map(|p| p.y).min()?,
        };
        let high = Point {
            x: path.iter().map(|p| p.x).max()?,
            y: path.iter().map(|p| p.y).max()?,
        };
        Some(vec![low, high])
    }
}
