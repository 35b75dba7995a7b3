//! The console over HTTP: its pages and files, what they are told, and who may see it.

pub mod data;
pub mod door;
pub mod pages;
pub mod usage;

use actix_web::web::{self, ServiceConfig};

use super::only;

pub use door::Door;
pub use pages::welcome;

/// The routes of the console, all but `/`. None of them is part of the API.
pub fn routes(config: &mut ServiceConfig) {
    for page in crate::console::assets::PAGES {
        if page.path != "/" {
            config.service(only("GET", page.path, web::to(pages::page)));
        }
    }
    config
        .service(only("GET", "/assets/{name}", web::to(pages::asset)))
        .service(only("GET", "/console/v1/state", web::to(data::state)))
        .service(only("GET", "/console/v1/settings", web::to(data::settings)))
        .service(only("GET", "/console/v1/requests", web::to(data::requests)))
        .service(only(
            "GET",
            "/console/v1/requests/{number}",
            web::to(data::detail),
        ))
        .service(only(
            "POST",
            "/console/v1/capture/{wanted}",
            web::to(data::capture),
        ))
        .service(only("GET", "/console/v1/overview", web::to(data::overview)))
        .service(only("GET", "/console/v1/usage", web::to(usage::usage)))
        .service(
            web::resource("/console/v1/session")
                .route(web::post().to(data::open_session))
                .route(web::delete().to(data::close_session)),
        );
}
