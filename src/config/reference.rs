//! The configuration reference of `docs/configuration.md`, rendered from the table.

use super::records::records;
use super::settings::{Reload, Setting, sections};

/// The whole reference in Markdown; ends with a newline.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in sections() {
        page += &format!("\n### `[{}]`\n\n{}\n\n", section.name, section.about);
        page += "| Setting | Takes | Default | Meaning | Reload |\n|---|---|---|---|---|\n";
        for setting in &section.settings {
            page += &row(setting);
        }
    }
    for record in records() {
        page += &format!("\n### `[[{}]]`\n\n{}\n\n", record.name, record.about);
        page += "| Field | Takes | Default | Meaning | Reload |\n|---|---|---|---|---|\n";
        for field in &record.settings {
            page += &row(field);
        }
    }
    page
}

const INTRODUCTION: &str = "\
Settings come from, in rising order: the built-in default, the file, the environment, the command line.
The file is TOML: the one named by `--config`, else `fal-gateway.toml` in the working directory if it exists.
Each setting has an environment variable, `FAL_GATEWAY__` + section + `__` + name in capitals: `server.listen` is `FAL_GATEWAY__SERVER__LISTEN`.
There, lists are separated by commas, and tables are written as in TOML: `{ \"fast\" = \"google/gemini-2.5-flash-lite\" }`.
A higher layer replaces a list or table as a whole.
Lists of tables, such as `[[keys]]`, stand in the file only.
Durations are written `500ms`, `3s`, `2m` or `1h`, sizes `64KiB`, `16MiB`, `4MB` or as a number of bytes.
Unknown names are refused. `fal-gateway check` shows every setting with its origin.
A running gateway takes up what has changed in the file: on SIGHUP, and by itself within a few seconds (`server.watch`).
Settings whose last column says `live` hold from the next request on; those that say `restart` keep their old value and are named in the log.
Files that cannot be used change nothing: the old settings hold, and the log says what is wrong.
A reload opens nothing that was closed: the last client key, the admin key, and whether there is a fal key change with a restart only.

| Variable | Same as |
|---|---|
| `FAL_KEY`, or `FAL_KEY_ID` with `FAL_KEY_SECRET` | `fal.key` |
| `FAL_GATEWAY_KEYS` | `auth.keys`, as plain keys separated by commas; they are hashed when read |
| `PORT` | the port of `server.listen` |
";

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        "" => "none".to_owned(),
        default => format!("`{default}`"),
    };
    let flag = setting
        .flag
        .map_or_else(String::new, |flag| format!(" Flag `{flag}`."));
    let cells = [
        format!("`{}`", setting.name()),
        setting.takes_in_short.clone(),
        default,
        format!("{}{flag}", setting.meaning),
        match setting.reload {
            Reload::Live => "live".to_owned(),
            Reload::Restart => "restart".to_owned(),
        },
    ];
    // A bar would end the cell.
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}
