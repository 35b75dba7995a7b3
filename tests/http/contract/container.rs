//! The container files: safe, and in step with the program.

use fal_gateway::config::{Config, Sources};
use serde_json::{Value, json};

use crate::contract::readme::assert_understood;
use crate::contract::{file, yaml};

fn service() -> Value {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 1);
    services.values().next().unwrap().clone()
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The service's variables on top of the image's, with `given` set outside.
fn sources(given: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::default();
    for line in file("Dockerfile").lines() {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|l| l.split_once('=')) {
            sources = sources.with_env(name, value);
        }
    }
    for (name, value) in service()["environment"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let outside = given.iter().find(|(given, _)| given == name);
        let value = match (value.strip_prefix("${"), outside) {
            (Some(_), Some((_, given))) => given,
            (Some(_), None) => "",
            (None, _) => value,
        };
        sources = sources.with_env(name, value);
    }
    sources
}

#[test]
fn compose_publishes_on_this_machine_alone_and_restricts_the_container() {
    let service = service();
    for port in strings(&service["ports"]) {
        assert!(port.starts_with("127.0.0.1:"), "{port}");
    }
    assert_eq!(service["read_only"], json!(true));
    assert_eq!(service["cap_drop"], json!(["ALL"]));
    assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
    assert!(service["mem_limit"].is_string());
    assert!(
        service["pids_limit"]
            .as_u64()
            .is_some_and(|most| most >= 64)
    );
    assert_eq!(service["ulimits"]["core"], json!(0));
    assert!(service["restart"].is_string());
    assert!(service["healthcheck"]["test"].is_array());
}

#[test]
fn no_key_stands_in_a_container_file() {
    for (name, value) in service()["environment"].as_object().unwrap() {
        let is_secret = name.contains("KEY") || name.contains("SECRET");
        let value = value.as_str().unwrap();
        assert!(
            !is_secret || value == format!("${{{name}:-}}"),
            "{name} has a value: it belongs into .env"
        );
    }
    for line in file(".env.example").lines() {
        let (_, value) = line.split_once('=').unwrap_or((line, ""));
        assert!(line.starts_with('#') || value.is_empty(), "{line}");
    }
    assert!(!file("Dockerfile").contains("KEY"));
}

#[test]
fn the_settings_of_the_service_are_good_with_and_without_keys() {
    for given in [
        &[][..],
        &[("FAL_KEY", "id:secret")],
        &[
            ("FAL_KEY", "id:secret"),
            ("FAL_GATEWAY_KEYS", "sk-one,sk-two"),
        ],
    ] {
        let config = Config::load(&sources(given)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:3250");
        // Web pages may not reach a gateway that is open, except under a name that is ours.
        assert!(!config.server.public_hosts.is_empty());
        assert!(config.server.cors_origins.is_empty());
        assert_eq!(config.fal.key.is_some(), !given.is_empty());
    }
}

#[test]
fn the_commands_of_the_container_are_understood() {
    let service = service();
    assert_understood(&strings(&service["command"]));
    let probe = strings(&service["healthcheck"]["test"]);
    assert_eq!(probe[..2], ["CMD", "fal-gateway"]);
    assert_understood(&probe[2..]);
    let dockerfile = file("Dockerfile");
    let list = |instruction: &str| {
        let line = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix(instruction));
        strings(&serde_json::from_str(line.unwrap()).unwrap())
    };
    assert_eq!(list("ENTRYPOINT "), ["fal-gateway"]);
    let command = list("CMD ");
    let probe = dockerfile
        .lines()
        .skip_while(|line| !line.starts_with("HEALTHCHECK"))
        .find_map(|line| line.split_once("CMD "))
        .map(|(_, list)| strings(&serde_json::from_str(list).unwrap()))
        .unwrap();
    assert_eq!(probe[0], "fal-gateway");
    for arguments in [&command[..], &probe[1..]] {
        assert_understood(arguments);
    }
}

/// The unit of systemd asks for what takes rights away, names files that exist there, and its
/// command is understood.
#[test]
fn the_unit_takes_rights_away_and_keeps_the_key_out_of_the_environment() {
    let unit = file("examples/systemd/fal-gateway.service");
    let values = |name: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        let own = lines.filter(|(found, _)| *found == name);
        own.map(|(_, value)| value.to_owned()).collect()
    };
    for name in [
        "DynamicUser",
        "NoNewPrivileges",
        "PrivateDevices",
        "ProtectHome",
        "MemoryDenyWriteExecute",
    ] {
        assert_eq!(values(name), ["yes"], "{name}");
    }
    assert_eq!(values("ProtectSystem"), ["strict"]);
    assert_eq!(values("CapabilityBoundingSet"), [""]);
    assert_eq!(values("LimitCORE"), ["0"]);
    let command = values("ExecStart").remove(0);
    let words: Vec<String> = command.split(' ').skip(1).map(str::to_owned).collect();
    assert_understood(&words);
    // The credential is what the setting names, and nothing else of the environment is a key.
    let credential = values("LoadCredential").remove(0);
    let (name, _) = credential.split_once(':').unwrap();
    let expected = format!("FAL_GATEWAY__FAL__KEY_FILE=%d/{name}");
    assert_eq!(values("Environment"), [expected]);
}

#[test]
fn the_image_runs_as_nobody_and_its_build_sees_no_more_than_it_needs() {
    let dockerfile = file("Dockerfile");
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last_stage.contains("USER 65532:65532"));
    assert!(last_stage.contains("EXPOSE 3250"));
    let ignored = file(".dockerignore");
    for path in ["target", ".git", ".env", "**/node_modules"] {
        assert!(ignored.lines().any(|line| line == path), "{path}");
    }
}

/// What a pod is given, with what its Secret would hold.
#[test]
fn the_settings_of_the_overlays_are_good() {
    let container = |path: &str| yaml(path)["spec"]["template"]["spec"]["containers"][0].clone();
    for overlay in ["team", "service"] {
        let folder = format!("deploy/kubernetes/overlays/{overlay}");
        let mut sources = Sources::default()
            .with_file(
                "fal-gateway.toml",
                file(&format!("{folder}/fal-gateway.toml")),
            )
            .with_env("FAL_KEY", "id:secret");
        let base = container("deploy/kubernetes/base/deployment.yaml");
        let patch = container(&format!("{folder}/deployment.yaml"));
        let lists = [&base, &patch]
            .into_iter()
            .filter_map(|c| c["env"].as_array());
        for variable in lists.flatten() {
            let name = variable["name"].as_str().unwrap();
            let value = match (name, variable["value"].as_str()) {
                ("FAL_GATEWAY__FAL__KEY_FILE", _) => continue,
                ("FAL_GATEWAY__STORE__URL", None) => "postgresql://user:word@db.example.com/books",
                ("FAL_GATEWAY_KEYS", None) => "sk-one",
                (_, value) => value.unwrap(),
            };
            sources = sources.with_env(name, value);
        }
        let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:3250");
        assert!(config.metrics.listen.is_some());
        assert_eq!(config.store.path.is_some(), overlay == "team");
        assert_eq!(config.store.url.is_some(), overlay == "service");
        assert!(!config.auth.allow_unauthenticated);
        let arguments = strings(&base["args"]);
        assert_understood(&arguments);
    }
}
