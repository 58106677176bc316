//! A page as a browser shows it.

use serde::Deserialize;
use std::{fs, path::Path, process::Command};

/// Flags without which Chromium asks hosts on the internet, or needs a screen.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The page that looks may look into the page that is looked at.
    "--allow-file-access-from-files",
    "--virtual-time-budget=10000",
    // What a page's policy forbade is told on the console.
    "--enable-logging=stderr",
    "--dump-dom",
];

/// How long a page may take: Chromium ends by itself, but for its faults.
const SECONDS: &str = "120";

/// What is seen of a page at some width.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Width of the window.
    pub width: u32,
    /// Width of what is in it.
    pub content: u32,
    /// Its title.
    pub title: String,
    /// Its text, as far as it is shown.
    pub text: String,
    /// Cells that can be opened.
    pub cells: usize,
    /// Text of a cell once it is opened.
    pub opened: String,
    /// Paths of pictures that are shown.
    pub paths: usize,
    /// Elements that could run or fetch something.
    pub active: usize,
    /// Where links lead that are not to pages of the web or to a place in this one.
    pub odd_links: Vec<String>,
    /// Colour of the ground.
    pub ground: String,
}

/// Looks at a page from a page around it, which may run a script where the page itself must not.
const LOOK: &str = r#"<!DOCTYPE html><meta charset="utf-8"><title>a look</title><body><script>
const looks = [];
function look(width) {
  return new Promise(resolve => {
    const frame = document.createElement('iframe');
    frame.style.cssText = `border: 0; width: ${width}px; height: 900px`;
    frame.onload = () => {
      const page = frame.contentDocument, view = frame.contentWindow;
      const shown = element => element.getClientRects().length > 0;
      const cells = [...page.querySelectorAll('.matrix details')];
      const look = {
        width,
        content: page.documentElement.scrollWidth,
        title: page.title,
        text: page.body.innerText,
        cells: cells.length,
        opened: '',
        paths: [...page.querySelectorAll('svg .path .line')].filter(shown).length,
        active: page.querySelectorAll('script, iframe, object, embed, img, form, link:not([rel=icon]), [onclick], [onerror]').length,
        oddLinks: [...page.querySelectorAll('a')].map(a => a.getAttribute('href')).filter(href => !/^(https?:\/\/|#)/.test(href)),
        ground: view.getComputedStyle(page.body).backgroundColor,
      };
      if (cells.length) {
        cells[0].open = true;
        look.opened = cells[0].innerText;
        look.content = Math.max(look.content, page.documentElement.scrollWidth);
      }
      resolve(look);
    };
    frame.src = 'PAGE';
    document.body.append(frame);
  });
}
(async () => {
  for (const width of [WIDTHS]) looks.push(await look(width));
  document.body.textContent = JSON.stringify(looks);
})();
</script>"#;

/// Shows a page in windows of these widths, on a light or dark ground.
///
/// # Panics
///
/// Where Chromium is not there, or does not show the page.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test without its page fails, and shows what was printed"
)]
pub fn looks(page: &Path, widths: &[u32], dark: bool) -> Vec<Look> {
    let folder = page.parent().unwrap();
    let around = folder.join("around.html");
    let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
    let text = LOOK
        .replace("PAGE", &format!("file://{}", page.display()))
        .replace("WIDTHS", &widths.join(", "));
    fs::write(&around, text).unwrap();
    let profile = folder.join("profile");
    let output = Command::new("timeout")
        .args(["--kill-after=5", SECONDS, "chromium"])
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ))
        .arg(format!("file://{}", around.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        !error.contains("Content Security Policy"),
        "the page tried what its policy forbids\n{error}"
    );
    let body = dom
        .split_once("<body>")
        .and_then(|(_, rest)| rest.split_once("</body>"))
        .map(|(body, _)| body)
        .unwrap_or_default();
    // As HTML writes text (WHATWG HTML, "Serializing HTML fragments").
    let text = body
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|fault| {
        panic!("the page was not shown (tests/packages installs Chromium): {fault}\n{dom}\n{error}")
    })
}
