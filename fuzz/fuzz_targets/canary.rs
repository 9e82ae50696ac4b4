#![doc = "See quorra_fuzz::canary."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::canary::run(bytes));
