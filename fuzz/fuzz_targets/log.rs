#![doc = "See quorra_fuzz::log."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::log::run(bytes));
