#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fal_gateway_fuzz::check("chunks", data));
