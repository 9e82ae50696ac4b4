#![doc = "See quorra_fuzz::host."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::host::run(bytes));
