#![doc = "See quorra_fuzz::replica."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::replica::run(bytes));
