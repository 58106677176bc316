//! Renders a page in Chromium and reports what the browser shows.

use serde::Deserialize;
use std::{fs, path::Path, process::Command};

/// Without these flags Chromium contacts hosts on the internet, or needs a screen.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The outer page reads the document in its iframe.
    "--allow-file-access-from-files",
    "--virtual-time-budget=10000",
    // The console says what the page's Content Security Policy blocked.
    "--enable-logging=stderr",
    "--dump-dom",
];

/// Time limit for one page, in seconds. Chromium normally ends by itself; this covers the case that it hangs.
const SECONDS: &str = "120";

/// What the browser shows of a page at one window width.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Width of the window, in CSS pixels.
    pub width: u32,
    /// Width of the content, in CSS pixels. If it is larger than the window, the page scrolls sideways.
    pub content: u32,
    /// Title of the page.
    pub title: String,
    /// The visible text.
    pub text: String,
    /// Number of matrix cells that can be opened.
    pub cells: usize,
    /// Text of the first cell after it was opened.
    pub opened: String,
    /// Number of visible lines in the pictures.
    pub paths: usize,
    /// Number of elements that could run code or fetch something.
    pub active: usize,
    /// Targets of links that lead neither to a web page nor to a place in this page.
    pub odd_links: Vec<String>,
    /// Background colour of the page.
    pub ground: String,
}

/// An outer page that loads the page under test in an iframe and inspects it. The script is here because the page under
/// test must not run any.
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

/// Shows a page in windows of these widths, in light or dark mode.
///
/// # Panics
///
/// If Chromium is not installed or does not show the page.
#[must_use]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "if the page is not shown, the test fails with what Chromium printed"
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
        "the page tried something that its Content Security Policy forbids\n{error}"
    );
    let body = dom
        .split_once("<body>")
        .and_then(|(_, rest)| rest.split_once("</body>"))
        .map(|(body, _)| body)
        .unwrap_or_default();
    // Undo the escaping of text (WHATWG HTML, "Serializing HTML fragments").
    let text = body
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|fault| {
        panic!("Chromium did not show the page (tests/packages installs Chromium): {fault}\n{dom}\n{error}")
    })
}
