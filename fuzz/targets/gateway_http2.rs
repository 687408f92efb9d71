#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fnox_fuzz::gateway_http2(data));
