//! The files of the page. They are what stands in `web`, as it stands there: nothing is built.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

/// A file below `/assets/`.
#[derive(Debug)]
pub struct Asset {
    pub name: &'static str,
    pub text: &'static str,
    pub content_type: &'static str,
    /// In the quotes that an `ETag` has (source: RFC 9110, 8.8.3).
    pub etag: String,
}

/// A page of the console, and the module that fills it.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub path: &'static str,
    pub name: &'static str,
    pub title: &'static str,
}

const SHELL: &str = include_str!("../../web/shell.html");

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $content_type:ident),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../web/", $name)), $content_type)),+]
    };
}

const FILES: &[(&str, &str, &str)] = files![
    "console.css" CSS,
    "icon.svg" SVG,
    "kit.js" SCRIPT,
    "markdown.js" SCRIPT,
    "models.js" SCRIPT,
    "overview.js" SCRIPT,
    "playground.js" SCRIPT,
    "plot.js" SCRIPT,
    "reference.js" SCRIPT,
    "requests.js" SCRIPT,
    "settings.js" SCRIPT,
    "snippet.js" SCRIPT,
    "sse.js" SCRIPT,
    "theme.js" SCRIPT,
    "turns.js" SCRIPT,
];

/// The pages, in the order of their tabs.
pub const PAGES: &[Page] = &[
    page("/", "playground", "Playground"),
    page("/requests", "requests", "Requests"),
    page("/overview", "overview", "Overview"),
    page("/reference", "reference", "Reference"),
    page("/settings", "settings", "Settings"),
];

const fn page(path: &'static str, name: &'static str, title: &'static str) -> Page {
    Page { path, name, title }
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |&(name, text, content_type): &(_, &'static str, _)| Asset {
        name,
        text,
        content_type,
        etag: format!(
            "\"{}\"",
            URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
        ),
    };
    FILES.iter().map(asset).collect()
});

/// A file by its name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The HTML of a page. All pages have one frame, and differ in title and module.
pub fn shell(page: &Page) -> String {
    SHELL
        .replace("{title}", page.title)
        .replace("{page}", page.name)
}

/// Whether a path belongs to the console alone. `/` does not: programs are answered there too.
pub fn is_console(path: &str) -> bool {
    let is_page = PAGES.iter().any(|page| page.path == path && path != "/");
    is_page || path.starts_with("/assets/") || path.starts_with("/console/")
}
