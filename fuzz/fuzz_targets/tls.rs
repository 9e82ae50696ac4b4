#![doc = "See quorra_fuzz::tls."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::tls::run(bytes));
