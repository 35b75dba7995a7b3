//! `fal-gateway init`: a settings file to begin with.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::config::template;

/// Writes the file; one that is there already stays as it is. Gives the exit code.
///
/// # Errors
/// Only those of writing to `out`.
pub fn init(path: &Path, out: &mut impl Write) -> io::Result<u8> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(template().as_bytes()));
    match written {
        Ok(()) => {
            writeln!(
                out,
                "{shown} holds every setting, commented out. Try it: fal-gateway check --config {shown}"
            )?;
            Ok(0)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            writeln!(
                out,
                "{shown} is there already, and stays as it is. Name another file."
            )?;
            Ok(1)
        }
        Err(error) => {
            writeln!(out, "{shown} cannot be written: {error}.")?;
            Ok(1)
        }
    }
}

/// Prints the file instead.
///
/// # Errors
/// Only those of writing.
pub fn print_template(out: &mut impl Write) -> io::Result<u8> {
    out.write_all(template().as_bytes())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_never_over_another() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("new.toml");
        let run = |path: &Path| {
            let mut said = Vec::new();
            let code = init(path, &mut said).expect("memory can be written");
            (code, String::from_utf8(said).expect("it is text"))
        };
        let (code, said) = run(&path);
        assert_eq!(code, 0);
        assert!(said.contains("fal-gateway check --config"), "{said}");
        let read = || std::fs::read_to_string(&path).expect("the file is there");
        assert_eq!(read(), template());
        std::fs::write(&path, "mine").expect("the file can be written");
        let (code, said) = run(&path);
        assert_eq!((code, read().as_str()), (1, "mine"));
        assert!(said.contains("stays as it is"), "{said}");
        let (code, said) = run(&folder.path().join("no/such/folder.toml"));
        assert_eq!(code, 1);
        assert!(said.contains("cannot be written"), "{said}");
    }
}
