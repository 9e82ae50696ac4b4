#![doc = "See quorra_fuzz::json."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::json::run(bytes));
