//! What augenrules would write, against what stands in the file it wrote last.

use super::rules::Generated;
use crate::path::{ImagePath, printable};

/// A line with its blanks made single, and where it stands.
struct Written {
    text: Vec<u8>,
    path: ImagePath,
    line: u32,
}

/// Compares line by line; comments, empty lines and runs of blanks do not count.
pub(super) fn compare(folder: &[(ImagePath, Vec<u8>)], file: &[u8]) -> Generated {
    let would = merge(folder);
    let has = lines(file);
    let differs =
        (0..would.len().max(has.len())).find(|&at| would.get(at).map(|one| &one.text) != has.get(at).map(|(_, text)| text));
    let Some(at) = differs else { return Generated::Current };
    let found = has.get(at).map_or_else(|| "nothing more".to_owned(), |(_, text)| printable(text));
    let expected = would.get(at).map(|one| (printable(&one.text), one.path.clone(), one.line));
    Generated::Stale { line: has.get(at).map(|(line, _)| *line), found, expected }
}

/// The lines of augenrules' file: the last `-D`, `-b` and `-f` first, the last `-e` last.
fn merge(folder: &[(ImagePath, Vec<u8>)]) -> Vec<Written> {
    let (mut delete, mut backlog, mut failure, mut enable) = (None, None, None, None);
    let mut rest = Vec::new();
    for (path, content) in folder {
        for (line, text) in lines(content) {
            let slot = match text.get(..2) {
                Some(b"-D") if text.len() == 2 => &mut delete,
                Some(b"-b") => &mut backlog,
                Some(b"-f") => &mut failure,
                Some(b"-e") => &mut enable,
                _ => {
                    rest.push(Written { text, path: path.clone(), line });
                    continue;
                }
            };
            *slot = Some(Written { text, path: path.clone(), line });
        }
    }
    delete.into_iter().chain(backlog).chain(failure).chain(rest).chain(enable).collect()
}

/// The lines that say something, blanks made single, with their numbers from 1.
pub(super) fn lines(content: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let said = (1..).zip(content.split(|&byte| byte == b'\n')).filter_map(|(line, text)| {
        let words: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let first = words.first()?;
        (!first.starts_with(b"#")).then(|| (line, words.join(&b' ')))
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Vec<(ImagePath, Vec<u8>)> {
        files.iter().map(|(path, content)| (ImagePath::new(path), content.as_bytes().to_vec())).collect()
    }

    #[test]
    fn controls_move_and_comments_do_not_count() {
        let folder = folder(&[("/a", "-e 2\n-w /x  -p wa\n"), ("/b", "# x\n-D\n-b 10\n-b 20\n\n-w /y -p wa\n")]);
        assert_eq!(compare(&folder, b"## made\n\n-D\n-b 20\n\n-w /x -p wa\n-w /y -p wa\n-e 2\n"), Generated::Current);
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let folder = folder(&[("/a", "-w /x -p wa\n-w /y -p wa\n")]);
        let stale = |line, found: &str, expected| Generated::Stale { line, found: found.to_owned(), expected };
        let wanted = Some(("-w /y -p wa".to_owned(), ImagePath::new("/a"), 2));
        assert_eq!(compare(&folder, b"-w /x -p wa\n"), stale(None, "nothing more", wanted.clone()));
        assert_eq!(compare(&folder, b"-w /x -p wa\n\n-w /z -p wa\n"), stale(Some(3), "-w /z -p wa", wanted));
        assert_eq!(compare(&folder, b"-w /x -p wa\n-w /y -p wa\n-w /z -p wa\n"), stale(Some(3), "-w /z -p wa", None));
    }
}
