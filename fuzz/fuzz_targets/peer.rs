#![doc = "See quorra_fuzz::peer."]
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| quorra_fuzz::peer::run(bytes));
