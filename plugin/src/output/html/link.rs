//! Text that may contain links.

use maud::{Markup, html};

/// Text in which HTTP and HTTPS addresses, and no others, are links.
pub fn linked(text: &str) -> Markup {
    html! {
        @for word in text.split_inclusive(char::is_whitespace) {
            @match address(word) {
                Some((before, address, after)) => {
                    (before) a href=(address) rel="noopener noreferrer" { (address) } (after)
                }
                None => (word),
            }
        }
    }
}

/// Splits a word into the address and the punctuation around it. `None`: the word is not an address.
fn address(word: &str) -> Option<(&str, &str, &str)> {
    let bare = word.trim_start_matches(['(', '<', '"', '\'']);
    let (before, _) = word.split_at(word.len() - bare.len());
    let address = bare
        .trim_end()
        .trim_end_matches(['.', ',', ';', ':', ')', '>', '"', '\'']);
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))?;
    let (_, after) = bare.split_at(address.len());
    (!host.is_empty()).then_some((before, address, after))
}

#[cfg(test)]
mod tests {
    use super::linked;

    #[test]
    fn only_http_addresses_become_links() {
        let link = |address: &str| {
            format!(r#"<a href="{address}" rel="noopener noreferrer">{address}</a>"#)
        };
        for (text, markup) in [
            (
                "https://a.example/b#c (Table 1)",
                format!("{} (Table 1)", link("https://a.example/b#c")),
            ),
            (
                "see (http://a.example/b), then",
                format!("see ({}), then", link("http://a.example/b")),
            ),
            ("javascript:alert(1)", "javascript:alert(1)".to_owned()),
            (
                "data:text/html,x ftp://a https://",
                "data:text/html,x ftp://a https://".to_owned(),
            ),
            (
                "https://a.example/\"onclick=x",
                link("https://a.example/&quot;onclick=x"),
            ),
        ] {
            assert_eq!(linked(text).0, markup, "{text}");
        }
    }
}
