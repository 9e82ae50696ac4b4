#![doc = "See quorra_fuzz::v2."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::v2::run(bytes));
