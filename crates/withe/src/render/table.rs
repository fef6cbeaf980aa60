//! Text in columns.

/// Rows in columns as wide as their widest cell, two spaces apart; the last column is not padded.
/// Every row has as many cells as `header`. An empty table is only its header.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(&header, &widths);
    for row in rows {
        text += &line(row, &widths);
    }
    text
}

fn line(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, column) in cells.iter().zip(widths) {
        let cell = cell.as_ref();
        text += cell;
        text.extend(std::iter::repeat_n(' ', column - width(cell) + 2));
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Names are in ASCII but for what people wrote in a manifest; wide characters only spoil alignment.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [
            ["ü".to_owned(), "b".to_owned()],
            ["ccc".to_owned(), String::new()],
        ];
        assert_eq!(table(["A", "B"], &rows), "A    B\nü    b\nccc\n");
        assert_eq!(table(["A", "B"], &[]), "A  B\n");
    }
}
