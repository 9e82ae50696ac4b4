#![doc = "See quorra_fuzz::checkpoint."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::checkpoint::run(bytes));
