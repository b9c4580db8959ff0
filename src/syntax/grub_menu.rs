//! The menu of `grub.cfg`: its entries in order, and which of them is the default.

/// A line of the menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Line, from 1.
    pub line: u32,
    /// The title.
    pub title: String,
    /// Its id (`--id`, `$menuentry_id_option`), where it has one.
    pub id: Option<String>,
    /// The first kernel it names.
    pub kernel: Option<String>,
    /// The entries of a submenu; nothing for an entry.
    pub below: Option<Vec<Item>>,
}

/// The menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menu {
    /// The entries in order.
    pub items: Vec<Item>,
    /// What the last `set default=` says that is not about the next boot alone, as written, and its line.
    pub default: Option<(u32, String)>,
    /// The line of `blscfg`: there the entries of files come in.
    pub loads_entries: Option<u32>,
}

/// Submenus within submenus: `grub-mkconfig` makes one level.
const MAX_DEPTH: usize = 8;

/// Reads `grub.cfg` as far as `grub-mkconfig` writes it: one command a line, blocks opened at the end of a line and closed on their own.
#[must_use]
pub fn parse(content: &[u8]) -> Menu {
    let mut menu = Menu::default();
    // Open blocks: an item, or nothing for a function.
    let mut open: Vec<Option<Item>> = Vec::new();
    for (line, text) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        let words = words(text);
        let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
        match word(0) {
            "menuentry" | "submenu" => {
                let id = words
                    .iter()
                    .position(|word| word == "--id" || word == "$menuentry_id_option" || word == "${menuentry_id_option}");
                let id = id.and_then(|at| words.get(at + 1)).cloned();
                let below = (word(0) == "submenu").then(Vec::new);
                let item = Item { line, title: word(1).to_owned(), id, kernel: None, below };
                // All on one line: nothing of it is left open.
                if text.ends_with('}') {
                    let kernel =
                        words.iter().position(|word| word.starts_with("linux")).and_then(|at| words.get(at + 1)).cloned();
                    close(&mut menu, &mut open, Item { kernel, ..item });
                } else {
                    open.push(Some(item));
                }
                continue;
            }
            "linux" | "linux16" | "linuxefi" => {
                if let Some(Some(item)) = open.last_mut() {
                    item.kernel.get_or_insert_with(|| word(1).to_owned());
                }
            }
            "blscfg" => menu.loads_entries = Some(line),
            "set" => {
                if let Some(value) = word(1).strip_prefix("default=")
                    && !value.contains("next_entry")
                {
                    menu.default = Some((line, value.to_owned()));
                }
            }
            _ => {}
        }
        if text.ends_with('{') && !text.ends_with("${") {
            open.push(None);
        } else if text == "}"
            && let Some(Some(item)) = open.pop()
        {
            close(&mut menu, &mut open, item);
        }
    }
    menu
}

fn close(menu: &mut Menu, open: &mut [Option<Item>], item: Item) {
    let deep = open.len() > MAX_DEPTH;
    match open.iter_mut().rev().flatten().find_map(|above| above.below.as_mut()) {
        Some(below) if !deep => below.push(item),
        Some(_) => {}
        None => menu.items.push(item),
    }
}

impl Menu {
    /// The entry that a default names: by number, title or id, `>` leading into a submenu. One that names none is the first, as in GRUB.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Item> {
        let mut items = &self.items;
        let mut found = None;
        for part in name.split('>') {
            let at = part.trim().parse::<usize>().ok();
            let is_it = |item: &&Item| item.title == part || item.id.as_deref() == Some(part);
            let item = items.iter().find(is_it).or_else(|| at.and_then(|at| items.get(at)));
            let Some(item) = item else { break };
            found = Some(item);
            match &item.below {
                Some(below) => items = below,
                None => break,
            }
        }
        // A submenu alone stands for its first entry.
        let mut item = found.or_else(|| self.items.first())?;
        while let Some(first) = item.below.as_ref().and_then(|below| below.first()) {
            item = first;
        }
        Some(item)
    }
}

fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in text.chars() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, character) if character.is_whitespace() || character == ';' => all.extend(word.take()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\nelse\n   set default=\"1>2\"\nfi\nfunction gfxmode {\n\tset gfxpayload=\"${1}\"\n}\nmenuentry 'Debian GNU/Linux' --class os $menuentry_id_option 'simple' {\n\tlinux\t/boot/vmlinuz-2 ro\n}\nsubmenu 'Advanced' $menuentry_id_option 'advanced' {\n\tmenuentry 'with 2' $menuentry_id_option 'two' {\n\t\tlinux /boot/vmlinuz-2\n\t}\n\tmenuentry 'with 2 (recovery)' {\n\t\tlinux /boot/vmlinuz-2 single\n\t}\n\tmenuentry 'with 1' $menuentry_id_option 'one' {\n\t\tlinux /boot/vmlinuz-1\n\t}\n}\n";

    fn kernel(name: &str) -> Option<String> {
        parse(DEBIAN.as_bytes()).entry(name)?.kernel.clone()
    }

    #[test]
    fn entries_by_number_title_and_id() {
        assert_eq!(parse(DEBIAN.as_bytes()).default, Some((4, "1>2".to_owned())));
        assert_eq!(kernel("0").as_deref(), Some("/boot/vmlinuz-2"));
        assert_eq!(kernel("1>2").as_deref(), Some("/boot/vmlinuz-1"));
        assert_eq!(kernel("advanced>one").as_deref(), Some("/boot/vmlinuz-1"));
        assert_eq!(kernel("Advanced>with 1").as_deref(), Some("/boot/vmlinuz-1"));
        assert_eq!(kernel("1").as_deref(), Some("/boot/vmlinuz-2"));
        assert_eq!(kernel("gone").as_deref(), Some("/boot/vmlinuz-2"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_panic(content: Vec<u8>, name: String) {
            let _ = parse(&content).entry(&name);
        }
    }
}
