#![doc = "See quorra_fuzz::http2."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::http2::run(bytes));
