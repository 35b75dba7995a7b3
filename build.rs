//! Turns the API's description into the JSON that the gateway serves, and tells the program whether
//! it is optimised.

use std::error::Error;
use std::{env, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    const SOURCE: &str = "openapi/openapi.yaml";
    println!("cargo::rerun-if-changed={SOURCE}");
    let description: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(SOURCE)?)?;
    let target = Path::new(&env::var("OUT_DIR")?).join("openapi.json");
    fs::write(target, serde_json::to_string(&description)?)?;

    println!("cargo::rustc-check-cfg=cfg(first_look)");
    if env::var("PROFILE")? == "release" && env::var("OPT_LEVEL")? == "0" {
        println!("cargo::rustc-cfg=first_look");
    }
    Ok(())
}
