//! A table with a frame: names of columns in capitals and centred, cells to the right.

use std::io::{self, Write};

/// Prints a table; rows have as many cells as there are columns.
pub(super) fn print(columns: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let widths: Vec<_> = (0..columns.len())
        .map(|at| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            cells.chain([columns[at].len()]).max().unwrap_or_default()
        })
        .collect();
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let name = |(name, width): (&&str, &usize)| centred(&name.to_uppercase(), *width);
    writeln!(out, "{rule}+")?;
    writeln!(out, "{}", line(columns.iter().zip(&widths).map(name).collect()))?;
    writeln!(out, "{rule}+")?;
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        writeln!(out, "{}", line(cells.collect()))?;
    }
    match rows.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{rule}+"),
    }
}

/// A text in the middle; a space that is left over stands behind it.
fn centred(text: &str, width: usize) -> String {
    let before = (width - text.len()) / 2;
    format!("{}{text}{}", " ".repeat(before), " ".repeat(width - text.len() - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_framed_as_etcdctl_frames_them() {
        let rows = [vec!["127.0.0.1:34379".to_string(), "2087554145".to_string()]];
        let mut out = Vec::new();
        print(&["endpoint", "hash"], &rows, &mut out).expect("memory takes all bytes");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "+-----------------+------------+\n\
             |    ENDPOINT     |    HASH    |\n\
             +-----------------+------------+\n\
             | 127.0.0.1:34379 | 2087554145 |\n\
             +-----------------+------------+\n"
        );
    }
}
